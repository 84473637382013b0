"""TF Serving's JSON: instances or inputs in, predictions or outputs out."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

import numpy as np

from training.serving.server.batching import Arrays
from training.serving.server.errors import invalid

DEEPEST = 16  # nesting of lists and objects; images have 4


def parse(body: bytes) -> dict[str, Any]:
    """Parses a request's JSON object.

    Raises:
        ServingError: INVALID_ARGUMENT if the body is not one.
    """
    try:
        request = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise invalid(f"JSON Parse error: {str(error)[:200]}") from None
    if not isinstance(request, dict):
        raise invalid(f"A request is a JSON object; given {type(request).__name__}")
    return request


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def signature_name(request: dict[str, Any], default: str) -> str:
    name = request.get("signature_name", default)
    if not isinstance(name, str):
        raise invalid("signature_name is a string")
    return name or default


def inputs(request: dict[str, Any], expected: dict[str, tuple[np.dtype, list[int]]]) -> Arrays:
    """Converts `instances` (by row) or `inputs` (by column) to the signature's arrays.

    Raises:
        ServingError: INVALID_ARGUMENT if they do not fit the signature.
    """
    if ("instances" in request) == ("inputs" in request):
        raise invalid("A request has either 'instances' or 'inputs'")
    if "instances" in request:
        columns = _columns(request["instances"], set(expected))
    else:
        columns = request["inputs"]
        if not isinstance(columns, dict) or _is_bytes(columns):
            columns = _sole(columns, expected)
    if set(columns) != set(expected):
        raise invalid(f"The inputs are {sorted(expected)}; given {sorted(columns)}")
    return {name: _array(name, columns[name], dtype) for name, (dtype, _) in expected.items()}


def _columns(rows: Any, names: set[str]) -> dict[str, list[Any]]:
    if not isinstance(rows, list) or not rows:
        raise invalid("'instances' is a list of at least one")
    if not all(isinstance(row, dict) and not _is_bytes(row) for row in rows):
        return _sole(rows, names)
    if any(set(row) != set(rows[0]) for row in rows):
        raise invalid("All instances name the same inputs")
    return {name: [row[name] for row in rows] for name in rows[0]}


def _sole(value: Any, names: Any) -> dict[str, Any]:
    if len(names) != 1:
        raise invalid(f"The signature has several inputs, {sorted(names)}: name them")
    return {next(iter(names)): value}


def _is_bytes(value: dict[str, Any]) -> bool:
    return set(value) == {"b64"}


def _array(name: str, value: Any, dtype: np.dtype) -> np.ndarray:
    if dtype.hasobject:
        array = np.array(_strings(name, value), dtype=object)
        if not all(isinstance(item, bytes) for item in array.ravel()):
            raise invalid(f"{name} takes strings in lists of equal length")
        return array
    try:
        array = np.array(value)
        if array.dtype.kind not in ("iu" if dtype.kind in "iu" else "iuf"):
            raise ValueError(f"given {array.dtype}")
        if dtype.kind in "iu" and array.size:
            bounds = np.iinfo(dtype)
            if array.min() < bounds.min or array.max() > bounds.max:
                raise ValueError(f"values from {array.min()} to {array.max()}")
        with np.errstate(over="ignore"):  # refused below
            array = array.astype(dtype)
        if not np.isfinite(array).all():  # 1e999 is JSON; an answer of NaN would be none
            raise ValueError("a value is too large")
        return array
    except (ValueError, OverflowError, TypeError) as error:
        raise invalid(
            f"{name} takes {dtype} in lists of equal length: {str(error)[:200]}"
        ) from None


def _strings(name: str, value: Any, depth: int = 0) -> Any:
    if isinstance(value, list) and depth < DEEPEST:
        return [_strings(name, item, depth + 1) for item in value]
    if isinstance(value, str):
        return value.encode(errors="surrogatepass")
    if isinstance(value, dict) and _is_bytes(value) and isinstance(value["b64"], str):
        return from_base64(name, value["b64"])
    raise invalid(f'{name} takes strings or {{"b64": "..."}}')


def from_base64(name: str, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid(f"{name} is not base64: {error}") from None


def predictions(outputs: Arrays, by_row: bool) -> dict[str, Any]:
    """Lays an answer out as its request was, by row or by column."""
    columns = {name: _listed(name, value) for name, value in outputs.items()}
    if not by_row:
        return {"outputs": next(iter(columns.values())) if len(columns) == 1 else columns}
    if len(columns) == 1:
        return {"predictions": next(iter(columns.values()))}
    rows = zip(*columns.values(), strict=True)
    return {"predictions": [dict(zip(columns, row, strict=True)) for row in rows]}


def _listed(name: str, value: np.ndarray) -> list[Any]:
    if value.dtype != object:
        return list(value.tolist())
    if name.endswith("_bytes"):
        texts = [{"b64": base64.b64encode(item).decode()} for item in value.ravel()]
    else:
        texts = [item.decode(errors="replace") for item in value.ravel()]
    return list(np.array(texts, dtype=object).reshape(value.shape).tolist())
