"""Being a well-behaved process: a clean stdout, a clean end on a signal, and no life after the parent's."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

#: How long a stopped process gets to tidy up before it is killed.
GRACE_SECONDS = 3.0


class Stopped(BaseException):
    """Raised in the main thread by SIGINT or SIGTERM, so that every `finally` runs."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.exit_code = 128 + signum


@contextlib.contextmanager
def stoppable() -> Iterator[None]:
    """Within the block SIGINT and SIGTERM raise `Stopped`; a second one is ignored while the first is tidied up."""
    first: list[float] = []

    def stop(signum: int, _frame: object) -> None:
        if first and time.monotonic() - first[0] < GRACE_SECONDS:
            return
        first[:] = [time.monotonic()]
        raise Stopped(signum)

    before: list[tuple[int, Any]] = []
    if threading.current_thread() is threading.main_thread():
        before = [(signum, signal.signal(signum, stop)) for signum in (signal.SIGINT, signal.SIGTERM)]
    try:
        yield
    except Stopped:
        kill_children()
        raise
    finally:
        for signum, handler in before:
            signal.signal(signum, handler)


@contextlib.contextmanager
def clean_stdout() -> Iterator[IO[str]]:
    """A private stream to the real stdout; what else prints there, C libraries included, goes to stderr meanwhile."""
    sys.stdout.flush()
    python_stdout = sys.stdout
    stream = os.fdopen(os.dup(1), "w", encoding="utf-8")
    saved = os.dup(1)
    try:
        os.dup2(2, 1)
        sys.stdout = sys.stderr
        yield stream
    finally:
        sys.stdout = python_stdout
        os.dup2(saved, 1)
        os.close(saved)
        with contextlib.suppress(OSError, ValueError):  # the reader may have gone; that must not hide what happened
            stream.close()


def die_with_parent(tidy: Sequence[Callable[[], None]]) -> None:
    """End this process and all it started when its standard input ends: when the parent closes the pipe, quits or dies.

    The process becomes the head of its own group (POSIX). At the end of input it gets SIGTERM; if that has not ended it
    within `GRACE_SECONDS`, the calls in `tidy` (a list that may grow) are made and the group is killed. Whoever starts
    it keeps stdin a pipe, and open.
    """
    if sys.platform != "win32":
        with contextlib.suppress(PermissionError):  # it heads its group already
            os.setsid()
    threading.Thread(target=_watch, args=(tidy,), name="parent watch", daemon=True).start()


def _watch(tidy: Sequence[Callable[[], None]]) -> None:
    with contextlib.suppress(OSError):
        while os.read(0, 4096):
            pass
    if sys.platform != "win32":
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE_SECONDS)
    for step in tidy:
        step()
    kill_group()


def kill_children() -> None:
    """Kill all processes that this one started, and theirs."""
    import psutil

    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def kill_group() -> None:
    """Kill this process and all that it started, also what has lost its parent but is of its group."""
    kill_children()
    if sys.platform != "win32" and os.getpgrp() == os.getpid():
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(128 + signal.SIGTERM)
