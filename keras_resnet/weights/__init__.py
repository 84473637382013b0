"""Listing, finding and loading the values of `weights=`: published weights and weights files."""

from keras_resnet.weights.loading import find, fitting_version, load, read
from keras_resnet.weights.published import (
    CropProtocol,
    PublishedWeights,
    fetch,
    list_published,
)

__all__ = [
    "CropProtocol",
    "PublishedWeights",
    "fetch",
    "find",
    "fitting_version",
    "list_published",
    "load",
    "read",
]
