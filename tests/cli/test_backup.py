"""`servicedesk backup`, `restore` and `keys rotate`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from webapp.instance import Instance
from webapp.running import alone, in_use

HOLD = "import sys, time; from pathlib import Path; from webapp.running import in_use\n"
HOLD += "with in_use(Path(sys.argv[1])): print('held', flush=True); time.sleep(60)\n"


@pytest.fixture
def people(servicedesk: Command, tmp_path: Path) -> Path:
    csv = tmp_path / "people.csv"
    csv.write_text("email,name,company\nann@acme.test,Ann Lee,Acme\n")
    servicedesk.ok("directory", "import", str(csv))
    return csv


def test_a_backup_and_its_way_back(servicedesk: Command, people: Path, tmp_path: Path) -> None:
    path = tmp_path / "desk.backup"
    told = servicedesk.ok("backup", str(path))
    assert str(path) in told
    assert "The keys are NOT in it" in told
    assert str(servicedesk.instance / "secret.keys") in told
    people.write_text("email,name,company\nbob@binder.test,Bob,Binder\n")
    servicedesk.ok("directory", "import", str(people))
    told = servicedesk.ok("restore", str(path), "--yes")
    assert "kept in" in told
    assert "servicedesk mail check-archive --since 1" in told
    assert "bob@binder.test" not in servicedesk.ok("directory", "export")
    assert "ann@acme.test" in servicedesk.ok("directory", "export")


def test_it_asks_first(servicedesk: Command, tmp_path: Path) -> None:
    path = tmp_path / "desk.backup"
    servicedesk.ok("backup", str(path))
    refused = servicedesk("restore", str(path), stdin="n\n")
    assert refused.exit_code == 1
    assert not list(servicedesk.instance.glob("before-restore*"))


def test_check_changes_nothing(servicedesk: Command, tmp_path: Path) -> None:
    path = tmp_path / "desk.backup"
    servicedesk.ok("backup", str(path))
    assert "is sound" in servicedesk.ok("restore", str(path), "--check")
    path.write_bytes(path.read_bytes()[:5000])
    assert str(path) in servicedesk.refused("restore", str(path), "--check")


def test_a_running_desk_is_not_restored_under_its_feet(servicedesk: Command, tmp_path: Path) -> None:
    path = tmp_path / "desk.backup"
    servicedesk.ok("backup", str(path))
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(servicedesk.instance)], stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        for command in (("restore", str(path), "--yes"), ("keys", "rotate", "--drop-old")):
            assert "Stop it first" in servicedesk.refused(*command)
        holder.kill()


def test_keys_are_rotated_and_dropped(servicedesk: Command, instance: Instance) -> None:
    servicedesk.ok("mail", "set", "outgoing", "host=smtp.desk.test", "--password-stdin", stdin="geheim\n")
    assert "Encrypted anew: 1" in servicedesk.ok("keys", "rotate")
    assert servicedesk.ok("keys", "rotate", "--drop-old").startswith("Dropped: 1")
    assert servicedesk.ok("keys", "rotate", "--drop-old").startswith("There was no old key")


def test_many_use_an_instance_and_one_is_alone(tmp_path: Path) -> None:
    with in_use(tmp_path), in_use(tmp_path):
        pass
    with alone(tmp_path):
        pass
