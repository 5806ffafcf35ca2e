"""No octets make `parse` raise, exceed its limits, or read the same message in two ways.

Three sources: octets at random, real messages damaged, and mail built by a grammar that knows where the
syntax is fragile. To search for longer: `SERVICEDESK_EXAMPLES=20000 pytest tests/mail/test_properties.py`.
"""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.mail.bounds import checked
from webapp.mail.attachments import attachment_content
from webapp.mail.dates import parse_date
from webapp.mail.encoded_words import decode_words
from webapp.mail.filenames import safe_filename
from webapp.mail.parameters import parse_parameters

MESSAGES = [
    raw
    for path in sorted((Path(__file__).parent.parent / "messages").glob("*/*.eml"))
    if len(raw := path.read_bytes()) < 20_000
]
EXAMPLES = int(os.environ.get("SERVICEDESK_EXAMPLES", "60"))
SEARCH = settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
)
# A longer search outlives the time limit of one test in the project's settings.
pytestmark = pytest.mark.timeout(max(60, EXAMPLES))

CHARSETS = st.sampled_from(
    """utf-8 iso-8859-1 us-ascii gb2312 gb18030 big5 shift_jis iso-2022-jp iso-2022-kr euc-kr
    ks_c_5601-1987 koi8-r
    windows-1251 utf-7 utf-16 utf-16-le utf-32 hz-gb-2312 cp037 x-nope hex idna punycode unicode-escape
    utf-8*en
    "utf-8" utf-8\x00 3Dutf-8 (x)utf-8""".split()  # noqa: SIM905
)
ENDS = st.sampled_from([b"\r\n"] * 6 + [b"\n", b"\n", b"\r", b"\r\r\n", b"\n\r"])
BLANK = st.sampled_from(["", " ", " ", "  ", "\t", "\r\n ", "\n\t"])
LETTERS = st.text(
    st.one_of(
        st.sampled_from(
            "aZ09.-_@<>()[]{}:;,\"'\\/=?*%&#+ \t\x00\x1b\x7f\x85\u200b\u202e\ufeff\u2028öß日あ한\U0001f600"
        ),
        st.characters(codec="utf-8"),
    ),
    max_size=30,
)


@st.composite
def encoded_words(draw: st.DrawFn) -> str:
    text, charset = draw(LETTERS), draw(CHARSETS)
    encoding = draw(st.sampled_from("bBqQbBqQx"))
    if encoding in "bB":
        inner = base64.b64encode(text.encode()).decode()
    else:
        inner = "".join(f"={octet:02X}" for octet in text.encode())
    cut = draw(st.integers(0, max(0, len(inner))))
    ends = draw(st.sampled_from(["?=", "?=", "?=", "?", "", "="]))
    return f"=?{charset}?{encoding}?{inner[:cut]}{ends}" + draw(BLANK)


@st.composite
def mailboxes(draw: st.DrawFn) -> str:
    name = draw(st.one_of(LETTERS, encoded_words()))
    address = draw(
        st.sampled_from(["ann@acme.test", "<ann@acme.test>", "a@bücher.de", "<@r:a@b>", "<>", "<a", "a>"])
    )
    form = draw(
        st.sampled_from(["{n} {a}", '"{n}" {a}', "{a} ({n})", "{n}: {a};", "{a}", "{n}", "'{n}' {a}"])
    )
    return form.replace("{n}", name).replace("{a}", address)


@st.composite
def parameters(draw: st.DrawFn) -> str:
    name = draw(st.sampled_from(["filename", "name", "charset", "boundary", "format", "start", "x"]))
    star = draw(st.sampled_from(["", "", "", "*", "*0", "*1", "*0*", "*1*", "*99*", "*x"]))
    value = draw(
        st.one_of(
            LETTERS, encoded_words(), CHARSETS, st.sampled_from(["b", "b1", "utf-8''%C3%B6", "''", "%"])
        )
    )
    return (
        draw(BLANK)
        + name
        + star
        + draw(BLANK)
        + "="
        + draw(st.sampled_from(["{}", '"{}"', "'{}'", '"{}'])).format(value)
    )


@st.composite
def fields(draw: st.DrawFn) -> str:
    name = draw(
        st.sampled_from(
            """From To Cc Reply-To Subject Date Message-ID In-Reply-To References Auto-Submitted X-Junk
            Content-Type
            Content-Transfer-Encoding Content-Disposition Content-ID
            Return-Path Content-Location MIME-Version""".split()  # noqa: SIM905
        )
    )
    value = draw(
        st.one_of(
            LETTERS,
            encoded_words(),
            st.lists(mailboxes(), max_size=4).map(", ".join),
            st.sampled_from(
                ["Tue, 5 Mar 2024 12:00:00 +0100", "3.4.2024", "<a@b> <c@d>", "<a@b", "base64", "x-uuencode"]
            ),
            types(),
        )
    )
    return name + draw(st.sampled_from([":", ": ", " :", ":\r\n ", ""])) + value


@st.composite
def types(draw: st.DrawFn) -> str:
    kind = draw(
        st.sampled_from(
            """text/plain text/html text/plain text/calendar multipart/mixed multipart/alternative
            multipart/related
            multipart/digest multipart/report multipart/signed multipart/encrypted
            multipart/appledouble message/rfc822
            message/delivery-status message/disposition-notification message/partial application/octet-stream
            application/ms-tnef application/pkcs7-mime image/png attachment
            inline garbage""".split()  # noqa: SIM905
        )
    )
    return ";".join([kind, *draw(st.lists(parameters(), max_size=4))])


BODY = st.one_of(
    LETTERS.map(str.encode),
    st.binary(max_size=60),
    st.binary(max_size=60).map(base64.encodebytes),
    st.sampled_from(
        [
            b"<p>one<div><table>", b"&#xD800;&#1;<img src=cid:a>",
            b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nSUMMARY:x\r\n",
            b"\x78\x9f\x3e\x22\x00\x00", b"-----BEGIN PGP MESSAGE-----",
            b"begin 644 a\r\n%:&5L;&\\\r\nend", b"a =\r\nb=C3",
            b"On Monday Ann wrote:\n> x", b"%PDF-1", b"PK\x03\x04", b"\x89PNG\r\n\x1a\n", b"", b"--b",
            b"--b--", b"\r\n",
            b"Final-Recipient: rfc822; a@b\r\nAction: failed\r\nStatus: 5.1.1\r\n", b"\x00\x00",
            b"\xef\xbb\xbf",
        ]
    ),
)  # fmt: skip


@st.composite
def mails(draw: st.DrawFn, depth: int = 0) -> bytes:
    end = draw(ENDS)
    head = [field.encode("utf-8", "surrogateescape") for field in draw(st.lists(fields(), max_size=6))]
    raw = draw(st.sampled_from(["utf-8", "utf-8", "latin-1"]))
    if raw == "latin-1":
        head = [line.decode("utf-8").encode("latin-1", "replace") for line in head]
    if depth == 0:
        head.append(b"From: Ann <ann@acme.test>")
    if depth < 3 and draw(st.booleans()):
        boundary = draw(st.sampled_from([b"b", b"b", b"b1", b"b--"]))
        kind = draw(st.sampled_from([b"mixed", b"alternative", b"related", b"digest", b"report", b"signed"]))
        head.append(b"Content-Type: multipart/" + kind + b"; boundary=" + boundary)
        parts = draw(st.lists(mails(depth + 1), max_size=3))
        body = b"".join(b"--" + boundary + end + part + end for part in parts)
        body += draw(st.sampled_from([b"--" + boundary + b"--", b"", b"--" + boundary]))
    else:
        body = draw(BODY)
    return end.join([*head, draw(st.sampled_from([b"", b"", b"", b" ", b"junk"])), body])


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    raw = bytearray(draw(st.sampled_from(MESSAGES)))
    for _ in range(draw(st.integers(1, 8))):
        at = draw(st.integers(0, len(raw)))
        kind = draw(st.integers(0, 4))
        if kind == 0:
            raw[at : at + draw(st.integers(1, 40))] = b""
        elif kind == 1:
            raw[at:at] = draw(st.binary(min_size=1, max_size=6))
        elif kind == 2:
            raw[at:at] = draw(
                st.sampled_from([b"\r\n", b"\n\n", b"\r", b"=?", b"?=", b'"', b"<", b"(", b"--", b"\x00"])
            )
        elif kind == 3:
            begin = draw(st.integers(0, len(raw)))
            raw[at:at] = raw[begin : begin + draw(st.integers(1, 200))]
        else:
            del raw[at:]
    return bytes(raw)


@SEARCH
@given(st.binary(max_size=600))
def test_octets(raw: bytes) -> None:
    checked(raw)


@SEARCH
@given(damaged())
def test_damaged_mail(raw: bytes) -> None:
    checked(raw)


@SEARCH
@given(mails())
def test_built_mail(raw: bytes) -> None:
    message = checked(raw)
    for attachment in message.attachments[:5]:
        found, content = attachment_content(raw, attachment.position)
        assert found == attachment
        assert len(content) == attachment.size


@SEARCH
@given(st.lists(encoded_words(), max_size=5).map("".join))
def test_encoded_words(value: str) -> None:
    decoded = decode_words(value)
    decoded.encode("utf-8")
    assert "\x00" not in decoded


@SEARCH
@given(st.lists(parameters(), max_size=5).map(";".join))
def test_parameters(value: str) -> None:
    for text in parse_parameters(value)[1].values():
        text.encode("utf-8")


@SEARCH
@given(LETTERS)
def test_a_safe_name_is_safe_already(name: str) -> None:
    safe = safe_filename(name)
    assert safe_filename(safe) == safe


@SEARCH
@given(
    st.lists(
        st.one_of(
            st.sampled_from(
                "Tue, 5 Mar März 2024 24 12:00 13.5. pm +0100 GMT ( ) / - T Z 上午 3/4/2024 99".split()  # noqa: SIM905
            ),
            LETTERS,
        ),
        max_size=9,
    )
)
def test_dates(words: list[str]) -> None:
    date = parse_date(" ".join(words))
    assert date is None or (date.tzinfo is not None and date == date.fromisoformat(date.isoformat()))
