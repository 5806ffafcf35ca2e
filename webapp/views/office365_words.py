"""Why a sign-in at Microsoft came to nothing, for people: sentence, cure, Microsoft's own words."""

from __future__ import annotations

from dataclasses import dataclass

from webapp.mailserver import microsoft_errors
from webapp.mailserver.errors import (
    AuthenticationFailed,
    CertificateRefused,
    HostNotFound,
    MailServerError,
    NameLookupFailed,
    ServerBusy,
    ServerTimeout,
)
from webapp.mailserver.microsoft_answers import Reason, SignInFailed


@dataclass(frozen=True, slots=True)
class Stopped:
    """`approval` is a link for an administrator of the Microsoft organisation.

    `other_account`: the same one again would be of no use, so Microsoft is to ask which.
    """

    sentence: str
    cure: str = ""
    said: str = ""
    approval: str = ""
    tone: str = "bad"
    other_account: bool = False


def of_failure(failed: SignInFailed, approval: str) -> Stopped:
    """What Microsoft's answer means."""
    known = microsoft_errors.words_for(failed.server_said)
    match failed.reason:
        case Reason.CANCELLED:
            return Stopped("Microsoft sign-in was cancelled.", tone="doubt")
        case Reason.MISSING_SCOPES:
            return Stopped(
                f"These permissions were not given: {', '.join(failed.missing)}.",
                "Press Connect again and accept all of them. If Microsoft does not ask any more, an "
                "administrator of your Microsoft organisation can approve them for everybody.",
                approval=approval,
            )
        case Reason.OTHER_TENANT:
            return Stopped(
                "This account belongs to another organisation than the one whose tenant ID is entered.",
                "Sign in with an account of that organisation, or correct the tenant ID.",
                other_account=True,
            )
        case Reason.PERSONAL:
            return Stopped(
                "This is a personal Microsoft account.",
                "Office365 works with accounts of an organisation (Microsoft 365). Sign in with such a one.",
                other_account=True,
            )
        case Reason.DOUBTFUL:
            return Stopped(
                "What came back does not prove that it belongs to the sign-in you began here.",
                "Press Connect again.",
                failed.server_said,
            )
        case Reason.CONSENT:
            words = known or microsoft_errors.NEEDS_APPROVAL
            return Stopped(words.sentence, words.cure, failed.server_said, approval)
        case Reason.APP:
            words = known or microsoft_errors.APP_REFUSED
            return Stopped(words.sentence, words.cure, failed.server_said)
        case _ if known is not None:
            return Stopped(
                known.sentence,
                known.cure.replace("Reconnect", "Connect"),
                failed.server_said,
                other_account=known.kind is microsoft_errors.Kind.ACCOUNT,
            )
    return Stopped("Microsoft did not sign anybody in.", "Press Connect again.", failed.server_said)


def of_error(error: Exception) -> Stopped:
    """What kept us from asking: NotConfirmed and VaultError speak for themselves."""
    if not isinstance(error, MailServerError):
        return Stopped(str(error))
    if isinstance(error, AuthenticationFailed):
        sentence, cure = microsoft_errors.words_of(error)
        return Stopped(sentence, cure, error.server_said)
    return Stopped(*_network(error), said=error.server_said)


def _network(error: MailServerError) -> tuple[str, str]:
    if isinstance(error, HostNotFound | NameLookupFailed):
        return (
            "Microsoft's name could not be looked up.",
            "Check this server's internet connection and its DNS.",
        )
    if isinstance(error, CertificateRefused):
        return (
            "The certificate that came does not belong to Microsoft.",
            "Something between this server and the internet may inspect encrypted traffic. Its authority can "
            "be named with SERVICEDESK_MAIL_CA_FILE.",
        )
    if isinstance(error, ServerBusy):
        return "Microsoft is busy.", "Wait a minute and press Connect again."
    if isinstance(error, ServerTimeout):
        return (
            "Microsoft did not answer in time.",
            "Press Connect again. If this stays, ask whether this server may open connections to port 443.",
        )
    return (
        "Microsoft could not be reached.",
        "Press Connect again. If this stays, ask whether this server may open connections to "
        "login.microsoftonline.com and graph.microsoft.com, port 443.",
    )
