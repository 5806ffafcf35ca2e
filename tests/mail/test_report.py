from __future__ import annotations

import json
from typing import Any

import pytest

from tests.mail.stored import OWN
from webapp.mail import describe
from webapp.mail.message import RecipientOutcome, Report
from webapp.mail.parse import parse
from webapp.mail.wire import from_json, to_json

DSN = (
    b"From: mailer-daemon@example.org\r\n"
    b"Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n"
)
MDN = DSN.replace(b"delivery-status", b"disposition-notification")
ORIGINAL = (
    b"--b\r\nContent-Type: message/rfc822\r\n\r\n"
    b"Message-ID: <one@desk>\r\nSubject: x\r\n\r\ntext\r\n--b--\r\n"
)


def dsn(blocks: str, original: bytes = ORIGINAL, kind: str = "message/delivery-status") -> Report | None:
    part = f"--b\r\nContent-Type: {kind}\r\n\r\n{blocks}\r\n".encode()
    return parse(DSN + b"--b\r\n\r\nIt failed.\r\n" + part + original).report


FAILED = (
    "Reporting-MTA: dns; x\r\n\r\n"
    "Final-Recipient: rfc822; bob@example.org\r\nAction: failed\r\nStatus: 5.1.1\r\n"
)


def test_a_failed_delivery() -> None:
    assert dsn(FAILED) == Report("delivery-status", "bob@example.org", "failed", "5.1.1", "one@desk")


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("Action: failed", "Action: FAILED (expired)", {}),
        ("Status: 5.1.1", "Status: 5.1.1 (bad mailbox)", {}),
        ("Status: 5.1.1", "Diagnostic-Code: smtp; 550 5.1.1 no such user", {}),
        ("Status: 5.1.1\r\n", "", {"status": ""}),
        ("Status: 5.1.1", "Status: 5.0.0\r\nDiagnostic-Code: smtp; 550 5.1.1 <bob@example.org> unknown", {}),
        ("Status: 5.1.1", "Status: 5.0.0\r\nDiagnostic-Code: smtp; 550-5.0.0 x\r\n 550 5.1.1 y", {}),
        ("Status: 5.1.1", "Status: 5.0.0\r\nDiagnostic-Code: smtp; 550 No such user here", {}),
        ("Status: 5.1.1", "Status: 5.0.0\r\nDiagnostic-Code: smtp; 554 refused", {"status": "5.0.0"}),
        (
            "Status: 5.1.1",
            "Status: 5.0.0\r\nDiagnostic-Code: smtp; 550 sender address not found",
            {"status": "5.0.0"},
        ),
        (
            "Status: 5.1.1",
            "Status: 4.0.0\r\nDiagnostic-Code: smtp; 452 5.1.1 mailbox full",
            {"status": "4.2.2"},
        ),
        (
            "Status: 5.1.1",
            "Status: 5.2.2\r\nDiagnostic-Code: smtp; 550 5.1.1 unknown",
            {"status": "5.2.2"},
        ),
        ("Action: failed\r\n", "", {"action": ""}),
        ("rfc822; bob@example.org", "RFC822;<bob@example.org>", {}),
        ("rfc822; bob@example.org", "bob@example.org", {}),
        ("rfc822; bob@example.org", "x400; nobody", {"recipient": ""}),
        (
            "Action:",
            "Original-Recipient: rfc822; bobby@example.org\r\nAction:",
            {"recipient": "bobby@example.org"},
        ),
        ("Reporting-MTA: dns; x\r\n\r\n", "", {}),
        ("Reporting-MTA: dns; x", "Original-Message-ID: <two@desk>", {"original_message_id": "two@desk"}),
    ],
)
def test_variants(old: str, new: str, changed: dict[str, str]) -> None:
    expected: dict[str, Any] = {
        "kind": "delivery-status",
        "recipient": "bob@example.org",
        "action": "failed",
        "status": "5.1.1",
        "original_message_id": "one@desk",
    }
    assert dsn(FAILED.replace(old, new)) == Report(**{**expected, **changed})


def test_of_several_recipients_the_worst_is_reported() -> None:
    delivered = "Final-Recipient: rfc822; ann@example.org\r\nAction: delivered\r\nStatus: 2.0.0\r\n\r\n"
    report = dsn(delivered + FAILED)
    assert report is not None
    assert report.recipient == "bob@example.org"
    assert report.others == (RecipientOutcome("ann@example.org", "delivered", "2.0.0"),)


@pytest.mark.parametrize("group_about_the_message", ["Reporting-MTA: dns; x\r\n\r\n", ""])
def test_every_recipient_is_held_up_to_two_hundred(group_about_the_message: str) -> None:
    words = "Diagnostic-Code: smtp; 550 5.1.1 " + "x" * 500
    groups = "\r\n".join(
        f"Final-Recipient: rfc822; u{number}@example.org\r\nAction: failed\r\nStatus: 5.1.1\r\n{words}\r\n"
        for number in range(300)
    )
    report = dsn(group_about_the_message + groups)
    assert report is not None
    assert [one.recipient for one in report.outcomes] == [f"u{n}@example.org" for n in range(200)]


def test_all_of_it_survives_the_way_out_of_the_parser_process_and_the_object_shown_keeps_its_shape() -> None:
    raw = (OWN / "bounces" / "several-recipients-in-a-report.eml").read_bytes()
    message = parse(raw)
    assert message.report is not None
    assert len(message.report.others) == 3
    assert from_json(json.loads(json.dumps(to_json(message)))) == message
    assert describe(raw)["report"] == {
        "kind": "delivery-status", "recipient": "bob@example.org", "action": "failed", "status": "5.1.1",
        "original_message_id": "one@desk",
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["text/rfc822-headers", "message/rfc822-headers", "message/global"])
def test_the_original_may_be_returned_in_other_forms(kind: str) -> None:
    report = dsn(FAILED, ORIGINAL.replace(b"message/rfc822", kind.encode()))
    assert report is not None
    assert report.original_message_id == "one@desk"


def test_without_the_original() -> None:
    report = dsn(FAILED, b"--b--\r\n")
    assert report is not None
    assert report.original_message_id is None


def test_an_empty_report() -> None:
    assert dsn("", b"--b--\r\n") == Report("delivery-status", "", "", "", None)


def test_a_read_receipt() -> None:
    part = (
        b"--b\r\nContent-Type: message/disposition-notification\r\n\r\n"
        b"Final-Recipient: rfc822; bob@example.org\r\n"
        b"Original-Message-ID: <one@desk>\r\n"
        b"Disposition: manual-action/MDN-sent-manually; displayed/error\r\n--b--\r\n"
    )
    expected = Report("disposition-notification", "bob@example.org", "displayed", "", "one@desk")
    assert parse(MDN + part).report == expected


def test_no_report() -> None:
    assert parse(b"From: a@b.org\r\n\r\nx").report is None
