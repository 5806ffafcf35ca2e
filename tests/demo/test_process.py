"""`servicedesk run --demo` as people start it: the real command, seen through its pages."""

from __future__ import annotations

import hashlib
import http.cookiejar
import os
import re
import signal
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.rig.ports import free_ports
from webapp.config import CHECKOUT

COMMAND = Path(sys.executable).with_name("servicedesk")
FIRST_TICKET_SECONDS = 20.0
ADMINISTRATOR = "dana@bluebird-it.example"


class Demo:
    """One start of the command, and a browser."""

    def __init__(self, folder: Path, name: str, **environment: str) -> None:
        self.started = time.monotonic()
        (self.port,) = free_ports(1)
        self.out, self.err = folder / f"{name}.out", folder / f"{name}.err"
        told = {"PATH": os.environ["PATH"], "SERVICEDESK_INSTANCE": str(folder / "instance")} | environment
        command = [str(COMMAND), "run", "--demo", "--port", str(self.port)]
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(command, cwd=CHECKOUT, env=told, stdout=out, stderr=err)
        jar = urllib.request.HTTPCookieProcessor(http.cookiejar.CookieJar())
        self.browser = urllib.request.build_opener(jar)

    def passwords(self) -> dict[str, str]:
        """As printed; waits until they are."""
        wait_for(lambda: "start over" in self.out.read_text() or self.process.poll() is not None)
        assert self.process.poll() is None, self.err.read_text()
        lines = re.findall(r"^    (\S+@\S+)  +(\S+)  \((\w+)\)$", self.out.read_text(), re.MULTILINE)
        assert [role for _, _, role in lines] == ["administrator", "technician", "viewer"]
        return {email: password for email, password, _ in lines}

    def sign_in(self, email: str = ADMINISTRATOR) -> None:
        token = re.search(r'name="csrf_token" value="([^"]+)"', self.page("/login"))
        assert token
        form = {"email": email, "password": self.passwords()[email], "csrf_token": token[1], "next": ""}
        body = urllib.parse.urlencode(form).encode()
        with self.browser.open(f"http://127.0.0.1:{self.port}/login", body, timeout=10) as answer:
            assert not answer.url.endswith("/login")

    def page(self, path: str) -> str:
        with self.browser.open(f"http://127.0.0.1:{self.port}{path}", timeout=10) as answer:
            return str(answer.read().decode())

    def listening(self) -> set[str]:
        """The addresses this process listens on, as Linux writes them in hexadecimal."""
        fds = Path(f"/proc/{self.process.pid}/fd")
        ours = {os.readlink(fd) for fd in fds.iterdir() if fd.is_symlink()}
        found = set()
        for table in ("tcp", "tcp6"):
            for line in Path(f"/proc/{self.process.pid}/net/{table}").read_text().splitlines()[1:]:
                words = line.split()
                if words[3] == "0A" and f"socket:[{words[9]}]" in ours:
                    found.add(words[1].partition(":")[0])
        return found

    def stop(self, number: int = signal.SIGTERM) -> float:
        started = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(30)
        return time.monotonic() - started


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Demo]]:
    running: list[Demo] = []

    def start(**environment: str) -> Demo:
        running.append(Demo(tmp_path, f"start-{len(running)}", **environment))
        return running[-1]

    yield start
    for demo in running:
        demo.process.kill()
        demo.process.wait()


def test_the_first_minutes(start: Callable[..., Demo], tmp_path: Path) -> None:
    real = make_real_instance(tmp_path / "instance")
    before = fingerprints(real)
    demo = start(
        SERVICEDESK_DATABASE_URL=f"sqlite:///{real / 'servicedesk.db'}",
        SERVICEDESK_PUBLIC_URL="https://desk.example",
        SERVICEDESK_SECRET_KEYS="not a key",
    )
    demo.passwords()
    demo.sign_in()
    wait_for(lambda: "Reception printer is offline again" in demo.page("/tickets"))
    assert time.monotonic() - demo.started < FIRST_TICKET_SECONDS

    wait_for(lambda: "New colleague starting Monday" in demo.page("/email-log"))
    log = demo.page("/email-log")
    assert "Auto-Submitted: auto-replied" in log  # why the out-of-office was ignored
    assert "george.miller.58@mailbox.example" in log  # the unknown sender
    ticket = demo.page("/tickets/1")
    assert "IMG_2231.png" in ticket  # the reply with its picture joined the ticket
    assert "E-14" in ticket

    if sys.platform == "linux":
        assert demo.listening() == {"0100007F"}
    assert start().process.wait(30) == 1  # only one at a time
    assert "is already running" in (tmp_path / "start-1.err").read_text()

    assert demo.stop() < 10
    assert demo.process.returncode == 0
    assert "Traceback" not in demo.err.read_text()
    assert fingerprints(real) == before
    assert (real / "demo" / "sign-in.json").stat().st_mode & 0o777 == 0o600
    assert (real / "demo").stat().st_mode & 0o777 == 0o700


def test_a_restart_keeps_tickets_and_sign_ins(start: Callable[..., Demo]) -> None:
    demo = start()
    first = demo.passwords()
    demo.sign_in()
    wait_for(lambda: "New colleague starting Monday" in demo.page("/tickets"))
    demo.stop(signal.SIGKILL)

    again = start()
    assert again.passwords() == first
    again.sign_in("priya@bluebird-it.example")
    wait_for(lambda: "VPN stops after a minute" in again.page("/tickets"))  # the next one of the script
    assert set(re.findall(r"T-(\d+)", again.page("/tickets"))) == {"1", "2", "3", "4", "5"}
    assert again.stop(signal.SIGINT) < 10
    assert again.process.returncode == 0


def test_without_its_packages_one_line_says_how_to_install_them(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['pymap'] = None; sys.argv = ['servicedesk', 'run', '--demo']; "
        "from webapp.cli import main; main()"
    )
    environment = {"PATH": os.environ["PATH"], "SERVICEDESK_INSTANCE": str(tmp_path)}
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=CHECKOUT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 1
    assert "pip install --editable '.[demo]'" in ended.stderr
    assert ended.stderr.count("\n") == 1


def make_real_instance(folder: Path) -> Path:
    """Files as a real service desk has them; none is good for anything, so using one would show."""
    folder.mkdir(mode=0o700)
    for name in ("servicedesk.db", "servicedesk.toml", "secret.keys", "session.key"):
        (folder / name).write_text(f"not for the demonstration: {name}")
    return folder


def fingerprints(folder: Path) -> dict[str, tuple[str, int]]:
    return {
        path.name: (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in folder.iterdir()
        if path.is_file()
    }


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.1)
