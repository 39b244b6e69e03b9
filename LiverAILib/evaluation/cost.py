"""Wall time and peak memory of a whole `liverai analyze`, from files to run folder, as its user would see them."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from LiverAILib.errors import LiverAIError
from LiverAILib.export.run_folder import RunFolder, read_run

#: Runs a command and prints its largest resident memory as the last line. A process of its own, since the system counts
#: the memory of whoever starts a process as that process's too, and an evaluation may hold gigabytes.
_MEASURE = """
import os, subprocess, sys
process = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
_, status, usage = os.wait4(process.pid, 0)
print(usage.ru_maxrss)
sys.exit(os.waitstatus_to_exitcode(status))
"""


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
        "-c",
        _MEASURE,
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
        process = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, check=False)  # noqa: S603
        seconds = time.perf_counter() - started
        if process.returncode:
            said.seek(0)
            lines = said.read().decode(errors="replace").strip().splitlines()
            raise LiverAIError(f"analyze ended with {process.returncode}: {lines[-1] if lines else 'no message'}")
    unit = 1 if sys.platform == "darwin" else 1024  # ru_maxrss is in bytes there, in KiB elsewhere
    return Cost(seconds, int(process.stdout.split()[-1]) * unit / 1e9, read_run(out))
