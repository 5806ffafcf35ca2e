"""What only Exchange and Office365 need is not imported for anybody else: in a fresh interpreter each."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.factories import make_instance, set_row
from tests.rig.graph_server import GraphServer
from tests.rig.microsoft_account import environment_of, set_office365, settings_of
from webapp.config import CHECKOUT
from webapp.models import Row

# 58 MB and half a second together.
HEAVY = ("exchangelib", "msal", "requests", "urllib3", "lxml", "spnego")
PROGRAM = f"""
import json, sys
from webapp.config import load_settings
from webapp.inbound.parser_process import ParserProcess
from webapp.inbound.poll import poll
from webapp.desk.sending import make_deliverer
import webapp.cli, webapp.wsgi
from webapp.app import create_app

app = create_app(load_settings())
instance = app.extensions["instance"]
client = app.test_client()
client.get("/login")
with ParserProcess() as parser:
    report = poll(instance, parser, trigger="command")
make_deliverer(instance).run()
print(json.dumps([sorted(name for name in {HEAVY!r} if name in sys.modules), report.failure is None]))
"""


def run(folder: Path, **environment: str) -> tuple[list[str], bool]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=CHECKOUT,
        env={"SERVICEDESK_INSTANCE": str(folder), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    heavy, went_well = json.loads(done.stdout.splitlines()[-1])
    return heavy, went_well


def test_imap_and_smtp_need_none_of_it(tmp_path: Path) -> None:
    instance = make_instance(tmp_path)
    for row in Row:
        set_row(instance, row, host="127.0.0.1", port="9", tls_mode="implicit", username="help@example.com",
                active="true", timeout_ms="1000")  # fmt: skip
    instance.close()
    assert run(tmp_path) == ([], False)


def test_office365_needs_no_exchangelib(tmp_path: Path, graph_server: GraphServer) -> None:
    instance = make_instance(tmp_path, **settings_of(graph_server))
    set_office365(instance, graph_server, "desk@example.com")
    instance.close()
    heavy, went_well = run(tmp_path, **environment_of(graph_server))
    assert went_well
    assert "exchangelib" not in heavy
    assert "requests" in heavy
