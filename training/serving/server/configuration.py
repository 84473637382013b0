"""TF Serving's configuration files, as far as the embedded server reads them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from training.export import model_base


@dataclass(frozen=True)
class Model:
    """One model that is to be served."""

    name: str
    home: Path
    policy: Any  # FileSystemStoragePathSourceConfig.ServableVersionPolicy
    labels: Mapping[str, int]

    def wanted(self) -> list[int]:
        """Returns the versions on disk that belong in memory."""
        present = model_base.versions(self.home)
        if self.policy.HasField("specific"):
            return [version for version in present if version in self.policy.specific.versions]
        if self.policy.HasField("all"):
            return present
        return present[-max(1, self.policy.latest.num_versions) :]


def models(file: Path) -> dict[str, Model]:
    """Reads the models of a `models.config`.

    Raises:
        ValueError: If the file is empty, or not a `ModelServerConfig` in text form.
        OSError: If it cannot be read.
    """
    text = file.read_text(encoding="utf-8-sig")
    if not text.strip():  # someone is writing it; no models would end all that are served
        raise ValueError(f"{file} is empty")
    try:
        parsed = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    except text_format.ParseError as error:
        raise ValueError(f"{file} is not a models.config: {error}") from error
    return {
        model.name: Model(
            model.name,
            Path(model.base_path),
            model.model_version_policy,
            dict(model.version_labels),
        )
        for model in parsed.model_config_list.config
    }


@dataclass(frozen=True)
class Batching:
    """How requests are put together, in TF Serving's names."""

    max_batch_size: int = 16
    batch_timeout_micros: int = 2000
    num_batch_threads: int = 2
    max_enqueued_batches: int = 16


def batching(file: Path) -> Batching:
    """Reads a batching parameters file: lines such as `max_batch_size { value: 16 }`.

    Raises:
        ValueError: If it has none of the fields of `Batching`, or one that is too small.
        OSError: If it cannot be read.
    """
    text = re.sub("#.*", "", file.read_text(encoding="utf-8-sig"))
    found = re.findall(r"(\w+)\s*:?\s*\{\s*value:\s*(\d+)\s*\}", text)
    values = {key: int(value) for key, value in found if key in Batching.__annotations__}
    if not values:
        raise ValueError(
            f"{file} has no batching parameters such as 'max_batch_size {{ value: 16 }}'."
        )
    for name, value in values.items():
        if value == 0 and name != "batch_timeout_micros":
            raise ValueError(f"{file}: {name} is at least 1; given 0.")
    return Batching(**values)
