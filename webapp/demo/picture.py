"""Small pictures drawn by the program: a screenshot of an error, a photo of a display."""

from __future__ import annotations

import struct
import zlib

_WHITE, _GREY, _BLUE, _RED, _DARK = (
    (255, 255, 255), (226, 230, 235), (38, 92, 168), (200, 54, 54), (52, 60, 70),
)  # fmt: skip
_Colour = tuple[int, int, int]
_Box = tuple[int, int, int, int, _Colour]  # left, top, right, bottom

_WINDOW: tuple[_Box, ...] = (
    (0, 0, 320, 180, _GREY), (30, 24, 290, 156, _WHITE), (30, 24, 290, 44, _BLUE), (276, 29, 286, 39, _RED),
    (46, 64, 78, 96, _RED), (58, 70, 66, 82, _WHITE), (58, 86, 66, 92, _WHITE),
    (94, 66, 262, 72, _DARK), (94, 80, 240, 86, _DARK), (94, 94, 252, 100, _DARK),
    (212, 124, 276, 144, _BLUE),
)  # fmt: skip
_DISPLAY: tuple[_Box, ...] = (
    (0, 0, 320, 180, _DARK), (24, 24, 296, 120, (170, 205, 160)), (40, 44, 214, 54, _DARK),
    (40, 66, 250, 76, _DARK), (40, 88, 130, 98, _DARK), (40, 138, 68, 158, _GREY), (80, 138, 108, 158, _GREY),
    (252, 138, 280, 158, _RED),
)  # fmt: skip


def error_window() -> bytes:
    """A dialogue with a red sign, as PNG."""
    return _png(320, 180, _WINDOW)


def printer_display() -> bytes:
    """A little display with three lines of text, as PNG."""
    return _png(320, 180, _DISPLAY)


def _png(width: int, height: int, boxes: tuple[_Box, ...]) -> bytes:
    rows = [bytearray(bytes(_WHITE) * width) for _ in range(height)]
    for left, top, right, bottom, colour in boxes:
        for row in rows[top:bottom]:
            row[3 * left : 3 * right] = bytes(colour) * (right - left)
    pixels = b"".join(b"\0" + row for row in rows)  # each row: no filter
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(pixels, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
