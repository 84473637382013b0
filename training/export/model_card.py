"""The model card of an exported version: a page for people, from the facts of `model.json`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from keras_resnet.weights.published import of_network
from training.data.splits import ROLES

FILE = "README.md"
NAMED = 20  # classes that the card lists by name


def text(facts: Mapping[str, Any], labels: Sequence[str]) -> str:
    """The card in Markdown.

    Args:
        facts: As `training.export.saved_model.export` writes them to `model.json`.
        labels: The classes' names.
    """
    sections = {
        "What it does": _function(facts, labels),
        "What it was trained on": _training(facts),
        "How well it does": _errors(facts),
        "Licence of the weights": [_licence(facts)],
        "How this version was made": _origin(facts),
    }
    lines = [f"# {facts['name']}", ""]
    for title, content in sections.items():
        lines += [f"## {title}", "", *content, ""]
    return "\n".join(lines)


def _function(facts: Mapping[str, Any], labels: Sequence[str]) -> Iterator[str]:
    resizing = facts["resizing"]
    side, crop = resizing["shorter_side"], resizing["crop"]
    yield f"`{facts.get('network', facts['name'])}` tells {len(labels)} classes of images apart."
    yield ""
    yield (
        f"- Input: image files or raw pixels 0..255 of any size. The graph scales the shorter side "
        f"to {side} pixels ({resizing['method']}, antialiased) and cuts {crop}x{crop} out of the "
        "middle; callers prepare nothing."
    )
    convention = facts.get("convention", "raw pixels, 0..255")
    inside = f"part of the network, which takes {convention}"
    named = convention["name"] if isinstance(convention, Mapping) else inside
    yield f"- Preprocessing of the pixels, in the graph: {named}."
    precision = facts["precision"]
    rest = "" if precision == "float32" else "; preprocessing and classifier in float32"
    yield f"- Precision: feature maps and their weights in {precision}{rest}."
    more = f", and {len(labels) - NAMED} more (`assets/labels.txt`)" if len(labels) > NAMED else ""
    yield f"- Output: a probability for each class: {', '.join(labels[:NAMED])}{more}."


def _training(facts: Mapping[str, Any]) -> Iterator[str]:
    weights, job, result = (facts.get(key, {}) for key in ("weights", "job", "result"))
    if "origin" in weights:
        yield f"Published weights `{weights['name']}`, trained on {weights['origin']['data_set']}"
        yield f"(<{weights['origin']['url']}>)."
    elif job:
        yield f"- Data set: {job['dataset']}, {result['train_examples']:,} training images."
        data = facts.get("data", {})
        roles = [f"{role} {data[role]}" for role in ROLES if data.get(role)]
        if roles:
            yield f"- Images: {'; '.join(roles)}."
        if job.get("weights"):
            yield f"- Started from the weights {job['weights']}."
        if result.get("skipped_images"):
            yield f"- Left out, because they cannot be decoded: {result['skipped_images']} images."
        yield f"- Seed: {job['seed']}. Finished {result['finished']} on {result['hardware']}."
        yield "- Recipe:"
        yield ""
        yield "  | field | value |"
        yield "  |---|---|"
        for key, value in job["recipe"].items():
            yield f"  | {key} | {_cell(value)} |"
    else:
        yield "Not recorded."


def _cell(value: Any) -> str:
    """A recipe's value in a table, such as "0.5, 0.75"; a dash for what is not set."""
    values = value if isinstance(value, list | tuple) else [value]
    return ", ".join("–" if one in (None, "") else str(one) for one in values) or "–"


def _errors(facts: Mapping[str, Any]) -> Iterator[str]:
    published = facts.get("weights", {}).get("published_error")
    measured = facts.get("test_error", {})
    if published:
        yield (
            f"- Published top-1 error {published['top1']:.2f} %, top-5 {published['top5']:.2f} % "
            f"({published['protocol']})."
        )
    elif measured.get("test_error") is not None:
        yield (
            f"- Test error {measured['test_error']:.2f} % of {measured['test_examples']:,} images; "
            "one run."
        )
    else:
        yield "- No test error is recorded."
    difference = facts["largest_difference_from_keras"]
    yield f"- Probabilities differ from the Keras model's by at most {difference:.1e}."
    for name, row in facts.get("runtimes", {}).items():
        error = row.get("test_error")
        if error is not None:
            yield f"- {name}: test error {error:.2f} %."


def _licence(facts: Mapping[str, Any]) -> str:
    origin = facts.get("weights", {}).get("origin")
    if origin:
        return f"{origin['licence']}, as published; the data set may have terms of its own."
    job = facts.get("job", {})
    for published in of_network(job.get("network", "")):
        if published.name == job.get("weights"):
            return (
                f"The training started from weights that are published under "
                f"{published.origin.licence}; its images may have terms of their own."
            )
    return (
        "Not recorded. It follows from the training images and from any weights that the training "
        "began with."
    )


def _origin(facts: Mapping[str, Any]) -> Iterator[str]:
    if "weights" in facts:
        yield f"- Weights: `{facts['weights']['file']}`, SHA-256 `{facts['weights']['sha256']}`."
    yield f"- Batch norm: {facts['batch_norm']}."
    versions = ", ".join(f"{name} {number}" for name, number in facts["versions"].items())
    yield f"- Software: {versions}."
    if "command" in facts:
        yield ""
        yield f"      {facts['command']}"
