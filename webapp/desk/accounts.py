"""Accounts of the desk's own people: who they are, how they sign in, what they may do.

Passwords are kept as argon2id. A sign-in is a random token: the browser has it in its cookie, the table
only its SHA-256, so that neither a stolen database nor a stolen session key signs anybody in, and a
sign-in can be ended from here. Functions write into the caller's transaction; refusals are `AccountError`
with a sentence for people. Verifying a password takes tens of milliseconds: do it in a reading session.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import unicodedata
from datetime import datetime, timedelta

import argon2
import sqlalchemy as sa
from sqlalchemy.orm import Session

from webapp.desk import audit
from webapp.desk.addresses import read_addr_spec, refuse_incoming_mailbox
from webapp.mail.address import fold_addr_spec
from webapp.models import Account, LoginSession, Role, SetupCode

MIN_PASSWORD_CHARACTERS = 12
MAX_PASSWORD_BYTES = 1024
MAX_NAME_CHARACTERS = 200
SEEN_PRECISION = timedelta(minutes=5)  # how often a click is worth a write

_RANK = {Role.VIEWER: 1, Role.TECHNICIAN: 2, Role.ADMINISTRATOR: 3}
_CODE_LETTERS = "ABCDEFGHJKMNPQRSTVWXYZ23456789"  # none that is read as another

# OWASP's smaller argon2id setting: 19 MB a hash keeps a flood of sign-ins from eating the memory, and at
# most two are computed at a time.
_hasher = argon2.PasswordHasher(time_cost=2, memory_cost=19_456, parallelism=1)
_hashing = threading.Semaphore(2)
# The hash of a password nobody knows, made with the parameters above: for addresses without an account.
_NOBODYS_HASH = (
    "$argon2id$v=19$m=19456,t=2,p=1$v0odqA7wA3KIz/psopOzGQ$yDPxOKKkSFxLHgncoceLKY0RJ9XtA7TlPDIaRAb8LwM"
)


class AccountError(Exception):
    """Refused; the message is a sentence for people, `field` the form field it is about."""

    def __init__(self, sentence: str, *, field: str = "") -> None:
        super().__init__(sentence)
        self.field = field


def includes(role: Role, wanted: Role) -> bool:
    """Whether `role` may do what `wanted` may: administrator > technician > viewer."""
    return _RANK[role] >= _RANK[wanted]


def create_account(
    session: Session, *, email: str, name: str, password: str, role: Role, now: datetime, actor: str
) -> Account:
    """Raises AccountError."""
    addr_spec = _read_address(session, email)
    account = Account(
        email=addr_spec,
        email_key=fold_addr_spec(addr_spec),
        name=read_name(name, addr_spec),
        role=role,
        password_hash=_hash(password),
        enabled=True,
        created_at=now,
    )
    if find_account(session, addr_spec) is not None:
        raise AccountError(f"There is already an account for {addr_spec}.", field="email")
    session.add(account)
    session.flush()
    audit.record(session, now, actor, "account.create", addr_spec, role=role.value)
    return account


def find_account(session: Session, email: str) -> Account | None:
    if not email.isprintable() or len(email) > 320:
        return None
    return session.scalar(sa.select(Account).where(Account.email_key == fold_addr_spec(email)))


def list_accounts(session: Session) -> list[Account]:
    return list(session.scalars(sa.select(Account).order_by(Account.email_key)))


def any_account(session: Session) -> bool:
    return bool(session.scalar(sa.select(sa.exists().select_from(Account))))


def reset_password(session: Session, *, email: str, password: str, now: datetime, actor: str) -> Account:
    """A new password, and every sign-in of the account ended. Raises AccountError."""
    account = find_account(session, email)
    if account is None:
        raise AccountError(f"There is no account for {email.strip()[:320]}.", field="email")
    account.password_hash = _hash(password)
    end_sessions(session, account)
    audit.record(session, now, actor, "account.reset_password", account.email)
    return account


def change_profile(
    session: Session, account: Account, *, name: str, signature: str | None, now: datetime
) -> None:
    """What somebody says of themselves, as it was read; `signature` None: the desk's."""
    wanted = {"name": name, "signature": signature}
    changed = [field for field, value in wanted.items() if getattr(account, field) != value]
    account.name, account.signature = name, signature
    if changed:
        audit.record(session, now, account.email, "account.change_profile", account.email, changed=changed)


def check_password(session: Session, email: str, password: str) -> Account | None:
    """The enabled account these belong to; takes as long for an unknown address as for a known one."""
    account = find_account(session, email)
    matches = _verify(account.password_hash if account else _NOBODYS_HASH, password)
    return account if account is not None and account.enabled and matches else None


def start_session(
    session: Session, account_id: int, *, now: datetime, idle: timedelta, password: str | None = None
) -> str | None:
    """A new sign-in's token, or None if the account is gone. Sign-ins that ended long ago are swept out.

    With the `password` just checked, a hash made with older parameters is made anew.
    """
    account = session.get(Account, account_id)
    if account is None or not account.enabled:
        return None
    if password is not None and _hasher.check_needs_rehash(account.password_hash):
        account.password_hash = _hash_unchecked(password)
    session.execute(sa.delete(LoginSession).where(LoginSession.seen_at <= now - idle))
    token = secrets.token_urlsafe(32)
    session.add(LoginSession(token_sha256=_sha256(token), account_id=account.id, created_at=now, seen_at=now))
    return token


def find_session(session: Session, token: str, *, now: datetime, idle: timedelta) -> LoginSession | None:
    """The sign-in this token stands for, while it is in use and its account is enabled."""
    found = session.get(LoginSession, _sha256(token))
    if found is None or found.seen_at <= now - idle or not found.account.enabled:
        return None
    return found


def touch_session(session: Session, token: str, *, now: datetime) -> None:
    """Remember that the sign-in is in use."""
    session.execute(
        sa.update(LoginSession).where(LoginSession.token_sha256 == _sha256(token)).values(seen_at=now)
    )


def end_session(session: Session, token: str) -> None:
    session.execute(sa.delete(LoginSession).where(LoginSession.token_sha256 == _sha256(token)))


def end_sessions(session: Session, account: Account) -> None:
    session.execute(sa.delete(LoginSession).where(LoginSession.account_id == account.id))


def renew_setup_code(session: Session, *, now: datetime) -> str | None:
    """A new one-time code for creating the first administrator; None once there is an account.

    Called at each start: the code of an earlier start ends, so only the newest log line counts.
    """
    session.execute(sa.delete(SetupCode))
    if any_account(session):
        return None
    code = "-".join("".join(secrets.choice(_CODE_LETTERS) for _ in range(4)) for _ in range(4))
    session.add(SetupCode(code_sha256=_sha256(_plain_code(code)), created_at=now))
    return code


def create_first_administrator(
    session: Session, *, code: str, email: str, name: str, password: str, now: datetime
) -> Account:
    """Use up the code and create the first account in one transaction. Raises AccountError."""
    if any_account(session):
        raise AccountError("This service desk is already set up. Sign in instead.")
    _use_up_code(session, code)
    return create_account(
        session,
        email=email,
        name=name,
        password=password,
        role=Role.ADMINISTRATOR,
        now=now,
        actor="setup",
    )


def _use_up_code(session: Session, code: str) -> None:
    """Deleting is what proves it: of two requests with the same code only one deletes the row."""
    wrong = AccountError(
        "This is not the one-time code of the last start. Look at the newest lines the service desk printed.",
        field="code",
    )
    given = _sha256(_plain_code(code))
    stored = session.scalar(sa.select(SetupCode))
    if stored is None or not hmac.compare_digest(stored.code_sha256, given):
        raise wrong
    used = session.execute(sa.delete(SetupCode).where(SetupCode.id == stored.id).returning(SetupCode.id))
    if len(used.all()) != 1:
        raise wrong


def _plain_code(code: str) -> str:
    return "".join(code.split()).replace("-", "").upper()


def _read_address(session: Session, email: str) -> str:
    if not email.strip():
        raise AccountError("Enter an email address, for example anna@example.com.", field="email")
    try:
        addr_spec = read_addr_spec(email)
        refuse_incoming_mailbox(session, addr_spec)
    except ValueError as error:
        raise AccountError(str(error), field="email") from error
    return addr_spec


def read_name(name: str, addr_spec: str) -> str:
    """A name on one line; without one the beginning of the address. Raises AccountError."""
    name = " ".join(name.split())
    if len(name) > MAX_NAME_CHARACTERS or not name.isprintable():
        raise AccountError(f"Enter a name of at most {MAX_NAME_CHARACTERS} characters.", field="name")
    return name or addr_spec.partition("@")[0]


def _hash(password: str) -> str:
    if len(password) < MIN_PASSWORD_CHARACTERS:
        raise AccountError(
            f"Choose a password of at least {MIN_PASSWORD_CHARACTERS} characters. A few words do well.",
            field="password",
        )
    if len(_octets(password)) > MAX_PASSWORD_BYTES:
        raise AccountError(f"Choose a password of at most {MAX_PASSWORD_BYTES} bytes.", field="password")
    return _hash_unchecked(password)


def _hash_unchecked(password: str) -> str:
    with _hashing:
        return _hasher.hash(_octets(password))


def _verify(hashed: str, password: str) -> bool:
    secret = _octets(password)
    if len(secret) > MAX_PASSWORD_BYTES:
        secret = b""  # nobody's; the hash is computed all the same
    try:
        with _hashing:
            return _hasher.verify(hashed, secret)
    except (argon2.exceptions.VerificationError, argon2.exceptions.InvalidHashError):
        return False


def _octets(password: str) -> bytes:
    """The same for the same letters, however a keyboard composes them."""
    return unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
