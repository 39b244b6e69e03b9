"""The module's own translations: loaded when the application speaks that language."""

import logging

import qt
import slicer

log = logging.getLogger("LiverAI")


def wanted():
    """The application's language such as "de", "" for English or when its translation is off."""
    on = str(slicer.util.settingsValue("Internationalization/Enabled", False)).lower() in ("true", "1")
    return str(slicer.util.settingsValue("language", "") or "")[:2].lower() if on else ""


def install(folder):
    """Load `LiverAI_<language>.qm` if there is one. The translator is returned: it works as long as it lives."""
    path = folder / f"LiverAI_{wanted()}.qm"
    if not wanted() or not path.is_file():
        return None
    translator = qt.QTranslator()
    if not translator.load(str(path)):
        log.warning("The translation %s can't be loaded.", path.name)
        return None
    slicer.app.installTranslator(translator)
    return translator
