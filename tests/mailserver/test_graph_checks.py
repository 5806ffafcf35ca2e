"""Test Connection for Office365: its stages, and a sentence with a cure for each thing that goes wrong."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from tests.mailserver.contract import DESK, message, outgoing
from tests.rig.graph_server import GraphServer, Tokens
from tests.rig.graph_store import GraphMailboxStore
from tests.rig.graph_wire import Fault, Reply, error
from webapp.mailserver.base import Mailbox, ServerSettings, Transport
from webapp.mailserver.checks import Delivered, Foreseen
from webapp.mailserver.diagnosis import StageResult, StageState, diagnose, stages
from webapp.mailserver.errors import (
    AppMisconfigured,
    CertificateRefused,
    FolderRefused,
    MailServerError,
    MessageRefused,
    QuotaExceeded,
    ServerBusy,
    SignInNeeded,
    Stage,
)
from webapp.mailserver.graph_errors import NO_PERMISSION, TOO_LARGE
from webapp.mailserver.remedies import explain


@pytest.fixture
def store(graph_server: GraphServer) -> GraphMailboxStore:
    return graph_server.mailbox_of(DESK)


def facts(results: list[StageResult]) -> dict[Stage, str]:
    return {result.stage: result.fact for result in results}


def failed(results: list[StageResult]) -> StageResult:
    (result,) = [result for result in results if result.state is StageState.FAILED]
    return result


def look(mailbox: Mailbox) -> Foreseen:
    keys = mailbox.list_unread()
    return Foreseen(f"{len(keys)} unread", {"ticket": len(keys)}, looked=len(keys), unread=len(keys))


def test_a_mailbox_stage_by_stage(graph_server: GraphServer, store: GraphMailboxStore) -> None:
    store.deliver(message(), seen=True)
    store.deliver(message("2"))
    settings = graph_server.settings(DESK)
    results = list(diagnose(settings, foresee=look))
    assert [result.stage for result in results] == list(stages(settings, foresees=True))
    assert {result.state for result in results} == {StageState.OK}
    assert facts(results) == {
        Stage.SETTINGS: "Office365, the account's own mailbox, localhost",
        Stage.TOKEN: "Microsoft gave a token for the connected account",
        Stage.ACCOUNT: "signed in as Help Desk <desk@example.com>",
        Stage.INBOX: "2 messages, 1 unread",
        Stage.ARCHIVE: 'folder "Archive" will be created',
        Stage.FORESEE: "1 unread",
    }
    assert {seen.method for seen in graph_server.requests} <= {"GET"}
    assert [one.seen for one in store.contents()] == [True, False]
    assert store.folders() == {"INBOX"}


def test_a_shared_mailbox_and_its_archive(graph_server: GraphServer) -> None:
    graph_server.add_user("team@example.com")
    graph_server.share("team@example.com", DESK)
    graph_server.mailbox_of("team@example.com").create("Done")
    settings = graph_server.settings(DESK, mailbox="team@example.com", archive_folder="done")
    found = facts(list(diagnose(settings)))
    assert found[Stage.SETTINGS] == "Office365, mailbox team@example.com, localhost"
    assert found[Stage.ACCOUNT] == "signed in as Help Desk <desk@example.com>"
    assert found[Stage.ARCHIVE] == 'folder "Done" exists'


def test_sending_stage_by_stage(graph_server: GraphServer, store: GraphMailboxStore) -> None:
    settings = graph_server.settings(DESK, receives=False, from_address="help@example.com")
    results = list(diagnose(settings))
    assert [result.stage for result in results] == list(stages(settings))
    assert facts(results)[Stage.FROM] == "help@example.com is one of this mailbox's own addresses"
    assert store.sent == []


def test_a_test_message(graph_server: GraphServer, store: GraphMailboxStore) -> None:
    def send(transport: Transport) -> Delivered:
        transport.send(outgoing(), sender=DESK, recipients=["anna@example.net"])
        return Delivered("anna@example.net", "<1@example.com>")

    results = list(diagnose(graph_server.settings(DESK, receives=False), send=send))
    assert results[-1].stage is Stage.SEND
    assert results[-1].fact == "Microsoft accepted a test message for anna@example.net"
    assert len(store.sent) == 1


def test_cancelled(graph_server: GraphServer) -> None:
    graph_server.faults.append(Fault("GET", "inbox$", hang=30.0))
    cancelled = threading.Event()
    threading.Timer(0.5, cancelled.set).start()
    started = time.monotonic()
    results = list(diagnose(graph_server.settings(DESK), cancelled=cancelled.is_set))
    assert time.monotonic() - started < 5
    assert [result.state for result in results][:3] == [StageState.OK] * 3
    assert {result.state for result in results[3:]} == {StageState.SKIPPED}


def test_the_look_ahead_breaks(graph_server: GraphServer) -> None:
    def breaks(mailbox: Mailbox) -> Foreseen:
        raise ZeroDivisionError

    results = list(diagnose(graph_server.settings(DESK), foresee=breaks))
    assert results[-1].state is StageState.WARNING
    assert "log" in results[-1].fact


# What went wrong, in words.


def _settings(server: GraphServer, case: str) -> ServerSettings:
    match case:
        case "not connected":
            return server.settings(DESK, tokens=None)
        case "no from":
            return server.settings(DESK, receives=False, from_address="")
        case "no scope":
            return server.settings(DESK, tokens=Tokens(server, DESK, "User.Read"))
        case "withdrawn":
            tokens = server.tokens_of(DESK)
            tokens.withdrawn = True
            return server.settings(DESK, tokens=tokens)
        case "shared without rights":
            server.add_user("boss@example.com")
            return server.settings(DESK, mailbox="boss@example.com")
        case "shared that is not there":
            return server.settings(DESK, mailbox="nobody@example.com")
        case "no licence":
            server.add_user("new@example.com", mailbox=False)
            return server.settings("new@example.com")
        case "somebody else's from":
            return server.settings(DESK, receives=False, from_address="boss@example.com")
        case "inbox as archive":
            return server.settings(DESK, archive_folder="Inbox")
        case "unknown authority":
            return server.settings(DESK, ca_file=None)
        case "clear text":
            return server.settings(DESK, graph_base="http://localhost/v1.0")
        case "no such host":
            return server.settings(DESK, graph_base="https://graph.invalid/v1.0")
        case "metadata address":
            return server.settings(DESK, graph_base="https://169.254.169.254/v1.0")
        case "closed port":
            return server.settings(DESK, graph_base="https://localhost:1/v1.0")
    raise AssertionError(case)


@pytest.mark.parametrize(
    ("case", "stage", "sentence", "cure", "field"),
    [
        ("not connected", Stage.SETTINGS, "No Microsoft account is connected", "Connect", "connection"),
        ("no from", Stage.SETTINGS, "From address is missing", "Enter one email", "from_address"),
        ("clear text", Stage.SETTINGS, "starts with https://", "SERVICEDESK_MS_GRAPH_BASE", ""),
        ("withdrawn", Stage.TOKEN, "withdrawn or has expired", "Reconnect", "connection"),
        ("no such host", Stage.ACCOUNT, "graph.invalid could not be looked up", "DNS", ""),
        ("metadata address", Stage.ACCOUNT, "never Microsoft's", "hosts file", ""),
        ("closed port", Stage.ACCOUNT, "could not be made", "firewall", ""),
        ("unknown authority", Stage.ACCOUNT, "not trusted here", "SERVICEDESK_MAIL_CA_FILE", ""),
        ("no scope", Stage.INBOX, "has not allowed", "accept the permissions", "connection"),
        ("shared without rights", Stage.INBOX, "may not open the mailbox boss@", "Full Access", "mailbox"),
        ("shared that is not there", Stage.INBOX, "no mailbox nobody@", "spelling", "mailbox"),
        ("no licence", Stage.INBOX, "no mailbox in Exchange Online", "licence", "connection"),
        ("inbox as archive", Stage.ARCHIVE, "the inbox itself", "for example Archive", "archive_folder"),
        ("somebody else's from", Stage.FROM, "send as boss@example.com", "aliases", "from_address"),
    ],
)
def test_settings_that_do_not_work(
    graph_server: GraphServer, case: str, stage: Stage, sentence: str, cure: str, field: str
) -> None:
    result = failed(list(diagnose(_settings(graph_server, case))))
    assert result.stage is stage
    assert result.remedy is not None
    assert sentence in result.remedy.sentence
    assert cure in result.remedy.cure
    assert result.remedy.field == field
    assert result.fact == result.remedy.sentence


@pytest.mark.parametrize(
    ("fault", "sentence", "cure"),
    [
        (
            Fault("GET", "inbox$", hang=30.0),
            "Inbox: Microsoft did not answer within 1 s",
            "raise the timeout",
        ),
        (Fault("GET", "inbox$", cut=True), "ended before the answer came", "Try again"),
        (
            Fault("GET", "inbox$", reply=error(429, "ApplicationThrottled", Retry_After="600")),
            "left alone for 10 minutes",
            "by itself",
        ),
        (
            Fault("GET", "inbox$", reply=error(500, "InternalServerError"), times=9),
            "did not say for how long",
            "by itself",
        ),
        (Fault("GET", "inbox$", reply=Reply(200, b"<html>")), "not Microsoft Graph", "proxy"),
        (
            Fault("GET", "inbox$", reply=error(401, "InvalidAuthenticationToken"), times=9),
            "withdrawn or has expired",
            "Reconnect",
        ),
    ],
)
def test_an_inbox_that_cannot_be_opened(
    graph_server: GraphServer, fault: Fault, sentence: str, cure: str
) -> None:
    graph_server.faults.append(fault)
    result = failed(list(diagnose(graph_server.settings(DESK, timeout=1.0))))
    assert result.stage is Stage.INBOX
    assert result.remedy is not None
    assert sentence in result.remedy.sentence
    assert cure in result.remedy.cure


def _errors() -> Iterator[tuple[MailServerError, str]]:
    said = "AADSTS7000222: expired"
    yield AppMisconfigured("x", stage=Stage.TOKEN, server_said=said), "client_secret"
    yield SignInNeeded("x", stage=Stage.INBOX), "connection"
    yield MessageRefused("x", stage=Stage.SEND, server_said="too large"), ""
    yield MessageRefused(NO_PERMISSION, stage=Stage.SEND), "connection"
    yield MessageRefused(TOO_LARGE, stage=Stage.SEND), ""
    yield QuotaExceeded("x", stage=Stage.MOVE), ""
    yield FolderRefused("not a folder name", stage=Stage.ARCHIVE), "archive_folder"
    yield ServerBusy("x", stage=Stage.SEND, retry_after=61.2), ""
    yield CertificateRefused("x", stage=Stage.TLS, verify_code=20), ""


@pytest.mark.parametrize(("error_", "field"), [*_errors()], ids=lambda value: type(value).__name__)
def test_words_for_what_only_a_run_meets(
    graph_server: GraphServer, error_: MailServerError, field: str
) -> None:
    remedy = explain(error_, graph_server.settings(DESK))
    assert remedy.sentence.endswith((".", '"'))
    assert remedy.cure.endswith(".")
    assert remedy.field == field
    assert type(error_).__name__ not in remedy.sentence


def test_words_for_a_message_nobody_confirmed(graph_server: GraphServer) -> None:
    error_ = ServerBusy("x", stage=Stage.SEND)
    error_.uncertain = True
    assert "may arrive all the same" in explain(error_, graph_server.settings(DESK)).sentence
