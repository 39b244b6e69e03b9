"""Wall time and peak memory of a whole `liverai analyze`, from files to run folder, as its user would see them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from LiverAILib.errors import LiverAIError
from LiverAILib.export.run_folder import RunFolder, read_run


@dataclass(frozen=True)
class Cost:
    """What one run took. peak_gb: largest resident memory in GB (10^9 bytes)."""

    seconds: float
    peak_gb: float
    run: RunFolder


def analyze_command(arguments: Sequence[str | Path], out: Path) -> Cost:
    """Run `liverai analyze ARGUMENTS -o OUT` in a process of its own and measure it.

    Raises LiverAIError with the command's last line if it fails.
    """
    command = [
        sys.executable,
        "-m",
        "LiverAILib.cli",
        "analyze",
        *map(str, arguments),
        "-o",
        str(out),
        "--progress",
        "none",
    ]
    with tempfile.TemporaryFile() as said:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=said)  # noqa: S603
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            lines = said.read().decode(errors="replace").strip().splitlines()
            raise LiverAIError(f"analyze ended with {process.returncode}: {lines[-1] if lines else 'no message'}")
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there, in KiB elsewhere
    return Cost(seconds, usage.ru_maxrss * unit / 1e9, read_run(out))
