"""Model packages: find, verify, build the network, load the weights; and write a new package.

A package is a MONAI bundle folder: `configs/metadata.json` and `models/model.safetensors`. The metadata carries MONAI's
keys and those that this program needs (`Metadata`). Weights are safetensors only, never pickle, and load only if their
SHA-256 is the stated one.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from LiverAILib.errors import BundleError
from LiverAILib.few_bits import from_stored, to_stored
from LiverAILib.findings import Model
from LiverAILib.resources import resource

if TYPE_CHECKING:
    from torch import Tensor, nn

METADATA = Path("configs") / "metadata.json"
WEIGHTS = Path("models") / "model.safetensors"
MAX_METADATA_BYTES = 1_000_000
MAX_WEIGHT_BYTES = 2_000_000_000


class InputFormat(BaseModel):
    """What the network takes: in-plane spacing in mm, least slice thickness in mm, window in HU, and the phases it
    was trained for.
    """

    model_config = ConfigDict(extra="forbid")
    in_plane_mm: float = Field(gt=0.2, lt=10)
    min_slice_mm: float = Field(gt=0.2, lt=20)
    window_hu: tuple[float, float]
    phases: list[str]


class Metadata(BaseModel):
    """The part of `metadata.json` that this program reads; MONAI's other keys are kept."""

    model_config = ConfigDict(extra="allow")
    name: str
    version: str
    network: str
    preset: str
    labels: list[str]
    input: InputFormat
    trained_on: str
    data_licence: str
    results: list[dict[str, Any]]
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")

    @property
    def patients_seen(self) -> list[str]:
        """The patients of the training and validation sides, as `liverai train` states them; none if it does not."""
        sides = ((self.model_extra or {}).get("training") or {}).get("patients") or {}
        return [str(patient) for side in ("train", "validation") for patient in sides.get(side, ())]


def _liversegnet(preset: str) -> nn.Module:
    from LiverAILib.networks.liversegnet import LiverSegNet

    return LiverSegNet(preset)


def _lesion_detector(preset: str) -> nn.Module:
    from LiverAILib.networks.detector import LesionDetector

    return LesionDetector(preset)


def _lesion_classifier(preset: str) -> nn.Module:
    from LiverAILib.networks.lesion_classifier import LesionClassifier

    return LesionClassifier(preset)


def _phase_comparison(preset: str) -> nn.Module:
    from LiverAILib.networks.phase_comparison import PhaseComparisonNet

    return PhaseComparisonNet(preset)


def _resnet34(preset: str) -> nn.Module:
    from LiverAILib.networks.resnet34 import ResNet34

    return ResNet34(preset)


def _hccnet(preset: str) -> nn.Module:
    from LiverAILib.networks.resnet34 import PHASES_INPUTS, ResNet34

    return ResNet34(preset, inputs=PHASES_INPUTS)


#: How each network that a bundle may name is built from its preset.
NETWORKS: Mapping[str, Callable[[str], nn.Module]] = {
    "LiverSegNet": _liversegnet,
    "PhaseComparisonNet": _phase_comparison,
    "LesionDetector": _lesion_detector,
    "LesionClassifier": _lesion_classifier,
    "NoduleNet": _resnet34,
    "HCCNet": _hccnet,
}


@dataclass(frozen=True)
class Bundle:
    """A model package whose metadata has been read and whose weights have the stated hash."""

    folder: Path
    metadata: Metadata

    @property
    def model(self) -> Model:
        """Name, version and hash, as findings state them."""
        return Model(name=self.metadata.name, version=self.metadata.version, sha256=self.metadata.sha256)

    def load(self) -> nn.Module:
        """The network with its weights, float32, on the CPU, in evaluation mode. Raises BundleError if they do not
        fit.
        """
        from safetensors.torch import load

        data = (self.folder / WEIGHTS).read_bytes()
        if (
            hashlib.sha256(data).hexdigest() != self.metadata.sha256
        ):  # the bytes that are used are the bytes that were checked
            raise _wrong_hash(self.folder)
        if self.metadata.network not in NETWORKS:
            raise BundleError(
                f"Model package {self.folder.name}: network {self.metadata.network!r} is unknown here. "
                f"Known: {', '.join(NETWORKS)}. Update LiverAI, or choose another package."
            )
        try:
            network = NETWORKS[self.metadata.network](self.metadata.preset)
            network.load_state_dict(from_stored(load(data)))
        except (KeyError, RuntimeError, ValueError) as error:
            raise BundleError(
                f"Model package {self.folder.name}: its weights do not fit {self.metadata.network} "
                f"({self.metadata.preset}). Install the package again."
            ) from error
        return network.eval()


def _wrong_hash(folder: Path) -> BundleError:
    return BundleError(
        f"Model package {folder.name}: the weights are not the ones its metadata names (SHA-256 differs). "
        "The file is damaged or was changed: install the package again."
    )


def find_bundle(name: str, models: Path | None = None) -> Bundle:
    """The verified package `name` in the folder `models`, or among those that ship.

    Raises BundleError if it is missing, incomplete, malformed, or its weights' SHA-256 is not the stated one.
    """
    root = models if models is not None else resource("Models")
    folder = root / name
    if not (folder / METADATA).is_file() or not (folder / WEIGHTS).is_file():
        raise BundleError(
            f"Model package {name} is not in {root} (needs {METADATA.as_posix()} and {WEIGHTS.as_posix()} in {name}). "
            "Install LiverAI again, or name the folder of your packages with --models."
        )
    try:
        sizes = [(folder / part).stat().st_size for part in (METADATA, WEIGHTS)]
        if sizes[0] > MAX_METADATA_BYTES or sizes[1] > MAX_WEIGHT_BYTES:
            raise BundleError(f"Model package {name}: a file is too large to be a model package. Install it again.")
        metadata = Metadata.model_validate_json((folder / METADATA).read_bytes())
        with (folder / WEIGHTS).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise BundleError(
            f"Model package {name} can't be read ({error.strerror}). Check the folder's permissions."
        ) from error
    except ValidationError as error:
        field = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise BundleError(
            f"Model package {name}: metadata.json is not valid (at {field or 'the top'}). Install it again."
        ) from error
    if digest != metadata.sha256:
        raise _wrong_hash(folder)
    return Bundle(folder, metadata)


def write_bundle(
    folder: Path, weights: Mapping[str, Tensor], metadata: Mapping[str, Any], bits: int | None = None
) -> Bundle:
    """Write a package: weights in half precision, metadata completed with hash and MONAI's version keys; replaces
    `folder` whole.

    metadata: the keys of `Metadata` but `sha256`, and MONAI's descriptive ones. bits: of the weights in large tensors,
    see `few_bits`; None keeps all in half precision. Raises BundleError if the metadata are not valid.
    """
    import monai
    import numpy as np
    import torch
    from safetensors.torch import save

    if not re.fullmatch(r"[a-z0-9_]+", folder.name):
        raise BundleError(f"A model package's folder is named in small letters, digits and _, not {folder.name!r}.")
    data = save(to_stored(weights, bits))
    complete = {
        "schema": "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json",
        "monai_version": monai.__version__,
        "pytorch_version": torch.__version__.split("+")[0],
        "numpy_version": np.__version__,
        **metadata,
        "sha256": hashlib.sha256(data).hexdigest(),
    }
    try:
        Metadata.model_validate(complete)
    except ValidationError as error:
        raise BundleError(f"The metadata of {folder.name} is not valid: {error}") from error
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".new-") as temporary:
        new = Path(temporary) / folder.name
        (new / METADATA).parent.mkdir(parents=True)
        (new / WEIGHTS).parent.mkdir()
        (new / METADATA).write_text(json.dumps(complete, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        (new / WEIGHTS).write_bytes(data)
        if folder.exists():
            shutil.rmtree(folder)
        new.rename(folder)
    return find_bundle(folder.name, folder.parent)
