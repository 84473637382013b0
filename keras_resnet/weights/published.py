"""The table of published weights; fetching their files into Keras's cache."""

from __future__ import annotations

import difflib
import hashlib
import os
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import keras

from keras_resnet import architectures
from keras_resnet.architectures import ARCHITECTURES
from keras_resnet.files import PRETRAINED, cache


@dataclass(frozen=True)
class CropProtocol:
    """The part of a photograph that a published error was measured on."""

    size: int  # pixels, height = width: the centre of the scaled photograph
    shorter_side: int  # pixels, of the photograph before the centre is taken
    interpolation: str = "bilinear"  # with which the photograph was scaled

    def __str__(self) -> str:
        size = f"{self.size}x{self.size}"
        if self.size == self.shorter_side:
            return f"whole {size}"
        return f"centre {size} of shorter side {self.shorter_side}, {self.interpolation}"


@dataclass(frozen=True)
class Origin:
    """Who trained and published a group of files."""

    url: str | None  # of the folder; None: the files are in this package, in pretrained/
    data_set: str
    classes: int
    licence: str
    preprocessing: str  # a key of preprocessing.CONVENTIONS
    version: str  # where their bottlenecks stride
    protocol: CropProtocol


CAFFE = Origin(
    # The authors' Caffe models (github.com/KaimingHe/deep-residual-networks, whose README has the
    # errors), converted by keras.applications, whose resnet.py has the address and the hashes.
    url="https://storage.googleapis.com/tensorflow/keras-applications/resnet/",
    data_set="imagenet",
    classes=1000,
    licence="MIT",
    preprocessing="caffe",
    version="v1",
    protocol=CropProtocol(224, shorter_side=256),
)
TORCHVISION_V1 = Origin(
    # torchvision's IMAGENET1K_V1: address and errors from its models/resnet.py.
    url="https://download.pytorch.org/models/",
    data_set="imagenet",
    classes=1000,
    licence="BSD-3-Clause",
    preprocessing="torch",
    version="v1.5",
    protocol=CropProtocol(224, shorter_side=256),
)
TORCHVISION_V2 = replace(  # IMAGENET1K_V2: a longer training with more augmentation
    TORCHVISION_V1, protocol=CropProtocol(224, shorter_side=232)
)
TIMM_A1 = Origin(
    # timm's a1_in1k ("ResNet strikes back", arXiv 2110.00476, procedure A1); errors from its model
    # cards.
    url="https://github.com/huggingface/pytorch-image-models/releases/download/v0.1-rsb-weights/",
    data_set="imagenet",
    classes=1000,
    licence="Apache-2.0",
    preprocessing="torch",
    version="v1.5",
    protocol=CropProtocol(224, shorter_side=235, interpolation="bicubic"),
)
CIFAR10 = Origin(
    # Trained by this project; the .json beside each file describes the training.
    url=None,
    data_set="cifar10",
    classes=10,
    licence="Apache-2.0",
    preprocessing="cifar10",
    version="v1",
    protocol=CropProtocol(32, shorter_side=32),
)


@dataclass(frozen=True)
class PublishedWeights:
    """One published set of weights for one network."""

    name: str  # a value of `weights=`
    network: str  # a key of architectures.ARCHITECTURES
    origin: Origin
    file: str
    hash: str  # MD5 (32 digits), or the first digits of the SHA-256
    top1: float  # error in per cent by the origin's protocol
    top5: float  # error in per cent by the origin's protocol
    file_without_top: str | None = None  # a smaller file, if there is one
    hash_without_top: str | None = None

    @property
    def version(self) -> str:
        """The version of the network that these weights need."""
        return self.origin.version if ARCHITECTURES[self.network].block == "bottleneck" else "v1"

    @property
    def preprocessing(self) -> str:
        """The `convention` that `preprocess_input` takes for these weights."""
        return self.origin.preprocessing

    def __str__(self) -> str:
        return (
            f"{self.name:23} {self.network:9} {self.version:4} {self.preprocessing:5} "
            f"top-1 {self.top1:5.2f} %, top-5 {self.top5:5.2f} % ({self.origin.protocol}) "
            f"{self.origin.licence}, {self.origin.url or 'in this package: '}{self.file}"
        )


def _caffe(
    network: str, top1: float, top5: float, hash_: str, hash_without_top: str
) -> PublishedWeights:
    file = f"{network}_weights_tf_dim_ordering_tf_kernels.h5"
    without_top = file.replace(".h5", "_notop.h5")
    return PublishedWeights(
        "imagenet", network, CAFFE, file, hash_, top1, top5, without_top, hash_without_top
    )


def _torch(name: str, origin: Origin, top1: float, top5: float, file: str) -> PublishedWeights:
    """PyTorch's files carry the first digits of their SHA-256: `resnet18-f37072fd.pth`."""
    stem, _, digits = file.removesuffix(".pth").rpartition("-")
    return PublishedWeights(name, stem.partition("_")[0], origin, file, digits, top1, top5)


def _cifar10(network: str, top1: float, top5: float, digest: str) -> PublishedWeights:
    return PublishedWeights(
        "cifar10", network, CIFAR10, f"{network}_cifar10.weights.h5", digest, top1, top5
    )


# fmt: off
PUBLISHED_WEIGHTS: tuple[PublishedWeights, ...] = (
    #                             top-1   top-5 error; MD5, MD5 of the file without top
    _caffe("resnet50",             24.7,    7.8, "2cb95161c43110f7111970584f804107",
                                                 "4d473c1dd8becc155b73f8504c6f6626"),
    _caffe("resnet101",            23.6,    7.1, "f1aeb4b969a6efcfb50fad2f0c20cfc5",
                                                 "88cf7a10940856eca736dc7b7e228a21"),
    _caffe("resnet152",            23.0,    6.7, "100835be76be38e30d865e96f2aaae62",
                                                 "ee4c566cf9a93f14d82f913c2dc6dd0c"),
    #                                                 top-1   top-5 error; file
    _torch("imagenet",                TORCHVISION_V1, 30.242, 10.922, "resnet18-f37072fd.pth"),
    _torch("imagenet",                TORCHVISION_V1, 26.686,  8.580, "resnet34-b627a593.pth"),
    _torch("imagenet-torchvision-v1", TORCHVISION_V1, 30.242, 10.922, "resnet18-f37072fd.pth"),
    _torch("imagenet-torchvision-v1", TORCHVISION_V1, 26.686,  8.580, "resnet34-b627a593.pth"),
    _torch("imagenet-torchvision-v1", TORCHVISION_V1, 23.870,  7.138, "resnet50-0676ba61.pth"),
    _torch("imagenet-torchvision-v1", TORCHVISION_V1, 22.626,  6.454, "resnet101-63fe2227.pth"),
    _torch("imagenet-torchvision-v1", TORCHVISION_V1, 21.688,  5.954, "resnet152-394f9c45.pth"),
    _torch("imagenet-torchvision-v2", TORCHVISION_V2, 19.142,  4.566, "resnet50-11ad3fa6.pth"),
    _torch("imagenet-torchvision-v2", TORCHVISION_V2, 18.114,  4.220, "resnet101-cd907fc2.pth"),
    _torch("imagenet-torchvision-v2", TORCHVISION_V2, 17.716,  3.998, "resnet152-f82ba261.pth"),
    _torch("imagenet-timm-a1",        TIMM_A1,        28.51,   9.93, "resnet18_a1_0-d63eafa0.pth"),
    _torch("imagenet-timm-a1",        TIMM_A1,        23.58,   7.13, "resnet34_a1_0-46f8f793.pth"),
    _torch("imagenet-timm-a1",        TIMM_A1,        19.62,   5.40, "resnet50_a1_0-14fe96d1.pth"),
    _torch("imagenet-timm-a1",        TIMM_A1,        18.50,   4.84, "resnet101_a1_0-cdcb52a9.pth"),
    _torch("imagenet-timm-a1",        TIMM_A1,        18.03,   4.76, "resnet152_a1_0-2eee8a7a.pth"),
    #                    top-1   top-5 error; SHA-256
    _cifar10("resnet20",  8.50,   0.15, "491065a841576097f9d8bca0a3e5c877"
                                        "ac7a5a650b7f3fbe5fa2328c1a720b8f"),
    _cifar10("resnet32",  8.33,   0.21, "f926e24217516451959e674d9fdc8e89"
                                        "e105a2fad6d02916f17cb40c5cbf38a8"),
    _cifar10("resnet44",  7.71,   0.16, "9eaeb516415ad0ac6fd0d915b22e67ab"
                                        "160fc709d989aa8350881eee272e328d"),
    _cifar10("resnet56",  7.66,   0.16, "cd8aded24f75521933820d4a33fbf368"
                                        "dc83d80a64adcc40cabf6a6dd1f99193"),
    _cifar10("resnet110", 7.36,   0.13, "d3cc31b48f0869ee125261e12d90db56"
                                        "55f3feaa3b5b85ad3801159da82ea35a"),
    _cifar10("plain20",  10.14,   0.26, "9c8fa55c12b288e2ea17712aa8fa300d"
                                        "15939ca04fe3b2c47828d7b25f5ecb78"),
    _cifar10("plain32",  12.32,   0.48, "36a62c917f399b4392e29b42aab4b15c"
                                        "c3a05c4015204da1703c4983cc02bf8a"),
    _cifar10("plain44",  14.95,   0.71, "9d67586fca558a33e0c7cc27b2db6471"
                                        "a32ef1e344f6b21a968ab92e8b5d7267"),
    _cifar10("plain56",  18.21,   0.94, "d3afa2ede64f582653320829bd533488"
                                        "e1537a8d0097f364880e259234053261"),
)
# fmt: on


def list_published(network: str | None = None) -> tuple[PublishedWeights, ...]:
    """The published weights of a network, or of all; each prints as a line.

    Args:
        network: A name such as `"resnet50"`. Default: every network.

    Raises:
        ValueError: If there is no network of that name; the message has the nearest one.
    """
    if network is None:
        return PUBLISHED_WEIGHTS
    try:
        architectures.get(network)
    except ValueError as error:
        near = difflib.get_close_matches(str(network).lower(), ARCHITECTURES, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ValueError(f"{error}{hint}") from error
    return of_network(network)


def of_network(name: str) -> tuple[PublishedWeights, ...]:
    """The published weights of a network, which may be a user's own and have none."""
    return tuple(weights for weights in PUBLISHED_WEIGHTS if weights.network == name)


def fetch(published: PublishedWeights, include_top: bool = True) -> str:
    """The path of published weights in this package or in Keras's cache, the hash checked.

    A file that is not there is fetched. It appears in the cache only when it is complete and its
    hash is right.

    Raises:
        OSError: If the file cannot be fetched, or is not the one published.
    """
    file, expected = published.file, published.hash
    if not include_top and published.file_without_top and published.hash_without_top:
        file, expected = published.file_without_top, published.hash_without_top
    if published.origin.url is None:
        packaged = PRETRAINED / file
        if not packaged.is_file() or _hash(packaged, expected) != expected:
            raise OSError(f"{packaged} is missing or damaged: install this package again.")
        return str(packaged)
    folder = cache()
    target = folder / file
    if target.is_file() and _hash(target, expected) == expected:
        return str(target)
    url = published.origin.url + file
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".download-", dir=folder) as part:
        try:
            path = keras.utils.get_file(file, url, cache_dir=part, cache_subdir="")
            if (found := _hash(Path(path), expected)) != expected:
                raise ValueError(f"its hash is {found}, not the published {expected}")
        except Exception as error:  # get_file raises bare Exceptions
            raise OSError(
                f"The weights {published.name!r} of {published.network} could not be fetched from "
                f"{url}: {error}. Fetch {file} by hand and put it at {target}."
            ) from error
        os.replace(path, target)
    return str(target)


def _hash(path: Path, like: str) -> str:
    """The file's MD5 if `like` has its 32 digits, else as many digits of its SHA-256."""
    with open(path, "rb") as file:
        digest = hashlib.file_digest(file, "md5" if len(like) == 32 else "sha256")
    return digest.hexdigest()[: len(like)]
