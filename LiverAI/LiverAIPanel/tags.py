"""What Slicer's DICOM database knows of a loaded volume, and loading a folder of DICOM through it."""

import logging
from pathlib import Path

import slicer

from LiverAILib.errors import LiverAIError
from LiverAIPanel.words import tr

log = logging.getLogger("LiverAI")


def read_tag(node, tag):
    """A tag's value of the series that a node was loaded from; "" where the database does not have it."""
    uids = (node.GetAttribute("DICOM.instanceUIDs") or "").split()
    database = getattr(slicer, "dicomDatabase", None)
    if not uids or database is None or not database.isOpen:
        return ""
    return str(database.instanceValue(uids[0], tag) or "")


def load_folder(folder):
    """Load the CT series of a folder into the scene; the files are indexed in Slicer's database, not copied.

    Returns the number of series. Raises LiverAIError when there is none, or when the database is closed.
    """
    from DICOMLib import DICOMUtils

    database = slicer.dicomDatabase
    if database is None or not database.isOpen:
        raise LiverAIError(tr("Slicer's DICOM database is not open. Open the DICOM module once, then try again."))
    DICOMUtils.importDicom(str(folder), database)
    series = {}
    for path in sorted(Path(folder).rglob("*")):
        uid = str(database.seriesForFile(str(path)) or "") if path.is_file() else ""
        if uid and uid not in series:
            series[uid] = str(database.fileValue(str(path), "0008,0060") or "")
    wanted = [uid for uid, modality in series.items() if modality == "CT"]
    if not wanted:
        raise LiverAIError(tr("There is no CT series in that folder. Choose the folder of a DICOM study."))
    DICOMUtils.loadSeriesByUID(wanted)
    return len(wanted)
