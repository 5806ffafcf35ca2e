"""Who a message is from hangs on its octets: no charset makes another sender of them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.mail.stored import Stored, name_of, stored
from webapp.mail.authentication_results import dmarc_result
from webapp.mail.parse import parse

CHARSETS = """utf-8 utf-7 utf-16 utf-16-le utf-32 cp037 cp500 cp875 cp1026 iso-2022-jp iso-2022-kr hz
shift_jis gb18030 big5 euc-kr euc_jp iso-8859-1 koi8-r x-nope""".split()  # noqa: SIM905
VICTIM = "<alice@victim.example>"


@pytest.mark.parametrize("message", stored("senders", fewest=9), ids=name_of)
def test_a_sender_or_the_doubt(message: Stored) -> None:
    sender = parse(message.raw).sender
    assert sender.doubt == message.expected["doubt"]
    assert sender.addr_spec == message.expected.get("from_addr")
    assert "from_name" not in message.expected or sender.display_name == message.expected["from_name"]


@st.composite
def from_values(draw: st.DrawFn) -> bytes:
    pieces = []
    for _ in range(draw(st.integers(1, 4))):
        text = draw(
            st.sampled_from([VICTIM, "<bob@evil.example>", '"', "(", ")", " ", "Ann", ",", "\\", "ソ"])
        )
        charset = draw(st.sampled_from(CHARSETS[:-1]))
        try:
            pieces.append(text.encode(charset))
        except UnicodeError:
            pieces.append(text.encode())
        pieces.append(draw(st.sampled_from([b"", b"", b"\xe9", b"\x83", b"\x1b(B", b"=?utf-7?q?x?="])))
    return b"".join(pieces).replace(b"\r", b"").replace(b"\n", b"").replace(b"\x00\x00\x00", b"")


@given(from_values(), st.sampled_from(CHARSETS))
@settings(max_examples=300, deadline=None)
def test_a_sender_stands_in_the_message_octet_by_octet(value: bytes, charset: str) -> None:
    raw = b"From: " + value + b"\r\nContent-Type: text/plain; charset=" + charset.encode() + b"\r\n\r\nhi"
    found = parse(raw).sender.addr_spec
    assert found is None or found.encode() in value
    if found == "alice@victim.example" and b"bob@evil.example" in value:
        assert parse(raw.replace(charset.encode(), b"us-ascii")).sender.addr_spec == found


@pytest.mark.parametrize("charset", CHARSETS)
def test_what_our_server_found_out_is_read_as_it_wrote_it(charset: str) -> None:
    fields = (
        b'Authentication-Results: mx.desk.test; dmarc=fail header.from="\xe9\x83\\" x.test"\r\n'
        b"Authentication-Results: mx.desk.test; dmarc=pass\r\n"
    )
    raw = fields + b"From: a@x.test\r\nContent-Type: text/plain; charset=%s\r\n\r\nhi" % charset.encode()
    assert dmarc_result(parse(raw).headers, "mx.desk.test") == "fail"


@pytest.mark.parametrize("signatures", [30, 700])
def test_no_number_of_signatures_hides_what_our_server_found_out(signatures: int) -> None:
    one = b'dkim=fail header.d=%d.evil.example reason="signature verification failed";\r\n\t'
    found = b"".join(one % number for number in range(signatures))
    raw = b"Authentication-Results: mx.desk.test; " + found + b"dmarc=fail\r\nFrom: a@x.test\r\n\r\nhi"
    assert dmarc_result(parse(raw).headers, "mx.desk.test") == "fail"
