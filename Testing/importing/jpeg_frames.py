"""JPEG frames for tests: baseline (8 bits, lossy), and lossless (ISO 10918-1 annex H), which no package here writes."""

from __future__ import annotations

import io
import struct

import numpy as np
import numpy.typing as npt
from PIL import Image

#: Huffman code of a difference's category: one of 17 codes of 5 bits each, none of them all ones.
CODE_BITS = 5


def baseline(pixels: npt.NDArray[np.uint8]) -> bytes:
    """A JPEG baseline frame of an 8-bit grey image."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=95)
    return stream.getvalue()


def lossless(pixels: npt.NDArray[np.uint16]) -> bytes:
    """A JPEG lossless frame, first-order prediction, of a 16-bit grey image."""
    values = pixels.astype(np.int64)
    predicted = np.empty_like(values)
    predicted[:, 1:] = values[:, :-1]
    predicted[1:, 0] = values[:-1, 0]
    predicted[0, 0] = 1 << 15
    rows, columns = pixels.shape
    table = bytes([0, *(17 if length == CODE_BITS else 0 for length in range(1, 17)), *range(17)])
    segments = [
        (0xC4, table),
        (0xC3, struct.pack(">BHHBBBB", 16, rows, columns, 1, 1, 0x11, 0)),
        (0xDA, bytes([1, 1, 0, 1, 0, 0])),
    ]
    head = b"".join(struct.pack(">BBH", 0xFF, kind, len(body) + 2) + body for kind, body in segments)
    bits = "".join(_code(difference) for difference in (values - predicted).ravel().tolist())
    bits += "1" * (-len(bits) % 8)
    data = int(bits, 2).to_bytes(len(bits) // 8, "big").replace(b"\xff", b"\xff\0")
    return b"\xff\xd8" + head + data + b"\xff\xd9"


def _code(difference: int) -> str:
    """Category and the category's extra bits (table H.2); the tests' images have no difference of 32768 or more."""
    category = abs(difference).bit_length()
    code = f"{category:0{CODE_BITS}b}"
    if category == 0:
        return code
    return code + f"{difference if difference > 0 else difference + (1 << category) - 1:0{category}b}"
