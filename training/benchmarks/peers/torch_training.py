"""Training steps in plain PyTorch, channels-last."""

from __future__ import annotations

import time
from collections.abc import Callable

import torch
from torch import nn

from training.benchmarks.peers import torch_resnet


def stepping(network: str, batch: int, steps: int, precision: str) -> Callable[[], float]:
    """Measures the images per second of a CIFAR net (`resnet20`), or of transformers' ResNet-50."""
    arithmetic = torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16")
    if network == "resnet50":
        return _training(transformers_resnet50(), arithmetic, 224, 1000, batch, steps)
    n = (int(network.removeprefix("resnet")) - 2) // 6
    return _training(torch_resnet.CifarResNet(n), arithmetic, 32, 10, batch, steps)


def transformers_resnet50() -> nn.Module:
    """Builds a net with random weights: (N, 3, 224, 224) -> logits (N, 1000)."""
    from transformers import ResNetConfig, ResNetForImageClassification

    # transformers' default is v1.5, with 6 % more arithmetic.
    config = ResNetConfig(downsample_in_bottleneck=True, num_labels=1000)
    return _Logits(ResNetForImageClassification(config))


class _Logits(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.network(x).logits


def _training(
    network: nn.Module,
    arithmetic: torch.autocast,
    size: int,
    classes: int,
    batch: int,
    steps: int,
) -> Callable[[], float]:
    network = network.train().to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
    loss = nn.CrossEntropyLoss()
    images = torch.randn(batch, 3, size, size).to(memory_format=torch.channels_last)
    labels = torch.randint(0, classes, (batch,))

    def step() -> torch.Tensor:
        optimizer.zero_grad()
        with arithmetic:
            value = loss(network(images), labels)
        value.backward()
        optimizer.step()
        return value

    def repeat() -> float:
        began = time.perf_counter()
        for _ in range(steps):
            step().item()  # as a progress bar would read it
        return steps * batch / (time.perf_counter() - began)

    repeat()
    return repeat
