"""The Python packages that the analysis needs in Slicer's Python, and torch: what is missing, and installing it.

Installing changes nothing that is there: every package that Slicer brings is held at its version, and torch comes only
from the PyTorch extension.
"""

import importlib
import importlib.metadata
import tempfile
from pathlib import Path

import slicer

from LiverAILib.errors import LiverAIError
from LiverAIPanel.words import tr


class Packages:
    """requirements_file: Resources/requirements.txt."""

    def __init__(self, requirements_file):
        self._file = requirements_file

    def requirements(self):
        """The lines of the file, without comments."""
        lines = self._file.read_text(encoding="utf-8").splitlines()
        return [line.strip() for line in lines if line.strip() and not line.startswith("#")]

    def missing(self):
        """The requirements that Slicer's Python does not fulfil."""
        from packaging.requirements import Requirement

        missing = []
        for line in self.requirements():
            requirement = Requirement(line)
            try:
                version = importlib.metadata.version(requirement.name)
            except importlib.metadata.PackageNotFoundError:
                missing.append(line)
                continue
            if not requirement.specifier.contains(version, prereleases=True):
                missing.append(line)
        return missing

    def torch_extension(self):
        """Whether the PyTorch extension is there."""
        try:
            import PyTorchUtils
        except ImportError:
            return False
        return PyTorchUtils is not None

    def torch_installed(self):
        """Whether torch is, without importing it."""
        try:
            importlib.metadata.version("torch")
        except importlib.metadata.PackageNotFoundError:
            return False
        return True

    def install_torch(self):
        """Let the PyTorch extension install torch; it asks which. False if the user declines."""
        try:
            import PyTorchUtils
        except ImportError:
            raise LiverAIError(
                tr("The PyTorch extension is missing. Install it in the Extensions Manager and restart Slicer.")
            ) from None
        installed = PyTorchUtils.PyTorchUtilsLogic().installTorch(askConfirmation=True)
        importlib.invalidate_caches()
        return installed is not None

    def install_missing(self):
        """Install what is missing with pip, all else held."""
        missing = self.missing()
        if not missing:
            return
        with tempfile.TemporaryDirectory(prefix="LiverAI-") as folder:
            constraints = Path(folder) / "constraints.txt"
            constraints.write_text(self.held(), encoding="utf-8")
            slicer.util.pip_install(["--constraint", str(constraints), *missing])
        importlib.invalidate_caches()

    def held(self):
        """Pip constraints that hold what is installed at its version, but for the packages that are wanted."""
        from packaging.requirements import Requirement
        from packaging.version import InvalidVersion, Version

        def valid(version):
            try:
                return bool(Version(version))
            except InvalidVersion:
                return False  # pip would refuse the whole file

        wanted = {Requirement(line).name.lower() for line in self.missing()}
        found = {dist.metadata["Name"]: dist.version for dist in importlib.metadata.distributions()}
        held = (
            f"{name}=={version}"
            for name, version in found.items()
            if name and name.lower() not in wanted and valid(version)
        )
        return "\n".join(sorted(held)) + "\n"
