"""Images in pools: windowed pixels in [-1, 1], kept as bytes."""

from __future__ import annotations

import torch
from torch import Tensor


def to_bytes(images: Tensor) -> Tensor:
    """Float images in [-1, 1] as uint8, 0 for -1 and 255 for 1."""
    return ((images + 1) * 127.5).round().to(torch.uint8)


def from_bytes(images: Tensor) -> Tensor:
    """Kept images as float32 in [-1, 1]."""
    return images.float() / 127.5 - 1
