"""Results as files: CSV, Markdown and JSON of each, and one HTML page of all in a directory."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import jinja2

from training.common import machine
from training.common.files import write_json, write_text
from training.paper.experiments import EXPERIMENTS
from training.paper.results import EVIDENCE, Result, caption

ENDINGS = (".csv", ".md", ".png", ".json")
REPORT = "report.html"


def claim(out: Path, name: str, selection: Mapping[str, Any]) -> None:
    """Makes `out`, and checks that an experiment's files in it may be written.

    Raises:
        ValueError: If `out` holds the experiment of another selection, or files of another origin.
        OSError: If `out` cannot be made.
    """
    out.mkdir(parents=True, exist_ok=True)
    present = [out / f"{name}{ending}" for ending in ENDINGS if (out / f"{name}{ending}").exists()]
    if not present:
        return
    file = out / f"{name}.json"
    try:
        known = json.loads(file.read_text())["selection"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{present[0]} exists, and `reproduce` did not write it: give another --out."
        ) from error
    if known != selection:
        selected = ", ".join(f"{key} {value}" for key, value in known.items() if value)
        raise ValueError(
            f"{out} holds {name} of another selection ({selected}): give another --out."
        )


def write(result: Result, out: Path) -> None:
    """Writes `<name>.csv`, `<name>.md` and `<name>.json` beside the PNG, which exists already."""
    write_text(out / f"{result.name}.csv", _csv(result.records))
    write_text(out / f"{result.name}.md", markdown(result))
    write_json(out / f"{result.name}.json", asdict(result))


def write_report(out: Path) -> Path:
    """Writes `report.html` of all results in `out`: one file that contains the pictures."""
    sections = []
    for name in EXPERIMENTS:
        file, picture = out / f"{name}.json", out / f"{name}.png"
        if file.is_file():
            result = _read(file)
            image = base64.b64encode(picture.read_bytes()).decode() if picture.is_file() else ""
            sections.append({"result": result, "caption": caption(result), "image": image})
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("report.html.jinja").render(
        sections=sections, evidence=EVIDENCE, made=machine.now()
    )
    write_text(out / REPORT, page)
    return out / REPORT


def _read(file: Path) -> Result:
    values = json.loads(file.read_text())
    for field in ("headings", "notes"):
        values[field] = tuple(values[field])
    for field in ("cells", "evidence"):
        values[field] = tuple(tuple(row) for row in values[field])
    return Result(**{**values, "records": tuple(values["records"])})


def markdown(result: Result) -> str:
    """Returns the table, its notes, the picture and where every number is from, as Markdown."""
    heading, *under = caption(result).splitlines()
    parts = [f"## {heading}", *under, table(result.headings, result.cells)]
    parts.append("\n".join(f"- {_inline(note)}" for note in result.notes))
    parts.append(f"![{heading}]({result.name}.png)")
    parts.append("### Where the numbers are from")
    rows = [(*row[:-1], f"`{row[-1]}`") for row in result.evidence]
    parts.append(table(EVIDENCE, rows))
    return "\n\n".join(part for part in parts if part) + "\n"


def table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Returns a Markdown table, its first column aligned left, the others right."""
    lines = [headings, ["---", *["---:"] * (len(headings) - 1)], *rows]
    return "\n".join(f"| {' | '.join(_inline(cell) for cell in line)} |" for line in lines)


def _inline(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _csv(records: Sequence[Mapping[str, Any]]) -> str:
    columns = list(dict.fromkeys(key for record in records for key in record))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()
