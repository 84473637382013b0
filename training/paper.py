"""The paper's published numbers that our tables stand beside (arXiv 1512.03385)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

# Thousand millions of multiply-adds, which the paper calls FLOPs, as printed: Table 1 for the
# ResNets, sections 3.3 and 4.1 for the plain nets and the VGG nets.
MULTIPLY_ADDS: Mapping[str, str] = MappingProxyType(
    {
        "plain18": "1.8",
        "plain34": "3.6",
        "resnet18": "1.8",
        "resnet34": "3.6",
        "resnet50": "3.8",
        "resnet101": "7.6",
        "resnet152": "11.3",
        "vgg16": "15.3",
        "vgg19": "19.6",
    }
)

# Table 6: millions of parameters, as printed.
PARAMETERS: Mapping[str, str] = MappingProxyType(
    {
        "resnet20": "0.27",
        "resnet32": "0.46",
        "resnet44": "0.66",
        "resnet56": "0.85",
        "resnet110": "1.7",
        "resnet1202": "19.4",
    }
)
