"""Phantom exams that several tests look at; small, as each takes seconds."""

from __future__ import annotations

import pytest

from LiverAILib.phantom import Phantom, PhantomOptions, generate
from LiverAILib.study import Phase


@pytest.fixture(scope="session")
def exam() -> Phantom:
    """All four phases of a trunk with three lesions, 5 mm slices of 2 mm pixels."""
    options = PhantomOptions(shape=(52, 200, 200), spacing_mm=(5, 2, 2), lesions=("hcc", "cyst", "haemangioma"))
    return generate(12, phases=tuple(Phase), options=options)
