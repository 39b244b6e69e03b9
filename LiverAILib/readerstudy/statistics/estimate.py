"""What every statistic here returns: a figure with its interval, its n and how it was made; or a refusal in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from LiverAILib.errors import LiverAIError

Array = npt.NDArray[np.float64]

#: What is a sample from many, and what is all there is.
Sampling = Literal["random readers, random cases", "fixed readers, random cases", "random readers, fixed cases"]


class StatisticsError(LiverAIError):
    """A figure can't be estimated from this data: the text says which, and why."""

    exit_code = 3


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A figure with its confidence interval [low, high] at `level`, from n of `unit` ("patients", "lesions", ...)."""

    name: str
    value: float
    low: float
    high: float
    n: int
    unit: str
    method: str
    level: float = 0.95

    def __str__(self) -> str:
        return f"{self.value:.3f} ({self.low:.3f}-{self.high:.3f})"


@dataclass(frozen=True, kw_only=True)
class TestResult:
    """A hypothesis test: statistic, degrees of freedom (none, one or two; infinity is allowed) and two-sided p unless
    `method` says otherwise.
    """

    name: str
    statistic: float
    p_value: float
    n: int
    unit: str
    method: str
    degrees_of_freedom: tuple[float, ...] = ()

    __test__ = False  # not a test case for pytest


def check_level(level: float) -> None:
    """Raise StatisticsError unless 0 < level < 1."""
    if not 0 < level < 1:
        raise StatisticsError(f"A confidence level of {level:g} is not between 0 and 1. Give a fraction such as 0.95.")


def check_truth(truth: Sequence[bool] | npt.NDArray[np.bool_], positive: str, negative: str) -> npt.NDArray[np.bool_]:
    """The truth as a boolean array (case,) that is True for `positive`.

    Raises StatisticsError if there are no cases, or none of one of the two classes.
    """
    known = np.asarray(truth)
    if known.ndim != 1 or known.dtype != np.bool_:
        raise StatisticsError("The truth must be one yes or no for each case.")
    for name, count in ((positive, int(known.sum())), (negative, int((~known).sum()))):
        if count == 0:
            raise StatisticsError(f'There is no case of class "{name}" among {known.size}: not estimable.')
    return known
