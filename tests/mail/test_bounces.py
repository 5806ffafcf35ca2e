"""Bounces without a part for programs: what real systems write, and what people write about it."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path

import pytest

from tests.mail.stored import Stored, name_of, stored
from webapp.mail.message import InboundMessage, Report
from webapp.mail.parse import parse

MESSAGES = Path(__file__).parent.parent / "messages"
NULL = "Return-Path: <>\n"
DAEMON = "From: MAILER-DAEMON@mx.acme.test\n"


def read(header: str, text: str) -> InboundMessage:
    return parse(f"{header}To: desk@acme.test\nContent-Type: text/plain; charset=utf-8\n\n{text}".encode())


def failed(status: str, recipient: str, original: str | None) -> Report:
    return Report("delivery-status", recipient, "failed", status, original)


@pytest.mark.parametrize(
    ("name", "recipient", "status", "original"),
    [
        ("domino-01", "kijitora@example.jp", "5.1.1", None),
        ("exim-06", "kijitora@example.com", "5.4.7", "00000000000000000000000000000000@mx.example.org"),
        ("gmail-03", "kijitora@example.co.jp", "5.7.0", "CBA48452-0888-4AAC-AA4E-0F54D382117F@gmail.com"),
        (
            "gmx-01",
            "shironeko@example.jp",
            "5.2.2",
            "trinity-d174cb7e-d4a8-4dd5-8b53-7a9f70928e75-1417217529360@3capp-mailcom-lxa02",
        ),
        ("mailru-01", "kijitora@example.jp", "5.1.1", "8F3CE2D8-D60E-48C3-B9AF-BED628EE2CA5@mail.example.ru"),
        ("notes-01", "kijitora@u1.example.co.jp", "", "000000000.0000000000000.notes@example.co.jp"),
        ("office365-01", "kijitora@example.com", "5.1.10", "FFFFFFFF.EEEEEEEE@example.ed.jp"),
        (
            "qmail-01",
            "kijitora@example.ne.jp",
            "5.5.0",
            "000000000.9999999999999.JavaMail.postmaster@mailhub",
        ),
        ("yahoo-01", "kijitora@example.org", "5.1.1", "6AE6249A-E7A8-4980-862C-F499F6B8E7C5@y.example.co.jp"),
        (
            "zoho-03",
            "shironeko@example.org",
            "5.1.1",
            "14a3e1e110a.b4fa4ce310535.5193856207448782548@zoho.example.com",
        ),
    ],
)
def test_real_ones(name: str, recipient: str, status: str, original: str | None) -> None:
    message = parse((MESSAGES / "sisimai" / f"lhost-{name}.eml").read_bytes())
    assert message.report == failed(status, recipient, original)
    assert message.automated[0].rule == "delivery-report"


@pytest.mark.parametrize("message", stored("bounces", fewest=23), ids=name_of)
def test_what_systems_and_people_write(message: Stored) -> None:
    report = parse(message.raw).report
    told = asdict(report) | {"others": [asdict(one) for one in report.others]} if report else None
    expected = message.expected["report"]
    assert told == (expected and {"others": []} | expected)


def test_no_message_of_people_in_the_corpus_is_a_bounce() -> None:
    folders = ("talon", "trimmer", "mpr", "djhelpdesk", "webklex", "enmime", "own")
    found = [
        path.name
        for folder in folders
        for path in (MESSAGES / folder).glob("*.eml")
        if (report := parse(path.read_bytes()).report) and report.kind == "delivery-status"
    ]
    assert [name for name in sorted(found) if "bounce" not in name and "dsn" not in name] == []


@pytest.mark.parametrize(
    "text",
    ["a" * 2_000_000, "a@" * 500_000, "550 " * 300_000, "your message to " * 100_000, "\n>" * 50_000, "5.1." * 300_000,
     "user " * 300_000, "To: " + "x" * 500_000, "-- " * 300_000],
)  # fmt: skip
def test_hostile_text_costs_bounded_time(text: str) -> None:
    raw_header = NULL + DAEMON + "Subject: failure notice\n"
    begun = time.process_time()
    read(raw_header, "Hi. This is the qmail-send program at x\n" + text)
    assert time.process_time() - begun < 3
