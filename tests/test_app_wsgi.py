"""The process: it starts, says where it is, stops when told, and refuses a taken port with one line."""

from __future__ import annotations

import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rig.ports import free_ports
from webapp import create_app, wsgi
from webapp.config import CHECKOUT, load_settings
from webapp.wsgi import ServeError, serve

START = "from webapp.config import load_settings; from webapp.wsgi import serve; serve(load_settings())"


class Running:
    """The process on a port of its own, its output in files."""

    def __init__(self, folder: Path) -> None:
        (self.port,) = free_ports(1)
        self.out, self.err = folder / "out", folder / "err"
        environment = {
            "PATH": os.environ["PATH"],
            "SERVICEDESK_INSTANCE": str(folder / "instance"),
            "SERVICEDESK_PORT": str(self.port),
        }
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-c", START], cwd=CHECKOUT, env=environment, stdout=out, stderr=err
            )

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.err.read_text()
            try:
                assert self.get("/healthz")[0] == 200
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise AssertionError("not ready in time")

    def get(self, path: str) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        connection.request("GET", path)
        answer = connection.getresponse()
        try:
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def stop(self, number: int = signal.SIGTERM) -> float:
        started = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(30)
        return time.monotonic() - started


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    running = Running(tmp_path)
    yield running
    running.process.kill()
    running.process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_serves_and_stops(running: Running, number: int) -> None:
    running.wait_until_ready()
    status, headers, _ = running.get("/setup")
    assert status == 200
    assert "Content-Security-Policy" in headers
    assert "Server" not in headers
    assert running.stop(number) < 10
    assert running.process.returncode == 0, running.err.read_text()
    assert "Traceback" not in running.err.read_text()
    told = running.out.read_text()
    assert f"Service desk is ready at http://127.0.0.1:{running.port}" in told
    assert "servicedesk.db" in told
    code = re.search(
        r"open http://127\.0\.0\.1:\d+/setup and enter the one-time code\s+((?:\w{4}-?){4})", told
    )
    assert code
    assert code[1] in running.err.read_text()  # and the log says it too


def test_a_taken_port_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings = load_settings({}, instance=tmp_path, port=taken.getsockname()[1])
        with pytest.raises(ServeError) as refused:
            serve(settings)
    assert "is already in use" in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ({}, "http://127.0.0.1:8080"),
        ({"host": "0.0.0.0", "port": 81}, "http://127.0.0.1:81"),
        ({"host": "::"}, "http://[::1]:8080"),
        ({"host": "fe80::1"}, "http://[fe80::1]:8080"),
        ({"public_url": "https://desk.example.com"}, "https://desk.example.com"),
    ],
)
def test_the_address_told_is_one_to_type(tmp_path: Path, given: dict[str, str], address: str) -> None:
    assert wsgi.address(load_settings({}, instance=tmp_path, **given)) == address


def test_forwarded_headers_reach_the_application_only_behind_a_proxy(tmp_path: Path) -> None:
    alone = load_settings({}, instance=tmp_path)
    behind = load_settings({}, instance=tmp_path, trusted_proxies=1)
    assert wsgi._server_settings(alone)["clear_untrusted_proxy_headers"] is True
    assert wsgi._server_settings(behind)["clear_untrusted_proxy_headers"] is False


def test_create_app_starts_no_thread(tmp_path: Path) -> None:
    import threading

    before = threading.active_count()
    app = create_app(load_settings({}, instance=tmp_path))
    assert app.test_client().get("/healthz").status_code == 200
    assert threading.active_count() == before
    app.extensions["instance"].close()
