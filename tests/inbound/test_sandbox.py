"""What a process that has closed itself off cannot do any more, tried for real."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import json, os, socket, sys
from webapp.inbound.sandbox import close_off

missing = close_off()
tries = {
    "socket": lambda: socket.socket(),
    "unix": lambda: socket.socket(socket.AF_UNIX),
    "pair": lambda: socket.socketpair(),
    "fork": lambda: os.fork(),
    "exec": lambda: os.execv("/bin/true", ["true"]),
    "kill": lambda: os.kill(os.getppid(), 0),
    "read": lambda: open(sys.argv[1]).close(),
    "write": lambda: open(sys.argv[1], "a").close(),
    "create": lambda: open(sys.argv[1] + "2", "w").close(),
}
done = {}
for name, attempt in tries.items():
    try:
        attempt()
        done[name] = "done"
    except OSError as error:
        done[name] = error.errno
import encodings.iso2022_jp, email.mime.text
done["codec"] = "日".encode("iso2022_jp").hex()
print(json.dumps({"missing": missing, "done": done}))
"""
EPERM, EACCES = 1, 13


def test_neither_network_nor_programs_nor_our_files(tmp_path: Path) -> None:
    secret = tmp_path / "secret.keys"
    secret.write_text("canary")
    command = [sys.executable, "-c", PROGRAM, str(secret)]
    told = json.loads(subprocess.run(command, capture_output=True, check=True, timeout=30).stdout)
    assert told["missing"] == []
    done = told["done"]
    assert {done[name] for name in ("socket", "unix", "pair", "fork", "exec", "kill")} == {EPERM}
    assert {done[name] for name in ("read", "write", "create")} == {EACCES}
    assert done["codec"] == "1b2442467c1b2842"
    assert secret.read_text() == "canary"


def test_where_the_kernel_says_no_it_is_told_and_the_rest_stands() -> None:
    program = (
        "import platform; platform.machine = lambda: 'riscv64'\n"
        "from webapp.inbound.sandbox import close_off; print(close_off())"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, timeout=30)
    assert done.stdout.decode().strip() == (
        "['network and programs (seccomp): no numbers are known for riscv64']"
    )
