"""The image size that a compressed frame claims in its own header, read without decoding.

A decoder allocates what the codestream says, whatever the DICOM tags say: a frame that disagrees with its tags is not
decoded.
"""

from __future__ import annotations

_J2K_START = b"\xff\x4f\xff\x51"
#: JPEG start-of-frame markers (ISO 10918-1 table B.1) and JPEG-LS's SOF55 (ISO 14495-1).
_FRAME_MARKERS = (set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}) | {0xF7}


def claimed_size(frame: bytes) -> tuple[int, int] | None:
    """(rows, columns) in a JPEG, JPEG-LS or JPEG 2000 codestream; None when it has no header that says so."""
    start = frame[:4096].find(_J2K_START)
    if start >= 0:
        return _j2k_size(frame, start)
    if frame[:2] == b"\xff\xd8":
        return _jpeg_size(frame)
    return None


def _word(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "big")


def _j2k_size(frame: bytes, start: int) -> tuple[int, int] | None:
    at = start + 8  # SOC, SIZ, length, capabilities
    if len(frame) < at + 16:
        return None
    width, height, left, top = (_word(frame, at + 4 * i, 4) for i in range(4))
    return height - top, width - left


def _jpeg_size(frame: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 9 <= len(frame):
        if frame[at] != 0xFF:
            return None
        marker = frame[at + 1]
        if marker == 0xFF:  # fill byte
            at += 1
        elif marker in _FRAME_MARKERS:
            return _word(frame, at + 5, 2), _word(frame, at + 7, 2)
        else:
            at += 2 + max(2, _word(frame, at + 2, 2))
    return None
