"""The paper's ways of testing as a table: which views of an image have their scores averaged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Protocol:
    """The views of an image whose probabilities are averaged."""

    name: str
    photographs: bool  # images of any size; otherwise images of the size that the net takes
    shorter_sides: tuple[int, ...]  # pixels, for nets of 224; they scale with the net's size
    part: str  # of the scaled image: "whole", "centre", or "corners" and centre
    mirrored: bool  # whether the mirror images are seen too
    source: str  # in the paper

    @property
    def views(self) -> int:
        """Number of views of one scale."""
        return (5 if self.part == "corners" else 1) * (2 if self.mirrored else 1)

    @property
    def fully_convolutional(self) -> bool:
        """Whether the net sees whole photographs, and answers at every position."""
        return self.photographs and self.part == "whole"


_SIDES = (224, 256, 384, 480, 640)
# The paper says 10-crop and cites Krizhevsky et al. 2012, who take the corners of the central
# 256x256. Its authors' released models have their numbers, "the same as those in the paper", from
# softmax scores of "224x224 crops from resized image with shorter side=256", as here.
# fmt: off
PROTOCOLS: Mapping[str, Protocol] = MappingProxyType({row.name: row for row in (
    #        name           photographs shorter  part      mirrored  source
    Protocol("single",      False,      (),      "whole",   False, "section 4.2, Table 6"),
    Protocol("center",      True,       (256,),  "centre",  False, "section 4.1, Fig. 4"),
    Protocol("ten_crop",    True,       (256,),  "corners", True,  "section 3.4, Tables 2 and 3"),
    Protocol("multi_scale", True,       _SIDES,  "whole",   True,  "section 3.4, Tables 4 and 5"),
)})
# fmt: on


def get(name: str) -> Protocol:
    """Returns the protocol called `name`.

    Raises:
        ValueError: If no protocol has this name.
    """
    if name not in PROTOCOLS:
        raise ValueError(f"There is no protocol {name!r}; there are {', '.join(PROTOCOLS)}.")
    return PROTOCOLS[name]
