"""Files that are complete or not there."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path beside `path` to write to: the file takes its place when the block ends, and is removed when it fails.

    No other process gets the same one, so several may make one file: the last one stays. It keeps the suffix.
    """
    temporary = path.with_name(f".new_{uuid4().hex}_{path.name}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
