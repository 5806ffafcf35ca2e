"""Authentication-Results (RFC 8601): whose word counts, and what it says."""

from __future__ import annotations

import pytest

from webapp.mail.authentication_results import dmarc_result

OURS = "mx.desk.test"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("mx.desk.test; dmarc=pass header.from=acme.test", "pass"),
        (
            "MX.desk.test.; spf=pass smtp.mailfrom=acme.test; dmarc=FAIL (p=reject) header.from=acme.test",
            "fail",
        ),
        ("mx.desk.test 1; dmarc=pass", "pass"),
        ("(comment) mx.desk.test (more); dmarc=none", "none"),
        ("mx.desk.test; none", None),
        ("mx.desk.test; spf=pass", None),
        ("mx.desk.test 2; dmarc=pass", None),
        ("mx.evil.test; dmarc=pass", None),
        ("mx.desk.test.evil.test; dmarc=pass", None),
        # What a stranger chose cannot speak: in quotes, in comments, in a value.
        ('mx.desk.test; spf=fail reason="x; dmarc=pass"; dmarc=fail', "fail"),
        ("mx.desk.test; spf=fail (x; dmarc=pass \\) (nested; dmarc=pass) y); dmarc=fail", "fail"),
        ("mx.desk.test; spf=pass smtp.mailfrom==?utf-8?q?a=3B_dmarc=3Dpass?=@x; dmarc=fail", "fail"),
        ("mx.desk.test; dmarc=pass; dmarc=none", None),
        # Nor can a stranger hide a failure, with what the server copies from MAIL FROM or HELO as it is.
        ("mx.desk.test; dmarc=pass; dmarc=fail", "fail"),
        ("mx.desk.test; spf=none smtp.mailfrom=(x@evil.test; dmarc=fail header.from=acme.test", "fail"),
        ('mx.desk.test; spf=none smtp.mailfrom="x@evil.test; DMARC = Fail header.from=acme.test', "fail"),
        ("mx.desk.test; spf=none smtp.mailfrom=x)@evil.test; dmarc=fail header.from=acme.test", "fail"),
        ("mx.desk.test; spf=none smtp.mailfrom=(x@evil.test; dmarc=fail; spf=none smtp.helo=).test", "fail"),
        ("mx.desk.test; spf=none smtp.mailfrom=(x@evil.test; dmarc=pass header.from=evil.test", None),
        (
            "mx.desk.test; dmarc=pass header.from=acme.test; arc=fail (dmarc=fail fromdomain=acme.test)",
            "pass",
        ),
        ("mx.desk.test; spf=none smtp.mailfrom=(x@evil.test; dmarc=failed", None),
        ("mx.desk.test; dmarc=pass (never closed", None),
        ('mx.desk.test; dmarc=pass "never closed', None),
        ("mx.desk.test; dmarc=pass)", None),
        ("", None),
    ],
)
def test_a_field(value: str, expected: str | None) -> None:
    assert dmarc_result([("Authentication-Results", value)], OURS) == expected


def test_the_topmost_of_our_server_counts() -> None:
    fields = [
        ("Received", "by mx.desk.test"),
        ("Authentication-Results", "other.test; dmarc=pass"),
        ("authentication-results", "mx.desk.test; dmarc=fail"),
        ("Authentication-Results", "mx.desk.test; dmarc=pass"),
    ]
    assert dmarc_result(fields, OURS) == "fail"
    assert dmarc_result(fields, "other.test") == "pass"
    assert dmarc_result([fields[0], *fields[3:]], OURS) == "pass"
