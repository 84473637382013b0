"""Runs on the disk: the work directory of each job, its state, and the command that makes it."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_resnet import architectures
from training.config import jobs, recipes
from training.config.catalogue import DATASETS
from training.config.jobs import Job
from training.paper.recipe_descriptions import describe
from training.trainer.callbacks import history

if TYPE_CHECKING:
    from training.common.figures import HeldOut

FAILURE = "failure.json"  # in the directory of a run that would fail again in the same way
BACKENDS = ("tensorflow", "jax", "torch")
STATES = ("finished", "begun", "missing", "failed")


@dataclass(frozen=True)
class Run:
    """One job and its work directory, which may not exist yet."""

    job: Job
    directory: Path
    failure: str = ""  # why this process cannot have its result

    @property
    def state(self) -> str:
        """One of `STATES`."""
        if self.failure:
            return "failed"
        if (self.directory / "result.json").is_file():
            return "finished"
        if self.recorded_failure:
            return "failed"
        return "begun" if (self.directory / "job.json").is_file() else "missing"

    @property
    def recorded_failure(self) -> str:
        """Why an earlier attempt failed that would fail again, such as a loss that became NaN."""
        file = self.directory / FAILURE
        if not file.is_file():
            return ""
        return f"{json.loads(file.read_text())['reason']} (remove {file} to try again)"

    @property
    def step(self) -> int:
        """The iteration of the newest checkpoint; 0 without any."""
        names = [path.stem for path in (self.directory / "checkpoints").glob("step-*.npz")]
        return max((int(name.removeprefix("step-")) for name in names), default=0)

    @property
    def result(self) -> Mapping[str, Any]:
        """The content of `result.json`, with what older versions did not record filled in.

        Raises:
            ValueError: If the file is damaged.
        """
        file = self.directory / "result.json"
        when = datetime.fromtimestamp(file.stat().st_mtime, UTC).isoformat(timespec="seconds")
        unrecorded = {
            "finished": when,
            "hardware": "hardware not recorded",
            "train_examples": DATASETS[self.job.dataset].train_images,
            "validation_error": None,
        }
        return {**unrecorded, **json.loads(file.read_text())}

    @property
    def machine(self) -> str:
        """The hardware and the backend: `2 CPUs, AMD EPYC; tensorflow 2.21.0`."""
        versions = json.loads((self.directory / "job.json").read_text()).get("versions", {})
        backend = [f"{name} {versions[name]}" for name in BACKENDS if name in versions]
        return "; ".join([self.result["hardware"], *backend])

    @property
    def history(self) -> list[dict[str, float]]:
        """The rows of `history.csv`, one for each epoch; errors are in per cent."""
        return history.read(self.directory / history.EPOCHS_FILE)[0]

    @property
    def held_out(self) -> HeldOut:
        """The images of the column `val_error` in the history."""
        role = history.read(self.directory / history.EPOCHS_FILE)[1]
        if role is None:  # the files of older versions do not say
            role = "test" if self.result["validation_error"] is None else "validation"
        # ImageNet's test labels are not public: its validation images are tested on.
        return "test" if role == "test" and self.job.dataset != "imagenet2012" else "validation"


def normal(job: Job) -> Job:
    """Returns the job in its one normal form, which does not depend on where the data lie."""
    own = job.shortcut == architectures.get(job.network).shortcut
    return replace(job, shortcut=None if own else job.shortcut, data_dir=None)


def read_job(directory: Path) -> Job | None:
    """Returns the job of a work directory, or `None` if there is none that can be run here."""
    try:
        return normal(jobs.load(directory / "job.json"))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def directory_name(job: Job) -> str:
    """Returns such as `resnet20-cifar10-fast-budget1500-0`; further changes become a digest."""
    described = describe(job.recipe)
    named = described.base.removeprefix(job.dataset).strip("-")
    parts = [job.network, job.shortcut, job.dataset, named]
    if described.length is not None:
        unit, number = described.length
        parts.append(f"budget{number}" if unit == "iterations" else f"epochs{number}")
    if described.changes or job.skip_bad_images:
        text = json.dumps(asdict(normal(job)), sort_keys=True, default=str)
        parts.append(hashlib.sha256(text.encode()).hexdigest()[:8])
    return "-".join(part for part in (*parts, str(job.seed)) if part)


def arguments(job: Job) -> list[str]:
    """Returns the arguments of `python -m training train`, without those that name directories."""
    described = describe(job.recipe)
    given = ["--network", job.network]
    if job.shortcut is not None:
        given += ["--shortcut", job.shortcut]
    given += ["--dataset", job.dataset, "--recipe", described.base]
    for override in described.overrides:
        given += ["--set", override]
    given += ["--skip-bad-images"] if job.skip_bad_images else []
    return [*given, "--seed", str(job.seed)]


def command(job: Job) -> str:
    """Returns the command line that makes this run; `--data-dir` says where the data lie."""
    return shlex.join(["python", "-m", "training", "train", *arguments(job)])


def steps(job: Job, train_examples: int | None = None) -> int | None:
    """Returns the steps of the whole run; `None` for epochs of a folder that was not read yet."""
    if job.recipe.iterations:
        return job.recipe.iterations
    examples = train_examples or DATASETS[job.dataset].train_images
    if examples is None:
        return None
    recipe = recipes.sized(job.recipe, examples)
    trained_on = examples - int(recipe.held_out)
    return (recipe.epochs or 0) * max(1, trained_on // recipe.batch_size)


def find(directories: Iterable[Path]) -> list[Run]:
    """Returns the runs in these directories: each is a work directory itself, or holds some."""
    runs = []
    for directory in directories:
        for candidate in (directory, *sorted(directory.glob("*/"))):
            job = read_job(candidate)
            if job is not None:
                runs.append(Run(job, candidate))
    return runs


def plan(wanted: Sequence[Job], workdir: Path, adopted: Sequence[Path] = ()) -> list[Run]:
    """Returns a run for every job: the one that got furthest, else one in a new directory.

    A run whose new directory holds another job's files has failed.

    Args:
        wanted: Jobs, which may repeat, since tables and figures share runs.
        workdir: Where runs are looked for, and where new ones go.
        adopted: Further directories to look in; their runs stay where they are.

    Raises:
        FileNotFoundError: If a directory to look in does not exist.
    """
    for directory in adopted:
        if not directory.is_dir():
            raise FileNotFoundError(f"There is no directory {directory} whose runs to adopt.")
    present = find([workdir, *adopted])
    runs = []
    for job in dict.fromkeys(normal(job) for job in wanted):
        same = [run for run in present if run.job == job]
        same.sort(key=lambda run: (STATES.index(run.state), -run.step))
        runs.append(same[0] if same else _new(job, workdir))
    return runs


def _new(job: Job, workdir: Path) -> Run:
    directory = workdir / directory_name(job)
    taken = any((directory / name).exists() for name in ("job.json", "result.json"))
    failure = f"{directory} holds another job's run: move it, or give another --workdir"
    return Run(job, directory, failure if taken else "")
