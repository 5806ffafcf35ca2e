"""Exchange and Office365 in the form of a row: which fields there are, and what they mean."""

from __future__ import annotations

from datetime import date
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from webapp.desk.mail_form import FormErrors, MailServerValues, check, hints, texts_of
from webapp.desk.mail_protocols import FIELDS, PROTOCOLS, fields_of
from webapp.mailserver.base import MailProtocol, TlsMode
from webapp.mailserver.providers import EXCHANGE_ONLINE
from webapp.models import Row

UTC = ZoneInfo("UTC")
APP = "11111111-2222-3333-4444-555555555555"
EXCHANGE: dict[str, Any] = {"protocol": "exchange", "host": "mail.example.com", "username": "EXAMPLE\\help"}
OFFICE365: dict[str, Any] = {
    "protocol": "office365",
    "tenant_id": "example.onmicrosoft.com",
    "client_id": APP,
}
CHOOSE = "Choose one of this mailbox's own addresses: help@example.com, support@example.com."
OWN = ("help@example.com", "support@example.com")


def read(
    row: Row = Row.INCOMING, *, has_password: bool = True, own: tuple[str, ...] = (), **texts: str
) -> MailServerValues:
    return check(row, texts_of(row, None) | texts, has_password=has_password, zone=UTC, own_addresses=own)


def errors(
    row: Row = Row.INCOMING, *, has_password: bool = True, own: tuple[str, ...] = (), **texts: str
) -> dict[str, str]:
    with pytest.raises(FormErrors) as caught:
        read(row, has_password=has_password, own=own, **texts)
    return caught.value.errors


def test_each_row_has_the_microsoft_protocols() -> None:
    assert PROTOCOLS[Row.INCOMING] == (MailProtocol.IMAP, MailProtocol.EXCHANGE, MailProtocol.OFFICE365)
    assert PROTOCOLS[Row.INVOICE] == PROTOCOLS[Row.OUTGOING]
    for row in Row:
        everything = set().union(*(fields_of(row, protocol) for protocol in PROTOCOLS[row]))
        assert everything == set(fields_of(row))
    assert "host" not in fields_of(Row.INCOMING, MailProtocol.OFFICE365)
    assert "tls_mode" not in fields_of(Row.OUTGOING, MailProtocol.EXCHANGE)
    assert "mailbox" not in fields_of(Row.OUTGOING, MailProtocol.SMTP)
    assert "from_address" not in fields_of(Row.INCOMING, MailProtocol.OFFICE365)
    assert list(FIELDS) == sorted(set(FIELDS), key=FIELDS.index)


class TestExchange:
    def test_host_and_port(self) -> None:
        values = read(**EXCHANGE)
        assert (values.host, values.port, values.ews_url) == ("mail.example.com", 443, "")
        assert (values.use_ssl, values.security) == (True, TlsMode.IMPLICIT)
        assert hints(values) == {}
        assert read(**EXCHANGE, port="8443").port == 8443

    def test_the_whole_address_says_host_and_port(self) -> None:
        texts: dict[str, Any] = {
            **EXCHANGE,
            "host": "",
            "ews_url": "HTTPS://Mail.Example.COM:8443/EWS/Exchange.asmx",
        }
        values = read(**texts)
        assert (values.host, values.port) == ("mail.example.com", 8443)
        assert values.ews_url == "https://mail.example.com:8443/EWS/Exchange.asmx"
        assert read(**{**texts, "ews_url": "https://mail.example.com"}).ews_url == (
            "https://mail.example.com/EWS/Exchange.asmx"
        )

    def test_two_servers_are_one_too_many(self) -> None:
        told = errors(**EXCHANGE, ews_url="https://other.example.com/EWS/Exchange.asmx")
        sentence = "The EWS address leads to other.example.com port 443. Empty one of the two."
        assert told == {"host": sentence}
        told = errors(**EXCHANGE, port="444", ews_url="https://mail.example.com/EWS/Exchange.asmx")
        assert set(told) == {"port"}

    @pytest.mark.parametrize(
        "url", ["http://mail.example.com/EWS", "mail.example.com", "https://", "ftp://x.example.com/"]
    )
    def test_an_address_that_is_none(self, url: str) -> None:
        told = errors(protocol="exchange", username="help", ews_url=url)
        assert told == {"ews_url": "Enter a web address that starts with https://."}

    @pytest.mark.parametrize("url", ["https://me:pw@mail.example.com/", "https://mail.example.com/?a=1"])
    def test_an_address_with_more_in_it(self, url: str) -> None:
        assert set(errors(protocol="exchange", username="help", ews_url=url)) == {"ews_url"}

    def test_ssl_cannot_be_turned_off(self) -> None:
        told = errors(**EXCHANGE, use_ssl="false")
        assert told == {"use_ssl": "Exchange is reached over HTTPS only, so SSL cannot be turned off."}

    @pytest.mark.parametrize(
        "host", ["outlook.office365.com", "Outlook.Office.com", "smtp.office365.com", "x.outlook.com."]
    )
    def test_microsofts_own_is_refused_with_the_reason(self, host: str) -> None:
        assert errors(**{**EXCHANGE, "host": host}) == {"host": EXCHANGE_ONLINE}
        told = errors(protocol="exchange", username="help", ews_url=f"https://{host.rstrip('.')}/EWS/")
        assert told == {"ews_url": EXCHANGE_ONLINE}
        assert "gone on 1 April 2027" in EXCHANGE_ONLINE
        assert EXCHANGE_ONLINE.endswith("Choose Office365.")

    def test_a_host_that_only_looks_like_it_is_fine(self) -> None:
        assert read(**{**EXCHANGE, "host": "notoffice365.com"}).host == "notoffice365.com"

    def test_what_an_active_row_needs(self) -> None:
        told = errors(protocol="exchange", active="true", has_password=False)
        assert set(told) == {"active", "host", "username", "password", "mailbox"}
        assert "host, user name, password and mailbox address" in told["active"]
        assert errors(**EXCHANGE, active="true") == {
            "active": "Fill in host, user name, password and mailbox address before you turn this on.",
            "mailbox": "Enter the address of the mailbox, for example help@example.com.",
        }
        assert read(**EXCHANGE, active="true", mailbox="help@example.com").address == "help@example.com"

    def test_the_user_name_may_say_which_mailbox(self) -> None:
        assert (
            read(**{**EXCHANGE, "username": "help@example.com"}, active="true").address == "help@example.com"
        )

    def test_from_follows_the_mailbox(self) -> None:
        values = read(Row.OUTGOING, **EXCHANGE, mailbox="help@example.com")
        assert values.from_address == "help@example.com"
        assert set(errors(Row.OUTGOING, **EXCHANGE, active="true")) == {"active", "mailbox", "from_address"}


class TestOffice365:
    def test_the_app_registration(self) -> None:
        values = read(**OFFICE365, client_secret_expires_on="2027-05-01", mailbox="help@example.com")
        assert (values.tenant_id, values.client_id) == ("example.onmicrosoft.com", APP)
        assert values.client_secret_expires_on == date(2027, 5, 1)
        assert (values.host, values.username, values.address) == ("", "", "help@example.com")
        assert hints(values) == {}

    def test_what_other_protocols_left_behind_is_not_taken_over(self) -> None:
        values = read(**OFFICE365, host="imap.example.com", port="143", username="x", use_ssl="false")
        assert (values.host, values.port, values.username, values.use_ssl) == ("", 443, "", True)

    @pytest.mark.parametrize("tenant", ["common", "Consumers"])
    def test_a_tenant_that_lets_in_anybody_is_refused(self, tenant: str) -> None:
        assert "personal Microsoft accounts" in errors(**{**OFFICE365, "tenant_id": tenant})["tenant_id"]

    @pytest.mark.parametrize("tenant", ["organizations", APP.upper(), "Example.com"])
    def test_tenants(self, tenant: str) -> None:
        assert read(**{**OFFICE365, "tenant_id": tenant}).tenant_id == tenant.lower()

    @pytest.mark.parametrize("tenant", ["example", "https://example.com", "a b.com", "../x.y"])
    def test_no_tenants(self, tenant: str) -> None:
        assert set(errors(**{**OFFICE365, "tenant_id": tenant})) == {"tenant_id"}

    @pytest.mark.parametrize("client", ["app", "1234", "help@example.com"])
    def test_no_client(self, client: str) -> None:
        assert set(errors(**{**OFFICE365, "client_id": client})) == {"client_id"}

    def test_no_date(self) -> None:
        told = errors(**OFFICE365, client_secret_expires_on="1 May")
        assert told == {"client_secret_expires_on": "Enter a date, such as 2027-05-01."}

    def test_nothing_is_spoofed(self) -> None:
        assert errors(Row.OUTGOING, own=OWN, **OFFICE365, from_address="boss@example.com") == {
            "from_address": CHOOSE
        }
        values = read(Row.OUTGOING, own=OWN, **OFFICE365, from_address="SUPPORT@example.com")
        assert values.from_address == "support@example.com"  # as Microsoft writes it

    def test_an_empty_from_is_the_accounts_first_address(self) -> None:
        assert read(Row.OUTGOING, own=OWN, **OFFICE365).from_address == "help@example.com"

    def test_a_row_that_is_on_needs_its_secret(self) -> None:
        told = errors(**OFFICE365, active="true", has_password=False)
        assert told["client_secret"] == "Enter the client secret."
        assert "app registration" in told["active"]
