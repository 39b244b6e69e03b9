"""Parts of stacks of phases as networks learn from them, varied: HU of each phase, noise, how well the phases lie over
each other, the liver's outline, which phases are there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from LiverAILib.analysis.phase_stack import STACK_PHASES
from LiverAILib.study import Phase
from LiverAILib.training.stacks import StackSample, hu_of

PORTAL = STACK_PHASES.index(Phase.PORTAL_VENOUS)

Cut = tuple[slice, slice, slice]


@dataclass(frozen=True, kw_only=True)
class StackAmounts:
    """How much parts vary.

    gain, shift_hu, noise_hu: of each phase's HU, about its liver's. misplaced: chance that a phase other than the
    portal venous one lies a slice off; in plane it is up to a pixel off. outlined: chance that the liver's outline is
    another. lost: chance that a phase, or all but the portal venous one, are not there.
    """

    gain: float = 0.1
    shift_hu: float = 4.0
    noise_hu: float = 10.0
    misplaced: float = 0.3
    outlined: float = 0.6
    lost: float = 0.25


class Chance:
    """Draws from a generator."""

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def between(self, low: float, high: float) -> float:
        """Evenly."""
        return low + (high - low) * float(torch.rand(1, generator=self.generator))

    def happens(self, chance: float) -> bool:
        """As often as that."""
        return self.between(0, 1) < chance

    def below(self, count: int) -> int:
        """0 to count - 1, evenly."""
        return int(torch.randint(count, (1,), generator=self.generator))

    def noise(self, shape: Sequence[int]) -> Tensor:
        """Standard normal values."""
        return torch.randn(tuple(shape), generator=self.generator)


def inside(sample: StackSample, first: Sequence[int], size: Sequence[int]) -> list[int]:
    """The first voxel of a part of a size (z, y, x), moved so that it lies in the sample as far as it can."""
    sizes = zip(first, size, sample.ids.shape, strict=True)
    return [min(max(at, 0), max(length - own, 0)) for at, own, length in sizes]


def cut_at(sample: StackSample, first: Sequence[int], size: Sequence[int]) -> Cut:
    """The part from a voxel on, moved as `inside` does; smaller where the sample is."""
    z, y, x = (slice(at, at + own) for at, own in zip(inside(sample, first, size), size, strict=True))
    return z, y, x


def varied_hu(
    sample: StackSample, first: Sequence[int], size: Sequence[int], amounts: StackAmounts, chance: Chance
) -> Tensor:
    """HU (phase, z, y, x) of a part, varied."""
    return torch.stack([_phase(sample, number, first, size, amounts, chance) for number in range(len(STACK_PHASES))])


def _phase(
    sample: StackSample,
    number: int,
    first: Sequence[int],
    size: Sequence[int],
    amounts: StackAmounts,
    chance: Chance,
) -> Tensor:
    off = [0, 0, 0]
    if number != PORTAL:
        off = [chance.below(3) - 1 if chance.happens(amounts.misplaced) else 0, *(chance.below(3) - 1 for _ in "yx")]
    place = cut_at(sample, [at + by for at, by in zip(first, off, strict=True)], size)
    liver = float(sample.liver_hu[number])
    hu = (hu_of(sample.hu[number][place]) - liver) * (1 + chance.between(-1, 1) * amounts.gain) + liver
    hu = hu + chance.between(-1, 1) * amounts.shift_hu
    if chance.happens(0.5):
        noise = chance.noise(hu.shape)
        if chance.happens(0.5):
            noise = 2 * F.avg_pool2d(noise.unsqueeze(0), 3, 1, 1)[0]
        hu = hu + noise * chance.between(0, amounts.noise_hu)
    return hu


def varied_presence(sample: StackSample, lost: float, chance: Chance) -> Tensor:
    """Which phases are shown: at times one fewer, or the portal venous one alone."""
    present = sample.present.clone()
    if chance.happens(lost):
        if chance.happens(0.5):
            present[chance.below(len(present))] = False
        else:
            present &= torch.arange(len(present)) == PORTAL
    return present if present.any() else sample.present


def another_outline(liver: Tensor, chance: Chance) -> Tensor:
    """The liver (z, y, x) with a border that wanders in and out by some pixels."""
    coarse = chance.noise((1, 1, *(max(2, n // step) for n, step in zip(liver.shape, (4, 10, 10), strict=True))))
    wander = F.interpolate(coarse, size=liver.shape, mode="trilinear")[0, 0]
    blurred = F.avg_pool2d(liver.unsqueeze(0), 9, 1, 4, count_include_pad=False)[0]
    return (blurred + 0.25 * wander + chance.between(-0.15, 0.15) > 0.5).float()
