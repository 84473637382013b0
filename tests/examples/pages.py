"""The code that a page of docs/ shows."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"


def code(page: str) -> str:
    """The first Python block of `docs/<page>.md`; a net of 20 layers in it is cut down to 8."""
    block = re.search(r"^```python\n(.*?)^```$", (DOCS / f"{page}.md").read_text(), re.M | re.S)
    assert block is not None, f"docs/{page}.md shows no Python"
    return block[1].replace("blocks=(3, 3, 3)", "blocks=(1, 1, 1)")
