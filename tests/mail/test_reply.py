"""Folding of quoted history: what is in doubt stays."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.mark.structures import ParameterSet

from webapp.mail.reply import reply_text, without_signature

FOLDED = {
    "nothing to fold": "It works.\n\nThanks",
    "our marker": "It works.\n\n-- reply above this line --\nold",
    "our marker quoted": "It works.\n> -- reply above this line --\n> old",
    "gmail": "It works.\n\nOn Mon, Jan 1, 2024 at 9:00 AM Desk <desk@example.org> wrote:\n\n> old\n> older",
    "gmail wrapped": "It works.\n\n"
    "On Mon, Jan 1, 2024 at 9:00 AM Service Desk <\ndesk@example.org> wrote:\n> old",
    "german": "It works.\n\nAm 01.01.2024 um 09:00 schrieb Desk:\n> old",
    "german, name first": "It works.\n\n"
    "Desk <desk@example.org> schrieb am Mo., 1. Jan. 2024\num 09:00 Uhr:\n\n> old",
    "french": "It works.\n\nLe lun. 1 janv. 2024 à 09:00, Desk <desk@example.org> a écrit :\n> old",
    "old gmail": "It works.\n\n2016-10-24 15:36 GMT+02:00 Desk <desk@example.org>:\n> old",
    "apple": "It works.\n\n> On 1 Jan 2024, at 09:00, Desk <desk@example.org> wrote:\n> \n> old",
    "outlook": "It works.\n\nFrom: Desk\nSent: Monday\nTo: Alice\nSubject: Printer\n\nold",
    "outlook with a rule": "It works.\n\n"
    "________________________________\nFrom: Desk\nSent: Monday\nTo: Alice\n\nold",
    "outlook, german": "It works.\n\nVon: Desk\nGesendet: Montag\nAn: Alice\nBetreff: Drucker\n\nold",
    "outlook, bold": "It works.\n\n*From:* Desk\n*Sent:* Monday\n*To:* Alice\n*Subject:* Printer\n\nold",
    "original message": "It works.\n\n-----Original Message-----\nFrom: Desk\n\nold",
    "original message, german": "It works.\n\n-----Ursprüngliche Nachricht-----\nold",
    "quotes only": "It works.\n\n> old\n> older",
    "signature": "It works.\n-- \nAlice\nExample Ltd",
    "signature and quote": "It works.\n-- \nAlice\n\nOn Monday Desk wrote:\n> old",
    "attribution over five lines": "It works.\n\nOn Mon,\nJan 1, 2024\nat 9:00 AM\nDesk\nwrote:\n> old",
    "turkish": "It works.\n\nDesk <desk@example.org> şunu yazdı (1 Oca 2024):\n> old",
    "greek outlook": "It works.\n\nΑπό: Desk\nΣτάλθηκε: x\nΠρος: A\nΘέμα: y\n\nold",
    "chinese outlook": "It works.\n\n发件人: Desk\n发送时间: x\n收件人: A\n主题: y\n\nold",
    "hungarian original": "It works.\n\n-----Eredeti üzenet-----\nold",
    "quote above the answer": "On 04/02/2012 06:26 PM, Desk wrote:\n> old\nIt works.",
}


@pytest.mark.parametrize("text", FOLDED.values(), ids=FOLDED.keys())
def test_history_is_folded(text: str) -> None:
    assert reply_text(text) in ("It works.", "It works.\n\nThanks")


KEPT = {
    "answers between quotes": "On Monday Desk wrote:\n> one?\nYes.\n> two?\nNo.",
    "answer below a quote": "Hello\n\nOn Monday Desk wrote:\n> one?\n\nYes.",
    "wrote in prose": "On Monday my colleague wrote:\nthe printer is broken",
    "from and to in prose": "From: London\nTo: Paris",
    "dashes": "one\n--\ntwo\n---\nthree",
    "only a quote": "> old",
    "only history": "On Monday Desk wrote:\n> old",
    "forwarded": "See below\n\n---------- Forwarded message ---------\n"
    "From: A\nDate: x\nSubject: y\nTo: z\n\nnews",
    "nothing": "",
    "rule": "one\n________________________________\ntwo",
    "arrow": "> this is what the log says\nand this is what I did",
}


@pytest.mark.parametrize("text", KEPT.values(), ids=KEPT.keys())
def test_what_is_in_doubt_stays(text: str) -> None:
    assert reply_text(text) == text


REPLIES = Path(__file__).parent / "replies"


def replies() -> Iterator[ParameterSet]:
    """Name, subject, whole text and the text to be kept, of every case in tests/mail/replies."""
    for path in sorted(REPLIES.glob("*.txt")):
        for case in f"\n{path.read_text('utf-8')}".split("\n== ")[1:]:
            title, *lines = case.replace("␠", " ").rstrip("\n").split("\n")
            name, _, subject = title.partition(" | ")
            lines = [line for line in lines if line]
            assert all(line[0] in "+-" for line in lines), name
            whole = "\n".join(line[1:] for line in lines)
            kept = "\n".join(line[1:] for line in lines if line[0] == "+")
            yield pytest.param(subject, whole, kept.strip(), id=f"{path.stem}: {name}")


@pytest.mark.parametrize(("subject", "whole", "kept"), list(replies()))
def test_of_a_reply_stays_what_its_sender_wrote(subject: str, whole: str, kept: str) -> None:
    assert reply_text(whole, subject=subject) == kept


def test_the_collection_is_whole() -> None:
    assert len(list(replies())) >= 270


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
