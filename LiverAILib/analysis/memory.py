"""Will the study fit into memory? Asked before the work, since a process that the system kills can't explain itself."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import psutil

from LiverAILib.errors import ResourceLimitError
from LiverAILib.study import Study

#: Interpreter, torch and a compact network.
BASE_BYTES = 600_000_000
#: For each phase: its liver (1) and, in the half of its slices that show liver, lesion probability (4).
_KEPT_PER_VOXEL = 3
#: For the largest phase while it is segmented: a float32 map on its own grid.
_WORK_PER_VOXEL = 4


def needed_bytes(study: Study) -> int:
    """The least that analysing a loaded study takes beyond what is held now: a lower bound, not a forecast."""
    return least_bytes([volume.array.size for volume in study.volumes.values()])


def least_bytes(sizes: Sequence[int]) -> int:
    """The same from the numbers of voxels of the phases, at least one."""
    return BASE_BYTES + _KEPT_PER_VOXEL * sum(sizes) + _WORK_PER_VOXEL * max(sizes)


def available_bytes() -> int:
    """What this process may still take: of the machine, of its container (cgroup v2), of its own limit (ulimit -v)."""
    available = int(psutil.virtual_memory().available)
    try:
        limit = Path("/sys/fs/cgroup/memory.max").read_text().strip()
        if limit != "max":
            used = int(Path("/sys/fs/cgroup/memory.current").read_text())
            available = min(available, int(limit) - used)
    except (OSError, ValueError):
        pass  # not Linux, or no such limit
    if sys.platform != "win32":
        import resource

        soft, _ = resource.getrlimit(resource.RLIMIT_AS)
        if soft != resource.RLIM_INFINITY:
            available = min(available, soft - int(psutil.Process().memory_info().vms))
    return max(available, 0)


def require_memory(study: Study, available: int | None = None) -> None:
    """Raise ResourceLimitError when the study clearly does not fit in `available` bytes (default: what is free)."""
    needed = needed_bytes(study)
    available = available_bytes() if available is None else available
    if needed > available:
        raise ResourceLimitError(
            f"The study needs at least {needed / 1e9:.1f} GB of memory and {available / 1e9:.1f} GB are free. "
            "Close other programs, or give fewer phases."
        )
