"""History found in HTML by its structure, and carried over to the text beside it."""

from __future__ import annotations

import re

import pytest

from tests.mail.stored import Stored, name_of, stored
from webapp.mail import limits
from webapp.mail.carry_over import cut_to
from webapp.mail.history_html import find_history, without_last_attribution
from webapp.mail.html_text import html_to_text
from webapp.mail.message import InboundMessage
from webapp.mail.parse import parse

FOLD = "<details><summary>Earlier messages</summary>"


def mail(html: str, *, text: str | None = None, subject: str = "Re: Printer") -> InboundMessage:
    """A message as it comes: HTML alone, or with the text beside it."""
    head = f"From: ann@acme.test\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\n"
    html_part = f"Content-Type: text/html; charset=utf-8\r\n\r\n{html}\r\n"
    if text is None:
        return parse(f"{head}{html_part}".encode())
    text_part = f"Content-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n"
    parts = "".join(f"--b\r\n{part}" for part in (text_part, html_part))
    boundary = 'Content-Type: multipart/alternative; boundary="b"\r\n\r\n'
    return parse(f"{head}{boundary}{parts}--b--\r\n".encode())


def squeezed(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


ANSWERS = stored("replies/html", fewest=22)
WHOLE = stored("replies/html-whole", fewest=10)  # nothing of these may be folded
HTML = {message.name: message.body for message in ANSWERS}
GMAIL = HTML["gmail"]


@pytest.mark.parametrize("message", ANSWERS, ids=name_of)
def test_history_is_folded(message: Stored) -> None:
    read = parse(message.raw)
    assert read.reply_text == message.expected["reply_text"]
    assert read.body_html is not None
    assert read.body_html.count(FOLD) == 1


def test_all_programs_are_known_by_their_structure() -> None:
    assert [name for name, html in HTML.items() if find_history(html) is None] == []


TOP_POSTED = [message for message in ANSWERS if "answered-below" not in message.name]


@pytest.mark.parametrize("message", TOP_POSTED, ids=name_of)
def test_the_text_beside_is_cut_at_the_same_place(message: Stored) -> None:
    """A text whose history no rule of words would know: only the HTML tells where it begins."""
    history = find_history(message.body)
    assert history is not None
    written = without_last_attribution(html_to_text(message.body[: history.start]))
    read = mail(message.body, text=f"{written}\n\nzyx 3.11.2026 wvu\nPlease restart it.\n")
    assert squeezed(read.reply_text) == squeezed(message.expected["reply_text"])


@pytest.mark.parametrize("message", WHOLE, ids=name_of)
def test_what_is_in_doubt_stays(message: Stored) -> None:
    assert find_history(message.body) is None
    read = parse(message.raw)
    assert read.reply_text == read.body_text.strip() == message.expected["reply_text"]
    assert FOLD not in (read.body_html or "")


@pytest.mark.parametrize(
    "subject", ["Fwd: Printer", "FW: Printer", "WG: Drucker", "[T-12] Fwd: Printer", "TR : x"]
)
def test_a_forward_is_what_its_sender_wants_to_say(subject: str) -> None:
    message = mail(HTML["outlook"], subject=subject)
    assert "Please restart the printer." in message.reply_text
    assert FOLD not in (message.body_html or "")


def test_an_answer_to_a_forward_is_none() -> None:
    assert mail(GMAIL, subject="Re: Fwd: Printer").reply_text == "It works now.\n\nThanks, Ann"


def test_a_mail_cannot_open_or_close_the_fold() -> None:
    html = GMAIL.replace("It works now.", "<details open><summary>x</summary>a</details></details>").replace(
        "Please restart", "</blockquote></div></details><details>b</details>Please restart"
    )
    shown = mail(html).body_html or ""
    assert shown.count("<details>") == shown.count("</details>") == 1
    assert shown.count("<summary>") == 1


def test_history_inside_of_a_table_leaves_the_html_whole() -> None:
    message = mail(f"<table><tr><td>{GMAIL}</td></tr></table>")
    assert FOLD not in (message.body_html or "")
    assert squeezed(message.reply_text) == "It works now. Thanks, Ann"


def test_all_of_it_where_nothing_would_be_left() -> None:
    message = mail(GMAIL[GMAIL.index('<div class="gmail_quote') :])
    assert "Please restart" in message.reply_text


@pytest.mark.parametrize(
    ("text", "own", "kept"),
    [
        ("One two.\n\nold", "One two", "One two."),
        ("One\ntwo (see <https://a.test/x>).\nold", "One two (see )", "One\ntwo (see <https://a.test/x>)."),
        ("- One\n- two\nold", "One\n• two", "- One\n- two"),
        ("One two old", "One two", "One two"),
        ("Something else", "One two", None),
        ("One", "One two three", None),
        ("İstanbul works\nold", "İSTANBUL works", "İstanbul works"),
    ],
)
def test_words_are_found_again(text: str, own: str, kept: str | None) -> None:
    assert cut_to(text, own) == kept


def test_a_word_more_in_the_middle_does_not_matter() -> None:
    begin, end = (
        "The printer in the second room " * 3,
        "and then it stopped with error seventeen again and again.",
    )
    assert cut_to(f"{begin}:-) {end}\nold", f"{begin}{end}") == f"{begin}:-) {end}"
    assert cut_to(f"{begin}[smile] {end}\nold", f"{begin}{end}") == f"{begin}[smile] {end}"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        ("It works.\n\nAm 3.11.2026 schrieb Desk:", "It works."),
        ("It works.\n\n03.11.2026, Desk <desk@example.org>:", "It works."),
        ("It works.\n\n------ Original Message ------\nFrom: Desk\nTo: Ann\nSubject: x", "It works."),
        ("The log says:", "The log says:"),
        ("I tried this at 10:15:", "I tried this at 10:15:"),
    ],
)
def test_an_attribution_left_behind_goes(text: str, left: str) -> None:
    assert without_last_attribution(text) == left


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "html",
    [
        "<blockquote>" * 40_000,
        '<blockquote type="cite">a@b 1:' * 15_000,
        '<hr tabindex="-1">A: b<br>' * 18_000,
        '<div class="gmail_quote">1@:' * 18_000,
        '<div class="' * 40_000,
        "<!--" * 100_000,
        '<div id="appendonsend">' + "<p>A: b</p>" * 40_000,
        "<div " + 'class="gmail_' * 35_000 + ">",
    ],
)
def test_hostile_html_costs_bounded_time(html: str) -> None:
    find_history(html[: limits.HTML_CHARS])
