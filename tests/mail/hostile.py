"""Messages made to break their reader: name -> what builds it. Used by the tests and by `bench/hostile.py`.

Each aims at one place where a reader's time, memory or stack grows faster than the message.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Callable

FROM = b"From: Ann Lee <ann@acme.test>\r\nSubject: hostile\r\nMIME-Version: 1.0\r\n"
TEXT = b"Content-Type: text/plain; charset=utf-8\r\n"
HTML = b"Content-Type: text/html; charset=utf-8\r\n"
MIXED = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n"
KB = 1_000
MB = 1_000_000


def header(field: bytes, value: bytes) -> bytes:
    return FROM + field + b": " + value + b"\r\n\r\nhello\r\n"


def text(body: bytes, *fields: bytes) -> bytes:
    return FROM + TEXT + b"".join(field + b"\r\n" for field in fields) + b"\r\n" + body


def html(body: bytes) -> bytes:
    return FROM + HTML + b"\r\n" + body


def file(head: bytes, body: bytes) -> bytes:
    return (
        FROM + MIXED + b"--b\r\n" + TEXT + b"\r\nhello\r\n--b\r\n" + head + b"\r\n" + body + b"\r\n--b--\r\n"
    )


def nested_multiparts(depth: int, boundary: bytes = b"b%d") -> bytes:
    names = [boundary % level if b"%" in boundary else boundary for level in range(depth)]
    parts = [b"Content-Type: multipart/mixed; boundary=%s\r\n\r\n--%s\r\n" % (name, name) for name in names]
    return FROM + b"".join(parts) + TEXT + b"\r\nhello\r\n"


def nested_base64(depth: int) -> bytes:
    inner = b"Content-Type: text/plain\r\n\r\nhello " + b"x" * 20 * KB
    for _ in range(depth):
        inner = (
            b"Content-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: base64\r\n\r\n"
            + base64.encodebytes(b"--b\r\n" + inner + b"\r\n--b--\r\n")
        )
    return FROM + inner


def parts(count: int, part: bytes) -> bytes:
    return FROM + MIXED + (b"--b\r\n" + part + b"\r\n") * count + b"--b--\r\n"


def prefix_boundaries(count: int) -> bytes:
    lines = b"".join(b"--" + b"b" * (number % 900) + b"\r\n" for number in range(count))
    return FROM + b"Content-Type: multipart/mixed; boundary=" + b"b" * 69 + b"\r\n\r\n" + lines


def words(count: int, word: bytes) -> bytes:
    return header(b"Subject", b"\r\n ".join([word] * count))


def octets(count: int) -> bytes:
    return random.Random(1).randbytes(count)  # the same every time


def many_fields(name: bytes, value: bytes, count: int) -> bytes:
    return FROM + (name + b": " + value + b"\r\n") * count + b"\r\nhello\r\n"


def sections(count: int) -> bytes:
    value = b"".join(b"; filename*%d*=%%41" % number for number in range(count))
    return file(b"Content-Disposition: attachment" + value + b"\r\n", b"x")


def tnef(count: int) -> bytes:
    attribute = b"\x01\x05\x90\x06\x00\xff\xff\xff\x7f"
    return file(b"Content-Type: application/ms-tnef\r\n", b"\x78\x9f\x3e\x22\x01\x00" + attribute * count)


def calendar(line: bytes, count: int) -> bytes:
    body = b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n" + line * count + b"END:VEVENT\r\nEND:VCALENDAR\r\n"
    return file(b"Content-Type: text/calendar; method=REQUEST\r\n", body)


def ber(tag: int, content: bytes) -> bytes:
    size = len(content).to_bytes(4, "big")
    return bytes((tag, 0x84)) + size + content


def signed_in_pieces(count: int) -> bytes:
    """A CMS object whose content comes in so many pieces without an octet."""
    content = b"\x24\x80" + b"\x04\x00" * count + b"\0\0"
    encapsulated = ber(0x30, ber(6, bytes.fromhex("2a864886f70d010701")) + ber(0xA0, content))
    signed = ber(0x30, ber(2, b"\1") + ber(0x31, b"") + encapsulated)
    octets = ber(0x30, ber(6, bytes.fromhex("2a864886f70d010702")) + ber(0xA0, signed))
    head = b"Content-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    return head + base64.encodebytes(octets)


def tnef_of_empty_values(properties: int) -> bytes:
    one = b"\x1f\x10\x00\x10" + (4_000).to_bytes(4, "little") + bytes(4) * 4_000
    value = properties.to_bytes(4, "little") + one * properties
    head = b"\x78\x9f\x3e\x22\x01\x00\x01\x03\x90\x06\x00" + len(value).to_bytes(4, "little")
    return file(b"Content-Type: application/ms-tnef\r\n", head + value + b"\0\0")


def encoded_body(encoding: bytes, body: bytes) -> bytes:
    return text(body, b"Content-Transfer-Encoding: " + encoding)


HOSTILE: dict[str, Callable[[], bytes]] = {
    # the header
    "header of 100,000 lines": lambda: many_fields(b"X-A", b"b", 100 * KB),
    "header of 100,000 folds": lambda: FROM + b"X-A: a\r\n" + b" b\r\n" * 100 * KB + b"\r\nhello",
    "header of 20 MB in one line": lambda: header(b"X-A", b"a" * 20 * MB),
    "header of junk lines": lambda: FROM + b"junk\r\n" * 100 * KB + b"To: a@b.org\r\n\r\nhello",
    "header of junk and fields": lambda: FROM + b"junk\r\nX-A: b\r\n" * 50 * KB + b"\r\nhello",
    "header of semicolons and lost folds": lambda: FROM + b"X-A: b;\r\n" + b"c;\r\n" * 50 * KB + b"\r\nhello",
    "header of CR alone": lambda: b"From: ann@acme.test\r" + b"X-A: b\r" * 100 * KB + b"\rhello\n",
    "header that never ends": lambda: FROM + b"X-A: b\r\n" * 100 * KB,
    "10,000 From fields": lambda: many_fields(b"From", b"ann@acme.test", 10 * KB),
    "10,000 Content-Type fields": lambda: many_fields(b"Content-Type", b"text/plain; a=b", 10 * KB),
    "nothing but line ends": lambda: b"\r\n" * MB,
    "nothing but NUL": lambda: bytes(5 * MB),
    "nothing but colons": lambda: b":" * 5 * MB,
    # encoded words
    "encoded words, 100,000": lambda: words(100 * KB, b"=?utf-8?q?a?="),
    "encoded words without an end": lambda: header(b"Subject", b"=?utf-8?q?a" * 30 * KB),
    "encoded words of question marks": lambda: header(b"Subject", b"=?utf-8?q?" + b"?" * MB),
    "encoded words of equals signs": lambda: header(b"Subject", b"=?utf-8?q?" + b"=" * MB),
    "encoded words of unknown charsets": lambda: header(
        b"Subject", b" ".join(b"=?x-%d?q?=FF?=" % number for number in range(20 * KB))
    ),
    "encoded words in turns of charsets": lambda: words(10 * KB, b"=?utf-8?b?w7Y=?= =?koi8-r?q?=F0?="),
    "encoded words in every address": lambda: header(b"To", b"=?utf-8?q?a?= <a@b.org>, " * 10 * KB),
    "charset names of 1 MB": lambda: header(b"Subject", b"=?" + b"u" * MB + b"?q?a?="),
    "charset made of 3D": lambda: text(
        b"\xff" * 100, b"Content-Type: text/plain; charset=" + b"=3D" * 10 * KB
    ),
    # addresses
    "addresses, 100,000": lambda: header(b"To", b"a@b.org, " * 100 * KB),
    "addresses in 1,900 fields": lambda: many_fields(b"To", b"a@b.org, " * 10, 1_900),
    "comments 30,000 deep": lambda: header(b"To", b"(" * 30 * KB + b"a@b.org"),
    "comments never closed": lambda: header(b"To", b"(a " * 10 * KB),
    "quotes never closed": lambda: header(b"To", b'"a\\' * 10 * KB),
    "angles never closed": lambda: header(b"To", b'<"a' * 10 * KB),
    "groups in groups": lambda: header(b"To", b"a:" * 15 * KB),
    "commas": lambda: header(b"To", b"," * 32 * KB),
    "names in front of commas": lambda: header(b"To", b"a, " * 10 * KB + b"<a@b.org>"),
    "a domain of labels": lambda: header(b"To", b"a@" + b"\xc3\xb6." * 10 * KB),
    # parameters and references
    "RFC 2231 sections": lambda: sections(2 * KB),
    "parameters, 100,000": lambda: header(b"Content-Type", b"text/plain" + b"; a=b" * 100 * KB),
    "parameters without values": lambda: header(b"Content-Type", b"text/plain" + b";" * 30 * KB + b"="),
    "parameters in one word, in 490 parts": lambda: parts(
        490, b"Content-Type: text/plain; " + b"a" * 30 * KB + b"\r\n\r\nhello"
    ),
    "parameters of open quotes": lambda: header(b"Content-Type", b"text/plain" + b'; a="\\' * 8 * KB),
    "a file name of 1 MB": lambda: file(b"Content-Type: a/b; name=" + b"../" * 300 * KB + b"\r\n", b"x"),
    "10,000 files of one name": lambda: parts(10 * KB, b"Content-Type: a/b; name=a.bin\r\n\r\nx"),
    "references, 100,000": lambda: header(
        b"References", b"\r\n ".join(b"<%d@b>" % n for n in range(100 * KB))
    ),
    "references of angles": lambda: header(b"References", b"<" * 32 * KB),
    "a reference of 1 MB": lambda: header(b"In-Reply-To", b"<" + b"a" * MB + b"@b>"),
    "a date of digits": lambda: header(b"Date", b"1" * MB),
    "a date of brackets": lambda: header(b"Date", b"(" * MB),
    # structure
    "multiparts 3,000 deep": lambda: nested_multiparts(3 * KB),
    "multiparts 3,000 deep of one boundary": lambda: nested_multiparts(3 * KB, b"b"),
    "multiparts in base64, 12 deep": lambda: nested_base64(12),
    "messages 1,000 deep": lambda: FROM + b"Content-Type: message/rfc822\r\n\r\n" * KB + b"\r\nhello",
    "10,000 parts": lambda: parts(10 * KB, TEXT + b"\r\nhello"),
    "10,000 parts of HTML": lambda: parts(10 * KB, HTML + b"\r\n<p>hello <b>Ann</b></p>"),
    "10,000 alternatives": lambda: parts(10 * KB, TEXT + b"\r\nhello").replace(b"mixed", b"alternative"),
    "10,000 multiparts without boundary": lambda: parts(
        10 * KB, b"Content-Type: multipart/mixed\r\n\r\n--x  \r\n"
    ),
    "delimiters that are none": lambda: FROM + MIXED + b"--bx\r\n" * 500 * KB,
    "delimiters of growing length": lambda: prefix_boundaries(30 * KB),
    "closing delimiters": lambda: FROM + MIXED + b"--b--\r\n" * 500 * KB,
    "dashes and blanks": lambda: (
        FROM + b"Content-Type: multipart/mixed\r\n\r\n" + (b"--x" + b" " * 300 + b"\r\n") * 10 * KB
    ),
    # transfer encodings and charsets
    "base64 of padding": lambda: encoded_body(b"base64", b"QQ==" * 300 * KB),
    "base64 of noise": lambda: encoded_body(b"base64", octets(3 * MB)),
    "base64 that is not labelled": lambda: encoded_body(b"7bit", base64.encodebytes(b"hello " * 500 * KB)),
    "quoted-printable of soft breaks": lambda: encoded_body(b"quoted-printable", b"=\r\n" * MB),
    "quoted-printable of blanks": lambda: encoded_body(b"quoted-printable", b"= " * MB + b"=" + b" " * MB),
    "quoted-printable that is not labelled": lambda: encoded_body(b"7bit", b"=3D=\r\n" * 500 * KB),
    "uuencode of short lines": lambda: encoded_body(b"x-uuencode", b"begin 644 a\r\n" + b"!A\r\n" * 300 * KB),
    "octets of no charset": lambda: text(octets(3 * MB)),
    "octets called UTF-7": lambda: (
        FROM + b"Content-Type: text/plain; charset=utf-7\r\n\r\n" + b"+AAA-" * 300 * KB
    ),
    "octets called punycode": lambda: (
        FROM + b"Content-Type: text/plain; charset=punycode\r\n\r\n" + b"a-b" * 300 * KB
    ),
    "octets called ISO-2022-KR": lambda: (
        FROM + b"Content-Type: text/plain; charset=iso-2022-kr\r\n\r\n" + b"\x1b$)C\x0e\xff\x0f" * 200 * KB
    ),
    "100 texts to detect": lambda: parts(100, b"Content-Type: text/plain\r\n\r\n" + octets(10 * KB)),
    # texts and what folds them
    "a line of 10 MB": lambda: text(b"a" * 10 * MB),
    "a line of 5 MB of quote marks": lambda: text(b">" * 5 * MB),
    "quotes of growing depth": lambda: text(b"".join(b">" * n + b" a\r\n" for n in range(2 * KB))),
    "marks to reply above in one line": lambda: text(b"reply above this line " * 100 * KB),
    "quotes by initials, 50,000": lambda: text(b"On 1.1.2024 Ann wrote:\r\nC> a\r\n\r\n" * 50 * KB),
    "attributions, 100,000": lambda: text(b"On Mon, 1 Jan 2024, Ann Lee wrote:\r\n> a\r\n" * 100 * KB),
    "an attribution without an end": lambda: text(b"On " + b"Monday, Ann " * 200 * KB),
    "headers quoted, 100,000": lambda: text(
        b"From: Ann\r\nSent: Monday\r\nTo: Bob\r\nSubject: a\r\n" * 25 * KB
    ),
    "signature marks, 300,000": lambda: text(b"-- \r\n" * 300 * KB),
    "blanks and line ends": lambda: text(b" \r\n" * MB),
    "flowed in one paragraph": lambda: (
        FROM + b"Content-Type: text/plain; format=flowed\r\n\r\n" + b"a \r\n" * 500 * KB
    ),
    "flowed in depths": lambda: (
        FROM + b"Content-Type: text/plain; format=flowed\r\n\r\n" + b"> a \r\n>> b \r\n" * 200 * KB
    ),
    # HTML
    "HTML of 200,000 div": lambda: html(b"<div>" * 200 * KB),
    "HTML of 200,000 open tags": lambda: html(b"<" * 200 * KB),
    "HTML of open comments": lambda: html(b"<!--" * 200 * KB),
    "HTML of 100,000 attributes": lambda: html(b"<p" + b" a=b" * 100 * KB + b">hello"),
    "HTML of one attribute of 5 MB": lambda: html(b'<p title="' + b"a" * 5 * MB + b'">hello'),
    "HTML of tables in tables": lambda: html(b"<table><tr><td>" * 5 * KB),
    "HTML of lists in lists": lambda: html(b"<ul><li>" * 5 * KB),
    "HTML of lists in lists, 60,000": lambda: html(b"<ul><li>" * 60 * KB),
    "HTML of 2 MB of items": lambda: html(b"<li>" * 500 * KB),
    "HTML in 20 parts of 400 KB": lambda: parts(20, HTML + b"\r\n" + b"<td>x" * 80 * KB),
    "HTML of formatting never closed": lambda: html(b"<b><i><a>" * 10 * KB + b"x"),
    "HTML of entities": lambda: html(b"&lt;&#65;&nbsp" * 100 * KB),
    "HTML of styles": lambda: html(b'<p style="' + b"a:b;" * 100 * KB + b'">hello'),
    "HTML of quotes in quotes": lambda: html(b"<blockquote type=cite>" * 190 + b"a" + b"</blockquote>" * 190),
    "HTML of cid pictures": lambda: html(b'<img src="cid:a@b">' * 20 * KB),
    "HTML of 10 MB": lambda: html(b"<p>hello <b>Ann</b></p>\r\n" * 400 * KB),
    "HTML of script pieces": lambda: html(b"<scr<script>ipt>" * 30 * KB),
    # containers
    "CMS in pieces of nothing": lambda: parts(20, signed_in_pieces(490 * KB)),
    "TNEF of empty values": lambda: tnef_of_empty_values(1_500),
    "490 calendars without an event": lambda: parts(
        490, b"Content-Type: text/calendar\r\n\r\nBEGIN:VCALENDAR\r\n" + b"X:a\r\n" * 19 * KB
    ),
    "TNEF of lengths that lie": lambda: tnef(10 * KB),
    "calendar of 100,000 attendees": lambda: calendar(b"ATTENDEE;CN=Ann:mailto:ann@acme.test\r\n", 100 * KB),
    "calendar of 100,000 folds": lambda: calendar(b"SUMMARY:a\r\n" + b" b\r\n" * 100 * KB, 1),
    "calendar of components": lambda: calendar(b"BEGIN:VEVENT\r\n", 100 * KB),
    "calendar of recurrence rules": lambda: calendar(
        b"RRULE:FREQ=SECONDLY;COUNT=999999999;BYDAY=MO\r\n", 50 * KB
    ),
    "delivery report of 10,000 recipients": lambda: (
        FROM
        + b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\n"
        + b"Content-Type: message/delivery-status\r\n\r\n"
        + b"Final-Recipient: rfc822; a@b.org\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n" * 10 * KB
        + b"--b--\r\n"
    ),
    "PGP armour lines": lambda: text(b"-----BEGIN PGP SIGNED MESSAGE-----\r\n" * 100 * KB),
}
