"""Access tokens: renewed once for all who ask, never lost, and never asked for in a storm."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa
from cryptography.fernet import Fernet

from tests.desk.microsoft import ACTOR, connect, held, now, register, registration, tokens_of
from tests.factories import make_instance
from tests.rig.microsoft_sign_in import ANNA, HELP, IdentityProvider
from webapp.desk import microsoft_connections
from webapp.desk.microsoft_tokens import ConnectionTokens, token_source
from webapp.instance import Instance
from webapp.mailserver.errors import (
    AppMisconfigured,
    ConnectionFailed,
    MailServerError,
    ServerBusy,
    ServerTimeout,
    SignInNeeded,
    Stage,
    UnexpectedServer,
)
from webapp.models import ConnectionState, MicrosoftConnection, Row
from webapp.vault import Vault

pytestmark = pytest.mark.identity_provider


@pytest.fixture
def instance(tmp_path: Path, identity_provider: IdentityProvider) -> Iterator[Instance]:
    """With a connected incoming row."""
    instance = make_instance(tmp_path, **identity_provider.settings)
    register(instance)
    connect(instance, identity_provider)
    identity_provider.asked()
    yield instance
    instance.close()


def test_a_good_token_is_handed_out_without_asking_anybody(
    instance: Instance, identity_provider: IdentityProvider
) -> None:
    token = tokens_of(instance).access_token()
    assert tokens_of(instance).access_token() == token
    assert identity_provider.asked() == []
    grant = identity_provider.who(token)
    assert grant is not None
    assert grant["address"] == HELP.address
    assert {"User.Read", "Mail.ReadWrite"} <= set(grant["scopes"].split())


def test_a_token_that_ends_within_five_minutes_is_renewed_before(
    instance: Instance, identity_provider: IdentityProvider
) -> None:
    token = tokens_of(instance).access_token()
    let_token_end(instance, seconds=290)
    renewed = tokens_of(instance).access_token()
    assert renewed != token
    assert identity_provider.asked() == ["refresh_token"]
    assert identity_provider.who(renewed) is not None
    assert tokens_of(instance).access_token() == renewed
    assert identity_provider.asked() == []


def test_each_renewal_is_kept_since_the_one_before_is_void(
    instance: Instance, identity_provider: IdentityProvider
) -> None:
    """The stand-in revokes everything when a refresh token comes twice: so each was the newest."""
    seen = {token := tokens_of(instance).access_token()}
    for _ in range(5):
        token = tokens_of(instance).access_token(refused=token)
        assert identity_provider.who(token) is not None
        seen.add(token)
    assert len(seen) == 6
    assert identity_provider.asked() == ["refresh_token"] * 5
    assert held(instance).version == 6


def test_threads_that_ask_at_once_renew_once(instance: Instance, identity_provider: IdentityProvider) -> None:
    token = tokens_of(instance).access_token()
    identity_provider.delay(300)
    sources = [tokens_of(instance) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        renewed = set(pool.map(lambda source: source.access_token(refused=token), sources))
    assert identity_provider.asked() == ["refresh_token"]
    assert len(renewed) == 1
    assert renewed != {token}


ASKS = """
import json, sys
sys.path.insert(0, sys.argv[1])
from tests.desk.microsoft import tokens_of
from tests.factories import make_instance
from pathlib import Path
instance = make_instance(Path(sys.argv[2]), **json.loads(sys.argv[3]))
source = tokens_of(instance)
print("ready", flush=True)
refused = sys.stdin.readline().strip()
for _ in range(3):
    refused = source.access_token(refused=refused)
    source._after_refusal.clear()  # as a new session with Graph has it
print(refused)
"""


def test_processes_that_ask_at_once_never_lose_a_refresh_token(
    instance: Instance, identity_provider: IdentityProvider
) -> None:
    token = tokens_of(instance).access_token()
    identity_provider.delay(50)
    told = json.dumps(identity_provider.settings)
    command = [sys.executable, "-c", ASKS, str(Path.cwd()), str(instance.settings.instance), told]
    running = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    for process in running:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    ends = [process.communicate(f"{token}\n", timeout=60)[0].strip() for process in running]
    assert [process.returncode for process in running] == [0, 0, 0]
    assert all(ends)
    assert len(identity_provider.asked()) <= 9
    last = tokens_of(instance).access_token()
    assert identity_provider.who(last) is not None
    assert identity_provider.who(tokens_of(instance).access_token(refused=last)) is not None


def test_a_process_that_is_killed_while_it_renews_blocks_nobody(
    instance: Instance, identity_provider: IdentityProvider
) -> None:
    token = tokens_of(instance).access_token()
    identity_provider.delay(5000)
    told = json.dumps(identity_provider.settings)
    command = [sys.executable, "-c", ASKS, str(Path.cwd()), str(instance.settings.instance), told]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.stdin.write(f"{token}\n")
    process.stdin.flush()
    wait_until(lambda: identity_provider.asked() == ["refresh_token"])
    process.kill()
    process.communicate()
    identity_provider.delay(0)
    began = time.monotonic()
    assert tokens_of(instance).access_token(refused=token) != token
    assert time.monotonic() - began < 3


def test_revoked_consent_is_found_out_once_an_interval(
    instance: Instance, identity_provider: IdentityProvider
) -> None:
    token = tokens_of(instance).access_token()
    identity_provider.revoke(HELP)
    for _ in range(20):
        with pytest.raises(SignInNeeded) as caught:
            tokens_of(instance).access_token(refused=token)
        assert caught.value.stage is Stage.TOKEN
        assert caught.value.server_said.startswith("AADSTS70000: ")
    assert identity_provider.asked() == ["refresh_token"]
    assert held(instance).state is ConnectionState.NEEDS_RECONNECT
    later = tokens_of(instance)
    later.clock = lambda: now() + timedelta(seconds=instance.settings.poll_interval + 1)
    for _ in range(5):
        with pytest.raises(SignInNeeded):
            later.access_token(refused=token)
    assert identity_provider.asked() == ["refresh_token"]


def test_a_clock_that_was_put_back_does_not_stop_the_asking(
    instance: Instance, identity_provider: IdentityProvider
) -> None:
    token = tokens_of(instance).access_token()
    identity_provider.revoke(HELP)
    with pytest.raises(SignInNeeded):
        tokens_of(instance).access_token(refused=token)
    identity_provider.asked()
    earlier = tokens_of(instance)
    earlier.clock = lambda: now() - timedelta(days=2)
    with pytest.raises(SignInNeeded):
        earlier.access_token(refused=token)
    assert identity_provider.asked() == ["refresh_token"]


def test_signing_in_again_ends_the_waiting_at_once(
    instance: Instance, identity_provider: IdentityProvider
) -> None:
    token = tokens_of(instance).access_token()
    identity_provider.revoke(HELP)
    with pytest.raises(SignInNeeded):
        tokens_of(instance).access_token(refused=token)
    connect(instance, identity_provider)
    assert identity_provider.who(tokens_of(instance).access_token()) is not None
    assert held(instance).state is ConnectionState.CONNECTED


def test_a_wrong_client_secret_and_the_right_one_after_it(
    instance: Instance, identity_provider: IdentityProvider
) -> None:
    token = tokens_of(instance).access_token()
    identity_provider.set_secret("another")
    for _ in range(5):
        with pytest.raises(AppMisconfigured) as caught:
            tokens_of(instance).access_token(refused=token)
        assert "AADSTS7000215" in caught.value.server_said
    assert identity_provider.asked() == ["refresh_token"]
    assert held(instance).state is ConnectionState.MISCONFIGURED
    renewed = tokens_of(instance, secret="another").access_token(refused=token)  # no interval to wait for
    assert identity_provider.who(renewed) is not None
    assert held(instance).state is ConnectionState.CONNECTED


@pytest.mark.parametrize(
    ("status", "answer", "kind"),
    [
        (503, "<html>Service unavailable</html>", ServerBusy),
        (429, {"error": "throttled"}, ServerBusy),
        (200, "<html>Welcome to the hotel's network</html>", UnexpectedServer),
        (400, {"error": "temporarily_unavailable"}, ServerBusy),
    ],
)
def test_an_answer_that_is_none_changes_nothing_and_is_tried_again(
    instance: Instance,
    identity_provider: IdentityProvider,
    status: int,
    answer: object,
    kind: type[MailServerError],
) -> None:
    token = tokens_of(instance).access_token()
    identity_provider.fail((status, answer), headers={"Retry-After": "7"})
    with pytest.raises(kind) as caught:
        tokens_of(instance).access_token(refused=token)
    assert caught.value.stage is Stage.TOKEN
    assert not caught.value.permanent or kind is UnexpectedServer
    if status in (429, 503):
        assert getattr(caught.value, "retry_after") == 7  # noqa: B009
    assert held(instance).state is ConnectionState.UNREACHABLE
    assert identity_provider.who(tokens_of(instance).access_token(refused=token)) is not None
    assert held(instance).state is ConnectionState.CONNECTED


def test_a_service_that_hangs_is_left_in_time(
    instance: Instance, identity_provider: IdentityProvider
) -> None:
    token = tokens_of(instance).access_token()
    identity_provider.delay(20_000)
    began = time.monotonic()
    with pytest.raises(ServerTimeout):
        tokens_of(instance, timeout=1.0).access_token(refused=token)
    assert time.monotonic() - began < 3
    assert held(instance).state is ConnectionState.UNREACHABLE


def test_who_waits_for_a_renewal_of_another_waits_no_longer_than_told(
    instance: Instance, identity_provider: IdentityProvider
) -> None:
    token = tokens_of(instance).access_token()
    identity_provider.delay(3000)
    slow = threading.Thread(target=lambda: tokens_of(instance).access_token(refused=token))
    slow.start()
    wait_until(lambda: identity_provider.asked() == ["refresh_token"])
    began = time.monotonic()
    with pytest.raises(ServerBusy):
        tokens_of(instance, timeout=0.5).access_token(refused=token)
    assert time.monotonic() - began < 2
    slow.join()


def test_a_renewed_token_that_is_refused_too_is_for_a_person(
    instance: Instance, identity_provider: IdentityProvider
) -> None:
    source = tokens_of(instance)
    token = source.access_token()
    renewed = source.access_token(refused=token)
    with pytest.raises(SignInNeeded):
        source.access_token(refused=renewed)
    assert identity_provider.asked() == ["refresh_token"]
    assert held(instance).state is ConnectionState.NEEDS_RECONNECT


def test_a_claims_challenge_is_answered_with_a_new_token(
    instance: Instance, identity_provider: IdentityProvider
) -> None:
    token = tokens_of(instance).access_token()
    challenge = '{"access_token":{"nbf":{"essential":true,"value":"1604106651"}}}'
    renewed = tokens_of(instance).access_token(refused=token, claims_challenge=challenge)
    assert renewed != token
    assert tokens_of(instance).access_token(claims_challenge=challenge) != renewed
    assert identity_provider.asked() == ["refresh_token"] * 2


def test_an_account_that_is_disconnected_while_it_is_renewed_stays_disconnected(
    instance: Instance, identity_provider: IdentityProvider
) -> None:
    token = tokens_of(instance).access_token()
    identity_provider.delay(1000)
    failures: list[BaseException] = []

    def renew() -> None:
        try:
            tokens_of(instance).access_token(refused=token)
        except MailServerError as error:
            failures.append(error)

    thread = threading.Thread(target=renew)
    thread.start()
    wait_until(lambda: identity_provider.asked() == ["refresh_token"])
    with instance.database.writing() as session:
        microsoft_connections.disconnect(session, instance, Row.INCOMING, now=now(), actor=ACTOR)
    thread.join()
    assert [type(error) for error in failures] == [ConnectionFailed]
    with instance.database.reading() as session:
        assert session.scalars(sa.select(MicrosoftConnection)).all() == []


def test_tokens_of_another_account_are_never_handed_out(
    instance: Instance, identity_provider: IdentityProvider
) -> None:
    source = tokens_of(instance)
    source.access_token()
    with instance.database.writing() as session:
        microsoft_connections.disconnect(session, instance, Row.INCOMING, now=now(), actor=ACTOR)
    register(instance, mailbox="")
    connect(instance, identity_provider, ANNA)
    with pytest.raises(SignInNeeded):
        source.access_token()


def test_lost_keys_are_for_a_person(instance: Instance, identity_provider: IdentityProvider) -> None:
    stranger = Instance(instance.settings, instance.database, Vault([Fernet.generate_key()]))
    source = ConnectionTokens(stranger, Row.INCOMING, HELP.id, registration(instance), 5.0)
    with pytest.raises(SignInNeeded):
        source.access_token()
    assert "cannot be decrypted" in held(instance).problem
    assert identity_provider.asked() == []


def test_there_are_no_tokens_without_a_confirmed_account_of_this_registration(
    instance: Instance,
) -> None:
    right = registration(instance)
    assert token_source(instance, Row.OUTGOING, right) is None
    elsewhere = type(right)("https://login.microsoftonline.com/other", right.client_id, right.client_secret)
    assert token_source(instance, Row.INCOMING, elsewhere) is None
    another = type(right)(right.authority, "another", right.client_secret)
    assert token_source(instance, Row.INCOMING, another) is None
    assert token_source(instance, Row.INCOMING, right, mailbox=HELP.address.upper()) is not None
    assert token_source(instance, Row.INCOMING, right, mailbox=HELP.aliases[0]) is not None
    assert token_source(instance, Row.INCOMING, right, mailbox="shared@contoso.example") is None


def let_token_end(instance: Instance, *, seconds: int) -> None:
    """The held access token is good for so long from now on."""
    account = held(instance)
    cache = json.loads(instance.vault.unseal(account.cache_sealed))
    for entry in cache["AccessToken"].values():
        entry["expires_on"] = str(int(time.time()) + seconds)
    with instance.database.writing() as session:
        stored = session.get_one(MicrosoftConnection, account.id)
        stored.cache_sealed = instance.vault.seal(json.dumps(cache))


def wait_until(done: object, seconds: float = 10.0) -> None:
    assert callable(done)
    ends_at = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < ends_at
        time.sleep(0.05)
