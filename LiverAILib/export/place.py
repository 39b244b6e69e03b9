"""A folder's place on the disk: reserved before the work, filled in a temporary sibling, taken by one rename.

Beside OUT, only while a run is on, stand `.liverai-KEY.lock` and `.liverai-KEY.tmp-...` (KEY: from OUT's name).
Whoever holds the lock knows that any other temporary folder of that key is a killed run's, and removes it.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import hashlib
import logging
import os
import shutil
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from LiverAILib.errors import OutputError

log = logging.getLogger(__name__)


class Place:
    """The reserved place of one folder. Make it with `reserve`."""

    def __init__(self, out: Path, replaceable: Callable[[Path], bool]) -> None:
        self.out = out
        self._replaceable = replaceable
        self._key = f".liverai-{hashlib.sha256(out.name.encode()).hexdigest()[:16]}"
        self._temporary: Path | None = None

    def check_existing(self, overwrite: bool) -> None:
        """Refuse what must not be overwritten. An empty folder may be taken without asking."""
        if not self.out.exists() and not self.out.is_symlink():
            return
        if self.out.is_mount():
            raise OutputError(f"{self.out} is a mounted disk, which can't be replaced. Choose a folder inside it.")
        if self.out.is_dir() and not any(self.out.iterdir()):
            return
        if not overwrite:
            raise OutputError(f"{self.out} is there already. Choose another folder, or add --overwrite to replace it.")
        if not self.out.is_dir() or not self._replaceable(self.out):
            raise OutputError(f"{self.out} is not a LiverAI run folder and is not overwritten. Choose another folder.")

    def require_space(self, size: int) -> None:
        """Raise OutputError unless `size` bytes are free where the folder will be."""
        free = shutil.disk_usage(self.out.parent).free
        if free < size:
            raise OutputError(
                f"{self.out}: only {free / 1e6:.0f} MB are free on its disk, about {size / 1e6:.0f} MB are needed. "
                "Free some space, or choose another folder."
            )

    def fill(self, write: Callable[[Path], None], overwrite: bool) -> None:
        """Let `write` fill a temporary sibling, make it durable, and rename it to its place.

        Whatever goes wrong, the temporary folder is removed and what was there before stays.
        """
        with _disk_errors(self.out):
            self._temporary = Path(tempfile.mkdtemp(prefix=f"{self._key}.tmp-", dir=self.out.parent))
            try:
                self._temporary.chmod(0o777 & ~_umask())
                write(self._temporary)
                for file in self._temporary.iterdir():
                    _sync(file)
                _sync(self._temporary)
                self.check_existing(overwrite)
                self._take(self._temporary)
                _sync(self.out.parent)
            finally:
                self.discard()

    def discard(self) -> None:
        """Remove the temporary folder, if there is one; safe at any time and from any thread."""
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)

    def clean_up(self) -> None:
        """Remove what killed runs left; finish a replacement that was cut off between its two renames."""
        for stale in self.out.parent.glob(f"{self._key}.old-*"):
            if self.out.exists():
                shutil.rmtree(stale, ignore_errors=True)
            else:
                stale.rename(self.out)
                log.warning("Restored the run folder that a killed run had moved aside.")
        for stale in self.out.parent.glob(f"{self._key}.tmp-*"):
            shutil.rmtree(stale, ignore_errors=True)
            log.info("Removed a temporary folder that a killed run had left.")

    @property
    def lock_path(self) -> Path:
        return self.out.parent / f"{self._key}.lock"

    def _take(self, filled: Path) -> None:
        if not self.out.exists():
            filled.rename(self.out)
        elif not any(self.out.iterdir()):
            self.out.rmdir()
            filled.rename(self.out)
        elif not _exchange(filled, self.out):
            aside = self.out.parent / filled.name.replace(".tmp-", ".old-")
            self.out.rename(aside)
            try:
                filled.rename(self.out)
            except OSError:
                aside.rename(self.out)
                raise
            shutil.rmtree(aside, ignore_errors=True)


@contextlib.contextmanager
def reserve(out: Path, *, overwrite: bool, replaceable: Callable[[Path], bool]) -> Iterator[Place]:
    """Hold the place of a folder: nobody else can write it until the block ends.

    replaceable: says whether an existing folder is of the kind that may be overwritten.
    Raises OutputError when another run holds it, it exists, or its parent folder can't be written.
    """
    with _disk_errors(out):
        out = out.expanduser().resolve()
        if not out.name:
            raise OutputError(f"{out} can't be replaced by a run folder. Choose a folder inside it.")
        made = _make_parents(out.parent)
    place = Place(out, replaceable)
    try:
        with _locked(place):
            with _disk_errors(out):
                place.clean_up()
                place.check_existing(overwrite)
            try:
                yield place
            finally:
                place.discard()
    finally:
        for folder in reversed(made):
            with contextlib.suppress(OSError):  # only if it is still empty
                folder.rmdir()


def _make_parents(parent: Path) -> list[Path]:
    missing = []
    while not parent.exists():
        missing.append(parent)
        parent = parent.parent
    missing.reverse()
    for folder in missing:
        folder.mkdir(exist_ok=True)
    return missing


@contextlib.contextmanager
def _locked(place: Place) -> Iterator[None]:
    """Hold the lock file. The system frees it when the process dies, however it dies."""
    path = place.lock_path
    while True:
        with _disk_errors(place.out):
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        if not _try_lock(descriptor):
            os.close(descriptor)
            raise OutputError(f"Another analysis is writing {place.out}. Wait for it, or choose another folder.")
        if _is_current(descriptor, path):
            break
        os.close(descriptor)  # its last holder removed the file between our opening and locking it
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            if sys.platform != "win32":
                path.unlink()
        os.close(descriptor)


def _is_current(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _try_lock(descriptor: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES, errno.EDEADLK):
            return False
        log.warning("This disk has no file locks (%s); don't run two analyses into one folder.", error.strerror)
    return True


@contextlib.contextmanager
def _disk_errors(out: Path) -> Iterator[None]:
    """Turn the system's errors into sentences."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            text = f"The disk is full: {out} could not be written. Free some space, or choose another folder."
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            text = f"{out} can't be written: no permission in {out.parent}. Choose a folder of your own."
        else:
            text = f"{out} can't be written: {error.strerror or error}. Choose another folder."
        raise OutputError(text) from error


def _sync(path: Path) -> None:
    """Make a file or folder durable; a delayed write error surfaces here."""
    if sys.platform == "win32" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY if sys.platform != "win32" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if not (error.errno == errno.EINVAL and stat.S_ISDIR(os.fstat(descriptor).st_mode)):
            raise  # some network disks can't sync a folder
    finally:
        os.close(descriptor)


def _umask() -> int:
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def _exchange(one: Path, other: Path) -> bool:
    """Swap two folders in one step (Linux); False where the system can't."""
    if sys.platform != "linux":
        return False
    try:
        swap = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    at_cwd, exchange = -100, 2
    return bool(swap(at_cwd, os.fsencode(one), at_cwd, os.fsencode(other), exchange) == 0)
