"""The names senders give to charsets."""

from __future__ import annotations

import encodings

import pytest

from webapp.mail.charset_names import is_ascii_based, python_name
from webapp.mail.parse import parse


@pytest.mark.parametrize(
    ("label", "codec"),
    [
        ("UTF-8", "utf-8"), ("utf 8", "utf-8"), ("utf.8", "utf-8"), ('"utf-8"', "utf-8"),
        ("3Dutf-8", "utf-8"), ("windows 1251", "cp1251"), ("win-1251", "cp1251"), ("iso 8859-2", "iso8859-2"),
        ("ISO8859_15", "iso8859-15"),
        ("shift jis", "cp932"), ("shift.jis", "cp932"), ("koi8-ru", "koi8_u"), ("ks_x_1001", "cp949"),
        # the numbers of Windows
        ("cp28591", "cp1252"), ("windows-28592", "iso8859-2"), ("cp20866", "koi8_r"), ("cp21866", "koi8_u"),
        ("cp50220", "iso2022_jp_ext"), ("cp51932", "euc_jp"), ("windows-54936", "gb18030"),
        ("cp65001", "utf-8"), ("cp1200", "utf-16-le"),
        # none
        ("x-nope", None), ("", None), ("rot13", None), ("base64", None), ("idna", None),
        ("unicode_escape", None), ("charmap", None),
        ("palmos", None), ("cp99999", None), ("..", None), ("\x00", None),
    ],
)  # fmt: skip
def test_a_label_means_a_codec(label: str, codec: str | None) -> None:
    assert python_name(label) == codec


@pytest.mark.parametrize(
    "label", ["cp037", "cp500", "cp875", "cp1026", "utf-16", "utf-7", "hz", "iso-2022-kr"]
)
def test_ascii_is_not_ascii_in_all_of_them(label: str) -> None:
    assert not is_ascii_based(python_name(label) or "")


def test_nothing_is_remembered_of_names_nobody_knows() -> None:
    words = b" ".join(b"=?nope-%d?q?=FF?=" % number for number in range(150))
    cache = encodings._cache
    before = len(cache)
    parse(b"From: a@b.org\r\nSubject: " + words + b"\r\n\r\nhi")
    assert len(cache) - before < 10
