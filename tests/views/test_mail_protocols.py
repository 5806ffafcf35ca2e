"""Exchange and Office365 on the page of the mail server rows, as a browser without a script sees it."""

from __future__ import annotations

import re
import time
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from werkzeug.datastructures import MultiDict

from tests.factories import set_row
from tests.views.browser import Browser
from webapp.desk import mail_servers
from webapp.instance import Instance
from webapp.mailserver.providers import EXCHANGE_ONLINE
from webapp.models import MailServer, Row
from webapp.views.mail_forms import MailServerForm

PAGE = "/settings/service-desk/mail"
APP = "11111111-2222-3333-4444-555555555555"
CANARY = "canary~Secret.Value-7391"
FORM: dict[str, Any] = {"version": "0", "timeout_ms": "30000"}
EXCHANGE = FORM | {"protocol": "exchange", "host": "mail.example.com", "username": "EXAMPLE\\help",
                   "mailbox": "help@example.com", "password": CANARY}  # fmt: skip
OFFICE365 = FORM | {"protocol": "office365", "tenant_id": "example.com", "client_id": APP,
                    "client_secret": CANARY}  # fmt: skip


def stored(instance: Instance, row: Row = Row.INCOMING) -> MailServer:
    with instance.database.reading() as session:
        found = mail_servers.load(session, row)
    assert found is not None
    return found


def texts(app: Flask, row: Row, **entries: str) -> dict[str, str]:

    with app.test_request_context():
        return MailServerForm(row, formdata=MultiDict(entries)).texts(None, ZoneInfo("UTC"))


def test_only_the_chosen_protocols_fields_are_taken(app: Flask) -> None:
    """All fields are sent, hidden ones too."""
    everything = {"host": "imap.example.com", "port": "143", "tls_mode": "starttls", "tenant_id": "a.com",
                  "mailbox": "help@example.com", "ews_url": "https://x.example.com/"}  # fmt: skip
    told = texts(app, Row.INCOMING, protocol="office365", **everything)
    assert not {"host", "port", "tls_mode", "use_ssl", "ews_url", "username"} & told.keys()
    assert told["tenant_id"] == "a.com"
    told = texts(app, Row.INCOMING, protocol="exchange", **everything)
    assert told["use_ssl"] == "true"  # there is no box to tick
    assert not {"tls_mode", "tenant_id", "plaintext_accepted"} & told.keys()
    told = texts(app, Row.OUTGOING, protocol="office365", from_address="old@x.test", from_own="a@example.com")
    assert told["from_address"] == "a@example.com"


@pytest.mark.parametrize(
    ("before", "after", "port", "left"),
    [("imap", "exchange", "993", ""), ("exchange", "imap", "443", ""), ("imap", "exchange", "8443", "8443"),
     ("imap", "imap", "993", "993"), ("", "exchange", "993", "993")],
)  # fmt: skip
def test_the_usual_port_of_another_protocol_is_left_behind(
    app: Flask, before: str, after: str, port: str, left: str
) -> None:
    assert texts(app, Row.INCOMING, protocol=after, protocol_shown=before, port=port)["port"] == left


def test_an_exchange_row_is_saved_and_shown(alice: Browser, instance: Instance) -> None:
    answer = alice.send(f"{PAGE}/incoming", f"{PAGE}/incoming/edit", **EXCHANGE)
    assert answer.status_code == 303
    row = stored(instance)
    assert (row.protocol, row.port, row.use_ssl, row.mailbox) == ("exchange", 443, True, "help@example.com")
    assert instance.vault.unseal(row.password_sealed) == CANARY
    page = alice.get(PAGE).text
    assert "Exchange · mail.example.com:443 · SSL/TLS · help@example.com" in page
    assert CANARY not in page
    assert CANARY not in alice.get(f"{PAGE}/incoming/edit").text


def test_microsoft_365_is_refused_for_exchange(alice: Browser) -> None:
    entries = EXCHANGE | {"host": "outlook.office365.com"}
    answer = alice.send(f"{PAGE}/incoming", f"{PAGE}/incoming/edit", **entries)
    assert answer.status_code == 422
    assert EXCHANGE_ONLINE in answer.text
    assert "Enter the password again." in answer.text


def test_a_client_secret_is_never_shown_again(alice: Browser, instance: Instance) -> None:
    answer = alice.send(f"{PAGE}/incoming", f"{PAGE}/incoming/edit", **OFFICE365, active="true")
    assert answer.status_code == 422
    assert "Connect a Microsoft account before you turn this on." in answer.text
    assert "Enter the client secret again." in answer.text
    assert CANARY not in answer.text
    assert alice.send(f"{PAGE}/incoming", f"{PAGE}/incoming/edit", **OFFICE365).status_code == 303
    assert instance.vault.unseal(stored(instance).client_secret_sealed) == CANARY
    form = alice.get(f"{PAGE}/incoming/edit").text
    assert "Saved. Leave empty to keep it." in form
    assert CANARY not in form


def test_a_test_comes_back_without_the_secret_and_asks_for_it_again(alice: Browser) -> None:
    answer = alice.send(f"{PAGE}/incoming/test", f"{PAGE}/incoming/edit", **OFFICE365)
    assert answer.status_code == 303
    page = look(alice, answer.location)
    assert "Test failed at" in page
    assert "Enter the client secret again before you save" in page
    assert CANARY not in page
    again = {name: text for name, text in OFFICE365.items() if name != "client_secret"}
    refused = alice.send(f"{PAGE}/incoming", f"{PAGE}/incoming/edit", **again, client_secret_typed="true")
    assert refused.status_code == 422
    assert "Enter the client secret again." in refused.text


def test_a_test_that_wants_the_account_leads_to_it(alice: Browser) -> None:
    alice.send(f"{PAGE}/incoming", f"{PAGE}/incoming/edit", **OFFICE365)
    answer = alice.send(f"{PAGE}/incoming/test/saved", PAGE)
    page = look(alice, answer.location)
    assert "No Microsoft account is connected to this row." in page
    assert f'href="{PAGE}/incoming/edit#connection-incoming"' in page
    assert "Go to the Microsoft account" in page
    assert "Office365, the mailbox of the connected account" in page


def test_hints_know_the_protocol(alice: Browser) -> None:
    path = f"{PAGE}/incoming/hints?protocol=exchange&host=mail.example.com&port=993"
    assert "Port 993 is usually a receiving (IMAP) port." in alice.get(path).text
    path = f"{PAGE}/outgoing/hints?protocol=smtp&host=smtp.office365.com&port=587"
    assert "end of December 2026" in alice.get(path).text


def test_a_conflict_shows_what_differs(alice: Browser, instance: Instance) -> None:
    set_row(instance, Row.OUTGOING, CANARY, protocol="exchange", host="mail.example.com",
            username="help@example.com")  # fmt: skip
    entries = OFFICE365 | {"version": "7", "mailbox": "other@example.com"}
    answer = alice.send(f"{PAGE}/outgoing", f"{PAGE}/outgoing/edit", **entries)
    assert answer.status_code == 409
    table = " ".join(re.sub(r"<[^>]+>", " ", answer.text.split("<tbody>")[1].split("</tbody>")[0]).split())
    assert "Protocol office365 exchange" in table
    assert "Mailbox other@example.com –" in table
    assert "Host name – mail.example.com" in table


def test_quick_fill_leads_to_office365(alice: Browser) -> None:
    page = alice.get(f"{PAGE}/incoming/edit").text
    assert "Microsoft 365 (Office365)" in page
    filled = alice.send(
        f"{PAGE}/incoming/fill", f"{PAGE}/incoming/edit", **FORM, protocol="imap",
        provider='{"protocol": "office365"}',
    ).text  # fmt: skip
    assert re.search(r'value="office365"\s+checked', filled)


def look(alice: Browser, address: str | None) -> str:
    """The page of a test once it has ended."""
    assert address
    for _ in range(200):
        page = alice.get(address, follow_redirects=True).text
        if 'http-equiv="refresh"' not in page:
            return page
        time.sleep(0.05)
    raise AssertionError("the test does not end")
