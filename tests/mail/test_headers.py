"""RFC 2047 words, RFC 2231 parameters and the header block."""

from __future__ import annotations

import pytest

from webapp.mail.headers import decode_words, split_headers
from webapp.mail.parameters import parse_parameters
from webapp.mail.parse import parse


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("plain", "plain"),
        ("=?utf-8?Q?J=C3=B6rg?=", "Jörg"),
        ("=?UTF-8?b?SsO2cmc=?=", "Jörg"),
        ("=?iso-8859-1?q?J=F6rg?= x", "Jörg x"),
        ("a =?utf-8?q?b?= c", "a b c"),
        ("=?utf-8?q?a?= =?utf-8?q?b?=", "ab"),
        ("=?utf-8?q?a?=\r\n =?utf-8?q?b?=", "ab"),
        ("=?utf-8?q?a?==?utf-8?q?b?=", "ab"),
        ("=?utf-8?q?J=C3?= =?utf-8?q?=B6rg?=", "Jörg"),  # a character split between words
        ("=?utf-8?B?SsO?= =?utf-8?B?2cmc=?=", "Jörg"),  # a base64 quantum split between words
        ("=?utf-8?q?a?= =?iso-8859-1?q?=F6?=", "aö"),
        ("=?utf-8?q?a_b?=", "a b"),
        ("=?utf-8?q?a b?=", "a b"),  # a blank inside: forbidden and common
        ("=?utf-8?q?what??=", "what?"),
        ('"=?utf-8?q?J=C3=B6rg?="', '"Jörg"'),
        ("=?utf-8*de?q?J=C3=B6rg?=", "Jörg"),
        ("=?utf-8?B?SsO2cmc?=", "Jörg"),  # no padding
        ("=?utf-8?B?S?=", ""),
        ("=?utf-8?q?=ZZ?=", "=ZZ"),
        ("=?x-nope?q?J=C3=B6rg?=", "Jörg"),
        ("=?utf-8?x?abc?=", "=?utf-8?x?abc?="),
        ("=?utf-8?q?abc", "=?utf-8?q?abc"),
        ("=?utf-7?q?+2AA-?=", "\ufffd"),  # a lone surrogate
        ("=?utf-8?q?=00?=", ""),
        ("=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "日本"),
    ],
)
def test_encoded_words(written: str, text: str) -> None:
    assert decode_words(written) == text


def test_encoded_words_are_bounded() -> None:
    decoded = decode_words(" ".join(["=?utf-8?q?a?="] * 300))
    assert decoded.count("=?") == 100


@pytest.mark.parametrize(
    ("value", "name"),
    [
        ("attachment; filename=a.txt", "a.txt"),
        ('attachment; filename="a; b.txt"', "a; b.txt"),
        (r'attachment; filename="a \"b\".txt"', 'a "b".txt'),
        (r'attachment; filename="C:\temp\a.txt"', r"C:\temp\a.txt"),
        ("attachment; filename = a.txt ; size=1", "a.txt"),
        ("attachment; filename=a b.txt", "a b.txt"),
        ("attachment;filename='a.txt'", "a.txt"),
        ('attachment; filename="=?utf-8?q?=C3=B6.txt?="', "ö.txt"),
        ("attachment; filename*=utf-8''%C3%B6.txt", "ö.txt"),
        ("attachment; filename*=iso-8859-1'de'%F6.txt", "ö.txt"),
        ("attachment; filename=o.txt; filename*=utf-8''%C3%B6.txt", "ö.txt"),
        ("attachment; filename*0=a; filename*1=b.txt", "ab.txt"),
        ("attachment; filename*1=b.txt; filename*0=a", "ab.txt"),
        ("attachment; filename*0*=utf-8''%C3; filename*1*=%B6; filename*2=.txt", "ö.txt"),
        ('attachment; filename*0="=?utf-8?q?=C3=B6?="; filename*1=".txt"', "ö.txt"),
        ("attachment; filename*=%C3%B6.txt", "ö.txt"),
        ("attachment; filename*=x-nope''%C3%B6.txt", "ö.txt"),
        ("attachment; filename*=utf-8''=?utf-8?q?=C3=B6.txt?=", "ö.txt"),
        ("attachment; filename=ö.txt", "ö.txt"),
        ('attachment; filename="a.txt', "a.txt"),
        ("attachment; filename=", ""),
    ],
)
def test_file_name_parameter(value: str, name: str) -> None:
    main, parameters = parse_parameters(value)
    assert main == "attachment"
    assert parameters.get("filename", "") == name


def fields(block: bytes) -> list[tuple[str, bytes]]:
    return split_headers(block, 0, len(block))[0].fields


def body(block: bytes) -> bytes:
    return block[split_headers(block, 0, len(block))[1] :]


@pytest.mark.parametrize(
    ("block", "expected", "rest"),
    [
        (b"A: 1\r\nB: 2\r\n\r\nbody", [("A", b"1"), ("B", b"2")], b"body"),
        (b"A: 1\nB: 2\n\nbody", [("A", b"1"), ("B", b"2")], b"body"),
        (b"A: 1\r\n\tfolded\r\n\r\n", [("A", b"1\tfolded")], b""),
        (b"A : 1\n\n", [("A", b"1")], b""),
        (b"A:1", [("A", b"1")], b""),
        (b"A:\n\nbody", [("A", b"")], b"body"),
        (b"\r\nbody", [], b"body"),
        (b"From x Mon Jan 1\nA: 1\n\n", [("A", b"1")], b""),
        (b">From x Mon Jan 1\nA: 1\n\n", [("A", b"1")], b""),
        (b" A: 1\nB: 2\n\n", [("A", b"1"), ("B", b"2")], b""),
        (b"A: 1;\nx=y\nB: 2\n\n", [("A", b"1; x=y"), ("B", b"2")], b""),
        (b"A: 1\njunk\nB: 2\n\n", [("A", b"1"), ("B", b"2")], b""),
        (b"A: 1\nHello Ann\n\nbody", [("A", b"1")], b"Hello Ann\n\nbody"),
        (b"Hello Ann\n\nbody", [], b"Hello Ann\n\nbody"),
        (b"A: 1\n\n\nbody", [("A", b"1")], b"\nbody"),
        (b"A: 1\r\nB: 2\n\r\nbody", [("A", b"1"), ("B", b"2")], b"body"),
        (b"", [], b""),
    ],
)
def test_header_block(block: bytes, expected: list[tuple[str, bytes]], rest: bytes) -> None:
    assert fields(block) == expected
    assert body(block) == rest


@pytest.mark.parametrize(
    ("raw", "subject"),
    [
        (b"Subject: J\xc3\xb6rg\n\n", "Jörg"),
        (b"Subject: J\xf6rg\n\n", "Jörg"),
        (b"Content-Type: text/plain; charset=koi8-r\nSubject: \xf0\xd2\xc9\xd7\xc5\xd4\n\n", "Привет"),
        (b"Subject: =?utf-8?q?a=0D=0ABcc=3A_x=40y?=\n\n", "a Bcc: x@y"),
        (b"Subject: a\x00b\n\n", "a b"),
        (b"Subject: a\rFrom: x\n\n", "a From: x"),
        (b"Subject:\n\n", ""),
        (b"A: 1\n\n", ""),
        (b"Subject: one\nSubject: two\n\n", "one"),
    ],
)
def test_subject(raw: bytes, subject: str) -> None:
    assert parse(raw).subject == subject
