"""The CIFAR nets of section 4.2 in PyTorch, with option A, as its users write them."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class BasicBlock(nn.Module):
    """Two 3x3 convolutions, (N, C, H, W) -> (N, filters, H/stride, W/stride)."""

    def __init__(self, channels: int, filters: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, filters, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(filters)
        self.conv2 = nn.Conv2d(filters, filters, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(filters)
        self.stride, self.missing = stride, filters - channels

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.missing:
            half = self.missing // 2
            x = x[:, :, :: self.stride, :: self.stride]
            x = functional.pad(x, (0, 0, 0, 0, half, self.missing - half))
        return functional.relu(x + y)


class CifarResNet(nn.Module):
    """Images (N, 3, 32, 32) -> logits (N, classes); 6n + 2 layers, n blocks in each stage."""

    def __init__(self, n: int, classes: int = 10) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        blocks, channels = [], 16
        for stage, filters in enumerate((16, 32, 64)):
            for i in range(n):
                blocks.append(BasicBlock(channels, filters, 2 if stage > 0 and i == 0 else 1))
                channels = filters
        self.blocks = nn.Sequential(*blocks)
        self.fc = nn.Linear(channels, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.bn1(self.conv1(x)))  # (N, 16, 32, 32)
        x = self.blocks(x)  # (N, 64, 8, 8)
        return self.fc(x.mean((2, 3)))
