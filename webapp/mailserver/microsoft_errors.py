"""What Microsoft's sign-in says when it refuses, in words for people: by its AADSTS number, else by class.

The numbers are those of "Microsoft Entra authentication and authorization error codes" in Microsoft's
documentation; an unknown one gets the general words, and Microsoft's own stand beside them.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from .errors import AppMisconfigured, MailServerError, SignInNeeded


class Kind(enum.StrEnum):
    """What has to be done about a refusal."""

    SIGN_IN = "sign_in"  # a person signs in again
    APP = "app"  # the app registration, or what is entered of it, is put right
    CONSENT = "consent"  # somebody approves the application
    ACCOUNT = "account"  # another account, or this one put right


@dataclass(frozen=True, slots=True)
class Words:
    """A refusal for people. `field` is the form's field that is wrong, if one is."""

    kind: Kind
    sentence: str
    cure: str
    field: str = ""


def code_of(said: str) -> str:
    """The number after AADSTS in Microsoft's own words; empty where there is none."""
    found = re.search(r"AADSTS(\d{4,8})", said)
    return found[1] if found else ""


def words_for(said: str) -> Words | None:
    """What is known about the number in these words."""
    return _WORDS.get(code_of(said))


def words_of(error: MailServerError) -> tuple[str, str]:
    """Sentence and cure of a failure to get a token."""
    words = _words_of(error)
    return words.sentence, words.cure


def field_of(error: MailServerError) -> str:
    """The field or part of the form that has to be looked at: "connection" is the Office365 card."""
    return _words_of(error).field


def _words_of(error: MailServerError) -> Words:
    known = words_for(error.server_said)
    if isinstance(error, AppMisconfigured):
        return known if known and known.kind is not Kind.SIGN_IN else APP_REFUSED
    if isinstance(error, SignInNeeded):
        return known if known and known.kind is not Kind.APP else SIGN_IN_AGAIN
    return known or UNREACHABLE


def _sign_in(sentence: str, cure: str = "Press Reconnect and sign in again.") -> Words:
    return Words(Kind.SIGN_IN, sentence, cure, "connection")


def _app(sentence: str, cure: str, field: str = "") -> Words:
    return Words(Kind.APP, sentence, cure, field)


SIGN_IN_AGAIN = _sign_in("The connection to the Microsoft account was withdrawn or has expired.")
APP_REFUSED = _app(
    "Microsoft does not accept the app registration any more.",
    "Compare the tenant ID, the application (client) ID and the client secret with the Entra admin center.",
    "client_id",
)
UNREACHABLE = Words(
    Kind.SIGN_IN,
    "Microsoft's sign-in service could not be reached.",
    "Nothing needs to be done: it is tried again by itself. If this stays, check this server's connection to "
    "login.microsoftonline.com.",
)
NEEDS_APPROVAL = Words(
    Kind.CONSENT,
    "An administrator of your Microsoft organisation must approve this application.",
    "Send the approval link to that administrator. Once it is approved, press Connect again.",
    "connection",
)
_MFA = _sign_in("Microsoft wants this account to prove once more who it is (multi-factor authentication).")
_RULES = _sign_in(
    "A rule of your Microsoft organisation (Conditional Access) does not let this application sign in.",
    "Ask the administrator of your Microsoft organisation to allow it for this account, then press "
    "Reconnect.",
)
_OTHER_TENANT = Words(
    Kind.ACCOUNT,
    "This account does not belong to the organisation whose tenant ID is entered.",
    "Sign in with an account of that organisation, or correct the tenant ID.",
    "tenant_id",
)
_NO_TENANT = _app(
    "Microsoft knows no organisation with this tenant ID.",
    "Copy the Directory (tenant) ID from the Overview page of the app registration.",
    "tenant_id",
)
_WORDS = {
    "50173": _sign_in("The account's password was changed, or its sign-ins were ended by an administrator."),
    "700082": _sign_in("The sign-in has expired: it was not used for a long time."),
    "700084": _sign_in("The sign-in has expired."),
    "70043": _sign_in("The sign-in has expired: your Microsoft organisation limits how long one lasts."),
    "70008": _sign_in("The sign-in has expired."),
    "70000": SIGN_IN_AGAIN,
    "65001": _sign_in("The permission this application had was withdrawn."),
    "50074": _MFA,
    "50076": _MFA,
    "50079": _MFA,
    "50078": _MFA,
    "50158": _MFA,
    "53000": _RULES,
    "53001": _RULES,
    "53003": _RULES,
    "50057": Words(
        Kind.ACCOUNT,
        "Microsoft says that this account is disabled.",
        "Enable it in the Microsoft 365 admin center, then press Reconnect.",
        "connection",
    ),
    "50034": Words(
        Kind.ACCOUNT,
        "Microsoft does not know this account any more.",
        "Connect another account, or have this one restored.",
        "connection",
    ),
    "50105": Words(
        Kind.ACCOUNT,
        "This account is not among those that may use the application.",
        "In the Entra admin center open Enterprise applications, this application, Users and groups, and add "
        "it.",
        "connection",
    ),
    "7000222": _app(
        "The application's client secret has expired.",
        "Create a new client secret in the Entra admin center and paste its value here.",
        "client_secret",
    ),
    "7000215": _app(
        "The client secret is not the right one.",
        "Paste the Value of the client secret, not its Secret ID. Entra shows the value only once: if it is "
        "gone, create a new secret.",
        "client_secret",
    ),
    "7000112": _app(
        "The application is disabled in your Microsoft organisation.",
        "Enable it in the Entra admin center under Enterprise applications, Properties.",
        "client_id",
    ),
    "700016": _app(
        "Microsoft knows no application with this application (client) ID in that organisation.",
        "Copy both the application (client) ID and the Directory (tenant) ID from the Overview page of the "
        "app registration.",
        "client_id",
    ),
    "90002": _NO_TENANT,
    "900023": _NO_TENANT,
    "50194": _app(
        "The app registration is for one organisation only, but no tenant ID is entered.",
        "Enter the Directory (tenant) ID from the Overview page of the app registration.",
        "tenant_id",
    ),
    "50011": _app(
        "The redirect address is not registered for this application.",
        "Add the redirect address shown here to the app registration: Authentication, platform Web.",
        "client_id",
    ),
    "650056": _app(
        "The app registration lacks permissions it asks for.",
        "Add the Microsoft Graph permissions listed in the guide to the app registration.",
        "client_id",
    ),
    "50020": _OTHER_TENANT,
    "50128": _OTHER_TENANT,
    "90072": _OTHER_TENANT,
    "65004": Words(
        Kind.CONSENT,
        "The permissions this application needs were declined.",
        "Press Connect again and accept them.",
        "connection",
    ),
    "90094": NEEDS_APPROVAL,
    "900941": NEEDS_APPROVAL,
    "90093": NEEDS_APPROVAL,
}
