"""What large mail providers tell their customers to enter. Data and three lookups; no I/O.

Where the facts come from: the providers' own help pages and the configuration files that Thunderbird
collects from them, read in November 2026; a few names (IONOS outside Germany and France, suffixes of MX
records) are common knowledge only. A wrong one costs a failed Test Connection, which says so. A domain's own
DNS record says more than this table, but few of these providers publish one.
"""

from __future__ import annotations

from dataclasses import dataclass

from .base import MailProtocol, TlsMode


@dataclass(frozen=True, slots=True)
class Server:
    """Where one protocol of a provider is answered."""

    host: str
    port: int
    tls_mode: TlsMode


@dataclass(frozen=True, slots=True)
class Provider:
    """`domains` are those of addresses, `mx` those below which the mail servers of customers' domains are.

    `note` says what has to be done there first, and so what to look at when a password is refused. Without a
    server for a protocol nothing can be entered for it; `office365`: that protocol is the way there.
    """

    name: str
    imap: Server | None
    smtp: Server | None
    domains: tuple[str, ...] = ()
    mx: tuple[str, ...] = ()
    note: str = ""
    office365: bool = False

    def server(self, protocol: MailProtocol) -> Server | None:
        return {MailProtocol.IMAP: self.imap, MailProtocol.SMTP: self.smtp}.get(protocol)


def of_domain(domain: str) -> Provider | None:
    """The provider that gives out addresses in this domain."""
    domain = _plain(domain)
    return next((provider for provider in PROVIDERS if domain in provider.domains), None)


def of_mail_server(name: str) -> Provider | None:
    """The provider behind a name in an MX record; the most particular entry wins."""
    matches = [
        (len(suffix), provider)
        for provider in PROVIDERS
        for suffix in provider.mx
        if _is_below(_plain(name), suffix)
    ]
    return max(matches, key=lambda match: match[0])[1] if matches else None


def of_host(host: str) -> Provider | None:
    """The provider whose IMAP or SMTP server this is."""
    host = _plain(host)
    if host in MICROSOFT_IMAP | MICROSOFT_SMTP:
        return MICROSOFT
    for provider in PROVIDERS:
        if any(server is not None and server.host == host for server in (provider.imap, provider.smtp)):
            return provider
    return GOOGLE if _is_below(host, "gmail.com") or _is_below(host, "googlemail.com") else None


def host_notice(protocol: MailProtocol, host: str) -> str:
    """What to know before a password is entered for this host; empty where there is nothing to say."""
    return microsoft_notice(protocol, host) or (provider.note if (provider := of_host(host)) else "")


def microsoft_notice(protocol: MailProtocol, host: str) -> str:
    """What Microsoft does to passwords on this host, or nothing."""
    host = _plain(host)
    if protocol is MailProtocol.IMAP and host in MICROSOFT_IMAP:
        return "Microsoft 365 no longer accepts passwords for IMAP. Choose Office365."
    if protocol is MailProtocol.SMTP and host in MICROSOFT_SMTP:
        return (
            "Microsoft turns password sign-in for SMTP off by default at the end of December 2026: "
            "sending with a password will stop then unless your organisation turns it on again. "
            "Office365 needs no password."
        )
    return ""


def is_exchange_online(host: str) -> bool:
    """Whether this host is Microsoft's own Exchange, where EWS is being switched off."""
    return any(_is_below(_plain(host), suffix) for suffix in ("office365.com", "office.com", "outlook.com"))


def _plain(name: str) -> str:
    return name.strip().rstrip(".").lower()


def _is_below(name: str, suffix: str) -> bool:
    return name == suffix or name.endswith(f".{suffix}")


def _implicit(host: str, port: int) -> Server:
    return Server(host, port, TlsMode.IMPLICIT)


def _starttls(host: str, port: int) -> Server:
    return Server(host, port, TlsMode.STARTTLS)


def _ionos(country: str) -> Provider:
    return Provider(
        f"IONOS ({country})",
        _implicit(f"imap.ionos.{country}", 993),
        _implicit(f"smtp.ionos.{country}", 465),
        mx=(f"ionos.{country}", *(("kundenserver.de",) if country == "de" else ())),
    )


def _zoho(where: str, ending: str, *domains: str) -> tuple[Provider, Provider]:
    """Zoho keeps addresses of its own and customers' domains on different servers."""
    note = (
        "Switch IMAP access on in Zoho Mail's settings; with two-factor authentication enter an "
        "application-specific password."
    )
    return (
        Provider(
            f"Zoho Mail{where}",
            _implicit(f"imap.zoho.{ending}", 993),
            _implicit(f"smtp.zoho.{ending}", 465),
            domains=domains,
            note=note,
        ),
        Provider(
            f"Zoho Mail{where}, own domain",
            _implicit(f"imappro.zoho.{ending}", 993),
            _implicit(f"smtppro.zoho.{ending}", 465),
            mx=(f"zoho.{ending}",),
            note=note,
        ),
    )


def _app_password(owner: str) -> str:
    return f"{owner} needs an app password: create one in the account's security settings and enter it here."


# They take OAuth only; asking them would send the password for nothing.
MICROSOFT_IMAP = frozenset({"outlook.office365.com", "outlook.office.com", "imap-mail.outlook.com"})
MICROSOFT_SMTP = frozenset({"smtp.office365.com", "smtp-mail.outlook.com"})

EXCHANGE_ONLINE = (
    "Exchange is for your own Exchange server. Microsoft is switching off EWS in Exchange Online (blocked by "
    "default since October 2026, gone on 1 April 2027). Choose Office365."
)

GOOGLE_CURE = (
    "Google needs an app password: turn on 2-Step Verification, create one at "
    "myaccount.google.com/apppasswords, paste the 16 letters."
)
GOOGLE = Provider(
    "Gmail and Google Workspace",
    _implicit("imap.gmail.com", 993),
    _starttls("smtp.gmail.com", 587),
    domains=("gmail.com", "googlemail.com"),
    mx=("google.com", "googlemail.com"),
    note=GOOGLE_CURE,
)
MICROSOFT = Provider(
    "Microsoft 365",
    None,
    _starttls("smtp.office365.com", 587),
    mx=("protection.outlook.com", "mx.microsoft"),
    note="Microsoft 365 takes no passwords for IMAP any more.",
    office365=True,
)
# They take no passwords since September 2024, and Office365 is for mailboxes of an organisation.
OUTLOOK = Provider(
    "Outlook.com",
    None,
    None,
    domains=("outlook.com", "hotmail.com", "live.com", "msn.com", "windowslive.com", "hotmail.co.uk"),
)
PROVIDERS: tuple[Provider, ...] = (
    GOOGLE,
    MICROSOFT,
    OUTLOOK,
    *_zoho("", "com", "zoho.com", "zohomail.com"),
    *_zoho(" (Europe)", "eu", "zoho.eu", "zohomail.eu"),
    Provider(
        "Fastmail",
        _implicit("imap.fastmail.com", 993),
        _implicit("smtp.fastmail.com", 465),
        domains=("fastmail.com", "fastmail.fm"),
        mx=("messagingengine.com",),
        note=_app_password("Fastmail"),
    ),
    Provider(
        "iCloud Mail",
        _implicit("imap.mail.me.com", 993),
        _starttls("smtp.mail.me.com", 587),
        domains=("icloud.com", "me.com", "mac.com"),
        mx=("mail.icloud.com",),
        note="Apple needs an app-specific password: create one at account.apple.com. "
        "For IMAP the user name is often only what stands before the @.",
    ),
    Provider(
        "Yahoo Mail",
        _implicit("imap.mail.yahoo.com", 993),
        _implicit("smtp.mail.yahoo.com", 465),
        domains=("yahoo.com", "yahoo.de", "yahoo.fr", "yahoo.it", "yahoo.es", "yahoo.co.uk", "ymail.com"),
        mx=("yahoodns.net",),
        note=_app_password("Yahoo"),
    ),
    Provider(
        "AOL Mail",
        _implicit("imap.aol.com", 993),
        _implicit("smtp.aol.com", 465),
        domains=("aol.com", "aim.com", "aol.de", "aol.fr", "aol.co.uk"),
        mx=("mail.gm0.yahoodns.net",),
        note=_app_password("AOL"),
    ),
    Provider(
        "GMX (gmx.net)",
        _implicit("imap.gmx.net", 993),
        _implicit("mail.gmx.net", 465),
        domains=("gmx.net", "gmx.de", "gmx.at", "gmx.ch", "gmx.eu"),
        mx=("gmx.net",),
        note="Allow access by POP3 and IMAP once in GMX's e-mail settings.",
    ),
    Provider(  # mail.com shares its MX, so an MX record does not tell the two apart
        "GMX (gmx.com)",
        _implicit("imap.gmx.com", 993),
        _implicit("mail.gmx.com", 465),
        domains=("gmx.com", "gmx.us", "gmx.co.uk", "gmx.fr", "gmx.es", "gmx.it"),
    ),
    Provider(
        "mail.com",
        _implicit("imap.mail.com", 993),
        _implicit("smtp.mail.com", 465),
        domains=("mail.com", "email.com", "usa.com", "europe.com", "consultant.com", "engineer.com"),
    ),
    _ionos("com"),
    _ionos("co.uk"),
    _ionos("de"),
    _ionos("fr"),
    Provider(
        "OVHcloud",
        _implicit("ssl0.ovh.net", 993),
        _implicit("ssl0.ovh.net", 465),
        mx=("mail.ovh.net",),
    ),
    Provider(
        "Hostinger",
        _implicit("imap.hostinger.com", 993),
        _implicit("smtp.hostinger.com", 465),
        mx=("hostinger.com",),
    ),
    Provider(
        "Infomaniak",
        _implicit("mail.infomaniak.com", 993),
        _implicit("mail.infomaniak.com", 465),
        domains=("ik.me", "ikmail.com"),
        mx=("infomaniak.ch",),
        note="Enter the password of this e-mail address, not that of the Infomaniak account.",
    ),
    Provider(
        "mailbox.org",
        _implicit("imap.mailbox.org", 993),
        _implicit("smtp.mailbox.org", 465),
        domains=("mailbox.org",),
        mx=("mailbox.org",),
        note="With two-factor authentication mailbox.org needs an application password.",
    ),
    Provider(
        "Posteo",
        _implicit("posteo.de", 993),
        _implicit("posteo.de", 465),
        domains=("posteo.de", "posteo.net", "posteo.eu", "posteo.at", "posteo.ch"),
        mx=("posteo.de",),
    ),
    Provider(
        "Yandex Mail",
        _implicit("imap.yandex.com", 993),
        _implicit("smtp.yandex.com", 465),
        domains=("yandex.com", "yandex.ru", "ya.ru", "yandex.kz", "yandex.by"),
        mx=("yandex.net", "yandex.ru"),
        note="Switch IMAP on in Yandex Mail's settings, and create an app password there.",
    ),
)
