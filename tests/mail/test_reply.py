"""Folding of quoted history: what is in doubt stays."""

from __future__ import annotations

import pytest

from webapp.mail.reply import reply_text

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
    "nothing": "",
    "rule": "one\n________________________________\ntwo",
    "arrow": "> this is what the log says\nand this is what I did",
}


@pytest.mark.parametrize("text", KEPT.values(), ids=KEPT.keys())
def test_what_is_in_doubt_stays(text: str) -> None:
    assert reply_text(text) == text


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
    ],
)
def test_long_texts_take_one_pass(piece: str) -> None:
    assert reply_text(piece * (500_000 // len(piece))) is not None
