"""Is all there that an analysis needs? The first thing that is not, in one sentence, with what mends it."""

import importlib.metadata
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from LiverAILib.errors import LiverAIError
from LiverAIPanel.words import duration, tr

#: Seconds per million voxels and core, measured on two cores (README); a rough guide, other machines differ.
_CPU_SECONDS = 0.9
_MODEL_SECONDS = 5.0
GB = 1e9


@dataclass(frozen=True)
class State:
    """ready: the analysis may begin. text: one line. remedy: "", or the name of what a button does about it."""

    ready: bool
    text: str
    remedy: str = ""
    remedy_title: str = ""
    details: str = ""


class Machine:
    """What is asked of the machine; tests give another."""

    def free_memory(self):
        """Bytes, None if unknown."""
        try:
            from LiverAILib.analysis.memory import available_bytes

            return available_bytes()
        except ImportError:
            return None

    def free_disk(self, folder):
        """Bytes where a folder is or will be, None if unknown."""
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        try:
            return shutil.disk_usage(folder).free if os.access(folder, os.W_OK) else 0
        except OSError:
            return None

    def has_gpu(self):
        """Whether an NVIDIA GPU is likely to be usable; torch alone knows, but is never imported here."""
        try:
            cpu_build = "+cpu" in importlib.metadata.version("torch")
        except importlib.metadata.PackageNotFoundError:
            return False
        return not cpu_build and shutil.which("nvidia-smi") is not None

    def cores(self):
        return os.cpu_count() or 1

    def check_model(self):
        """Raise LiverAIError unless the model package is there with the right hash."""
        from LiverAILib.bundles import find_bundle

        find_bundle("liversegnet")


class Preflight:
    """packages: see `packages.Packages`. machine: see `Machine`."""

    def __init__(self, packages, machine):
        self._packages = packages
        self._machine = machine
        self.forget()

    def forget(self):
        """Look at everything again next time: packages, weights and the GPU are looked at once only."""
        self._software_there, self._model, self._gpu = False, None, None

    def check(self, shapes, results, device):
        """shapes: (z, y, x) of the chosen volumes. results: folder for run folders. device: auto, cpu or cuda."""
        for state in (self._software(), self._model_state(), self._room(shapes, results)):
            if state is not None:
                return state
        if not shapes:
            return State(False, tr("Choose at least one phase."))
        return State(True, self._ready(shapes, device))

    def _software(self):
        packages = self._packages
        if self._software_there:
            return None
        if not packages.torch_installed():
            if not packages.torch_extension():
                text = tr("The PyTorch extension is missing. Install it in the Extensions Manager and restart Slicer.")
                return State(False, text, "extensions", tr("Extensions Manager..."))
            return State(False, tr("PyTorch is not installed yet (up to 3 GB)."), "torch", tr("Install PyTorch..."))
        missing = packages.missing()
        if missing:
            text = tr("Python packages are missing: {names}.").format(names=", ".join(missing))
            return State(False, text, "packages", tr("Install packages"))
        self._software_there = True
        return None

    def _model_state(self):
        if self._model is None:
            try:
                self._machine.check_model()
                self._model = State(True, "")
            except LiverAIError as error:
                self._model = State(False, str(error), "again", tr("Check again"))
        return None if self._model.ready else self._model

    def _room(self, shapes, results):
        sizes = [z * y * x for z, y, x in shapes]
        if not sizes:
            return None
        from LiverAILib.analysis.memory import least_bytes

        needed, free = least_bytes(sizes), self._machine.free_memory()
        if free is not None and free < needed:
            text = tr("The study needs at least {needed:.1f} GB of memory and {free:.1f} GB are free.")
            return State(False, text.format(needed=needed / GB, free=free / GB), "again", tr("Check again"))
        needed, free = 4_000_000 + max(sizes) // 4, self._machine.free_disk(Path(results))
        if free == 0:
            return State(
                False, tr("The folder for results can't be written. Choose another."), "folder", tr("Choose...")
            )
        if free is not None and free < needed:
            text = tr("The disk for results is full: {free:.0f} MB are free, {needed:.0f} MB are needed.")
            return State(False, text.format(free=free / 1e6, needed=needed / 1e6), "folder", tr("Choose..."))
        return None

    def _ready(self, shapes, device):
        voxels = sum(z * y * x for z, y, x in shapes) / 1e6
        if self._gpu is None:
            self._gpu = self._machine.has_gpu()
        if device == "cuda" or (device == "auto" and self._gpu):
            return tr("Ready. It will run on the GPU.")
        seconds = _MODEL_SECONDS + _CPU_SECONDS * voxels / max(1, self._machine.cores())
        return tr("Ready. On this CPU it takes roughly {time}.").format(time=duration(seconds))
