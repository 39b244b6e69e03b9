"""How far the work is: stages with weights, timed, told to whoever listens."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any, Protocol


class Reporter(Protocol):
    """Whoever listens. `fraction` is of the whole job, in [0, 1], and never falls."""

    def __call__(self, stage: str, fraction: float, message: str) -> None: ...

    def close(self) -> None: ...


class Silent:
    """Listens to nothing."""

    def __call__(self, stage: str, fraction: float, message: str) -> None:
        pass

    def close(self) -> None:
        pass


class JsonLines:
    """One JSON object a line: `{"stage": ..., "fraction": ..., "message": ...}`.

    At most about 200 lines a job. When the reader has gone the work goes on without a word.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._last: tuple[str, str] | None = None
        self._fraction = -1.0
        self._gone = False

    def __call__(self, stage: str, fraction: float, message: str) -> None:
        same = (stage, message) == self._last
        if self._gone or (same and (fraction - self._fraction < 0.005 and fraction < 1.0)):
            return
        self._last, self._fraction = (stage, message), fraction
        try:
            line = json.dumps({"stage": stage, "fraction": round(fraction, 4), "message": message})
            self._stream.write(line + "\n")
            self._stream.flush()
        except (BrokenPipeError, ValueError):
            self._gone = True

    def close(self) -> None:
        pass


class Bar:
    """A progress bar for a terminal, on stderr."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._bar.add_task("Starting", total=1.0)
        self._bar.start()

    def __call__(self, stage: str, fraction: float, message: str) -> None:
        self._bar.update(self._task, completed=fraction, description=message or stage)

    def close(self) -> None:
        self._bar.stop()


def reporter(kind: str, stdout: IO[str]) -> Reporter:
    """The reporter for `--progress`: "json" (to `stdout`), "bar", "none"; "auto" is a bar if stderr is a terminal."""
    if kind == "json":
        return JsonLines(stdout)
    if kind == "bar" or (kind == "auto" and sys.stderr is not None and sys.stderr.isatty()):
        return Bar()
    return Silent()


class Step:
    """A stretch of the whole job. Call it with the fraction of this stretch that is done, in [0, 1]."""

    def __init__(self, tell: Callable[[float, str], None], start: float, end: float, message: str) -> None:
        self._tell = tell
        self._start = start
        self._end = end
        self._message = message
        tell(start, message)

    def __call__(self, fraction: float, message: str | None = None) -> None:
        fraction = min(max(float(fraction), 0.0), 1.0)
        self._tell(self._start + fraction * (self._end - self._start), self._message if message is None else message)

    def part(self, number: int, count: int, message: str) -> Step:
        """The part with this number, from 0, of `count` equal parts."""
        width = (self._end - self._start) / count
        start = self._start + number * width
        return Step(self._tell, start, start + width, message)


class Progress:
    """The stages of one job, in order, with their expected shares of the time.

    `seconds` holds the wall time of each finished stage or timed part.
    """

    def __init__(
        self,
        weights: Mapping[str, float],
        reporter: Reporter | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.seconds: dict[str, float] = {}
        self._reporter = reporter or Silent()
        self._clock = clock
        self._fraction = 0.0
        total = sum(weights.values())
        self._spans: dict[str, tuple[float, float]] = {}
        start = 0.0
        for name, weight in weights.items():
            self._spans[name] = (start, start + weight / total)
            start += weight / total

    @contextlib.contextmanager
    def stage(self, name: str, message: str) -> Iterator[Step]:
        """Run a stage of `weights`; a name that is not in them is timed but does not move the bar."""
        start, end = self._spans.get(name, (self._fraction, self._fraction))
        with self.timed(name):
            step = Step(lambda fraction, text: self._tell(name, fraction, text), start, end, message)
            yield step
            step(1.0)

    @contextlib.contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Time a part under its own name."""
        start = self._clock()
        yield
        self.seconds[name] = round(self.seconds.get(name, 0.0) + self._clock() - start, 3)

    def done(self, message: str) -> None:
        """Tell that the whole job is finished."""
        self._tell("done", 1.0, message)

    def _tell(self, stage: str, fraction: float, message: str) -> None:
        self._fraction = min(1.0, max(self._fraction, fraction))
        self._reporter(stage, self._fraction, message)


def silent() -> Progress:
    """Progress that nobody listens to, for calls from Python."""
    weights: dict[str, Any] = {}
    return Progress(weights)
