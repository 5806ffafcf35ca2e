"""The EWS address: made of host and port, or entered as a whole."""

from __future__ import annotations

from typing import Any

import pytest

from webapp.mailserver import ews_address
from webapp.mailserver.base import MailProtocol, ServerSettings, TlsMode
from webapp.mailserver.errors import InvalidSettings


def settings(**changes: Any) -> ServerSettings:
    values: dict[str, Any] = {
        "protocol": MailProtocol.EXCHANGE,
        "host": "mail.example.com",
        "port": 443,
        "tls_mode": TlsMode.IMPLICIT,
        "timeout": 5.0,
        **changes,
    }
    return ServerSettings(**values)


@pytest.mark.parametrize(
    ("changes", "address"),
    [
        ({}, "https://mail.example.com/EWS/Exchange.asmx"),
        ({"port": 8443}, "https://mail.example.com:8443/EWS/Exchange.asmx"),
        ({"host": " Mail.Example.COM. "}, "https://mail.example.com/EWS/Exchange.asmx"),
        ({"host": "bücher.example"}, "https://xn--bcher-kva.example/EWS/Exchange.asmx"),
        ({"host": "2001:db8::25"}, "https://[2001:db8::25]/EWS/Exchange.asmx"),
        ({"ews_url": "https://ews.example.com"}, "https://ews.example.com/EWS/Exchange.asmx"),
        ({"ews_url": " https://EWS.example.com:444/ews/exchange.asmx "}, "https://ews.example.com:444/ews/exchange.asmx"),
        ({"ews_url": "HTTPS://[2001:db8::1]:443/a"}, "https://[2001:db8::1]/a"),
    ],
    ids=str,
)  # fmt: skip
def test_address(changes: dict[str, Any], address: str) -> None:
    ews_address.check(settings(**changes))
    assert ews_address.endpoint(settings(**changes)) == address


def test_host_and_port_of_the_whole_address() -> None:
    at = ews_address.at_endpoint(settings(ews_url="https://ews.example.com:444/x"))
    assert (at.host, at.port) == ("ews.example.com", 444)


@pytest.mark.parametrize(
    "host",
    [
        "outlook.office365.com",
        "OUTLOOK.office.com",
        "eu.outlook.com",
        "contoso.mail.onmicrosoft.com.outlook.com",
    ],
)
def test_microsoft_365_is_refused(host: str) -> None:
    with pytest.raises(InvalidSettings, match="Choose Office365") as caught:
        ews_address.check(settings(host=host))
    assert caught.value.field == "protocol"
