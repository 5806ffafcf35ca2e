"""Header fields of our own: folded, ASCII, read back as they were meant, and nothing injected."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp.mail import field_lines as fields
from webapp.mail.address import parse_addresses
from webapp.mail.encoded_words import decode_words
from webapp.mail.parameters import parse_parameters

EVIL = [
    "x\r\nBcc: eve@evil.test", "x\nBcc: eve@evil.test", "x\rBcc: eve@evil.test", "x\x00y", "x\x0b", "x\x85y",
    "x\u2028y", "x\u2029y", "\u202egpj.exe", "\u2066x\u2069", "\u200fx", "\ud800", "\ufeffx",
]  # fmt: skip
WRITERS: dict[str, Callable[[str], str]] = {
    "text": lambda value: fields.text_line("Subject", value),
    "raw": lambda value: fields.raw_line("Date", value),
    "name": lambda value: fields.mailbox_line("To", [(value, "ann@acme.test")]),
    "address": lambda value: fields.mailbox_line("To", [("Ann", f"{value}@acme.test")]),
    "domain": lambda value: fields.mailbox_line("To", [("Ann", f"ann@{value}")]),
    "id": lambda value: fields.id_line("References", [value]),
    "parameter": lambda value: fields.parameter("filename", value),
}
READABLE = st.text(
    st.characters(exclude_categories=["Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"]) | st.just(" "),
    max_size=300,
)


def unfolded(line: str) -> str:
    return line.replace("\r\n", "").partition(":")[2].strip()


def is_well_folded(text: str, longest: int = 998) -> bool:
    lines = text.split("\r\n")
    return (
        text.isascii()
        and all(len(line) <= longest and line.strip() for line in lines)
        and all(line[0] in " \t" for line in lines[1:])
        and not any(char in text.replace("\r\n", "") for char in "\r\n\x00")
    )


@pytest.mark.parametrize("evil", EVIL, ids=ascii)
@pytest.mark.parametrize("writer", WRITERS)
def test_nothing_is_injected(writer: str, evil: str) -> None:
    with pytest.raises(ValueError, match=r"control character|not short ASCII|malformed"):
        WRITERS[writer](evil)


@given(READABLE)
def test_a_subject_is_read_back(subject: str) -> None:
    line = fields.text_line("Subject", subject)
    if subject.split():
        assert is_well_folded(line, 78 if not subject.isascii() else 998)
    assert decode_words(unfolded(line)) == " ".join(subject.split())


@given(READABLE.filter(lambda name: name.strip("\"' ") == name and not name.startswith("'")))
def test_a_name_is_read_back(name: str) -> None:
    line = fields.mailbox_line("To", [(name, "ann@acme.test"), ("Doe, John", "john@acme.test")])
    assert is_well_folded(line)
    found, _ = parse_addresses([line.replace("\r\n", "").partition(":")[2]])
    assert [one.addr_spec for one in found] == ["ann@acme.test", "john@acme.test"]
    wanted = " ".join(name.split())[: fields.NAME_CHARS].strip()
    if "\\" not in name and '"' not in name:
        assert found[0].display_name == wanted
    assert found[1].display_name == "Doe, John"


@given(READABLE.filter(lambda name: bool(name.strip()) and '"' not in name and "\\" not in name))
def test_a_file_name_is_read_back(name: str) -> None:
    written = fields.parameter("filename", name)
    assert is_well_folded(f"x{written}", 78)
    assert parse_parameters(f"attachment{written}")[1]["filename"] == name.strip()


def test_a_long_subject_without_blanks_is_folded() -> None:
    line = fields.text_line("Subject", "x" * 3000)
    assert is_well_folded(line, 78)
    assert decode_words(unfolded(line)) == "x" * 3000


def test_words_that_look_encoded_stay_what_they_are() -> None:
    assert decode_words(unfolded(fields.text_line("Subject", "=?utf-8?q?a?= b"))) == "=?utf-8?q?a?= b"
    line = fields.mailbox_line("From", [("=?utf-8?q?a?=", "a@b.test")])
    assert parse_addresses([unfolded(line)])[0][0].display_name == "=?utf-8?q?a?="


def test_ids_stay_ids_however_long() -> None:
    ids = [f"{'x' * 200}{number}@mail.acme.test" for number in range(21)]
    line = fields.id_line("References", ids)
    assert line.count("\r\n ") == 20
    assert "=?" not in line
    assert unfolded(line).split() == [f"<{one}>" for one in ids]


@pytest.mark.parametrize("bad", ["", "a b@c", "a<b@c", "a>b@c", "ä@c", "x" * 1000 + "@c"])
def test_what_is_no_id_is_refused(bad: str) -> None:
    assert not fields.is_id(bad)
    with pytest.raises(ValueError, match="malformed id"):
        fields.id_line("In-Reply-To", [bad])


def test_a_domain_of_another_script_is_written_in_ascii() -> None:
    assert fields.ascii_addr_spec("To", "x@b\u00fccher.test") == "x@xn--bcher-kva.test"


@pytest.mark.parametrize(
    "bad", ["", "x", "x@", "@x", "x y@z.test", "a@b.test,c@d.test", "<a@b.test>", "ä@b.test", "a@b.test (c)"]
)
def test_what_is_no_address_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="address in To"):
        fields.ascii_addr_spec("To", bad)
