"""Transfer encodings undone: in memory that is a small multiple of the text, however short its lines."""

from __future__ import annotations

import base64
import tracemalloc
from collections.abc import Callable

import pytest

from webapp.mail.transfer import decode_transfer, hidden_encoding

PDF = base64.encodebytes(b"%PDF-1.4" + bytes(300))


@pytest.mark.parametrize(
    ("data", "encoding"),
    [
        (PDF, "base64"),
        (PDF.replace(b"\n", b"\r\n"), "base64"),
        (b"\r\n" + PDF + b"\r\n\r\n", "base64"),
        (PDF.replace(b"\n", b""), "base64"),
        (PDF.replace(b"\n", b" \n"), None),
        (PDF.replace(b"\n", b"\n\n"), None),
        (PDF[:-4], None),  # not a whole number of quanta
        (PDF[:77] + PDF[78:], None),  # a line that is shorter than the others
        (b"JVBERi0xLjQ=\n", None),  # a word may look like that
        (b"", None),
    ],
)
def test_base64_without_its_label(data: bytes, encoding: str | None) -> None:
    assert hidden_encoding(data, is_text=False) == encoding


@pytest.mark.parametrize(
    "work",
    [
        lambda: decode_transfer(b"begin 644 a\r\n" + b"!A\r\n" * 500_000, "x-uuencode"),
        lambda: hidden_encoding((b"A" * 24 + b"\n") * 200_000, is_text=False),
    ],
)
def test_short_lines_cost_no_memory(work: Callable[[], object]) -> None:
    tracemalloc.start()
    try:
        work()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 25_000_000
