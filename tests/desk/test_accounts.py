"""Accounts, passwords, sign-ins and the one-time code."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import argon2
import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.config import load_settings
from webapp.desk import accounts
from webapp.desk.accounts import AccountError
from webapp.instance import Instance, open_instance
from webapp.models import Account, Audit, LoginSession, MailServer, Role, SetupCode

NOW = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)
IDLE = timedelta(hours=12)
PASSWORD = "correct horse battery"


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Instance]:
    instance = open_instance(load_settings({}, instance=tmp_path))
    yield instance
    instance.close()


@pytest.fixture
def session(instance: Instance) -> Iterator[Session]:
    with instance.database.writing() as session:
        yield session


def create(session: Session, email: str = "anna@desk.example", **values: str) -> Account:
    return accounts.create_account(
        session,
        email=email,
        name=values.get("name", "Anna"),
        password=values.get("password", PASSWORD),
        role=Role.TECHNICIAN,
        now=NOW,
        actor="test",
    )


def test_a_password_is_kept_as_argon2id(session: Session) -> None:
    account = create(session)
    assert account.password_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert accounts.check_password(session, "anna@desk.example", PASSWORD) is account


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("anna@desk.example", "correct horse batterz"),
        ("anna@desk.example", ""),
        ("anna@desk.example", "x" * 5000),
        ("nobody@desk.example", PASSWORD),
        ("", ""),
        ("anna@desk.example\x00", PASSWORD),
        ("a" * 5000, PASSWORD),
    ],
)
def test_wrong_credentials_are_nobodys(session: Session, email: str, password: str) -> None:
    create(session)
    assert accounts.check_password(session, email, password) is None


def test_the_address_is_compared_folded(session: Session) -> None:
    create(session, "Anna@Desk.Example")
    assert accounts.check_password(session, "ANNA@desk.EXAMPLE", PASSWORD) is not None
    with pytest.raises(AccountError, match="already an account"):
        create(session, "anna@desk.example")


def test_a_disabled_account_cannot_sign_in(session: Session) -> None:
    account = create(session)
    token = accounts.start_session(session, account.id, now=NOW, idle=IDLE)
    assert token is not None
    account.enabled = False
    session.flush()
    assert accounts.check_password(session, account.email, PASSWORD) is None
    assert accounts.find_session(session, token, now=NOW, idle=IDLE) is None
    assert accounts.start_session(session, account.id, now=NOW, idle=IDLE) is None


def test_an_unknown_address_costs_a_hash_too(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    verified: list[str] = []

    class Hasher:
        def verify(self, hashed: str, secret: bytes) -> bool:
            verified.append(hashed)
            raise argon2.exceptions.VerifyMismatchError

    create(session)
    monkeypatch.setattr(accounts, "_hasher", Hasher())
    accounts.check_password(session, "anna@desk.example", "wrong")
    accounts.check_password(session, "nobody@desk.example", "wrong")
    assert len(verified) == 2


def test_the_hash_for_unknown_addresses_has_todays_parameters() -> None:
    assert not accounts._hasher.check_needs_rehash(accounts._NOBODYS_HASH)


def test_an_old_hash_is_made_anew_at_sign_in(session: Session) -> None:
    account = create(session)
    account.password_hash = argon2.PasswordHasher(time_cost=1, memory_cost=8192).hash(PASSWORD)
    accounts.start_session(session, account.id, now=NOW, idle=IDLE, password=PASSWORD)
    assert "m=19456,t=2,p=1" in account.password_hash
    assert accounts.check_password(session, account.email, PASSWORD) is account


@pytest.mark.parametrize(
    ("password", "sentence"),
    [
        ("x" * 11, "at least 12 characters"),
        ("", "at least 12 characters"),
        ("x" * 1025, "at most 1024 bytes"),
        ("ж" * 513, "at most 1024 bytes"),
    ],
)
def test_password_rules(session: Session, password: str, sentence: str) -> None:
    with pytest.raises(AccountError, match=sentence) as refused:
        create(session, password=password)
    assert refused.value.field == "password"


def test_a_password_is_the_same_however_its_letters_are_composed(session: Session) -> None:
    create(session, password="caf\u00e9 caf\u00e9 caf\u00e9")
    assert accounts.check_password(session, "anna@desk.example", "cafe\u0301 cafe\u0301 cafe\u0301")


@pytest.mark.parametrize("email", ["", "anna", "anna@", "anna@desk.example\r\nBcc: x@y.example"])
def test_bad_addresses_are_refused(session: Session, email: str) -> None:
    with pytest.raises(AccountError) as refused:
        create(session, email)
    assert refused.value.field == "email"


def test_the_incoming_mailbox_cannot_be_a_person(session: Session) -> None:
    session.add(
        MailServer(
            row="incoming", protocol="imap", tls_mode="implicit", port=993, username="Help@Desk.example",
            updated_at=NOW,
        )
    )  # fmt: skip
    session.flush()
    with pytest.raises(AccountError, match="incoming mailbox"):
        create(session, "help@desk.example")


def test_an_empty_name_becomes_the_address(session: Session) -> None:
    assert create(session, name="  ").name == "anna"


def test_control_characters_in_a_name_are_refused(session: Session) -> None:
    with pytest.raises(AccountError):
        create(session, name="An\x1bna")


def test_the_table_holds_no_token(session: Session) -> None:
    token = accounts.start_session(session, create(session).id, now=NOW, idle=IDLE)
    assert token is not None
    stored = session.scalars(sa.select(LoginSession.token_sha256)).one()
    assert stored == hashlib.sha256(token.encode()).hexdigest()


def test_a_sign_in_ends_after_idle_hours(session: Session) -> None:
    token = accounts.start_session(session, create(session).id, now=NOW, idle=IDLE)
    assert token is not None
    assert accounts.find_session(session, token, now=NOW + IDLE - timedelta(seconds=1), idle=IDLE)
    assert accounts.find_session(session, token, now=NOW + IDLE, idle=IDLE) is None
    accounts.touch_session(session, token, now=NOW + timedelta(hours=6))
    session.expire_all()
    assert accounts.find_session(session, token, now=NOW + IDLE, idle=IDLE)


def test_ended_sign_ins_are_swept_out(session: Session) -> None:
    account = create(session)
    accounts.start_session(session, account.id, now=NOW, idle=IDLE)
    accounts.start_session(session, account.id, now=NOW + IDLE, idle=IDLE)
    assert session.scalar(sa.select(sa.func.count()).select_from(LoginSession)) == 1


def test_a_new_password_ends_every_sign_in(session: Session) -> None:
    account = create(session)
    token = accounts.start_session(session, account.id, now=NOW, idle=IDLE)
    assert token is not None
    accounts.reset_password(
        session, email=account.email, password="another long password", now=NOW, actor="test"
    )
    session.expire_all()
    assert accounts.find_session(session, token, now=NOW, idle=IDLE) is None
    assert accounts.check_password(session, account.email, PASSWORD) is None
    assert accounts.check_password(session, account.email, "another long password")


def test_resetting_nobodys_password_is_refused(session: Session) -> None:
    with pytest.raises(AccountError, match="no account for nobody"):
        accounts.reset_password(
            session, email="nobody@desk.example", password=PASSWORD, now=NOW, actor="test"
        )


def test_changes_are_written_down_without_secrets(session: Session) -> None:
    create(session)
    accounts.reset_password(
        session, email="anna@desk.example", password="another long password", now=NOW, actor="test"
    )
    session.flush()
    rows = session.scalars(sa.select(Audit).order_by(Audit.id)).all()
    assert [row.action for row in rows] == ["account.create", "account.reset_password"]
    assert "password" not in "".join(str(row.detail) for row in rows)


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        (Role.VIEWER, {Role.VIEWER}),
        (Role.TECHNICIAN, {Role.VIEWER, Role.TECHNICIAN}),
        (Role.ADMINISTRATOR, {Role.VIEWER, Role.TECHNICIAN, Role.ADMINISTRATOR}),
    ],
)
def test_roles_include_the_lower_ones(role: Role, allowed: set[Role]) -> None:
    assert {wanted for wanted in Role if accounts.includes(role, wanted)} == allowed


def first_administrator(session: Session, code: str, password: str = PASSWORD) -> Account:
    return accounts.create_first_administrator(
        session, code=code, email="anna@desk.example", name="Anna", password=password, now=NOW
    )


def test_the_code_makes_one_administrator(session: Session) -> None:
    code = accounts.renew_setup_code(session, now=NOW)
    assert code is not None
    assert first_administrator(session, code).role is Role.ADMINISTRATOR
    assert session.scalar(sa.select(SetupCode)) is None
    with pytest.raises(AccountError, match="already set up"):
        first_administrator(session, code)


def test_the_code_may_be_typed_with_spaces_and_small_letters(session: Session) -> None:
    code = accounts.renew_setup_code(session, now=NOW)
    assert code is not None
    assert first_administrator(session, f" {code.lower().replace('-', ' ')} ")


def test_only_the_newest_code_is_good(session: Session) -> None:
    old = accounts.renew_setup_code(session, now=NOW)
    new = accounts.renew_setup_code(session, now=NOW)
    assert old is not None
    assert new is not None
    assert old != new
    with pytest.raises(AccountError, match="one-time code") as refused:
        first_administrator(session, old)
    assert refused.value.field == "code"
    assert first_administrator(session, new)


def test_without_a_code_nothing_is_created(session: Session) -> None:
    with pytest.raises(AccountError, match="one-time code"):
        first_administrator(session, "")
    assert not accounts.any_account(session)


def test_a_refused_password_does_not_use_up_the_code(instance: Instance) -> None:
    with instance.database.writing() as session:
        code = accounts.renew_setup_code(session, now=NOW)
    assert code is not None
    with pytest.raises(AccountError), instance.database.writing() as session:
        first_administrator(session, code, password="short")
    with instance.database.writing() as session:
        assert first_administrator(session, code)


def test_there_is_no_code_once_there_is_an_account(session: Session) -> None:
    create(session)
    assert accounts.renew_setup_code(session, now=NOW) is None


def test_accounts_are_listed_by_address(session: Session) -> None:
    for email in ("zoe@desk.example", "anna@desk.example"):
        create(session, email)
    assert [account.email for account in accounts.list_accounts(session)] == [
        "anna@desk.example",
        "zoe@desk.example",
    ]
