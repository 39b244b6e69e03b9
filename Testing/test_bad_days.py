"""Bad days, on the real command in real processes: a clear sentence, the stated exit code, nothing half-written."""

import ctypes
import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
import safetensors.numpy
from liverai_fakes import PACKAGE, everything_in

from LiverAILib.export.place import Place
from LiverAILib.export.run_folder import read_run
from LiverAILib.study import Phase

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals, limits and mounts of POSIX")

Run = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[..., subprocess.Popen[str]]


def wait_for(condition: Callable[[], object], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


def until_segmenting(process: subprocess.Popen[str]) -> None:
    """Read the child's progress until it segments."""
    assert process.stdout is not None
    for line in process.stdout:
        if "Segmenting the" in line:
            return
    pytest.fail(f"it ended early: {process.stderr and process.stderr.read()}")


def drop_privileges() -> None:
    """In the child: let file permissions hold for root too, by giving up the capabilities that pass over them."""
    libc = ctypes.CDLL(None, use_errno=True)
    drop_from_bounding_set, dac_override, dac_read_search = 24, 1, 2
    for capability in (dac_override, dac_read_search):
        libc.prctl(drop_from_bounding_set, capability, 0, 0, 0)


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mount a small disk with the given limits; skips where mounting is not allowed."""
    mounted: list[Path] = []

    def mount(limits: str) -> Path:
        disk = tmp_path / "disk"
        disk.mkdir()
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", limits, "tmpfs", disk], capture_output=True, check=False)
        if done.returncode:
            pytest.skip("may not mount a disk here")
        mounted.append(disk)
        return disk

    try:
        yield mount
    finally:
        for disk in mounted:
            subprocess.run(["umount", disk], check=True)


def test_too_little_space_is_said_before_the_work(liverai: Run, tiny_disk: Callable[[str], Path]) -> None:
    disk = tiny_disk("size=1m")
    done = liverai("--fake-seconds", 20, "analyze", "x", "-o", disk / "run")
    assert done.returncode == 6
    assert "MB are free" in done.stderr.splitlines()[-1]
    assert everything_in(disk) == []


def test_disk_full_while_writing(liverai: Run, tiny_disk: Callable[[str], Path]) -> None:
    disk = tiny_disk("size=64m,nr_inodes=6")  # room for the lock, the folder and three of the five files
    done = liverai("analyze", "x", "-o", disk / "run")
    assert done.returncode == 6
    assert "disk is full" in done.stderr.splitlines()[-1]
    assert everything_in(disk) == []


def test_disk_full_in_the_middle_of_a_file(liverai: Run, tmp_path: Path) -> None:
    def small_files_only() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))

    done = liverai("analyze", "x", "-o", tmp_path / "run", preexec_fn=small_files_only)
    assert done.returncode == 6
    assert "disk is full" in done.stderr.splitlines()[-1]
    assert everything_in(tmp_path) == []


def test_disk_full_leaves_the_run_that_was_to_be_replaced(liverai: Run, tmp_path: Path) -> None:
    def small_files_only() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))

    assert liverai("analyze", "x", "-o", tmp_path / "run").returncode == 0
    before = read_run(tmp_path / "run").findings
    done = liverai("analyze", "x", "-o", tmp_path / "run", "--overwrite", preexec_fn=small_files_only)
    assert done.returncode == 6
    assert read_run(tmp_path / "run").findings == before
    assert everything_in(tmp_path) == ["run"]


def test_killed_while_segmenting_leaves_no_run_and_does_not_hinder_the_next(
    start: Start, liverai: Run, tmp_path: Path
) -> None:
    process = start("--fake-seconds", 20, "analyze", "x", "-o", tmp_path / "run", "--progress", "json")
    until_segmenting(process)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not (tmp_path / "run").exists()
    assert liverai("analyze", "x", "-o", tmp_path / "run").returncode == 0
    assert everything_in(tmp_path) == ["run"]


def test_killed_while_writing_leaves_no_run_and_the_next_run_tidies_up(liverai: Run, tmp_path: Path) -> None:
    script = """
        import sys, time
        from pathlib import Path
        from LiverAILib.export.place import reserve
        def write(folder):
            (folder / "half").write_bytes(b"x" * 1000)
            print("half written", flush=True)
            time.sleep(60)
        with reserve(Path(sys.argv[1]), overwrite=False, replaceable=lambda _: True) as place:
            place.fill(write, overwrite=False)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path / "run")], stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "half written\n"
        process.kill()
    assert not (tmp_path / "run").exists()
    assert len(everything_in(tmp_path)) == 2  # the lock file and the temporary folder
    assert liverai("analyze", "x", "-o", tmp_path / "run").returncode == 0
    assert everything_in(tmp_path) == ["run"]


def test_two_analyses_into_one_folder(start: Start, liverai: Run, tmp_path: Path) -> None:
    first = start("--fake-seconds", 0.7, "analyze", "x", "-o", tmp_path / "run", "--progress", "json")
    until_segmenting(first)
    second = liverai("analyze", "x", "-o", tmp_path / "run", "--overwrite")
    assert second.returncode == 6
    assert "Another analysis is writing" in second.stderr.splitlines()[-1]
    first.communicate(timeout=30)
    assert first.returncode == 0
    read_run(tmp_path / "run")
    assert everything_in(tmp_path) == ["run"]


def test_of_many_started_at_once_one_wins_and_the_run_is_whole(start: Start, tmp_path: Path) -> None:
    processes = [start("--fake-seconds", 0.5, "analyze", "x", "-o", tmp_path / "run") for _ in range(4)]
    for process in processes:
        process.communicate(timeout=60)
    assert sorted(process.returncode for process in processes) == [0, 6, 6, 6]
    read_run(tmp_path / "run")
    assert everything_in(tmp_path) == ["run"]


def test_a_folder_without_permission(liverai: Run, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o555)
    done = liverai("--fake-seconds", 20, "analyze", "x", "-o", tmp_path / "locked" / "run", preexec_fn=drop_privileges)
    assert done.returncode == 6
    assert "no permission" in done.stderr.splitlines()[-1]
    assert everything_in(tmp_path / "locked") == []


def test_a_read_only_disk(liverai: Run, tiny_disk: Callable[[str], Path]) -> None:
    disk = tiny_disk("size=8m,ro")
    done = liverai("--fake-seconds", 20, "analyze", "x", "-o", disk / "run")
    assert done.returncode == 6
    assert "no permission" in done.stderr.splitlines()[-1]


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one model package whose hash is right (its weights fit no network)."""
    folder = tmp_path_factory.mktemp("packages")
    weights = safetensors.numpy.save({"weight": np.arange(100, dtype=np.float32)})
    metadata = PACKAGE | {"sha256": hashlib.sha256(weights).hexdigest()}
    for name, content in (
        ("configs/metadata.json", json.dumps(metadata).encode()),
        ("models/model.safetensors", weights),
    ):
        path = folder / "liversegnet" / name
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    return folder


def test_a_model_package_with_a_flipped_bit(liverai: Run, tmp_path: Path, packages: Path) -> None:
    weights = packages / "liversegnet" / "models" / "model.safetensors"
    intact = weights.read_bytes()
    damaged = bytearray(intact)
    damaged[-7] ^= 1
    weights.write_bytes(damaged)
    try:
        done = liverai("--real-network", "analyze", "x", "-o", tmp_path / "run", "--models", packages)
    finally:
        weights.write_bytes(intact)
    assert done.returncode == 5
    assert "SHA-256 differs" in done.stderr.splitlines()[-1]
    assert everything_in(tmp_path) == []


def test_a_model_package_of_another_network(liverai: Run, tmp_path: Path, packages: Path) -> None:
    done = liverai("--real-network", "analyze", "x", "-o", tmp_path / "run", "--models", packages)
    assert done.returncode == 5
    assert "do not fit" in done.stderr.splitlines()[-1]
    assert everything_in(tmp_path) == []


def test_no_model_package(liverai: Run, tmp_path: Path) -> None:
    done = liverai("--real-network", "analyze", "x", "-o", tmp_path / "run", "--models", tmp_path)
    assert done.returncode == 5
    assert "liversegnet is not in" in done.stderr.splitlines()[-1]
    assert everything_in(tmp_path) == []


def test_a_mounted_disk_itself_is_refused_before_the_work(liverai: Run, tiny_disk: Callable[[str], Path]) -> None:
    disk = tiny_disk("size=64m")
    done = liverai("--fake-seconds", 20, "analyze", "x", "-o", disk)
    assert done.returncode == 6
    assert "a folder inside it" in done.stderr.splitlines()[-1]
    assert liverai("analyze", "x", "-o", disk / "run").returncode == 0


def test_one_phase_is_enough_and_the_missing_ones_are_named(liverai: Run, tmp_path: Path) -> None:
    done = liverai("--fake-phases", 1, "analyze", "x", "-o", tmp_path / "run")
    assert done.returncode == 0
    findings = read_run(tmp_path / "run").findings
    assert list(findings.phases) == [Phase.PORTAL_VENOUS]
    assert any("no arterial phase" in warning for warning in findings.warnings)
    assert any("no non-contrast phase" in warning for warning in findings.warnings)
    assert "no arterial phase" in done.stdout


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_stopped_by_a_signal(start: Start, tmp_path: Path, sent: signal.Signals, code: int) -> None:
    process = start(
        *["--fake-seconds", 20, "--fake-child", "analyze", "x", "-o", tmp_path / "a" / "run", "--progress", "json"]
    )
    until_segmenting(process)
    assert process.stderr is not None
    worker = int(process.stderr.readline().split()[1])
    process.send_signal(sent)
    _, stderr = process.communicate(timeout=10)
    assert process.returncode == code
    assert stderr.splitlines()[-1] == "liverai: stopped; nothing is left half-written."
    assert "Traceback" not in stderr
    assert everything_in(tmp_path) == []
    wait_for(lambda: not alive(worker))


def test_it_dies_with_its_parent_and_takes_its_workers_along(start: Start, tmp_path: Path) -> None:
    process = start(
        *["--fake-seconds", 20, "--fake-child", "analyze", "x", "-o", tmp_path / "run"],
        *["--progress", "json", "--die-with-parent"],
        stdin=subprocess.PIPE,
    )
    until_segmenting(process)
    assert process.stderr is not None
    worker = int(process.stderr.readline().split()[1])
    assert os.getpgid(process.pid) == process.pid
    assert alive(worker)
    assert process.stdin is not None
    process.stdin.close()
    process.stdin = None
    assert process.wait(10) != 0
    wait_for(lambda: not alive(worker))
    assert everything_in(tmp_path) == []


def test_a_process_that_hangs_is_killed_all_the_same(tmp_path: Path) -> None:
    script = """
        import signal, time
        from LiverAILib.child import die_with_parent
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # as if stuck in a library
        die_with_parent([lambda: print("tidied", flush=True)])
        print("ready", flush=True)
        time.sleep(60)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == "ready\n"
        process.stdin.close()
        assert process.wait(10) == -signal.SIGKILL
        assert process.stdout.read() == "tidied\n"


def test_the_key_of_a_place_depends_on_its_name_only(tmp_path: Path) -> None:
    one, same, other = (Place(tmp_path / name, bool).lock_path for name in ("run", "run", "other"))
    assert one == same != other


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
