"""Folding of quoted history: what is in doubt stays."""

from __future__ import annotations

import time

import pytest

from tests.mail.stored import Stored, name_of, stored
from webapp.mail.parse import parse
from webapp.mail.reply import reply_text, without_signature

REPLIES = [
    *stored("replies/clients", fewest=114),
    *stored("replies/languages", fewest=104),
    *stored("replies/kept", fewest=54),
    *stored("replies/short", fewest=36),
]


@pytest.mark.parametrize("message", REPLIES, ids=name_of)
def test_of_a_reply_stays_what_its_sender_wrote(message: Stored) -> None:
    assert parse(message.raw).reply_text == message.expected["reply_text"]


def test_what_leaves_nothing_stays() -> None:
    assert reply_text("") == ""
    assert reply_text("> old") == "> old"


BLOCK = "From: Bob <bob@example.net>\nSent: Monday\nTo: Alice\nSubject: Printer\n\nold"


@pytest.mark.parametrize(
    ("subject", "is_forward"),
    [
        ("Fwd: x", True), ("FW: x", True), ("WG: x", True), ("TR : x", True), ("RV: x", True), ("I: x", True),
        ("ENC: x", True),
        ("VS: x", True), ("Doorst: x", True), ("转发：x", True), ("転送: x", True), ("[T-1042] FW: x", True),
        ("Re: x", False), ("", False), ("AW: WG: x", False), ("Forward: x", False), ("In: x", False),
    ],
)  # fmt: skip
def test_a_forward_by_its_subject_stays_whole(subject: str, is_forward: bool) -> None:
    text = f"Please have a look at this.\n\n{BLOCK}"
    assert reply_text(text, subject=subject) == (text if is_forward else "Please have a look at this.")


def test_vs_is_an_answer_in_finnish() -> None:
    text = "Toimii.\n\nLähettäjä: Desk\nLähetetty: 5.1.2024 10:12\nVastaanottaja: A\nAihe: x\n\nvanha"
    assert reply_text(text, subject="VS: x") == "Toimii."


def test_a_text_without_history_loses_its_signature_only() -> None:
    assert without_signature("It works.\n\n> a prompt\n\n-- \nAlice") == "It works.\n\n> a prompt"
    assert without_signature("-- \nAlice") == ""


def test_an_ordinary_text_costs_little() -> None:
    text = "\n".join(
        ["Good morning,", *["the printer prints blank pages since Monday, please have a look"] * 28, "Alice"]
    )
    times = []
    for _ in range(50):
        begin = time.perf_counter()
        reply_text(text)
        times.append(time.perf_counter() - begin)
    assert min(times) < 0.000_5  # 0.07 ms where nothing else runs


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "piece",
    [
        "> On x wrote:\n",
        "On 2020 y\n\n",
        "From: x\nTo: y\n",
        "-",
        " ",
        "\n",
        "On a\n",
        ">",
        "_" * 20 + "\n",
        "x wrote:\n",
        "On 1 x wrote:\na\n> b\nc\n",
        "a@b wrote:\n",
        "From:\n",
        ">\n",
        "-- \nx\n",
        "sent from my iphone\n",
        "____________\nmailing list\n",
        "a\n> wrote:\n",
        "On 2024 10:12 <a@b> wrote:\n> b\n\nc\n",
        "：\n",
    ],
)
def test_long_texts_take_one_pass(piece: str) -> None:
    begin = time.process_time()
    assert reply_text(piece * (500_000 // len(piece))) is not None
    assert reply_text("Hello\n\n" + piece * (500_000 // len(piece)) + "\nBye") is not None
    assert time.process_time() - begin < 8
