"""Bounces without a part for programs: what real systems write, and what people write about it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from webapp.mail.message import InboundMessage, Report
from webapp.mail.parse import parse

MESSAGES = Path(__file__).parent.parent / "messages"
NULL = "Return-Path: <>\n"
DAEMON = "From: MAILER-DAEMON@mx.acme.test\n"
RETURNED = "\nReceived: from x\nMessage-ID: <one@desk>\nTo: bob@example.org\nSubject: Your ticket\n\nText\n"
EXIM = (
    "This message was created automatically by mail delivery software.\n\nA message that you sent could not be "
    "delivered to one or more of its\nrecipients. This is a permanent error. The following address(es) failed:\n\n"
    "  bob@example.org\n    host mx.example.org [192.0.2.5]: 550 5.1.1 unknown user\n\n"
)
SENDMAIL = (
    "The original message was received at Thu, 29 Apr 2010 00:00:00 +0900\n\n"
    "   ----- The following addresses had permanent fatal errors -----\n<bob@example.org>\n"
    "    (reason: 550 5.1.1 <bob@example.org>... User Unknown)\n\n   ----- Transcript of session follows -----\n"
)


def read(header: str, text: str) -> InboundMessage:
    return parse(f"{header}To: desk@acme.test\nContent-Type: text/plain; charset=utf-8\n\n{text}".encode())


def failed(status: str, recipient: str = "bob@example.org", original: str | None = "one@desk") -> Report:
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


@pytest.mark.parametrize(
    ("header", "text", "status"),
    [
        (
            NULL + "From: Mail System <x@mx.acme.test>\n",
            EXIM + "------ This is a copy of the message ------\n",
            "5.1.1",
        ),
        (DAEMON + "Subject: Returned mail: see transcript for details\n", SENDMAIL, "5.1.1"),
        (
            DAEMON + "Subject: failure notice\n",
            "Hi. This is the qmail-send program at mx.\nI'm afraid I wasn't able to deliver your message.\n\n"
            "<bob@example.org>:\nSorry, no mailbox here by that name. (#5.1.1)\n\n"
            "--- Below this line is a copy of the message.\n",
            "5.1.1",
        ),
        (
            "From: Mail Delivery Subsystem <mailer-daemon@googlemail.com>\nSubject: Delivery Status Notification (Failure)\n",
            "Address not found\n\nYour message wasn't delivered to bob@example.org because the address couldn't be "
            "found, or is unable to receive mail.\n\n----- Original message -----\n",
            "5.1.1",
        ),
        (
            "From: postmaster@acme.test\nSubject: Undeliverable: Your ticket\n",
            "Your message to bob@example.org couldn't be delivered.\n\nbob wasn't found at example.org.\n\n"
            "Remote Server returned '550 5.1.10 RESOLVER.ADR.RecipientNotFound'\n\nOriginal Message Headers\n",
            "5.1.10",
        ),
        (
            "From: System Administrator <postmaster@acme.test>\nSubject: Undeliverable: Your ticket\n",
            "Your message\n\n  To: ann@acme.test\n  Subject: Your ticket\n\ndid not reach the following recipient(s):\n\n"
            "c=US;a= ;p=X;dda:SMTP=bob@example.org; on Fri, 4 Oct 2002\n    The recipient name is not recognized\n",
            "",
        ),
        (
            "From: MDaemon@mx.acme.test\nSubject: Warning: bob@example.org - User unknown!\n",
            "bob@example.org - no such user here.\n\nThere is no user by that name at this server.\n",
            "5.1.1",
        ),
        (
            "From: Mail Delivery System <mailer-daemon@kundenserver.de>\nSubject: Mail delivery failed\n",
            "Diese Nachricht wurde automatisch vom Mail-System erzeugt.\n\nIhre Nachricht konnte nicht an die "
            "folgenden Empfänger zugestellt werden:\n\nbob@example.org:\nPostfach ist voll\n\n"
            "--- Ursprüngliche Nachricht ---\n",
            "5.2.2",
        ),
        (
            "From: postmaster@lotus.acme.test\nSubject: DELIVERY FAILURE: User bob not listed in Domino Directory\n",
            "Your message\n\n  Subject: Your ticket\n\nwas not delivered to:\n\n  bob@example.org\n\nbecause:\n\n"
            "  User bob (bob@example.org) not listed in Domino Directory\n",
            "5.1.1",
        ),
        (
            "From: courier <postmaster@mx.acme.test>\nReturn-Path: <>\nSubject: NOTICE: mail delivery status.\n",
            "This is a delivery status notification from mx.\n\nUNDELIVERABLE MAIL\n\nYour message to the following "
            "recipients cannot be delivered:\n\n<bob@example.org>:\n    mx [192.0.2.1]:\n<<< 552 over quota\n",
            "5.2.2",
        ),
    ],
)
def test_what_systems_write(header: str, text: str, status: str) -> None:
    report = read(header, text + RETURNED).report
    assert report == failed(status)


def test_a_delay_is_no_failure() -> None:
    text = (
        "Delivery to the following recipient has been delayed:\n\n     bob@example.org\n\n"
        "Message will be retried for 2 more day(s)\n\nThe error was: 450 4.2.1 try later\n"
    )
    report = read(NULL + DAEMON + "Subject: Delivery Status Notification (Delay)\n", text).report
    assert report == Report("delivery-status", "bob@example.org", "delayed", "4.2.1", None)


def test_failed_recipients_in_the_header_are_enough() -> None:
    header = "From: x@acme.test\nX-Failed-Recipients: bob@example.org, carol@example.org\nIn-Reply-To: <one@desk>\n"
    assert read(header, "It did not work.\n").report == failed("")


def test_the_message_that_came_back_as_a_part() -> None:
    raw = (
        f"{DAEMON}Subject: failure notice\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\n{EXIM}\n"
        "--b\nContent-Type: message/rfc822\n\nMessage-ID: <one@desk>\n\nx\n--b--\n"
    )
    assert parse(raw.encode()).report == failed("5.1.1")


QUOTED = "\n".join(f"> {line}" for line in (EXIM + RETURNED).splitlines())
PERSON = "From: Ann Lee <ann@acme.test>\nReturn-Path: <ann@acme.test>\n"


@pytest.mark.parametrize(
    ("header", "text"),
    [
        (PERSON + "Subject: Fwd: Undelivered Mail Returned to Sender\n", "Look at this:\n\n" + EXIM + RETURNED),
        (PERSON + "Subject: Undelivered Mail Returned to Sender\n", EXIM + RETURNED),
        (PERSON + "Subject: Mail delivery failed: returning message to sender\n", "What is this?\n" + QUOTED),
        (PERSON + "Subject: failure notice\n", SENDMAIL + RETURNED),
        ("From: Postmaster Ann <postmaster@acme.test>\nSubject: Re: your question\n", "I got this:\n" + EXIM),
        ("From: Postmaster Ann <postmaster@acme.test>\nSubject: Re: Undeliverable\n", QUOTED),
        (NULL + PERSON.partition("\n")[0] + "\nSubject: Automatische Antwort: Hallo\n",
         "Ihre E-Mail wird nicht weitergeleitet. Bitte wenden Sie sich an bob@example.org.\n"),
        (NULL + PERSON.partition("\n")[0] + "\nSubject: Out of office\n",
         "I am away. Your message to me has not been forwarded; write to bob@example.org.\n"),
    ],
)  # fmt: skip
def test_people_are_never_read_as_a_bounce(header: str, text: str) -> None:
    assert read(header, text).report is None


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
