"""The versions in memory: loading, warm-up, exchange under load, removal."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import tensorflow as tf
from grpc import StatusCode
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import prediction_log_pb2

from training.common.files import read_json
from training.export import warmup_requests
from training.serving.server import configuration
from training.serving.server.errors import ServingError
from training.serving.server.metrics import Metrics
from training.serving.server.runtime import signatures

logger = logging.getLogger("training.serving")


@dataclass(frozen=True, eq=False)
class Version:
    """One version of one model, ready to compute. In-flight requests keep it in memory."""

    name: str
    number: int
    loaded: Any  # the SavedModel, which holds the variables
    functions: Mapping[str, Any]  # {signature: what computes it}
    definitions: Mapping[str, Any]  # {signature: SignatureDef}, as in the file
    resizing: Mapping[str, Any] | None = None  # of an `export`: shorter_side, crop, method

    def run(self, signature: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        outputs = self.functions[signature](
            **{name: tf.constant(value) for name, value in inputs.items()}
        )
        return {name: value.numpy() for name, value in outputs.items()}


def load(name: str, number: int, path: Path, runtime: str | None) -> Version:
    """Loads a version and replays its warm-up requests.

    Args:
        name: The model's.
        number: The version's.
        path: The version's directory.
        runtime: What computes it; None: TensorFlow.
    """
    saved = saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())
    definitions = {
        key: value
        for key, value in saved.meta_graphs[0].signature_def.items()
        if not key.startswith("__")
    }
    facts = path / "assets" / "model.json"
    loaded = tf.saved_model.load(path)
    functions = dict(loaded.signatures)
    if runtime is not None:
        try:
            functions |= signatures(path, runtime, loaded)
        except FileNotFoundError as error:
            logger.warning("%s TensorFlow computes it.", error)
    version = Version(
        name,
        number,
        loaded,
        MappingProxyType(functions),
        MappingProxyType(definitions),
        read_json(facts).get("resizing") if facts.is_file() else None,
    )
    for record in tf.data.TFRecordDataset(
        [str(file) for file in [path / warmup_requests.FILE] if file.is_file()]
    ):
        log = prediction_log_pb2.PredictionLog.FromString(record.numpy())
        if log.HasField("classify_log"):
            request = log.classify_log.request
            examples = [e.SerializeToString() for e in request.input.example_list.examples]
            inputs = {"inputs": np.array(examples, dtype=object)}
        else:
            request = log.predict_log.request
            inputs = {key: tf.make_ndarray(value) for key, value in request.inputs.items()}
        version.run(request.model_spec.signature_name, inputs)
    return version


class Models:
    """The served models, kept in step with the configuration file and the disk.

    Args:
        config: A `models.config`.
        metrics: Records how many versions are in memory.
        runtime: What computes the versions that have a file for it; None: TensorFlow.
    """

    def __init__(self, config: Path, metrics: Metrics, runtime: str | None = None) -> None:
        self._config = config
        self._metrics = metrics
        self._runtime = runtime
        self._models: dict[str, configuration.Model] = {}
        self._versions: dict[tuple[str, int], Version] = {}  # replaced, never changed
        self._tried: dict[tuple[str, int], int] = {}  # when its files last changed
        self._failures: dict[tuple[str, int], str] = {}  # why, of those that could not be loaded
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, poll_seconds: float) -> None:
        """Loads the configured versions, then checks for changes every `poll_seconds`."""
        self.refresh()
        self._thread = threading.Thread(target=self._poll, args=(poll_seconds,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def _poll(self, seconds: float) -> None:
        while not self._stopping.wait(seconds):
            try:
                self.refresh()
            except (OSError, ValueError) as error:
                logger.error("%s: %s; what was served stays served", self._config, error)

    def refresh(self) -> None:
        """Loads the versions that are to be served, then drops those that no longer are.

        A version whose files have changed is loaded again. A label moves once its new version is
        in memory, so that no request finds none.
        """
        models = configuration.models(self._config)
        wanted = {
            (model.name, number): model.home / str(number)
            for model in models.values()
            for number in model.wanted()
        }
        for key, path in wanted.items():
            changed = _changed(path)
            if self._stopping.is_set() or self._tried.get(key) == changed:
                continue
            self._tried[key] = changed
            try:
                version = load(*key, path, self._runtime)
            except Exception as error:  # whatever a version's files hold, the others are served
                self._failures[key] = str(error) or type(error).__name__
                logger.error("%s version %d cannot be loaded: %s", *key, self._failures[key])
                continue
            self._failures.pop(key, None)
            self._versions = self._versions | {key: version}
            logger.info("%s version %d is served", *key)
        self._models = {name: self._with_labels_in_memory(models[name]) for name in models}
        # If none of a model's wanted versions could be loaded, it keeps those in memory.
        working = {name for name, number in wanted if (name, number) in self._versions}
        dropped = [
            key
            for key in self._versions
            if key not in wanted and (key[0] in working or key[0] not in models)
        ]
        if dropped:
            self._versions = {k: v for k, v in self._versions.items() if k not in dropped}
            gc.collect()
            for key in dropped:
                logger.info("%s version %d is no longer served", *key)
        for gone in [key for key in self._tried if key not in wanted]:
            del self._tried[gone]
            self._failures.pop(gone, None)
        for name in models:
            self._metrics.loaded.labels(name).set(sum(key[0] == name for key in self._versions))

    def _with_labels_in_memory(self, model: configuration.Model) -> configuration.Model:
        """The model, each of its labels with the version that had it if the new one is missing."""
        before = self._models.get(model.name, model).labels
        kept = {
            label: before.get(label, number)
            for label, number in model.labels.items()
            if (model.name, number) not in self._versions
        }
        return replace(model, labels={**model.labels, **kept})

    def find(self, name: str, version: int | None = None, label: str | None = None) -> Version:
        """Returns a version by number or label; without either, the newest in memory.

        Raises:
            ServingError: NOT_FOUND if no such version is in memory.
        """
        versions, models = self._versions, self._models
        if label:
            version = models[name].labels.get(label) if name in models else None
            if version is None:
                raise _not_found(f"Latest({name}), with label {label!r}")
        if version is None:
            numbers = [number for other, number in versions if other == name]
            if not numbers:
                raise _not_found(f"Latest({name})")
            version = max(numbers)
        if (name, version) not in versions:
            raise _not_found(f"Specific({name}, {version})")
        return versions[name, version]

    def listed(self) -> dict[str, list[tuple[Version, list[str]]]]:
        """Each model's versions in memory, the newest first, with their labels."""
        versions, models = self._versions, self._models
        return {
            name: [
                (version, [label for label, n in model.labels.items() if n == version.number])
                for (other, _), version in sorted(versions.items(), key=lambda item: -item[0][1])
                if other == name
            ]
            for name, model in sorted(models.items())
        }

    def known(self, name: str) -> bool:
        return name in self._models

    def states(self, name: str) -> list[tuple[int, str, str]]:
        """Returns (version, state of ModelVersionStatus, error) of each version.

        Raises:
            ServingError: NOT_FOUND if there is no such model.
        """
        if not self.known(name):
            raise ServingError(StatusCode.NOT_FOUND, f"Could not find any versions of model {name}")
        loaded = [(number, "AVAILABLE", "") for other, number in self._versions if other == name]
        failed = [
            (number, "END", why)
            for (other, number), why in self._failures.items()
            if other == name and (name, number) not in self._versions
        ]
        return sorted(loaded + failed, reverse=True)

    def ready(self) -> bool:
        """Whether every model of the configuration has a version in memory."""
        return all(any(key[0] == name for key in self._versions) for name in self._models)


def _changed(version: Path) -> int:
    """When a version's newest file was written, in nanoseconds; 0 if it is being removed."""
    try:
        return max(path.stat().st_mtime_ns for path in (version, *version.rglob("*")))
    except FileNotFoundError:
        return 0


def _not_found(what: str) -> ServingError:
    return ServingError(StatusCode.NOT_FOUND, f"Servable not found for request: {what}")
