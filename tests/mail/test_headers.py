"""RFC 2047 words, RFC 2231 parameters and the header block."""

from __future__ import annotations

import pytest

from webapp.mail.encoded_words import decode_words
from webapp.mail.headers import split_headers
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
        ("=?utf-8?q?abc", "abc"),  # cut off at the end of the line
        ("Re: =?utf-8?B?SsO2cmc=", "Re: Jörg"),
        ("=?utf-8?B?SsO2cmc=?", "Jörg"),
        ("=?utf-8?q?J=C3=B6rg=C", "Jörg"),
        ("=?x-nope?q?abc", "=?x-nope?q?abc"),  # text that only looks like a word
        ("=?utf-8?B?is it?", "=?utf-8?B?is it?"),
        ("=?utf-8?q?abc =?utf-8?q?d=C3=B6?=", "=?utf-8?q?abc dö"),  # an opening inside is no text
        ("=?utf-8?q?a?=Text=?utf-8?q?b?=", "aTextb"),
        ("Re:=?utf-8?q?_a?=", "Re: a"),
        ("(=?utf-8?q?a?=)", "(a)"),
        ('"Dr. =?utf-8?q?J=C3=B6rg?= X"', '"Dr. Jörg X"'),
        ("=?utf-8?B?SsO2 cmc=?=", "Jörg"),  # folded inside the word
        ("=? utf-8 ? B ?SsO2cmc=?=", "Jörg"),
        ("=?utf-8?B?SsM=?= =?utf-8?Q?=B6rg?=", "Jörg"),  # split between two encodings
        ("=?utf-8?Q?J=C3?= =?utf-8?B?tnJn?=", "Jörg"),
        ("=?utf-8?B?w6Q?= =?utf-8?B?w7Y?=", "äö"),  # no padding, each whole
        ("=?utf-8?B?SsO2cmc====?=", "Jörg"),
        ("=?utf-8?B?SsO2cmc=?= =?utf-8?B??=", "Jörg"),
        ("=?gb2312?B?hNOx7Q==?=", "動表"),  # a letter that only GBK and GB18030 have
        ("=?GBK?Q?=D6=D0=CE=C4?=", "中文"),
        ("=?ks_c_5601-1987?B?sNrB?= =?ks_c_5601-1987?B?9w==?=", "겠직"),
        ("=?ks_c_5601?Q?=8C=63=B9=E6?=", "똠방"),  # only in code page 949
        ("=?shift_jis?B?h0A=?=", "①"),  # only in code page 932
        ("=?x-sjis?B?k/qWew==?=", "日本"),
        ("=?iso-2022-jp?B?GyRCLSEbKEI=?=", "①"),  # the NEC row
        ("=?cp-850?Q?J=94rg?=", "Jörg"),
        ("=?unicode-1-1-utf-7?Q?J+APY-rg?=", "Jörg"),
        ("=?utf8mb4?Q?J=C3=B6rg?=", "Jörg"),
        ("=?iso-8859-1?Q?=80_5?=", "€ 5"),
        ("=?us-ascii?Q?J=F6rg?=", "Jörg"),
        ("=?koi8-r?Q?Привет?=", "Привет"),  # raw letters inside the word
        ("=?utf-8?q?=E2=82=AC?==?iso-8859-1?q?=F6?=", "€ö"),
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
        ("attachment; filename=a; b.txt; size=1", "a; b.txt"),
        ("attachment; filename=a (1), b.txt;", "a (1), b.txt"),
        ('attachment; filename=report "final".txt', 'report "final".txt'),
        ('attachment; filename="a.txt; size=1', "a.txt"),
        ('attachment; filename="a.txt" size=1', "a.txt"),
        ('attachment; filename="a.txt" (comment); size=1', "a.txt"),
        ("attachment (x); filename=a.txt", "a.txt"),
        ("attachment filename=a.txt", "a.txt"),
        ("attachment, filename=a.txt", "a.txt"),
        ("attachment;;filename=a.txt", "a.txt"),
        ("attachment; filename=; filename=b.txt", "b.txt"),
        ("attachment; FileName=a.txt", "a.txt"),
        ("attachment; filename*2=c.txt; filename*0=a; filename*1=b", "abc.txt"),
        ("attachment; filename*2=.txt; filename*0=a", "a.txt"),  # one is missing
        ("attachment; filename*1=b.txt", "b.txt"),  # the first is missing
        ("attachment; filename*0*=utf-8''%C3%B6; filename*1=\"%41.txt\"", "ö%41.txt"),
        ("attachment; filename*=utf-8'%C3%B6.txt", "ö.txt"),
        ("attachment; filename*=\"utf-8''%C3%B6.txt\"", "ö.txt"),
        ("attachment; filename*=it's.txt", "it's.txt"),
        ("attachment; filename*=gb2312''%D6%D0.txt", "中.txt"),
        ("attachment; filename*=utf-8''%ZZ%.txt", "%ZZ%.txt"),
        ('attachment; filename*0="=?utf-8?b?w7Y="; filename*1="?=.txt"', "ö.txt"),
        ("attachment; filename==?utf-8?q?=C3=B6=3B_a.txt?=", "ö; a.txt"),
        ('attachment; filename="=?utf-8?q?a?= =?utf-8?q?b.txt?="', "ab.txt"),
    ],
)
def test_file_name_parameter(value: str, name: str) -> None:
    main, parameters = parse_parameters(value)
    assert main == "attachment"
    assert parameters.get("filename", "") == name


@pytest.mark.parametrize(
    ("value", "main", "charset"),
    [
        ("text/plain; charset=utf-8", "text/plain", "utf-8"),
        ("Text/Plain ; charset = utf-8", "text/plain", "utf-8"),
        ("text/plain charset=utf-8", "text/plain", "utf-8"),
        ("text/plain, charset=utf-8", "text/plain", "utf-8"),
        ("text/plain (comment); charset=utf-8 (another)", "text/plain", "utf-8"),
        ('"text/plain"; charset="utf-8"', "text/plain", "utf-8"),
        ("Content-Type: text/plain; charset=utf-8", "text/plain", "utf-8"),
        ("text / plain; charset=utf-8", "text/plain", "utf-8"),
        ("text/plain; charset=utf-8; charset=koi8-r", "text/plain", "utf-8"),
        ("text/plain; charset=; charset=koi8-r", "text/plain", "koi8-r"),
        ("charset=utf-8", "", "utf-8"),
        ("text/plain; charset", "text/plain", ""),
        ("text", "text", ""),
        ("", "", ""),
        (";", "", ""),
        ("=", "", ""),
    ],
)
def test_content_type_parameter(value: str, main: str, charset: str) -> None:
    read, parameters = parse_parameters(value)
    assert (read, parameters.get("charset", "")) == (main, charset)


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
        (b"A: 1\njunk\nX-B: 2\n\n", [("A", b"1"), ("X-B", b"2")], b""),
        (b"A: 1\njunk\nmore junk\nTo: 2\n\n", [("A", b"1"), ("To", b"2")], b""),
        (b"A: 1\nHello Ann\nNote: it is broken\n\n", [("A", b"1")], b"Hello Ann\nNote: it is broken\n\n"),
        # A quoted header in a body without its empty line.
        (b"From: a\nI wrote\nFrom: b\n\n", [("From", b"a")], b"I wrote\nFrom: b\n\n"),
        (b"A: 1\r\r\nB: 2\r\r\n\r\r\nbody", [("A", b"1"), ("B", b"2")], b"body"),
        (b"Return-Path: <a@b>\n>From x Mon Jan 1\nA: 1\n\n", [("Return-Path", b"<a@b>"), ("A", b"1")], b""),
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
        (b"\xef\xbb\xbfSubject: bom\n\n", "bom"),
        (b"\r\n \r\nSubject: late\n\n", "late"),
        (b"\nFrom x Mon Jan 1\nSubject: late\n\n", "late"),
        (b"\nNote: this is a body", ""),
        (b"A: 1\rSubject: mac\r\rbody", "mac"),
        (b"A: 1\rSubject: mac header\r\rbody\nwith line feeds", "mac header"),
        (b"Subject: =?koi8-r?Q?\xf0\xd2\xc9\xd7\xc5\xd4?=\n\n", "Привет"),
        (b"Subject: \xf0\xd2\xc9 =?koi8-r?Q?=F7\xc5\xd4?=\n\n", "При Вет"),
        (b"Subject: =?utf-8?q?a?= \xc3\xb6\n\n", "a ö"),
        (b"From: \xd0\x98\xd0\xb2\xd0\xb0\xd0\xbd\nSubject: \xd0!\n\n", "\ufffd!"),  # cut UTF-8
        (
            b"Subject: \xf0\xd2\xc9\xd7\xc5\xd4\nContent-Type: multipart/mixed; boundary=b\n\n"
            b"--b\nContent-Type: text/plain; charset=koi8-r\n\n\xf0\n--b--\n",
            "Привет",
        ),
        ("Subject: Счёт на оплату за ноябрь\n\n".encode("cp1251"), "Счёт на оплату за ноябрь"),
    ],
)
def test_subject(raw: bytes, subject: str) -> None:
    assert parse(raw).subject == subject
