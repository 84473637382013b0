"""The tests' own transcription of the paper's numbers (He et al. 2015, arXiv 1512.03385).

Written down from the paper, never from the code, and imported by tests only. Numbers that the paper
prints rounded are strings, so that their last digit stays visible.
"""

from __future__ import annotations

# Table 1, for 224x224 images: blocks in conv2_x, conv3_x, conv4_x, conv5_x.
IMAGENET_BLOCKS = {
    18: (2, 2, 2, 2),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
}

# Table 1: the convolutions of one block in each stage, as (kernel size, filters).
BASIC_BLOCK = (
    ((3, 64), (3, 64)),
    ((3, 128), (3, 128)),
    ((3, 256), (3, 256)),
    ((3, 512), (3, 512)),
)
BOTTLENECK_BLOCK = (
    ((1, 64), (3, 64), (1, 256)),
    ((1, 128), (3, 128), (1, 512)),
    ((1, 256), (3, 256), (1, 1024)),
    ((1, 512), (3, 512), (1, 2048)),
)
IMAGENET_CONVOLUTIONS = {
    18: BASIC_BLOCK,
    34: BASIC_BLOCK,
    50: BOTTLENECK_BLOCK,
    101: BOTTLENECK_BLOCK,
    152: BOTTLENECK_BLOCK,
}

IMAGENET_OUTPUT_SIZES = {"conv1": 112, "conv2": 56, "conv3": 28, "conv4": 14, "conv5": 7}
IMAGENET_STEM = {"kernel_size": 7, "filters": 64, "strides": 2}
IMAGENET_CLASSES = 1000

# Table 1, last row: multiply-adds in units of 1e9, as printed.
FLOPS = {18: "1.8", 34: "3.6", 50: "3.8", 101: "7.6", 152: "11.3"}
# Section 3.3 and Table 1's text.
VGG_FLOPS = {16: "15.3", 19: "19.6"}
# The same to two digits, by where a bottleneck stage strides: in its first 1x1 (the paper's
# networks) or in its 3x3 (later code). Not the paper's: counted by an independent script.
FLOPS_V1 = {50: "3.86", 101: "7.57", 152: "11.28"}
FLOPS_V1_5 = {50: "4.09", 101: "7.80", 152: "11.51"}

# Trainable parameters, by depth and shortcut (None: plain). Not the paper's: an independent script
# for 1000 classes, bias-free convolutions, two numbers per channel of a batch norm.
IMAGENET_PARAMETERS = {
    (18, "B"): 11_689_512,
    (34, "B"): 21_797_672,
    (50, "B"): 25_557_032,
    (101, "B"): 44_549_160,
    (152, "B"): 60_192_808,
    (34, "A"): 21_623_848,
    (34, None): 21_623_848,
    (34, "C"): 22_716_840,
}

# Section 4.2: depth 6n+2, three stages of n blocks of two 3x3 layers.
CIFAR_N = {20: 3, 32: 5, 44: 7, 56: 9, 110: 18, 1202: 200}
CIFAR_PLAIN_DEPTHS = (20, 32, 44, 56, 110)
CIFAR_FILTERS = (16, 32, 64)
CIFAR_OUTPUT_SIZES = {"conv1": 32, "conv2": 32, "conv3": 16, "conv4": 8}
CIFAR_CLASSES = 10

# Table 6: parameters in millions, and test error in %.
CIFAR_MILLIONS = {20: "0.27", 32: "0.46", 44: "0.66", 56: "0.85", 110: "1.7", 1202: "19.4"}
CIFAR_ERRORS = {20: 8.75, 32: 7.51, 44: 7.17, 56: 6.97, 110: 6.43, 1202: 7.93}
# By the independent script: option A, the same for the plain nets.
CIFAR_PARAMETERS = {
    20: 269_722,
    32: 464_154,
    44: 658_586,
    56: 853_018,
    110: 1_727_962,
    1202: 19_421_274,
}

# ImageNet validation error in %, top-1 alone or (top-1, top-5).
TABLE_2 = {"plain18": 27.94, "plain34": 28.54, "resnet18": 27.88, "resnet34": 25.03}  # option A
TABLE_3 = {  # 10-crop
    "vgg16": (28.07, 9.33),
    "googlenet": (None, 9.15),
    "prelu-net": (24.27, 7.38),
    "plain34": (28.54, 10.02),
    "resnet34 A": (25.03, 7.76),
    "resnet34 B": (24.52, 7.46),
    "resnet34 C": (24.19, 7.40),
    "resnet50": (22.85, 6.71),
    "resnet101": (21.75, 6.05),
    "resnet152": (21.43, 5.71),
}
TABLE_4 = {  # single model, multi-scale
    "resnet34 B": (21.84, 5.71),
    "resnet34 C": (21.53, 5.60),
    "resnet50": (20.74, 5.25),
    "resnet101": (19.87, 4.60),
    "resnet152": (19.38, 4.49),
}
TABLE_5_TOP5 = "3.57"  # ensemble of six, test images
# Table 6: other methods as printed, and ResNet-110's mean and deviation.
TABLE_6_OTHERS = {
    "Maxout": "9.38",
    "NIN": "8.81",
    "DSN": "8.22",
    "FitNet, 19 layers": "8.39",
    "Highway, 19 layers": "7.54 (7.72 ± 0.16)",
    "Highway, 32 layers": "8.80",
}
RESNET_110_FIVE_RUNS = "6.61 ± 0.16"
