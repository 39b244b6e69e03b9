"""What only the coordinator may see: where the cases come from, what is true of them, and what the AI says of them.

It lies in a file of its own beside the study file (`NAME.truth.json`), which never goes to a reading station. The study
file holds only its salted SHA-256, so that truth can't be changed unnoticed and can't be guessed from the hash.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, ValidationError, model_validator

from LiverAILib.errors import OutputError
from LiverAILib.lesion_types import LesionType
from LiverAILib.readerstudy.dataset import Verdict
from LiverAILib.readerstudy.errors import StudyFileError
from LiverAILib.readerstudy.protocol import Record, canonical_json
from LiverAILib.study import Phase

PointLPS = tuple[float, float, float]  # (x, y, z) in mm


class MaskSpec(Record):
    """Voxels of value `label`, in layer `layer`, of a NRRD file."""

    path: Path
    label: int = Field(default=1, ge=1)
    layer: int = Field(default=0, ge=0)


class LesionSpec(Record):
    """A true lesion. Its place is a mask, or a centre or a box in LPS mm, x y z as DICOM writes them."""

    type: LesionType | None = None
    mask: MaskSpec | None = None
    centre_lps_mm: PointLPS | None = None
    box_lps_mm: tuple[PointLPS, PointLPS] | None = None

    @model_validator(mode="after")
    def _placed(self) -> Self:
        if self.mask is None and self.centre_lps_mm is None and self.box_lps_mm is None:
            raise ValueError("a lesion needs a place: mask, centre_lps_mm or box_lps_mm")
        if self.box_lps_mm is not None and any(low >= high for low, high in zip(*self.box_lps_mm, strict=True)):
            raise ValueError("box_lps_mm is the lower corner and then the upper one, each x y z")
        return self


class TruthSpec(Record):
    """What is true of a case. Only what is known is said; what follows from the rest need not be.

    type: of the worst lesion. lesions: [] when there is none, left out when their places are not known.
    """

    hcc: bool | None = None
    verdict: Verdict | None = None
    type: LesionType | None = None
    lesions: tuple[LesionSpec, ...] | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        types = [lesion.type for lesion in self.lesions or () if lesion.type is not None]
        worst = next((kind for kind in types if kind.malignant), types[0] if types else None)
        all_typed = self.lesions is not None and len(types) == len(self.lesions)
        kind = self.type or (worst if all_typed or (worst and worst.malignant) else None)
        verdict = self.verdict
        if kind is not None:
            verdict = verdict or (Verdict.MALIGNANT if kind.malignant else Verdict.BENIGN)
            if verdict is not (Verdict.MALIGNANT if kind.malignant else Verdict.BENIGN):
                raise ValueError(f"type {kind} contradicts the verdict {verdict}")
        if self.lesions == ():
            verdict = verdict or Verdict.NO_LESION
        if self.lesions is not None and (self.lesions == ()) != (verdict is Verdict.NO_LESION):
            raise ValueError(f"{len(self.lesions)} lesions contradict the verdict {verdict or 'that is not given'}")
        hcc = self.hcc
        if hcc is None:
            if kind is LesionType.HCC or LesionType.HCC in types:
                hcc = True
            elif verdict in (Verdict.BENIGN, Verdict.NO_LESION) or (kind is not None and (all_typed or not types)):
                hcc = False
        if hcc and verdict in (Verdict.BENIGN, Verdict.NO_LESION):
            raise ValueError(f"hcc: true contradicts the verdict {verdict}")
        if hcc:
            verdict = Verdict.MALIGNANT
        elif hcc is False and LesionType.HCC in (kind, *types):
            raise ValueError("hcc: false contradicts a lesion of type hcc")
        if verdict is None and hcc is None:
            raise ValueError("say at least one of hcc, verdict, type, lesions")
        for name, value in (("hcc", hcc), ("verdict", verdict), ("type", kind)):
            object.__setattr__(self, name, value)
        return self

    @property
    def stratum(self) -> str:
        """What the allocation is balanced over: the most that is known of the diagnosis."""
        if self.type is not None:
            return self.type.value
        if self.verdict is Verdict.MALIGNANT and self.hcc is not None:
            return LesionType.HCC.value if self.hcc else "malignant, not HCC"
        return str(self.verdict or ("hcc" if self.hcc else "not hcc"))


class ClinicalSpec(Record):
    """The clinical items of the case, as `liverai analyze` takes them."""

    age: float | None = Field(default=None, ge=0, le=120)
    sex: Literal["female", "male"] | None = None
    hepatitis: bool | None = None
    cirrhosis: bool | None = None
    cholangiolithiasis: bool | None = None
    extrahepatic_tumour: bool | None = None


class CaseSpec(Record):
    """A case as the coordinator knows it. input: a folder or file, or one file per phase."""

    name: str = Field(min_length=1)
    input: Path | dict[Phase, Path]
    phases: dict[str, Phase] = Field(default={}, description="series -> phase, the coordinator's word")
    clinical: ClinicalSpec = ClinicalSpec()
    training: bool = False
    truth: TruthSpec

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files and folders that it names, masks left out."""
        return (self.input,) if isinstance(self.input, Path) else tuple(self.input.values())


class AiMark(Record):
    """A lesion that the AI found."""

    confidence: float = Field(ge=0, le=1)
    centre_lps_mm: PointLPS
    box_lps_mm: tuple[PointLPS, PointLPS]
    type: LesionType | None = None


class AiOpinion(Record):
    """What the AI says of a case; None where it was not asked or could not tell. Probabilities are fractions."""

    findings_sha256: str
    hcc: bool | None = None
    verdict: Verdict | None = None
    type: LesionType | None = None
    p_hcc: float | None = None
    p_malignant: float | None = None
    type_probabilities: dict[LesionType, float] | None = None
    low_risk: bool | None = None
    marks: tuple[AiMark, ...] = ()


class Head(Record):
    """The end of the study file at some time: a later file must still hold that entry with that hash."""

    number: int
    hash: str


class TruthFile(Record):
    """The coordinator's file. cases, strata, ai, notes: by pseudonym. strata: those that the allocation was balanced
    over. notes: what the import of each case had to say.
    """

    format: Literal["LiverAI reader study truth 1"] = "LiverAI reader study truth 1"
    study_id: str
    salt: Annotated[str, Field(min_length=32)]
    cases: dict[str, CaseSpec]
    strata: dict[str, str]
    ai: dict[str, AiOpinion] = Field(default={})
    notes: dict[str, list[str]] = Field(default={})
    heads: list[Head] = Field(default=[])

    def sha256(self) -> str:
        """Salted SHA-256 of the cases with their truth; `ai`, `notes` and `heads` come later and are not in it."""
        plain = {key: case.model_dump(mode="json") for key, case in self.cases.items()}
        return hashlib.sha256(f"{self.salt}\n{canonical_json(plain)}".encode()).hexdigest()

    def opinion_sha256(self, case: str) -> str:
        """Salted SHA-256 of the AI's opinion of a case."""
        plain = canonical_json(self.ai[case].model_dump(mode="json"))
        return hashlib.sha256(f"{self.salt}\n{plain}".encode()).hexdigest()


def truth_path(study: Path) -> Path:
    """Where the truth of a study file is kept unless said otherwise."""
    return study.with_name(f"{study.stem}.truth.json")


def read_truth(path: Path) -> TruthFile:
    """Read the coordinator's file. Raises StudyFileError if it is missing or damaged."""
    try:
        return TruthFile.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StudyFileError(
            f"{path} is not there. It holds the truth and stays with the coordinator: name it with --truth."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise StudyFileError(f"{path} can't be read. Check its permissions, or take your copy of it.") from error
    except ValidationError as error:
        raise StudyFileError(
            f"{path.name} is damaged: {first_problem(error)}. Take the copy that you keep of it."
        ) from error


def write_truth(path: Path, truth: TruthFile, *, new: bool = False) -> None:
    """Write the coordinator's file, readable by its owner alone: all of it or nothing. new: refuse to replace one."""
    if new and path.exists():
        raise OutputError(f"{path} is there already and is not overwritten. Choose another name.")
    try:
        descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(truth.model_dump_json(indent=1) + "\n")
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OutputError(f"{path} can't be written ({error.strerror}). Choose another folder.") from error


def first_problem(error: ValidationError) -> str:
    """The first thing that is wrong, with its place: `readers[2].code: ...`."""
    first = error.errors()[0]
    where = ""
    for part in first["loc"]:
        where += f"[{part + 1}]" if isinstance(part, int) else f".{part}"
    text = str(first["msg"]).removeprefix("Value error, ")
    more = error.error_count() - 1
    tail = f" (and {more} more)" if more else ""
    return f"{where.lstrip('.')[:120]}: {text[:240]}{tail}" if where else text[:300] + tail
