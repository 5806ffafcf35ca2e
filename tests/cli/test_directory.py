"""`servicedesk directory`: CSV in and out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.factories import NOW
from webapp.instance import Instance
from webapp.models import Ticket, TicketStatus

PEOPLE = (
    "email,name,company,other_emails,phone,active\r\n"
    'ann@acme.test,"Lee, Ännchen",Acme Ltd,ann@private.test,+359 2 1,yes\r\n'
    "bob@binder.test,Bob,,,,no\r\n"
)


def test_a_file_is_imported_and_comes_out_again(servicedesk: Command, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text(PEOPLE, newline="")
    said = servicedesk.ok("directory", "import", str(file))
    assert said == "Users: 2 created, 0 updated, 0 unchanged. Companies: 1 created.\n"
    assert servicedesk("directory", "export").stdout_bytes.decode() == PEOPLE
    said = servicedesk.ok("directory", "import", str(file))
    assert said == "Users: 0 created, 0 updated, 2 unchanged. Companies: 0 created.\n"


def test_an_export_is_utf_8_whatever_the_terminal_speaks(servicedesk: Command) -> None:
    servicedesk.ok("directory", "import", "-", stdin=PEOPLE.encode())
    servicedesk.environ |= {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}
    exported = servicedesk.script("directory", "export")
    assert (exported.stdout, exported.stderr) == (PEOPLE.encode(), b"")
    again = servicedesk.script("directory", "import", "-", stdin=exported.stdout)
    assert b"2 unchanged" in again.stdout


def test_a_broken_file_is_one_line_and_imports_nothing(servicedesk: Command, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text("email,name,company\nann@acme.test,Ann,Acme\nbob,Bob,Acme\n")
    said = servicedesk.refused("directory", "import", str(file))
    assert said.startswith(f"{file}, line 3, column email: 'bob' is not an e-mail address: ")
    assert said.endswith(" Nothing was imported.")
    assert servicedesk.ok("directory", "export").splitlines() == [PEOPLE.splitlines()[0]]


@pytest.mark.parametrize("file", ["/no/such.csv", "/etc"])
def test_a_file_that_cannot_be_read_is_one_line(servicedesk: Command, file: str) -> None:
    assert file in servicedesk.refused("directory", "import", file, code=2)


def test_an_import_says_how_many_earlier_tickets_it_gave(servicedesk: Command, instance: Instance) -> None:
    with instance.database.writing() as session:
        session.add(
            Ticket(
                subject="Hello", status=TicketStatus.OPEN, requester_address="ANN@acme.test",
                created_at=NOW, updated_at=NOW,
            )
        )  # fmt: skip
    said = servicedesk.ok("directory", "import", "-", stdin=PEOPLE.encode())
    assert said.endswith("Companies: 1 created. Earlier tickets that are theirs now: 1.\n")
