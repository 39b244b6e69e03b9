"""The seven lesion types of LiAIDS (Ying et al., Nat Commun 2024), in the paper's order."""

from __future__ import annotations

from enum import StrEnum


class LesionType(StrEnum):
    """Type of a focal liver lesion: the classes of the lesion classifier."""

    HCC = "hcc"
    ICC = "icc"
    METASTASIS = "metastasis"
    FNH = "fnh"
    HAEMANGIOMA = "haemangioma"
    CYST = "cyst"
    ABSCESS = "abscess"

    @property
    def malignant(self) -> bool:
        """True for HCC, ICC and metastasis, as the paper groups them."""
        return self in (LesionType.HCC, LesionType.ICC, LesionType.METASTASIS)

    @property
    def full_name(self) -> str:
        """The name as a reader of a report expects it."""
        return _FULL_NAMES[self]


_FULL_NAMES = {
    LesionType.HCC: "Hepatocellular carcinoma",
    LesionType.ICC: "Intrahepatic cholangiocarcinoma",
    LesionType.METASTASIS: "Metastasis",
    LesionType.FNH: "Focal nodular hyperplasia",
    LesionType.HAEMANGIOMA: "Haemangioma",
    LesionType.CYST: "Cyst",
    LesionType.ABSCESS: "Abscess",
}
