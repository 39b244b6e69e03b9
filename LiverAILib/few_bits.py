"""Weights in a few bits each: a model package of half the size or less, for nearly the same network.

A float tensor of two or more dimensions and at least `LEAST` elements is kept as whole numbers (int8) with one float32
scale for each entry of its first dimension, the output channels: weight = scale * number. All others stay as they are.
Only storage is affected; the network computes with floats.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

LEAST = 1024
SCALE = ".scale_of_whole_numbers"  # what follows a tensor's name in that of its scales
BITS = range(4, 9)
REACHES = (1.0, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5)  # tried: the largest whole number's part of the largest weight


def to_few_bits(weights: Mapping[str, Tensor], bits: int) -> dict[str, Tensor]:
    """What to store. bits: of the whole numbers, one of `BITS`, the sign among them. Raises ValueError for others."""
    if bits not in BITS:
        raise ValueError(f"Weights can be kept in {BITS[0]} to {BITS[-1]} bits, not {bits}.")
    stored = {}
    for name, tensor in weights.items():
        if tensor.is_floating_point() and tensor.dim() >= 2 and tensor.numel() >= LEAST:
            stored[name], stored[name + SCALE] = _whole_numbers(tensor.float(), bits)
        else:
            stored[name] = tensor
    return stored


def to_stored(weights: Mapping[str, Tensor], bits: int | None) -> dict[str, Tensor]:
    """What a package keeps: floats in half precision, large tensors in `bits` bits unless that is None."""
    stored = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    if bits is not None:
        stored = to_few_bits(stored, bits)
    return {
        name: tensor.half() if tensor.is_floating_point() and not name.endswith(SCALE) else tensor
        for name, tensor in stored.items()
    }


def from_stored(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights as a network takes them, floats as float32. Raises ValueError as `from_few_bits`."""
    weights = from_few_bits(stored)
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}


def from_few_bits(stored: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights again, those of whole numbers as float32; others as they are. Raises ValueError where whole numbers
    and scales do not belong together.
    """
    import torch

    weights = {name: tensor for name, tensor in stored.items() if not name.endswith(SCALE)}
    scales = {name.removesuffix(SCALE): tensor for name, tensor in stored.items() if name.endswith(SCALE)}
    if scales.keys() != {name for name, tensor in weights.items() if tensor.dtype == torch.int8}:
        raise ValueError("There are whole numbers without a scale, or scales without whole numbers.")
    for name, scale in scales.items():
        numbers = weights[name]
        if scale.shape != numbers.shape[:1]:
            raise ValueError(f"The scales of {name} are not one for each channel.")
        weights[name] = numbers.float() * scale.float().view(-1, *[1] * (numbers.dim() - 1))
    return weights


def _whole_numbers(tensor: Tensor, bits: int) -> tuple[Tensor, Tensor]:
    """Whole numbers of a tensor's shape, and its scales: for each channel those of the least squared error."""
    import torch

    top = 2 ** (bits - 1) - 1
    channels = tensor.flatten(1)
    largest = channels.abs().amax(dim=1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny * top)
    scales, least = largest / top, torch.full_like(largest, torch.inf)
    for reach in REACHES:
        scale = largest * reach / top
        error = (_rounded(channels, scale, top) * scale - channels).square().sum(dim=1, keepdim=True)
        scales, least = torch.where(error < least, scale, scales), least.minimum(error)
    return _rounded(channels, scales, top).to(torch.int8).view_as(tensor), scales[:, 0]


def _rounded(channels: Tensor, scale: Tensor, top: int) -> Tensor:
    return (channels / scale).round().clamp(-top, top)
