"""The run's log: what the program said while it worked, kept for log.txt. It never holds a patient's name or a path."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator

#: The parent of every logger of this package.
LOGGER = logging.getLogger("LiverAILib")
_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class RunLog(logging.Handler):
    """Keeps the package's log lines in memory until the run folder is written."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(logging.Formatter(_FORMAT))
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self.format(record))

    def text(self) -> str:
        """The log so far, one line a record."""
        return "".join(line + "\n" for line in self._lines)


@contextlib.contextmanager
def run_log(verbose: bool = False) -> Iterator[RunLog]:
    """Collect the package's log; with `verbose` it also goes to stderr, with details."""
    keeper = RunLog()
    handlers: list[logging.Handler] = [keeper]
    if verbose:
        stream = logging.StreamHandler(sys.stderr)
        stream.setFormatter(logging.Formatter(_FORMAT))
        handlers.append(stream)
    before = LOGGER.level
    LOGGER.setLevel(logging.DEBUG if verbose else logging.INFO)
    for handler in handlers:
        LOGGER.addHandler(handler)
    try:
        yield keeper
    finally:
        for handler in handlers:
            LOGGER.removeHandler(handler)
        LOGGER.setLevel(before)
