"""The form of a mail server row, field by field: the words are those of the pages."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from webapp.desk.mail_form import FormErrors, MailServerValues, check, hints, texts_of
from webapp.desk.mail_protocols import FIELDS, fields_of
from webapp.mailserver.base import TlsMode
from webapp.models import Row

SOFIA = ZoneInfo("Europe/Sofia")
ENTER_NAME = 'Enter only the name, without "https://", spaces or a port.'
TIMEOUT = "Enter a timeout from 1000 to 120000 milliseconds (1 s to 2 min)."
IMAP_PORT = "Enter a port from 1 to 65535. IMAP uses 993 (SSL/TLS) or 143 (STARTTLS)."
SMTP_PORT = "Enter a port from 1 to 65535. SMTP uses 465 (SSL/TLS) or 587 (STARTTLS)."
FROM = "Enter one email address, for example help@example.com."
CONTROLS = "Remove the line break or other control character."
A_MOMENT = "Enter a date and a time, such as 2026-11-23T12:00."
COMPLETE: dict[str, Any] = {"host": "mail.example.com", "username": "help@example.com"}


def one(name: str, text: str) -> dict[str, Any]:
    return {name: text}


def read(
    row: Row = Row.INCOMING, *, has_password: bool = True, zone: ZoneInfo = SOFIA, **texts: str
) -> MailServerValues:
    return check(row, texts_of(row, None) | texts, has_password=has_password, zone=zone)


def errors(row: Row = Row.INCOMING, *, has_password: bool = True, **texts: Any) -> dict[str, str]:
    with pytest.raises(FormErrors) as caught:
        read(row, has_password=has_password, **texts)
    return caught.value.errors


def test_a_row_never_set_up_is_fine_as_it_stands() -> None:
    values = read()
    assert (values.active, values.use_ssl, values.tls_mode, values.port) == (
        False,
        True,
        TlsMode.IMPLICIT,
        993,
    )
    assert (values.timeout_ms, values.requires_auth, values.process_unknown) == (30_000, True, False)
    assert (values.cutoff_enabled, values.cutoff_at, values.archive_folder) == (False, None, "")
    assert read(Row.OUTGOING).port == 587
    assert read(Row.INVOICE).tls_mode is TlsMode.STARTTLS


def test_each_row_has_its_own_fields() -> None:
    assert "from_address" not in fields_of(Row.INCOMING)
    assert "archive_folder" not in fields_of(Row.OUTGOING)
    assert set(fields_of(Row.OUTGOING)) | set(fields_of(Row.INCOMING)) == set(FIELDS)


@pytest.mark.parametrize(
    ("row", "texts", "mode", "port"),
    [
        (Row.OUTGOING, {}, "starttls", 587),
        (Row.OUTGOING, {"port": "587"}, "starttls", 587),
        (Row.OUTGOING, {"port": "465"}, "implicit", 465),
        (Row.OUTGOING, {"tls_mode": "implicit"}, "implicit", 465),
        (Row.INVOICE, {"tls_mode": "STARTTLS"}, "starttls", 587),
        (Row.OUTGOING, {"port": "2525", "tls_mode": "starttls"}, "starttls", 2525),
        (Row.OUTGOING, {"use_ssl": "false", "requires_auth": "false"}, "none", 25),
        (Row.OUTGOING, {"use_ssl": "false", "requires_auth": "false", "port": "587"}, "none", 587),
        (Row.INCOMING, {}, "implicit", 993),
        (Row.INCOMING, {"port": "993"}, "implicit", 993),
        (Row.INCOMING, {"port": "143"}, "starttls", 143),
        (Row.INCOMING, {"port": "465"}, "implicit", 465),
        (Row.INCOMING, {"port": "587"}, "starttls", 587),
        (Row.INCOMING, {"tls_mode": "starttls"}, "starttls", 143),
        (Row.INCOMING, {"port": "10993", "tls_mode": "implicit"}, "implicit", 10993),
        (Row.INCOMING, {"port": "143", "tls_mode": "implicit"}, "implicit", 143),
        (Row.INCOMING, {"use_ssl": "false", "tls_mode": "implicit"}, "none", 143),
        (Row.INCOMING, {"use_ssl": "false", "port": "4143"}, "none", 4143),
    ],
)
def test_port_and_mode_follow_each_other(row: Row, texts: dict[str, Any], mode: str, port: int) -> None:
    values = read(row, **texts)
    assert (values.security, values.port) == (mode, port)


@pytest.mark.parametrize("port", ["1993", "995", "25", "1"])
def test_an_unusual_port_with_ssl_asks_for_the_mode(port: str) -> None:
    sentence = f"Choose SSL/TLS or STARTTLS: port {port} says nothing about it."
    assert errors(port=port) == {"tls_mode": sentence}
    assert errors(Row.OUTGOING, port=port) == {"tls_mode": sentence}


@pytest.mark.parametrize(
    "port", ["0", "-1", "65536", "99999999999999999999", "1e3", "993.0", "²", "٩٩٣", "x"]
)
@pytest.mark.parametrize("mode", ["", "implicit"])
def test_a_port_that_is_none_names_the_usual_ones(port: str, mode: str) -> None:
    assert errors(port=port, tls_mode=mode) == {"port": IMAP_PORT}
    assert errors(Row.OUTGOING, port=port, tls_mode=mode) == {"port": SMTP_PORT}


@pytest.mark.parametrize("mode", ["none", "ssl", "tls"])
def test_a_mode_that_is_none_is_refused(mode: str) -> None:
    assert errors(tls_mode=mode) == {"tls_mode": "Enter implicit (SSL/TLS) or starttls."}


@pytest.mark.parametrize(
    ("row", "texts", "hint"),
    [
        (Row.INCOMING, {"port": "993"}, {}),
        (
            Row.INCOMING,
            {"port": "2993", "tls_mode": "implicit"},
            {"port": "Port 2993 is unusual: IMAP uses 993 (SSL/TLS) or 143 (STARTTLS)."},
        ),
        (
            Row.INCOMING,
            {"port": "465", "tls_mode": "starttls"},
            {
                "tls_mode": "Port 465 normally uses SSL/TLS.",
                "port": "Port 465 is usually a sending (SMTP) port.",
            },
        ),
        (
            Row.OUTGOING,
            {"port": "465", "use_ssl": "false", "plaintext_accepted": "true"},
            {"use_ssl": "Port 465 normally uses SSL/TLS."},
        ),
        (Row.OUTGOING, {"port": "25", "use_ssl": "false", "plaintext_accepted": "true"}, {}),
        (
            Row.INCOMING,
            {"port": "993", "tls_mode": "starttls"},
            {"tls_mode": "Port 993 normally uses SSL/TLS."},
        ),
        (
            Row.OUTGOING,
            {"port": "587", "tls_mode": "implicit"},
            {"tls_mode": "Port 587 normally uses STARTTLS."},
        ),
        (Row.INCOMING, {"port": "465"}, {"port": "Port 465 is usually a sending (SMTP) port."}),
        (Row.INCOMING, {"port": "587"}, {"port": "Port 587 is usually a sending (SMTP) port."}),
        (Row.OUTGOING, {"port": "993"}, {"port": "Port 993 is usually a receiving (IMAP) port."}),
        (Row.OUTGOING, {"port": "465"}, {}),
    ],
)
def test_what_is_unusual_is_told_and_not_refused(
    row: Row, texts: dict[str, Any], hint: dict[str, str]
) -> None:
    assert hints(read(row, **texts)) == hint


@pytest.mark.parametrize("timeout", ["0", "-1", "1e9", "2147483648", "", "999", "120001", "30 000", "1000.5"])
def test_a_timeout_out_of_range_is_refused(timeout: str) -> None:
    assert errors(timeout_ms=timeout) == {"timeout_ms": TIMEOUT}


@pytest.mark.parametrize("timeout", ["1000", "120000", " 5000 "])
def test_the_ends_of_the_timeouts_range_are_fine(timeout: str) -> None:
    assert read(timeout_ms=timeout).timeout_ms == int(timeout)


@pytest.mark.parametrize(
    ("typed", "stored"),
    [
        ("imap.example.com", "imap.example.com"),
        ("  IMAP.Example.COM. ", "imap.example.com"),
        ("münchen.example", "xn--mnchen-3ya.example"),
        ("MÜNCHEN.example", "xn--mnchen-3ya.example"),
        ("почта.рф", "xn--80a1acny.xn--p1ai"),
        ("imap。example。com", "imap.example.com"),
        ("xn--mnchen-3ya.example", "xn--mnchen-3ya.example"),
        ("mail_server", "mail_server"),
        ("localhost", "localhost"),
        ("192.0.2.7", "192.0.2.7"),
        ("192.0.2.7.", "192.0.2.7"),
        ("[2001:DB8::1]", "2001:db8::1"),
        ("2001:db8::1", "2001:db8::1"),
        ("", ""),
    ],
)
def test_a_host_is_kept_in_one_form(typed: str, stored: str) -> None:
    assert read(host=typed).host == stored


@pytest.mark.parametrize(
    "host",
    [
        "https://imap.example.com",
        "imap.example.com:993",
        "imap.example.com/inbox",
        "imap example com",
        "user@imap.example.com",
        "\\\\server",
        "a..b",
        ".",
        "-bad.example",
        "bad-.example",
        "x" * 64 + ".example",
        ".".join(["x" * 50] * 5),
        "imap.exa!mple.com",
        "ｉｍａｐ：９９３",
        "\u200bimap.example.com\u200b:1",
        "[2001:db8::1]:993",
    ],
)
def test_a_host_that_is_no_name_is_refused(host: str) -> None:
    assert errors(host=host) == {"host": ENTER_NAME}


@pytest.mark.parametrize("control", ["\r", "\n", "\r\n", "\x00", "\t", "\x7f", "\x85", "\u2028", "\udcff"])
@pytest.mark.parametrize("name", ["host", "username", "archive_folder", "port", "timeout_ms", "cutoff_at"])
def test_control_characters_are_refused_in_every_field(name: str, control: str) -> None:
    value = f"a{control}A1 LOGOUT"
    assert errors(**one(name, value))[name] == CONTROLS
    assert errors(**one(name, f"a{control}"))[name] == CONTROLS


@pytest.mark.parametrize("name", [name for name in FIELDS if name not in ("archive_folder", "cutoff_at")])
def test_control_characters_are_refused_in_every_field_of_a_sending_row(name: str) -> None:
    assert errors(Row.OUTGOING, **one(name, "help@example.com\r\nBcc: all@example.com"))[name] == CONTROLS


def test_a_very_long_value_and_an_unknown_field_are_refused() -> None:
    assert errors(username="x" * 256) == {"username": "Enter at most 255 characters."}
    assert errors(nonsense="1")["nonsense"].startswith("There is no setting nonsense. Known: active, ")


@pytest.mark.parametrize("flag", ["active", "use_ssl", "process_unknown", "cutoff_enabled"])
def test_a_flag_is_true_or_false(flag: str) -> None:
    assert errors(**one(flag, "maybe"))[flag] == "Enter true or false."


@pytest.mark.parametrize("text", ["true", "ON", "yes", "1"])
def test_a_flag_is_read_as_people_write_it(text: str) -> None:
    assert read(process_unknown=text).process_unknown is True


@pytest.mark.parametrize("protocol", ["", "pop3", "smtp"])
def test_a_protocol_the_row_does_not_speak_is_refused(protocol: str) -> None:
    assert errors(protocol=protocol) == {"protocol": "Choose a protocol: IMAP, Exchange, Office365."}
    if protocol != "smtp":
        assert errors(Row.OUTGOING, protocol=protocol) == {
            "protocol": "Choose a protocol: SMTP, Exchange, Office365."
        }


def test_turning_on_an_incomplete_row_says_what_is_missing() -> None:
    assert errors(active="true", has_password=False) == {
        "active": "Fill in host, port, user name and password before you turn this on.",
        "host": "Enter the host name of the mail server, for example imap.example.com.",
        "username": "Enter the user name of the mailbox.",
        "password": "Enter the password.",
    }
    assert errors(Row.OUTGOING, active="true", requires_auth="false") == {
        "active": "Fill in host and port before you turn this on.",
        "host": "Enter the host name of the mail server, for example smtp.example.com.",
        "from_address": FROM,
    }


def test_a_complete_row_can_be_turned_on() -> None:
    assert read(active="true", **COMPLETE).active
    assert read(Row.OUTGOING, active="true", **COMPLETE).active
    no_sign_in: dict[str, Any] = {
        "host": "mail.example.com",
        "from_address": "desk@example.com",
        "requires_auth": "false",
    }
    assert read(Row.INVOICE, active="true", has_password=False, **no_sign_in).active


def test_every_field_that_needs_attention_is_told_at_once_in_the_forms_order() -> None:
    found = errors(active="true", has_password=False, host="a:b", port="x", timeout_ms="1", cutoff_at="x")
    assert list(found) == ["active", "host", "port", "username", "password", "timeout_ms", "cutoff_at"]


@pytest.mark.parametrize("sentence", [FROM])
@pytest.mark.parametrize(
    "text", ["help", "Help <help@example.com>", "a@b.example, c@d.example", "help@", "a b@c.example"]
)
def test_from_is_one_address(text: str, sentence: str) -> None:
    assert errors(Row.OUTGOING, from_address=text) == {"from_address": sentence}


@pytest.mark.parametrize(
    ("username", "from_address", "stored"),
    [
        ("help@example.com", "", "help@example.com"),
        ("help@example.com", " desk@Example.com ", "desk@example.com"),
        ("EXAMPLE\\help", "", ""),
        ("not an@address@x", "", ""),
        ("help", "help@desk.local", "help@desk.local"),
    ],
)
def test_from_is_the_user_name_where_that_is_an_address(
    username: str, from_address: str, stored: str
) -> None:
    assert read(Row.OUTGOING, username=username, from_address=from_address).from_address == stored


@pytest.mark.parametrize("folder", ["100%", "a*b", "%"])
def test_an_archive_folder_has_no_wildcards(folder: str) -> None:
    assert errors(archive_folder=folder) == {
        "archive_folder": "Enter a folder name without % * or line breaks."
    }


@pytest.mark.parametrize("folder", ["INBOX", "inbox", " Inbox "])
def test_the_archive_is_not_the_inbox(folder: str) -> None:
    assert errors(archive_folder=folder) == {"archive_folder": "The archive folder cannot be the inbox."}


@pytest.mark.parametrize("folder", ["Archive", "INBOX/Archive", "Ärchiv & Söhne", ""])
def test_an_archive_folder_is_kept_as_typed(folder: str) -> None:
    assert read(archive_folder=folder).archive_folder == folder


@pytest.mark.parametrize("host", ["mail.example.com", "10.0.0.5", "8.8.8.8", "localhost.example"])
def test_a_password_in_clear_must_be_confirmed(host: str) -> None:
    sentence = "Without SSL the password travels unencrypted. Turn SSL on, or confirm that you accept this."
    assert errors(use_ssl="false", host=host) == {"plaintext_accepted": sentence}
    assert errors(Row.OUTGOING, use_ssl="false", host=host) == {"plaintext_accepted": sentence}
    assert read(use_ssl="false", host=host, plaintext_accepted="true").plaintext_accepted
    assert not read(use_ssl="true", host=host, plaintext_accepted="true").plaintext_accepted


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "::1", "[::1]"])
def test_a_password_to_this_machine_needs_no_confirmation(host: str) -> None:
    assert read(use_ssl="false", host=host).security is TlsMode.NONE


def test_without_sign_in_nothing_is_in_clear() -> None:
    assert read(Row.OUTGOING, use_ssl="false", host="mail.example.com", requires_auth="false").port == 25
    sentence = errors(Row.INCOMING, use_ssl="false", host="mail.example.com", requires_auth="false")
    assert set(sentence) == {"plaintext_accepted"}  # a mailbox always signs in


@pytest.mark.parametrize(
    ("text", "utc"),
    [
        ("2026-11-23T12:00", datetime(2026, 11, 23, 10, tzinfo=UTC)),
        ("2026-07-01T12:00", datetime(2026, 7, 1, 9, tzinfo=UTC)),
        ("2026-11-23 12:00:05", datetime(2026, 11, 23, 10, 0, 5, tzinfo=UTC)),
        ("2026-11-23", datetime(2026, 11, 22, 22, tzinfo=UTC)),
        ("2026-11-23T12:00Z", datetime(2026, 11, 23, 12, tzinfo=UTC)),
        ("2026-11-23T12:00+05:30", datetime(2026, 11, 23, 6, 30, tzinfo=UTC)),
        # Clocks go back on 25 October 2026 from 04:00 to 03:00: 03:30 is there twice, the first is +03:00.
        ("2026-10-25T03:30", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),
        ("2026-10-25T04:00", datetime(2026, 10, 25, 2, 0, tzinfo=UTC)),
        # Clocks go forward on 28 March 2027 from 03:00 to 04:00.
        ("2027-03-28T02:59:59", datetime(2027, 3, 28, 0, 59, 59, tzinfo=UTC)),
        ("2027-03-28T04:00", datetime(2027, 3, 28, 1, 0, tzinfo=UTC)),
        ("2027-03-28T03:30+02:00", datetime(2027, 3, 28, 1, 30, tzinfo=UTC)),
    ],
)
def test_a_cutoff_without_offset_is_the_desks_own_time(text: str, utc: datetime) -> None:
    assert read(cutoff_enabled="true", cutoff_at=text).cutoff_at == utc


@pytest.mark.parametrize(
    ("zone", "text", "sentence"),
    [
        (
            "Europe/Sofia",
            "2027-03-28T03:30",
            "03:30 on 28 March 2027 does not exist in Europe/Sofia (clocks go forward). "
            "Choose 04:00 or later.",
        ),
        (
            "Europe/Berlin",
            "2027-03-28T02:00:01",
            "02:00 on 28 March 2027 does not exist in Europe/Berlin (clocks go forward). "
            "Choose 03:00 or later.",
        ),
        (
            "Australia/Lord_Howe",
            "2026-10-04T02:15",
            "02:15 on 4 October 2026 does not exist in Australia/Lord_Howe (clocks go forward). "
            "Choose 02:30 or later.",
        ),
    ],
)
def test_a_time_the_clock_skips_is_refused(zone: str, text: str, sentence: str) -> None:
    with pytest.raises(FormErrors) as caught:
        read(zone=ZoneInfo(zone), cutoff_at=text)
    assert caught.value.errors == {"cutoff_at": sentence}


@pytest.mark.parametrize(
    "text",
    ["yesterday", "23.11.2026", "2026-02-30T12:00", "2026-11-23T25:00", "0001-01-01T00:00+14:00", "99"],
)
def test_what_is_no_moment_is_refused(text: str) -> None:
    assert errors(cutoff_at=text) == {"cutoff_at": A_MOMENT}


def test_a_cutoff_that_is_on_needs_a_moment() -> None:
    assert errors(cutoff_enabled="true") == {"cutoff_at": "Enter a date and a time."}
    assert read(cutoff_enabled="false", cutoff_at="2026-11-23T12:00").cutoff_at is not None
