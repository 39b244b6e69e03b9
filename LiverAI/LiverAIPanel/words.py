"""What the panel says, in the user's language."""

from slicer.i18n import translate

from LiverAILib.lesion_types import LesionType
from LiverAILib.study import Phase

CONTEXT = "LiverAI"


def tr(text):
    """The text in the language of the application; one context, so that one file translates the whole module."""
    return translate(CONTEXT, text)


def phase_title(phase):
    """A phase's name as a title."""
    return {
        Phase.NON_CONTRAST: tr("Non-contrast"),
        Phase.ARTERIAL: tr("Arterial"),
        Phase.PORTAL_VENOUS: tr("Portal venous"),
        Phase.DELAYED: tr("Delayed"),
    }[phase]


def phase_short(phase):
    """A phase's name for a narrow column."""
    return {
        Phase.NON_CONTRAST: tr("NC"),
        Phase.ARTERIAL: tr("ART"),
        Phase.PORTAL_VENOUS: tr("PV"),
        Phase.DELAYED: tr("DEL"),
    }[phase]


def type_title(kind):
    """A lesion type's name; "not classified" for None."""
    if kind is None:
        return tr("not classified")
    return {
        LesionType.HCC: tr("HCC"),
        LesionType.ICC: tr("ICC"),
        LesionType.METASTASIS: tr("Metastasis"),
        LesionType.FNH: tr("FNH"),
        LesionType.HAEMANGIOMA: tr("Haemangioma"),
        LesionType.CYST: tr("Cyst"),
        LesionType.ABSCESS: tr("Abscess"),
    }[kind]


def duration(seconds):
    """Seconds as people say them: "8 s", "2:05 min"."""
    whole = max(0, round(seconds))
    return (
        tr("{seconds} s").format(seconds=whole)
        if whole < 60
        else tr("{m}:{s:02d} min").format(m=whole // 60, s=whole % 60)
    )
