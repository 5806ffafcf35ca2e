"""The table of providers: that it is sound, and who is found by what."""

from __future__ import annotations

import re

import pytest

from webapp.mailserver.base import MailProtocol, TlsMode
from webapp.mailserver.providers import PROVIDERS, Provider, host_notice, of_domain, of_host, of_mail_server
from webapp.mailserver.remedy import IMPLICIT_PORT, STARTTLS_PORT

NAME = re.compile(r"([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}")


@pytest.mark.parametrize("provider", PROVIDERS, ids=lambda provider: provider.name)
def test_entry_is_sound(provider: Provider) -> None:
    for protocol in MailProtocol:
        server = provider.server(protocol)
        if server is None:
            continue
        ports = {TlsMode.IMPLICIT: IMPLICIT_PORT, TlsMode.STARTTLS: STARTTLS_PORT}[server.tls_mode]
        assert NAME.fullmatch(server.host)
        assert server.port == ports[protocol]
        assert of_host(server.host.upper() + ".") is not None
    assert provider.domains or provider.mx
    assert all(NAME.fullmatch(name) for name in (*provider.domains, *provider.mx))


def test_nobody_is_listed_twice() -> None:
    for kind in ("domains", "mx"):
        names = [name for provider in PROVIDERS for name in getattr(provider, kind)]
        assert len(names) == len(set(names))
    assert len(PROVIDERS) >= 15


@pytest.mark.parametrize(
    ("mail_server", "name"),
    [
        ("aspmx.l.google.com.", "Gmail and Google Workspace"),
        ("example-com.mail.protection.outlook.com", "Microsoft 365"),
        ("mx.zoho.eu", "Zoho Mail (Europe), own domain"),
        ("mta5.am0.yahoodns.net", "Yahoo Mail"),
        ("mx-aol.mail.gm0.yahoodns.net", "AOL Mail"),  # the more particular entry
        ("mx00.kundenserver.de", "IONOS (de)"),
        ("MX1.MAIL.OVH.NET", "OVHcloud"),
        ("notgoogle.com", None),
        ("google.com.example.org", None),
    ],
)
def test_by_mail_server(mail_server: str, name: str | None) -> None:
    found = of_mail_server(mail_server)
    assert (found and found.name) == name


def test_by_domain() -> None:
    assert getattr(of_domain("Gmail.com"), "name", None) == "Gmail and Google Workspace"
    assert of_domain("mail.gmail.com") is None


@pytest.mark.parametrize(
    ("protocol", "host", "words"),
    [
        (MailProtocol.IMAP, "Outlook.Office365.com.", "no longer accepts passwords for IMAP"),
        (MailProtocol.SMTP, "smtp.office365.com", "end of December 2026"),
        (MailProtocol.SMTP, "smtp-mail.outlook.com", "end of December 2026"),
        (MailProtocol.IMAP, "imap.gmail.com", "app password"),
        (MailProtocol.IMAP, "imap.example.com", ""),
        (MailProtocol.IMAP, "notgmail.com", ""),
    ],
)
def test_host_notice(protocol: MailProtocol, host: str, words: str) -> None:
    notice = host_notice(protocol, host)
    assert words in notice if words else notice == ""
