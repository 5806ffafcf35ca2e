"""Signing in changes nothing; saying yes changes just what was shown; disconnecting forgets."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from tests.desk.microsoft import (
    ACTOR,
    connect,
    held,
    now,
    register,
    registration,
    say_yes,
    session_token,
    sign_in,
)
from tests.factories import add_people, make_instance
from tests.rig.microsoft_sign_in import ANNA, CLIENT_ID, HELP, IdentityProvider, StandInBrowser
from webapp.config import load_settings
from webapp.desk import accounts, addresses, doctor, mail_servers, microsoft_connections, microsoft_sign_in
from webapp.desk.mail_form import FormErrors
from webapp.desk.microsoft_connections import NotConfirmed
from webapp.desk.microsoft_registration import redirect_address, registration_of
from webapp.desk.microsoft_sign_in import UnknownSignIn
from webapp.instance import Instance
from webapp.mailserver.errors import AppMisconfigured, ServerTimeout
from webapp.models import Audit, LoginSession, MailServer, MicrosoftConnection, MicrosoftSignIn, Row

pytestmark = pytest.mark.identity_provider


@pytest.fixture
def instance(tmp_path: Path, identity_provider: IdentityProvider) -> Iterator[Instance]:
    """With rows that are Office365 and not connected."""
    instance = make_instance(tmp_path, **identity_provider.settings)
    register(instance)
    register(instance, Row.OUTGOING)
    yield instance
    instance.close()


def snapshot(instance: Instance, row: Row = Row.INCOMING) -> dict[str, object]:
    with instance.database.reading() as session:
        stored = session.get_one(MailServer, row.value)
        return {column.name: getattr(stored, column.name) for column in MailServer.__table__.columns}


def test_signing_in_changes_nothing_about_the_row(
    instance: Instance, identity_provider: IdentityProvider
) -> None:
    before = snapshot(instance)
    waiting = sign_in(instance, identity_provider)
    assert (waiting.address, waiting.display_name, waiting.tenant_name) == (
        HELP.address,
        "Help Desk",
        "Contoso",
    )
    assert waiting.addresses == [HELP.address, *HELP.aliases]
    assert snapshot(instance) == before
    with instance.database.reading() as session:
        assert microsoft_connections.find(session, Row.INCOMING) is None
        assert microsoft_connections.own_addresses(session, Row.INCOMING) == ()


def test_the_yes_fills_what_is_empty(instance: Instance, identity_provider: IdentityProvider) -> None:
    connect(instance, identity_provider)
    connect(instance, identity_provider, ANNA, Row.OUTGOING)
    assert snapshot(instance)["mailbox"] == HELP.address
    assert snapshot(instance)["active"] is False
    outgoing = snapshot(instance, Row.OUTGOING)
    assert (outgoing["from_address"], outgoing["mailbox"]) == (ANNA.address, "")
    with instance.database.reading() as session:
        told = [(entry.action, entry.subject, entry.actor) for entry in session.scalars(sa.select(Audit))]
    assert ("microsoft.sign_in", "incoming", ACTOR) in told
    assert ("microsoft.confirm", "incoming", ACTOR) in told


def test_each_row_asks_only_for_what_it_needs(
    instance: Instance, identity_provider: IdentityProvider
) -> None:
    mine = {"User.Read", "Mail.ReadWrite"}
    assert mine <= set(sign_in(instance, identity_provider).scopes)
    assert "Mail.Send" not in sign_in(instance, identity_provider).scopes
    sending = sign_in(instance, identity_provider, row=Row.OUTGOING)
    assert {"User.Read", "Mail.Send", "Mail.ReadWrite"} <= set(sending.scopes)  # a large message: a draft
    assert not [scope for scope in sending.scopes if scope.endswith(".Shared")]


def test_a_yes_for_an_account_that_is_not_the_one_that_was_shown(
    instance: Instance, identity_provider: IdentityProvider
) -> None:
    seen = sign_in(instance, identity_provider)
    sign_in(instance, identity_provider, ANNA)
    before = snapshot(instance)
    with pytest.raises(NotConfirmed, match="Another sign-in has taken the place"):
        say_yes(instance, seen)
    assert snapshot(instance) == before
    with instance.database.reading() as session:
        assert microsoft_connections.find(session, Row.INCOMING) is None


def test_a_yes_said_twice_is_one(instance: Instance, identity_provider: IdentityProvider) -> None:
    """Pressed twice: the second one changes nothing and says the same."""
    for account in (HELP, HELP, ANNA):
        waiting = sign_in(instance, identity_provider, account, Row.OUTGOING)
        say_yes(instance, waiting)
        before, version = snapshot(instance, Row.OUTGOING), held(instance, Row.OUTGOING).version
        say_yes(instance, waiting)
        assert snapshot(instance, Row.OUTGOING) == before
        assert held(instance, Row.OUTGOING).version == version


def test_only_the_account_that_was_named_is_replaced(
    instance: Instance, identity_provider: IdentityProvider
) -> None:
    connect(instance, identity_provider, row=Row.OUTGOING)
    waiting = sign_in(instance, identity_provider, ANNA, Row.OUTGOING)
    for replaces in ("", "somebody@contoso.example"):
        with (
            instance.database.writing() as session,
            pytest.raises(NotConfirmed, match="This row is connected to helpdesk@"),
        ):
            microsoft_connections.confirm(
                session,
                instance,
                Row.OUTGOING,
                mark=microsoft_connections.mark_of(waiting),
                own_mailbox=False,
                now=now(),
                actor=ACTOR,
                replaces=replaces,
            )
    assert held(instance, Row.OUTGOING).address == HELP.address


def test_a_yes_after_the_app_registration_was_changed(
    instance: Instance, identity_provider: IdentityProvider
) -> None:
    waiting = sign_in(instance, identity_provider)
    register(instance, client_id="c0ffee00-1234-4567-89ab-999999999999")
    with pytest.raises(NotConfirmed, match="The app registration was changed after this sign-in"):
        say_yes(instance, waiting)


def test_a_portal_users_mailbox_is_never_the_incoming_one(
    instance: Instance, identity_provider: IdentityProvider
) -> None:
    add_people(instance, b"email,name,company,other_emails\nx@acme.test,X,Acme,SUPPORT@contoso.example\n")
    with pytest.raises(NotConfirmed, match=r"support@contoso.example is also a portal user's address"):
        say_yes(instance, sign_in(instance, identity_provider))  # by an alias of it
    with instance.database.reading() as session:
        assert microsoft_connections.find(session, Row.INCOMING) is None
    say_yes(instance, sign_in(instance, identity_provider, row=Row.OUTGOING))  # it may send


def test_somebody_may_open_a_shared_mailbox_for_the_desk(
    instance: Instance, identity_provider: IdentityProvider
) -> None:
    """Anna is a portal user; the mailbox is not hers."""
    add_people(instance, b"email,name,company,other_emails\nanna@contoso.example,Anna,Acme,\n")
    register(instance, mailbox=HELP.address)
    waiting = sign_in(instance, identity_provider, ANNA)
    assert (waiting.mailbox, waiting.mailbox_opens) == (HELP.address, True)
    say_yes(instance, waiting)
    with pytest.raises(NotConfirmed, match=r"anna@contoso.example is also a portal user"):
        say_yes(instance, sign_in(instance, identity_provider, ANNA), own_mailbox=True)


def test_an_account_that_cannot_open_the_mailbox(
    instance: Instance, identity_provider: IdentityProvider
) -> None:
    register(instance, mailbox="info@contoso.example")
    waiting = sign_in(instance, identity_provider, ANNA)
    assert waiting.mailbox_opens is False
    with pytest.raises(NotConfirmed, match=r"anna@contoso.example cannot open the mailbox info@"):
        say_yes(instance, waiting)
    say_yes(instance, waiting, own_mailbox=True)
    assert snapshot(instance)["mailbox"] == ANNA.address


def test_why_a_row_cannot_be_turned_on(instance: Instance, identity_provider: IdentityProvider) -> None:
    def turn_on() -> str:
        with instance.database.writing() as session, pytest.raises(FormErrors) as caught:
            mail_servers.draft(session, instance, Row.INCOMING, {"active": "true"})
        return caught.value.errors["active"]

    assert turn_on() == "Connect a Microsoft account before you turn this on."
    waiting = sign_in(instance, identity_provider)
    assert turn_on() == f"First answer whether {HELP.address} is the right Microsoft account."
    say_yes(instance, waiting)
    with instance.database.writing() as session:
        wanted = mail_servers.draft(session, instance, Row.INCOMING, {"active": "true"})
        mail_servers.save(session, instance.vault, wanted, now=now(), actor=ACTOR)
        right = registration(instance)
        another = type(right)(right.authority, "another", right.client_secret)
        ask = microsoft_connections.why_not_active
        assert ask(session, Row.INCOMING, right, mailbox=HELP.address) == ""
        assert ask(session, Row.INCOMING, None).startswith("The app registration was changed.")
        assert ask(session, Row.INCOMING, another).startswith("The app registration was changed.")
        assert "not asked for the permission" in ask(session, Row.INCOMING, right, mailbox="x@y.example")


def test_the_incoming_accounts_addresses_belong_to_the_desk(
    instance: Instance, identity_provider: IdentityProvider
) -> None:
    """A person cannot have them, and mail from them is our own."""
    connect(instance, identity_provider)
    with instance.database.reading() as session:
        assert {HELP.address, *HELP.aliases} <= addresses.incoming_addresses(session)
        with pytest.raises(ValueError, match="is the incoming mailbox"):
            addresses.refuse_incoming_mailbox(session, "Support@Contoso.example")
    register(instance, mailbox="shared@contoso.example")
    with instance.database.reading() as session:
        assert addresses.incoming_addresses(session) == {"shared@contoso.example"}


def test_another_account_turns_the_row_off_the_same_one_does_not(
    instance: Instance, identity_provider: IdentityProvider
) -> None:
    connect(instance, identity_provider, row=Row.OUTGOING)
    with instance.database.writing() as session:
        wanted = mail_servers.draft(session, instance, Row.OUTGOING, {"active": "true"})
        mail_servers.save(session, instance.vault, wanted, now=now(), actor=ACTOR)
    before = held(instance, Row.OUTGOING)
    connect(instance, identity_provider, row=Row.OUTGOING)
    assert snapshot(instance, Row.OUTGOING)["active"] is True
    after = held(instance, Row.OUTGOING)
    assert (after.id, after.version) == (before.id, before.version + 1)
    connect(instance, identity_provider, ANNA, Row.OUTGOING)
    assert snapshot(instance, Row.OUTGOING)["active"] is False
    assert snapshot(instance, Row.OUTGOING)["from_address"] == ANNA.address


def test_disconnecting_forgets_everything_and_turns_the_row_off(
    instance: Instance, identity_provider: IdentityProvider
) -> None:
    connect(instance, identity_provider)
    sign_in(instance, identity_provider, ANNA)
    with instance.database.writing() as session:
        wanted = mail_servers.draft(session, instance, Row.INCOMING, {"active": "true"})
        mail_servers.save(session, instance.vault, wanted, now=now(), actor=ACTOR)
    with instance.database.writing() as session:
        told = microsoft_connections.disconnect(session, instance, Row.INCOMING, now=now(), actor=ACTOR)
        assert told == HELP.address
    with instance.database.writing() as session:
        assert session.scalars(sa.select(MicrosoftConnection)).all() == []
        assert microsoft_connections.disconnect(session, instance, Row.INCOMING, now=now(), actor=ACTOR) == ""
    assert snapshot(instance)["active"] is False


def test_the_doctor_knows_how_the_accounts_stand(
    instance: Instance, identity_provider: IdentityProvider
) -> None:
    def told() -> list[tuple[str, str]]:
        found = doctor.examine(instance, {})
        mail = [one for one in found if one.area == "mail" and one.text.startswith("incoming: ")]
        return [(one.state, one.text) for one in mail[1:]]

    assert told() == [("warning", "incoming: Not connected. This row has no Microsoft account yet.")]
    waiting = sign_in(instance, identity_provider)
    assert told()[0][1].startswith(f"incoming: Waits for your answer. {HELP.address} signed in.")
    say_yes(instance, waiting)
    assert told() == [("ok", f"incoming: connected to {HELP.address}.")]


# The sign-in under way.


def begin(instance: Instance, provider: IdentityProvider, token: str) -> dict[str, str]:
    """Microsoft's answer to a sign-in begun by whoever has this token."""
    provider.allow(redirect_address(instance.settings))
    address = microsoft_sign_in.begin_sign_in(
        instance, Row.INCOMING, session_token=token, choose_account=False, now=now()
    )
    return StandInBrowser(provider).answer(address, HELP)


def take(instance: Instance, state: str, token: str, later: timedelta = timedelta(0)) -> str:
    return microsoft_sign_in.take_sign_in(instance, state=state, session_token=token, now=now() + later)[1]


def test_an_answer_is_good_once(instance: Instance, identity_provider: IdentityProvider) -> None:
    token = session_token(instance)
    answer = begin(instance, identity_provider, token)
    take(instance, answer["state"], token)
    with pytest.raises(UnknownSignIn, match="used before"):
        take(instance, answer["state"], token)


@pytest.mark.parametrize("state", ["", "x", "\ud800", "a" * 9000])
def test_a_state_nobody_gave_out(instance: Instance, state: str) -> None:
    with pytest.raises(UnknownSignIn):
        take(instance, state, session_token(instance))


def test_another_browser_cannot_use_it_and_does_not_use_it_up(
    instance: Instance, identity_provider: IdentityProvider
) -> None:
    token = session_token(instance)
    answer = begin(instance, identity_provider, token)
    with pytest.raises(UnknownSignIn, match="another browser"):
        take(instance, answer["state"], session_token(instance))
    assert take(instance, answer["state"], token)


@pytest.mark.parametrize("later", [timedelta(minutes=10, seconds=1), timedelta(minutes=-1)])
def test_it_ends_after_ten_minutes(
    instance: Instance, identity_provider: IdentityProvider, later: timedelta
) -> None:
    token = session_token(instance)
    answer = begin(instance, identity_provider, token)
    with pytest.raises(UnknownSignIn, match="longer than 10 minutes"):
        take(instance, answer["state"], token, later)
    with pytest.raises(UnknownSignIn):
        take(instance, answer["state"], token)


def test_it_ends_with_the_sign_in_to_the_desk(
    instance: Instance, identity_provider: IdentityProvider
) -> None:
    token = session_token(instance)
    answer = begin(instance, identity_provider, token)
    with instance.database.writing() as session:
        accounts.end_session(session, token)
        assert session.scalars(sa.select(LoginSession)).all() == []
        assert session.scalars(sa.select(MicrosoftSignIn)).all() == []
    with pytest.raises(UnknownSignIn):
        take(instance, answer["state"], token)


def test_sign_ins_nobody_answers_do_not_pile_up(
    instance: Instance, identity_provider: IdentityProvider
) -> None:
    token = session_token(instance)
    for _ in range(12):
        address = microsoft_sign_in.begin_sign_in(
            instance, Row.INCOMING, session_token=token, choose_account=False, now=now()
        )
    with instance.database.reading() as session:
        assert len(session.scalars(sa.select(MicrosoftSignIn)).all()) == 10
    identity_provider.allow(redirect_address(instance.settings))
    assert take(instance, StandInBrowser(identity_provider).answer(address, HELP)["state"], token)


def test_a_code_of_another_sign_in_is_refused(
    instance: Instance, identity_provider: IdentityProvider
) -> None:
    """Code injection: PKCE ties the code to the browser that began."""
    token = session_token(instance)
    mine, other = (begin(instance, identity_provider, token) for _ in range(2))
    flow = take(instance, mine["state"], token)
    with pytest.raises(microsoft_sign_in.SignInFailed) as caught:
        microsoft_sign_in.finish_sign_in(
            instance, Row.INCOMING, flow, mine | {"code": other["code"]}, now=now(), actor=ACTOR
        )
    assert caught.value.reason == "doubtful"
    with instance.database.reading() as session:
        assert session.scalars(sa.select(MicrosoftConnection)).all() == []


def test_what_keeps_a_sign_in_from_beginning(
    instance: Instance, identity_provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = session_token(instance)

    def begin_as(row: Row = Row.INCOMING) -> None:
        microsoft_sign_in.begin_sign_in(instance, row, session_token=token, choose_account=False, now=now())

    with pytest.raises(NotConfirmed, match="Enter tenant ID"):
        begin_as(Row.INVOICE)
    register(instance, tenant_id="99999999-9999-4999-8999-999999999999")
    with pytest.raises(AppMisconfigured) as caught:
        begin_as()
    assert caught.value.server_said.startswith("AADSTS90002: Tenant")
    register(instance)
    monkeypatch.setattr(microsoft_sign_in, "TIMEOUT_SECONDS", 0.5)
    identity_provider.stop_answering()
    try:
        with pytest.raises(ServerTimeout):
            begin_as()
    finally:
        identity_provider.go_on()
    with instance.database.reading() as session:
        assert session.scalars(sa.select(MicrosoftSignIn)).all() == []


# The registration.


def test_what_a_row_leaves_empty_comes_from_the_settings(tmp_path: Path) -> None:
    def of(tenant_id: str = "", client_id: str = "", client_secret: str = "", **told: str) -> str:
        settings = load_settings({}, instance=tmp_path, **told)
        found = registration_of(
            settings, tenant_id=tenant_id, client_id=client_id, client_secret=client_secret
        )
        return f"{found.authority} {found.client_id} {found.client_secret}" if found else ""

    base = "https://login.microsoftonline.com"
    assert of() == ""
    assert of(client_id=CLIENT_ID) == ""
    assert of("contoso.example", CLIENT_ID, "s") == f"{base}/contoso.example {CLIENT_ID} s"
    assert of("", CLIENT_ID, "s") == f"{base}/organizations {CLIENT_ID} s"
    told = {"ms_client_id": "env", "ms_client_secret": "hush", "ms_authority": f"{base}/fabrikam.example/"}
    assert of(**told) == f"{base}/fabrikam.example env hush"
    assert of("contoso.example", **told) == f"{base}/contoso.example env hush"
    assert of(client_id=CLIENT_ID, **told) == ""  # the secret of the settings is of another client
    assert of(client_id="env", client_secret="own", **told) == f"{base}/fabrikam.example env own"
    assert of("../../evil", CLIENT_ID, "s") == f"{base}/..%2F..%2Fevil {CLIENT_ID} s"


def test_the_redirect_address_is_the_public_one(tmp_path: Path) -> None:
    def of(**told: str) -> str:
        return redirect_address(load_settings({}, instance=tmp_path, **told))

    assert of(public_url="https://desk.example.com") == ("https://desk.example.com/oauth/office365/callback")
    assert of(port="8123") == "http://localhost:8123/oauth/office365/callback"
