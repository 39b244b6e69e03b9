"""The fixtures of the panel's tests are in `conftest_host`, which the tests import as well."""

from conftest_host import errors, make_panel, module, panel

__all__ = ["errors", "make_panel", "module", "panel"]
