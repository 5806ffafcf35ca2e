"""The tag in a subject: the form a desk has set, those it had before, and what is no form."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webapp.mail.conversation import answer_subject
from webapp.mail.notification import tagged_subject
from webapp.mail.ticket_tag import FIRST, TicketTags, read_form


@pytest.mark.parametrize(
    ("subject", "numbers", "stripped"),
    [
        ("Printer", (), "Printer"),
        ("Re: [T-1042] Printer", (1042,), "Re: Printer"),
        ("[t-7]Printer", (7,), "Printer"),
        ("[T-1] and [T-2] and [T-1]", (1, 2), "and and"),
        ("[T-0] [T-] [T-x] T-5 [T 5]", (), "[T-0] [T-] [T-x] T-5 [T 5]"),
        ("[T-007]", (), "[T-007]"),
        ("[T-٣]", (), "[T-٣]"),
        ("[T-9999999999999999999]", (), "[T-9999999999999999999]"),
        ("", (), ""),
    ],
)
def test_ticket_tag(subject: str, numbers: tuple[int, ...], stripped: str) -> None:
    assert tuple(number for number, _ in TicketTags().found_in(subject)) == numbers
    assert TicketTags().strip_from(subject) == stripped


def test_another_form_and_what_was_used_before() -> None:
    tags = TicketTags("(DESK#{number})", ("[IT-{number}]",))
    subject = "Re: [T-1] x [it-2] (desk#3)"
    assert tags.found_in(subject) == [(1, "[T-1]"), (2, "[it-2]"), (3, "(desk#3)")]
    assert tags.strip_from(subject) == "Re: x"
    assert answer_subject(subject, 7, tags) == "Re: x (DESK#7)"
    assert answer_subject(answer_subject(subject, 7, tags), 7, tags) == "Re: x (DESK#7)"
    assert tagged_subject(subject, 7, tags) == "Re: x (DESK#7)"


def test_a_form_without_brackets_stands_by_itself() -> None:
    tags = TicketTags("DESK{number}")
    assert tags.found_in("Re: DESK12, desk7") == [(12, "DESK12"), (7, "desk7")]
    assert tags.found_in("MYDESK12 DESK12b DESK012") == []


def test_a_number_that_is_not_ours_is_not_read_as_one() -> None:
    assert TicketTags("#{number}").found_in("Order #17") == [(17, "#17")]  # only a claim: rule 13 asks
    assert TicketTags().found_in("Order #17") == []


@pytest.mark.parametrize(
    ("form", "prefix", "kept"),
    [
        ("[{prefix}-{number}]", "T", FIRST),
        (" [{prefix}-{number}] ", "HELP", "[HELP-{number}]"),
        ("({prefix}#{number})", "M365D", "(M365D#{number})"),
        ("Ticket {number}:", "", "Ticket {number}:"),
        ("#{number}", "", "#{number}"),
    ],
)
def test_what_is_a_form(form: str, prefix: str, kept: str) -> None:
    assert read_form(form, prefix) == kept


@pytest.mark.parametrize(
    ("form", "prefix", "why"),
    [
        ("[{prefix}-{number}]", "", "1 to 10 letters"),
        ("[{prefix}-{number}]", "T\r\nBcc: x", "1 to 10 letters"),
        ("[{prefix}-{number}]", "T5", "1 to 10 letters"),
        ("[{prefix}-{number}]", "Ж", "1 to 10 letters"),
        ("[{prefix}-{number}]", "ABCDEFGHIJK", "1 to 10 letters"),
        ("[{prefix}]", "T", "{number} once"),
        ("[{prefix}-{number}-{number}]", "T", "{number} once"),
        ("[{prefix}{prefix}-{number}]", "T", "{prefix} once"),
        ("[{number}]", "T", "Put {prefix}, letters or #"),
        ("[{number}] T", "T", "Put {prefix}, letters or #"),
        ("[T2{number}]", "T", "a sign between"),
        ("[T-{number}0]", "T", "a sign between"),
        ("[T-{number}{x}]", "T", "no other braces"),
        ("[T-{number}\n]", "T", "signs that every mail program shows"),
        ("[№{number}]", "T", "signs that every mail program shows"),
        ("=?utf-8?q?T{number}?=", "T", "signs that every mail program shows"),
        ("[" + "x" * 40 + "{number}]", "T", "At most 40"),
    ],
)
def test_what_is_no_form(form: str, prefix: str, why: str) -> None:
    with pytest.raises(ValueError, match=why.replace("{", r"\{")):
        read_form(form, prefix)


@given(st.text(max_size=20), st.text(max_size=5), st.integers(1, 2**31), st.text(max_size=30))
def test_whatever_is_taken_as_a_form_is_found_again(form: str, prefix: str, number: int, text: str) -> None:
    try:
        tags = TicketTags(read_form(form + "{number}", prefix))
    except ValueError:
        return
    assert (number, tags.of(number)) in tags.found_in(f"Re: {tags.of(number)}")
    assert "\n" not in answer_subject(text, number, tags)
    assert number in [found for found, _ in tags.found_in(answer_subject("x", number, tags))]
