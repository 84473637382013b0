"""The directory of a run: what it is a run of, and what it leaves behind."""

from __future__ import annotations

import json
import logging
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras

from training.common.files import atomic_write, exclusive_lock, write_json
from training.config import jobs, recipes
from training.config.jobs import Job
from training.data import fingerprint
from training.data.folder import split_file
from training.data.splits import Dataset
from training.trainer import checkpoints
from training.trainer.callbacks.history import History
from training.trainer.run import Run

logger = logging.getLogger(__name__)


class RunDirectory:
    """Reads and writes the files of one run.

    Args:
        path: The directory; of several workers all must see the same one.
        writes: Whether this process writes it (only the chief of several workers does).
    """

    def __init__(self, path: Path, writes: bool = True) -> None:
        self.path = path
        self.writes = writes
        self.checkpoints = path / "checkpoints"
        self.model_file = path / "model.keras"

    @contextmanager
    def opened_for(self, job: Job) -> Iterator[None]:
        """Makes the directory this process's own, if it holds no run of another job.

        Raises:
            ValueError: If it does.
            OSError: If another process trains there, or the directory cannot be written.
        """
        if not self.writes:
            yield
            return
        self.path.mkdir(parents=True, exist_ok=True)
        with exclusive_lock(self.path / ".lock"):
            self._refuse_another_job(job)
            yield

    def record(self, run: Run) -> None:
        """Records the job and the data at the run's first start; later, compares the data.

        Raises:
            ValueError: If the run was begun on other data.
        """
        if not self.writes:
            return
        found = fingerprint.of(run.dataset)
        recorded = self._description() if self.begun else None
        if recorded is not None:
            before = recorded.get("data", self._classes_as(found))
            self._refuse_other_data(fingerprint.differences(before, found), run.dataset)
            if "data" in recorded:
                return
        versions = {"python": platform.python_version(), "keras": keras.__version__}
        recipes.save(run.recipe, self.path / "recipe.json")
        if run.dataset.root is not None:
            split_file.write(run.dataset, self.path / split_file.FILE_NAME)
        write_json(
            self.path / "job.json",
            {
                "job": jobs.values(run.asked),
                "versions": versions | run.backend.versions(),
                **(recorded or {}),
                "data": found,
            },
        )

    @property
    def begun(self) -> bool:
        """Whether steps of a run are in the directory."""
        return self.newest_checkpoint is not None or self.result is not None

    @property
    def result(self) -> dict[str, Any] | None:
        """The content of `result.json`; `None` as long as the run is not finished."""
        file = self.path / "result.json"
        return json.loads(file.read_text()) if file.is_file() else None

    def finished(self, tested: bool) -> bool:
        """Whether the run has a result and no checkpoint to continue from, as after tidying up.

        Args:
            tested: Whether the result must have the test error.
        """
        result = self.result
        if result is None or self.newest_checkpoint or not self.model_file.is_file():
            return False
        if tested and result["test_error"] is None:
            return False
        logger.info("%s holds a finished run; to train it again, remove result.json", self.path)
        return True

    @property
    def newest_checkpoint(self) -> str | None:
        """The file name of the newest checkpoint, by which its step is known."""
        return next((file.name for file in checkpoints.files(self.checkpoints)), None)

    def write(self, model: keras.Model, history: History, result: Mapping[str, Any]) -> None:
        """Writes the finished model, its curve and, last, `result.json`."""
        if not self.writes:
            return
        with atomic_write(self.model_file) as temporary:
            model.save(temporary)
        try:
            from training.trainer import curve  # matplotlib's, which nothing else here needs
        except ModuleNotFoundError as error:
            logger.info("%s: no curve.png, since %s is not installed", self.path, error.name)
        else:
            path = self.path / "curve.png"
            curve.draw(history.rows, history.points, history.role, model.name, path)
        write_json(self.path / "result.json", result)

    def _description(self) -> dict[str, Any] | None:
        """Returns the content of `job.json`, or `None` before a run has written it."""
        file = self.path / "job.json"
        return json.loads(file.read_text()) if file.is_file() else None

    def _refuse_another_job(self, job: Job) -> None:
        recorded = self._description()
        if recorded is None or not self.begun:
            return  # nothing that was done would be lost
        given, theirs = (
            # What images are left out is seen in the data.
            jobs.values(replace(these, skip_bad_images=False))
            for these in (job, jobs.of_values(recorded["job"]))
        )
        different = [
            key
            for these, those in ((given, theirs), (given.pop("recipe"), theirs.pop("recipe")))
            for key in these
            if these[key] != those[key]
        ]
        if different:
            raise ValueError(
                f"{self.path} holds another run: it differs in {', '.join(different)}. Give "
                "another --workdir, or the same arguments to continue that run."
            )

    def _classes_as(self, found: Mapping[str, Any]) -> Mapping[str, Any]:
        """The data of a run of an older version, which recorded its classes when it finished."""
        classes = (self.result or {}).get("class_names", found["class_names"])
        return {**found, "class_names": classes}

    def _refuse_other_data(self, different: list[str], dataset: Dataset) -> None:
        if not different:
            return
        file = self.path / split_file.FILE_NAME
        way = "the data that this run was begun on"
        if dataset.root is not None and file.is_file():
            recorded, found = split_file.read(file), split_file.rows(dataset)
            different += split_file.changes(recorded, found)
            sizes = {row.file: row.size for row in found}
            if all(sizes.get(row.file) == row.size for row in recorded):
                way = f"--split {file}, to continue without the new files"
        raise ValueError(
            f"{self.path} holds a run on other data: {'; '.join(different)}. Give another "
            f"--workdir, or {way}."
        )
