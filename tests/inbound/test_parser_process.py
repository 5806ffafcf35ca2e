"""The parser process: what it may not do, and what happens when a message kills it."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.factories import NOW, make_raw
from webapp.inbound import parser_process
from webapp.inbound.parser_process import ParserDied, ParserProcess
from webapp.inbound.reading import read_message
from webapp.mailserver.base import FetchedMessage, RemoteMessage


@pytest.fixture
def own_parser() -> Iterator[ParserProcess]:
    with ParserProcess(seconds=10) as process:
        yield process


def pid_of(process: ParserProcess) -> int:
    assert process._child is not None
    return process._child.pid


def test_it_understands_one_message_after_the_other_in_one_process(own_parser: ParserProcess) -> None:
    assert own_parser.parse(make_raw(subject="Grüße")).subject == "Grüße"
    first = pid_of(own_parser)
    assert own_parser.parse(make_raw(subject="two")).subject == "two"
    assert pid_of(own_parser) == first


def test_it_gives_the_content_of_an_attachment(own_parser: ParserProcess) -> None:
    raw = make_raw(files=[("a.bin", b"\x00\xffone"), ("b.bin", b"two")])
    files = own_parser.parse(raw).attachments
    assert [own_parser.file(raw, [file.position])[1] for file in files] == [b"\x00\xffone", b"two"]


def test_it_has_no_environment_and_no_file_of_ours(own_parser: ParserProcess, tmp_path: Path) -> None:
    secret = (tmp_path / "secret").open("w")
    os.set_inheritable(secret.fileno(), True)
    own_parser.parse(make_raw())
    child = Path("/proc") / str(pid_of(own_parser))
    assert (child / "environ").read_bytes() == b""
    targets = {os.readlink(descriptor) for descriptor in (child / "fd").iterdir()}
    assert not any(target.startswith("socket:") for target in targets)
    assert secret.name not in targets
    secret.close()


def test_it_is_limited(own_parser: ParserProcess) -> None:
    own_parser.parse(make_raw())
    pid = pid_of(own_parser)
    assert resource.prlimit(pid, resource.RLIMIT_AS)[1] == 1 << 30
    assert resource.prlimit(pid, resource.RLIMIT_CORE)[1] == 0
    assert (Path("/proc") / str(pid) / "oom_score_adj").read_text().strip() == "1000"


def test_a_killed_process_is_told_and_replaced(own_parser: ParserProcess) -> None:
    own_parser.parse(make_raw())
    os.kill(pid_of(own_parser), signal.SIGKILL)
    with pytest.raises(ParserDied, match="signal 9"):
        own_parser.parse(make_raw())
    assert own_parser.parse(make_raw(subject="again")).subject == "again"


def test_a_process_that_does_not_answer_is_ended_by_the_clock() -> None:
    with ParserProcess(seconds=1) as process:
        process.parse(make_raw())
        os.kill(pid_of(process), signal.SIGSTOP)
        with pytest.raises(ParserDied, match="signal 9"):
            process.parse(make_raw())


def test_it_ends_with_its_parent_even_when_that_is_killed() -> None:
    program = (
        "from webapp.inbound.parser_process import ParserProcess; import time\n"
        "p = ParserProcess(); p.parse(b'a: b\\r\\n\\r\\n'); print(p._child.pid, flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        parent.kill()
    for _ in range(100):
        if not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text().split()[2]:
            return
        time.sleep(0.1)
    pytest.fail("the parser process outlived its parent")


def test_an_idle_process_is_ended_and_started_again(
    own_parser: ParserProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_parser.parse(make_raw())
    own_parser.end_if_idle()
    assert own_parser._child is not None
    monkeypatch.setattr("webapp.inbound.parser_process.IDLE_SECONDS", -1.0)
    own_parser.end_if_idle()
    assert own_parser._child is None
    assert own_parser.parse(make_raw(subject="again")).subject == "again"


def test_it_is_closed_off_by_the_kernel(own_parser: ParserProcess) -> None:
    own_parser.parse(make_raw())
    status = (Path("/proc") / str(pid_of(own_parser)) / "status").read_text()
    assert "NoNewPrivs:\t1" in status
    assert "Seccomp:\t2" in status


def test_what_the_kernel_does_not_grant_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(parser_process, "_said", set())
    parser_process._say_once(["network: no"])
    parser_process._say_once(["network: no"])
    assert [record.getMessage() for record in caplog.records] == [
        "the parser process is not closed off from network: no"
    ]


def test_a_message_that_ends_the_process_each_time_is_quarantined(
    own_parser: ParserProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real process, really ended, whenever it is given the whole message."""
    raw = make_raw(subject="Bad one", files=[("a.bin", b"x" * 1000)])
    listed = RemoteMessage("7", len(raw), NOW)
    ask = ParserProcess._ask

    def kill_before_whole(self: ParserProcess, question: dict[str, Any], octets: bytes) -> Any:
        if octets == raw and self._child is not None:
            os.kill(self._child.pid, signal.SIGKILL)
            self._child.wait()
        elif octets == raw:
            self.parse(b"a: b\r\n\r\n")
            return kill_before_whole(self, question, octets)
        return ask(self, question, octets)

    monkeypatch.setattr(ParserProcess, "_ask", kill_before_whole)
    received = read_message(own_parser, listed, FetchedMessage("7", raw))
    assert received.notice == "quarantine"
    assert received.message.subject == "Bad one"
    assert received.message.defects[-1] == "message could not be read: the parser ended by signal 9, 3 times"
