"""Word to the service manager, as systemd hears it."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from webapp.supervision import Watchdog, tell, watchdog_seconds


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(10)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield listening


def test_it_is_told(manager: socket.socket) -> None:
    assert tell("READY=1")
    assert manager.recv(100) == b"READY=1"


def test_without_a_manager_nothing_happens() -> None:
    assert not tell("READY=1", {})


def test_a_manager_that_is_gone_is_no_failure(tmp_path: Path) -> None:
    assert not tell("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "nobody")})


def test_a_name_in_the_abstract_namespace() -> None:
    name = f"servicedesk-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0{name}")
        assert tell("READY=1", {"NOTIFY_SOCKET": f"@{name}"})
        assert listening.recv(100) == b"READY=1"


def test_signs_of_life_end_when_a_part_of_the_process_hangs(manager: socket.socket) -> None:
    alive = [True, True, False]
    asked: list[bool] = []

    def is_alive() -> bool:
        asked.append(alive[min(len(asked), 2)])
        return asked[-1]

    dog = Watchdog(is_alive, 0.03)
    dog.start()
    assert manager.recv(100) == manager.recv(100) == b"WATCHDOG=1"
    manager.settimeout(0.3)
    with pytest.raises(TimeoutError):
        manager.recv(100)
    dog.stop()
    assert len(asked) > 3


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
    ],
)
def test_how_long_it_waits(environ: dict[str, str], seconds: float | None) -> None:
    assert watchdog_seconds(environ) == seconds
