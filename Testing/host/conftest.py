"""The fixtures of the panel's tests are in `conftest_host` and `reading_study`, which the tests import as well."""

from collections.abc import Iterator

import pytest
from conftest_host import errors, make_panel, module, panel
from reading_study import make_station, prepared, station, study
from slicer_host import leave_behind

__all__ = ["errors", "make_panel", "make_station", "module", "panel", "prepared", "station", "study"]


@pytest.fixture(scope="session", autouse=True)
def _scenes_are_left_behind() -> Iterator[None]:
    yield
    leave_behind()
