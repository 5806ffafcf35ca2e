"""`servicedesk user`: accounts from the command line."""

from __future__ import annotations

import pytest

from tests.cli.conftest import Command
from webapp.desk import accounts
from webapp.instance import Instance

PASSWORD = "correct horse battery"


def add(servicedesk: Command, email: str = "ann@desk.test", role: str = "administrator") -> str:
    return servicedesk.ok("user", "add", email, "--role", role, "--password-stdin", stdin=f"{PASSWORD}\n")


def signs_in(instance: Instance, email: str, password: str) -> bool:
    with instance.database.reading() as session:
        return accounts.check_password(session, email, password) is not None


def test_an_account_is_made_and_can_sign_in(servicedesk: Command, instance: Instance) -> None:
    assert add(servicedesk) == "ann@desk.test can sign in as administrator.\n"
    assert signs_in(instance, "ann@desk.test", PASSWORD)
    assert servicedesk.json("user", "list") == [
        {"email": "ann@desk.test", "name": "ann", "role": "administrator", "enabled": True}
    ]


def test_the_list_is_a_table_and_says_when_it_is_empty(servicedesk: Command) -> None:
    assert servicedesk.ok("user", "list").startswith("No accounts yet. Create the first with: ")
    assert servicedesk.json("user", "list") == []
    add(servicedesk)
    add(servicedesk, "bob@desk.test", "viewer")
    assert servicedesk.ok("user", "list").splitlines() == [
        "email          role           state    name",
        "ann@desk.test  administrator  enabled  ann",
        "bob@desk.test  viewer         enabled  bob",
    ]


@pytest.mark.parametrize(
    ("email", "password", "words"),
    [
        ("ann@desk.test", PASSWORD, "There is already an account for ann@desk.test."),
        ("nobody", PASSWORD, "is not an e-mail address"),
        ("new@desk.test", "short", "at least 12 characters"),
        ("new@desk.test", "", "There is no password on standard input."),
        ("help@desk.test", PASSWORD, "is the incoming mailbox"),
    ],
)
def test_a_refused_account_is_one_line(servicedesk: Command, email: str, password: str, words: str) -> None:
    add(servicedesk)
    servicedesk.ok("mail", "set", "incoming", "host=imap.desk.test", "username=help@desk.test")
    said = servicedesk.refused(
        "user", "add", email, "--role", "viewer", "--password-stdin", stdin=f"{password}\n"
    )
    assert words in said
    assert len(servicedesk.json("user", "list")) == 1


def test_a_password_that_is_no_text_is_refused(servicedesk: Command) -> None:
    arguments = ("user", "add", "a@b.test", "--role", "viewer", "--password-stdin")
    assert (
        servicedesk.refused(*arguments, stdin=b"\xff\xfe\n") == "The password on standard input is not UTF-8."
    )
    assert "not UTF-8" in servicedesk.script(*arguments, stdin=b"\xff\n").stderr.decode()


def test_without_terminal_and_without_standard_input_there_is_no_password(servicedesk: Command) -> None:
    said = servicedesk.refused("user", "add", "a@b.test", "--role", "viewer", stdin="")
    assert said == "Give the password with --password-stdin, or run this at a terminal."


def test_a_password_is_reset(servicedesk: Command, instance: Instance) -> None:
    add(servicedesk)
    said = servicedesk.ok(
        "user", "reset-password", "ANN@desk.test", "--password-stdin", stdin="another horse battery"
    )
    assert said == "ann@desk.test has a new password and is signed out everywhere.\n"
    assert signs_in(instance, "ann@desk.test", "another horse battery")
    assert not signs_in(instance, "ann@desk.test", PASSWORD)
    unknown = servicedesk.refused("user", "reset-password", "x@desk.test", "--password-stdin", stdin=PASSWORD)
    assert unknown == "There is no account for x@desk.test."
