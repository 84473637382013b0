"""Deep residual networks in Keras, as the paper has them (He et al. 2015, arXiv 1512.03385)."""

from keras_resnet import analysis, weights
from keras_resnet.applications import (
    CifarPlain,
    CifarResNet,
    Plain18,
    Plain20,
    Plain32,
    Plain34,
    Plain44,
    Plain56,
    Plain110,
    ResNet,
    ResNet18,
    ResNet20,
    ResNet32,
    ResNet34,
    ResNet44,
    ResNet50,
    ResNet56,
    ResNet101,
    ResNet110,
    ResNet152,
    ResNet1202,
)
from keras_resnet.architectures import ARCHITECTURES, Architecture, cifar_architecture
from keras_resnet.backbone import backbone, freeze
from keras_resnet.fold_batch_norm import fold_batch_norm
from keras_resnet.preprocessing import decode_predictions, preprocess_input
from keras_resnet.scan.scanned_blocks import ScannedBlocks
from keras_resnet.weights import porting
from keras_resnet.weights.transfer import copy_weights

__version__ = "0.1.0"

__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "CifarPlain",
    "CifarResNet",
    "Plain18",
    "Plain20",
    "Plain32",
    "Plain34",
    "Plain44",
    "Plain56",
    "Plain110",
    "ResNet",
    "ResNet18",
    "ResNet20",
    "ResNet32",
    "ResNet34",
    "ResNet44",
    "ResNet50",
    "ResNet56",
    "ResNet101",
    "ResNet110",
    "ResNet152",
    "ResNet1202",
    "ScannedBlocks",
    "analysis",
    "backbone",
    "cifar_architecture",
    "copy_weights",
    "decode_predictions",
    "fold_batch_norm",
    "freeze",
    "porting",
    "preprocess_input",
    "weights",
]
