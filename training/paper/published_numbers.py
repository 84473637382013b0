"""The numbers that the paper published (arXiv 1512.03385), as printed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Error:
    """One line of the paper's tables: errors in per cent, as printed; empty where it has none."""

    method: str
    top1: str
    top5: str = ""
    network: str | None = None  # a name of architectures.get; None: a method of others
    shortcut: str | None = None  # A, B or C; None: plain, or not the network's choice


# fmt: off
ERRORS: Mapping[str, tuple[Error, ...]] = MappingProxyType({
    # Table 2: ImageNet validation, 10-crop; the ResNets have option A, "no extra parameter".
    #      method           top-1    top-5    network      shortcut
    "table2": (
        Error("plain-18",   "27.94", "",      "plain18"),
        Error("plain-34",   "28.54", "",      "plain34"),
        Error("ResNet-18",  "27.88", "",      "resnet18",  "A"),
        Error("ResNet-34",  "25.03", "",      "resnet34",  "A"),
    ),
    # Table 3: ImageNet validation, 10-crop.
    "table3": (
        Error("VGG-16",     "28.07", "9.33"),
        Error("GoogLeNet",  "",      "9.15"),
        Error("PReLU-net",  "24.27", "7.38"),
        Error("plain-34",   "28.54", "10.02", "plain34"),
        Error("ResNet-34 A", "25.03", "7.76", "resnet34",  "A"),
        Error("ResNet-34 B", "24.52", "7.46", "resnet34",  "B"),
        Error("ResNet-34 C", "24.19", "7.40", "resnet34",  "C"),
        Error("ResNet-50",  "22.85", "6.71",  "resnet50",  "B"),
        Error("ResNet-101", "21.75", "6.05",  "resnet101", "B"),
        Error("ResNet-152", "21.43", "5.71",  "resnet152", "B"),
    ),
    # Table 4: ImageNet validation, single models, fully convolutional at several scales.
    "table4": (
        Error("ResNet-34 B", "21.84", "5.71", "resnet34",  "B"),
        Error("ResNet-34 C", "21.53", "5.60", "resnet34",  "C"),
        Error("ResNet-50",  "20.74", "5.25",  "resnet50",  "B"),
        Error("ResNet-101", "19.87", "4.60",  "resnet101", "B"),
        Error("ResNet-152", "19.38", "4.49",  "resnet152", "B"),
    ),
    # Table 5: an ensemble of six, on the test images, whose labels are not public.
    "table5": (
        Error("ensemble of six", "",     "3.57"),
    ),
    # Table 6: CIFAR-10 test. The best of five runs of ResNet-110, whose mean is below.
    "table6": (
        Error("Maxout",     "9.38"),
        Error("NIN",        "8.81"),
        Error("DSN",        "8.22"),
        Error("FitNet, 19 layers",  "8.39"),
        Error("Highway, 19 layers", "7.54 (7.72 ± 0.16)"),
        Error("Highway, 32 layers", "8.80"),
        Error("ResNet-20",  "8.75",  "",      "resnet20",   "A"),
        Error("ResNet-32",  "7.51",  "",      "resnet32",   "A"),
        Error("ResNet-44",  "7.17",  "",      "resnet44",   "A"),
        Error("ResNet-56",  "6.97",  "",      "resnet56",   "A"),
        Error("ResNet-110", "6.43 (6.61 ± 0.16)", "", "resnet110", "A"),
        Error("ResNet-1202", "7.93", "",      "resnet1202", "A"),
    ),
})
# fmt: on

# Where second-hand summaries of the paper err, by table.
CORRECTIONS: Mapping[str, str] = MappingProxyType(
    {
        "table3": "24.27 % top-1 is PReLU-net's. A widely read summary gives it to GoogLeNet, of "
        "which the paper has the top-5 error alone.",
        "table6": "A widely read summary gives ResNet-110 6.97 % and ResNet-1202 6.43 %. The paper "
        "has 6.43 % and 7.93 %: its 1202-layer net is worse than its 110-layer one.",
    }
)
