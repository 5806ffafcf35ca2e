"""The rows of the error dictionary that a loopback server can bring about."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.rig.certificates import Authority, ServerCertificate
from tests.rig.scripted import Peer, Script, imap, smtp
from webapp.mailserver.base import MailProtocol, TlsMode
from webapp.mailserver.errors import (
    AuthenticationFailed,
    AuthenticationNotOffered,
    CertificateRefused,
    MailServerError,
    MoveNotSupported,
    PasswordsNotAccepted,
    PlainTextPort,
    SenderRefused,
    ServerBusy,
    ServerTimeout,
    SignInRequired,
    Stage,
    StartTlsNotOffered,
    UnexpectedServer,
    WrongProtocol,
)

IMAP, SMTP = MailProtocol.IMAP, MailProtocol.SMTP
IMPLICIT, STARTTLS, NONE = TlsMode.IMPLICIT, TlsMode.STARTTLS, TlsMode.NONE
IMAP_SERVER = imap()
# Said wherever one click leads elsewhere than the saved password may go.
AGAIN = " A saved password has to be entered again then."
TO_STARTTLS = {"use_ssl": "true", "tls_mode": "starttls", "port": "{port}"}
TO_IMPLICIT = {"use_ssl": "true", "tls_mode": "implicit", "port": "{port}"}
GMAIL_CURE = (
    "Google needs an app password: turn on 2-Step Verification, create one at "
    "myaccount.google.com/apppasswords, paste the 16 letters."
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of the dictionary. `{port}` in the words is the server's."""

    name: str
    server: Script = IMAP_SERVER
    settings: dict[str, Any]
    certificate: Callable[[Authority], ServerCertificate] = lambda authority: authority.good
    server_tls: bool = False  # TLS from the start
    stage: Stage
    error: type[MailServerError]
    sentence: str
    cure: str
    field: str = ""
    quick_fix: str | None = None
    changes: Mapping[str, str] | None = None  # what the quick fix changes in the form
    verified_port: bool = False  # the usual SSL/TLS port answers with a valid certificate


def _auth(reply: str) -> Script:
    return smtp({"AUTH": [reply]})


OFFICE365_TO_SEND = "Choose Office365. Or an administrator there turns it on again (Authenticated SMTP)."
GOOGLE_SAYS = "[AUTHENTICATIONFAILED] Invalid credentials (Failure)"
ROWS = [
    Row(
        name="handshake with a plain-text port, IMAP",
        settings={"protocol": IMAP, "tls_mode": IMPLICIT},
        stage=Stage.TLS,
        error=PlainTextPort,
        sentence="Port {port} does not start with SSL/TLS.",
        cure="Port and encryption do not match: use SSL/TLS with 993 (SMTP 465), "
        "or STARTTLS with 143 (SMTP 587)." + AGAIN,
        field="tls_mode",
        quick_fix="Switch to STARTTLS and test again",
        changes=TO_STARTTLS,
    ),
    Row(
        name="handshake with a plain-text port, SMTP",
        server=smtp(),
        settings={"protocol": SMTP, "tls_mode": IMPLICIT},
        stage=Stage.TLS,
        error=PlainTextPort,
        sentence="Port {port} does not start with SSL/TLS.",
        cure="Port and encryption do not match: use SSL/TLS with 993 (SMTP 465), "
        "or STARTTLS with 143 (SMTP 587)." + AGAIN,
        field="tls_mode",
        quick_fix="Switch to STARTTLS and test again",
        changes=TO_STARTTLS,
    ),
    Row(
        name="no answer to the handshake",
        server=Peer.hang,
        settings={"protocol": IMAP, "tls_mode": IMPLICIT},
        stage=Stage.TLS,
        error=ServerTimeout,
        sentence="The server accepted the connection but did not answer the encryption request.",
        cure="Often a plain-text port or a firewall that inspects traffic.",
        field="port",
    ),
    Row(
        name="no greeting: an SSL port, IMAP in clear",
        server_tls=True,
        settings={"protocol": IMAP, "tls_mode": NONE},
        stage=Stage.GREETING,
        error=ServerTimeout,
        sentence="The server on port {port} sent no greeting.",
        cure="This port expects SSL/TLS from the start." + AGAIN,
        field="tls_mode",
        quick_fix="Switch to SSL/TLS and test again",
        changes=TO_IMPLICIT,
    ),
    Row(
        name="no greeting: an SSL port, SMTP with STARTTLS",
        server=smtp(),
        server_tls=True,
        settings={"protocol": SMTP, "tls_mode": STARTTLS},
        stage=Stage.GREETING,
        error=ServerTimeout,
        sentence="The server on port {port} sent no greeting.",
        cure="This port expects SSL/TLS from the start." + AGAIN,
        field="tls_mode",
        quick_fix="Switch to SSL/TLS and test again",
        changes=TO_IMPLICIT,
    ),
    Row(
        name="no greeting: a silent port",
        server=Peer.hang,
        settings={"protocol": IMAP, "tls_mode": STARTTLS},
        stage=Stage.GREETING,
        error=ServerTimeout,
        sentence="The server on port {port} sent no greeting.",
        cure="Check the host and the port.",
        field="port",
    ),
    Row(
        name="self-signed",
        server_tls=True,
        certificate=lambda authority: authority.self_signed,
        settings={"protocol": IMAP, "tls_mode": IMPLICIT},
        stage=Stage.TLS,
        error=CertificateRefused,
        sentence="The server's certificate is self-signed, so its identity cannot be checked.",
        cure="Install a trusted certificate, or add your own CA file (setting SERVICEDESK_MAIL_CA_FILE).",
    ),
    Row(
        name="other name",
        server_tls=True,
        certificate=lambda authority: authority.other_name,
        settings={"protocol": IMAP, "tls_mode": IMPLICIT},
        stage=Stage.TLS,
        error=CertificateRefused,
        sentence="The certificate belongs to mail.example.net, imap.example.net, not to localhost.",
        cure="Enter one of those names as host." + AGAIN,
        field="host",
        quick_fix="Use imap.example.net",
        changes={"host": "imap.example.net"},
    ),
    Row(
        name="expired",
        server=smtp(),
        certificate=lambda authority: authority.expired,
        settings={"protocol": SMTP, "tls_mode": STARTTLS},
        stage=Stage.TLS,
        error=CertificateRefused,
        sentence="The certificate expired on 31 Jan 2026.",
        cure="The mail server's owner must renew it.",
    ),
    Row(
        name="unknown issuer",
        server_tls=True,
        settings={"protocol": IMAP, "tls_mode": IMPLICIT, "ca_file": None},
        stage=Stage.TLS,
        error=CertificateRefused,
        sentence="The certificate's issuer is not known here.",
        cure="The server may not send its intermediate certificate, or uses a private CA.",
    ),
    Row(
        name="no STARTTLS, IMAP",
        settings={"protocol": IMAP, "tls_mode": STARTTLS},
        stage=Stage.TLS,
        error=StartTlsNotOffered,
        sentence="The server offers no encryption on this port.",
        cure="Use SSL/TLS with 993.",
        field="tls_mode",
    ),
    Row(
        name="no STARTTLS, SMTP",
        server=smtp(extensions=["AUTH PLAIN"]),
        settings={"protocol": SMTP, "tls_mode": STARTTLS},
        stage=Stage.TLS,
        error=StartTlsNotOffered,
        sentence="The server offers no encryption on this port.",
        cure="Use SSL/TLS with 465.",
        field="tls_mode",
    ),
    Row(
        name="an SMTP server for IMAP",
        server=smtp(greeting="220 x ESMTP"),
        settings={"protocol": IMAP, "tls_mode": NONE},
        stage=Stage.GREETING,
        error=WrongProtocol,
        sentence="This is a mail sending (SMTP) server.",
        cure="Enter the IMAP host and port, usually 993.",
        field="host",
    ),
    Row(
        name="an IMAP server for SMTP",
        settings={"protocol": SMTP, "tls_mode": STARTTLS},
        stage=Stage.GREETING,
        error=WrongProtocol,
        sentence="This is a mail receiving (IMAP) server.",
        cure="Enter the SMTP host and port, usually 465 or 587.",
        field="host",
    ),
    Row(
        name="wrong password at Google",
        server=imap({"AUTHENTICATE": [f"{{tag}} NO {GOOGLE_SAYS}"]}),
        settings={"protocol": IMAP, "tls_mode": NONE, "host": "imap.gmail.com"},
        stage=Stage.SIGN_IN,
        error=AuthenticationFailed,
        sentence=f'The server rejected the user name or password. It said: "{GOOGLE_SAYS}"',
        cure=GMAIL_CURE,
        field="password",
    ),
    Row(
        name="wrong password elsewhere",
        server=imap({"AUTHENTICATE": ["{tag} NO [AUTHENTICATIONFAILED] no"]}),
        settings={"protocol": IMAP, "tls_mode": NONE, "host": "notgmail.com", "username": "help"},
        stage=Stage.SIGN_IN,
        error=AuthenticationFailed,
        sentence='The server rejected the user name or password. It said: "[AUTHENTICATIONFAILED] no"',
        cure="Some servers want the full address as the user name.",
        field="password",
    ),
    Row(
        name="Google wants an app password",
        server=_auth("534 5.7.9 Application-specific password required."),
        settings={"protocol": SMTP, "tls_mode": NONE, "host": "smtp.gmail.com"},
        stage=Stage.SIGN_IN,
        error=AuthenticationFailed,
        sentence="Google wants an app password.",
        cure=GMAIL_CURE,
        field="password",
    ),
    Row(
        name="Microsoft 365 over IMAP",
        settings={"protocol": IMAP, "tls_mode": IMPLICIT, "host": "outlook.office365.com"},
        stage=Stage.SIGN_IN,
        error=PasswordsNotAccepted,
        sentence="Microsoft 365 no longer accepts passwords for IMAP.",
        cure="Choose protocol Office365 and connect the account.",
        field="protocol",
    ),
    Row(
        name="5.7.139",
        server=_auth(
            "535 5.7.139 Authentication unsuccessful, SmtpClientAuthentication is disabled for the Tenant."
        ),
        settings={"protocol": SMTP, "tls_mode": NONE},
        stage=Stage.SIGN_IN,
        error=AuthenticationFailed,
        sentence="Your Microsoft 365 organisation has turned off password sign-in for SMTP.",
        cure=OFFICE365_TO_SEND,
        field="protocol",
    ),
    Row(
        name="5.7.139 for a wrong password",
        server=_auth("535 5.7.139 Authentication unsuccessful, the user credentials were incorrect."),
        settings={"protocol": SMTP, "tls_mode": NONE},
        stage=Stage.SIGN_IN,
        error=AuthenticationFailed,
        sentence="The server rejected the user name or password. It said: "
        '"535 5.7.139 Authentication unsuccessful, the user credentials were incorrect."',
        cure="Enter the password again. Some providers want an app password instead, made in the account's "
        "security settings.",
        field="password",
    ),
    Row(
        name="5.7.30",
        server=_auth("550 5.7.30 Basic authentication is not supported for Client Submission."),
        settings={"protocol": SMTP, "tls_mode": NONE},
        stage=Stage.SIGN_IN,
        error=AuthenticationFailed,
        sentence="Your Microsoft 365 organisation has turned off password sign-in for SMTP.",
        cure=OFFICE365_TO_SEND,
        field="protocol",
    ),
    Row(
        name="no AUTH",
        server=smtp(extensions=["SIZE"]),
        settings={"protocol": SMTP, "tls_mode": NONE},
        stage=Stage.SIGN_IN,
        error=AuthenticationNotOffered,
        sentence="This server does not ask for a password on this port.",
        cure="Untick Requires Authentication, or use port 587.",
        field="requires_auth",
        quick_fix="Untick Requires Authentication and test again",
        changes={"requires_auth": "false"},
    ),
    Row(
        name="530",
        server=smtp({"MAIL": ["530 5.7.57 Client not authenticated to send mail"]}),
        settings={"protocol": SMTP, "tls_mode": NONE, "requires_auth": False},
        stage=Stage.FROM,
        error=SignInRequired,
        sentence="The server wants you to sign in first.",
        cure="Tick Requires Authentication.",
        field="requires_auth",
        quick_fix="Tick Requires Authentication",
        changes={"requires_auth": "true"},
    ),
    Row(
        name="550",
        server=smtp({"MAIL": ["550 5.7.60 no permission to send as this sender"]}),
        settings={"protocol": SMTP, "tls_mode": NONE},
        stage=Stage.FROM,
        error=SenderRefused,
        sentence="The server does not let this account send as desk@example.com.",
        cure="Use the account's own address or an alias of it.",
        field="from_address",
    ),
    Row(
        name="no MOVE",
        server=imap(capabilities="IMAP4rev1 AUTH=PLAIN"),
        settings={"protocol": IMAP, "tls_mode": NONE},
        stage=Stage.MOVE,
        error=MoveNotSupported,
        sentence="This server cannot move messages (RFC 6851), which the email parser needs.",
        cure="Use a mailbox on a server that supports MOVE.",
        field="host",
    ),
    Row(
        name="no STARTTLS, IMAP, while the SSL/TLS port is fine",
        settings={"protocol": IMAP, "tls_mode": STARTTLS},
        verified_port=True,
        stage=Stage.TLS,
        error=StartTlsNotOffered,
        sentence="The server offers no encryption on this port.",
        cure="Use SSL/TLS with {usual}." + AGAIN,
        field="tls_mode",
        quick_fix="Switch to SSL/TLS (port {usual}) and test again",
        changes={**TO_IMPLICIT, "port": "{usual}"},
    ),
    Row(
        name="no STARTTLS, SMTP, while the SSL/TLS port is fine",
        server=smtp(extensions=["AUTH PLAIN"]),
        settings={"protocol": SMTP, "tls_mode": STARTTLS},
        verified_port=True,
        stage=Stage.TLS,
        error=StartTlsNotOffered,
        sentence="The server offers no encryption on this port.",
        cure="Use SSL/TLS with {usual}." + AGAIN,
        field="tls_mode",
        quick_fix="Switch to SSL/TLS (port {usual}) and test again",
        changes={**TO_IMPLICIT, "port": "{usual}"},
    ),
    Row(
        name="STARTTLS refused, IMAP",
        server=imap({"STARTTLS": ["{tag} BAD not now"]}, capabilities="IMAP4rev1 STARTTLS AUTH=PLAIN MOVE"),
        settings={"protocol": IMAP, "tls_mode": STARTTLS},
        stage=Stage.TLS,
        error=StartTlsNotOffered,
        sentence="The server offers no encryption on this port.",
        cure="Use SSL/TLS with 993.",
        field="tls_mode",
    ),
    Row(
        name="a web server",
        server=lambda peer: peer.say("HTTP/1.1 400 Bad Request", ""),
        settings={"protocol": IMAP, "tls_mode": NONE},
        stage=Stage.GREETING,
        error=WrongProtocol,
        sentence="This is a web server.",
        cure="Enter the IMAP host and port, usually 993.",
        field="host",
    ),
    Row(
        name="Google wants an app password, over IMAP",
        server=imap({"AUTHENTICATE": ["{tag} NO [ALERT] Application-specific password required"]}),
        settings={"protocol": IMAP, "tls_mode": NONE, "host": "imap.gmail.com"},
        stage=Stage.SIGN_IN,
        error=AuthenticationFailed,
        sentence="Google wants an app password.",
        cure=GMAIL_CURE,
        field="password",
    ),
    Row(
        name="a password refused by a provider that wants app passwords",
        server=imap({"AUTHENTICATE": ["{tag} NO [AUTHENTICATIONFAILED] no"]}),
        settings={"protocol": IMAP, "tls_mode": NONE, "host": "imap.fastmail.com"},
        stage=Stage.SIGN_IN,
        error=AuthenticationFailed,
        sentence='The server rejected the user name or password. It said: "[AUTHENTICATIONFAILED] no"',
        cure="Fastmail needs an app password: "
        "create one in the account's security settings and enter it here.",
        field="password",
    ),
    Row(
        name="no way to sign in with a password",
        server=smtp(extensions=["SIZE", "AUTH XOAUTH2"]),
        settings={"protocol": SMTP, "tls_mode": NONE},
        stage=Stage.SIGN_IN,
        error=AuthenticationFailed,
        sentence="The server offers no way to sign in with a password.",
        cure="Ask its owner to allow password sign-in (PLAIN or LOGIN).",
        field="host",
    ),
    Row(
        name="no AUTH before STARTTLS",
        server=smtp(extensions=["SIZE", "STARTTLS"]),
        settings={"protocol": SMTP, "tls_mode": NONE},
        stage=Stage.SIGN_IN,
        error=AuthenticationNotOffered,
        sentence="The server takes no password without encryption.",
        cure="Enable SSL and choose STARTTLS: the server offers it on port {port}." + AGAIN,
        field="use_ssl",
        quick_fix="Switch to STARTTLS and test again",
        changes=TO_STARTTLS,
    ),
    Row(
        name="LOGINDISABLED before STARTTLS",
        server=imap(capabilities="IMAP4rev1 STARTTLS LOGINDISABLED"),
        settings={"protocol": IMAP, "tls_mode": NONE},
        stage=Stage.SIGN_IN,
        error=AuthenticationNotOffered,
        sentence="The server takes no password without encryption.",
        cure="Enable SSL and choose STARTTLS: the server offers it on port {port}." + AGAIN,
        field="use_ssl",
        quick_fix="Switch to STARTTLS and test again",
        changes=TO_STARTTLS,
    ),
    Row(
        name="530 that wants STARTTLS, not a sign-in",
        server=smtp({"MAIL": ["530 5.7.0 Must issue a STARTTLS command first"]}),
        settings={"protocol": SMTP, "tls_mode": NONE, "requires_auth": False},
        stage=Stage.FROM,
        error=SignInRequired,
        sentence="The server takes no password without encryption.",
        cure="Enable SSL and choose STARTTLS: the server offers it on port {port}." + AGAIN,
        field="use_ssl",
        quick_fix="Switch to STARTTLS and test again",
        changes=TO_STARTTLS,
    ),
    Row(
        name="553",
        server=smtp({"MAIL": ["553 5.7.1 sender address rejected: not owned by user"]}),
        settings={"protocol": SMTP, "tls_mode": NONE},
        stage=Stage.FROM,
        error=SenderRefused,
        sentence="The server does not let this account send as desk@example.com.",
        cure="Use the account's own address or an alias of it.",
        field="from_address",
    ),
    Row(
        name="come back later",
        server=_auth("454 4.7.0 Temporary authentication failure"),
        settings={"protocol": SMTP, "tls_mode": NONE},
        stage=Stage.SIGN_IN,
        error=ServerBusy,
        sentence="The server asked to be tried again later. "
        'It said: "454 4.7.0 Temporary authentication failure"',
        cure="Try again in a few minutes.",
    ),
    Row(
        name="no answer in the middle",
        server=imap({"EXAMINE": None}),
        settings={"protocol": IMAP, "tls_mode": NONE},
        stage=Stage.INBOX,
        error=ServerTimeout,
        sentence="Inbox: the server did not answer within 0.6 s.",
        cure="Try again. If it happens again, raise the timeout.",
        field="timeout_ms",
    ),
    Row(
        name="anything else",
        server=imap(greeting="hello"),
        settings={"protocol": IMAP, "tls_mode": NONE},
        stage=Stage.GREETING,
        error=UnexpectedServer,
        sentence="Mail server failed: UnexpectedServer.",
        cure="Copy the details for support.",
    ),
]
