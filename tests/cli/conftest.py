"""The `servicedesk` command on an instance of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.factories import make_instance
from webapp.cli import main
from webapp.instance import Instance

CONSOLE_SCRIPT = Path(sys.executable).with_name("servicedesk")


@dataclass
class Command:
    """Runs `servicedesk` and looks at how it ended."""

    instance: Path
    environ: dict[str, str | None] = field(default_factory=dict)

    def __call__(self, *arguments: str, stdin: str | bytes | None = None) -> Result:
        known = {name: None for name in os.environ if name.startswith("SERVICEDESK_")}
        env = {**known, "SERVICEDESK_INSTANCE": str(self.instance), **self.environ}
        return CliRunner().invoke(main, list(arguments), input=stdin, env=env, prog_name="servicedesk")

    def ok(self, *arguments: str, stdin: str | bytes | None = None) -> str:
        """What it printed; it must have ended well and said nothing on standard error."""
        result = self(*arguments, stdin=stdin)
        assert (result.exit_code, result.stderr) == (0, ""), result.output
        return result.stdout

    def json(self, *arguments: str, stdin: str | bytes | None = None) -> Any:
        return json.loads(self.ok(*arguments, "--json", stdin=stdin))

    def refused(self, *arguments: str, stdin: str | bytes | None = None, code: int = 1) -> str:
        """Its one line on standard error, without "Error: "; no trace, nothing on standard output."""
        result = self(*arguments, stdin=stdin)
        assert isinstance(result.exception, SystemExit), result.exception
        assert result.exit_code == code, result.output
        assert result.stdout == ""
        assert result.stderr.startswith("Error: ")
        assert result.stderr.count("\n") == 1
        return result.stderr.removeprefix("Error: ").rstrip("\n")

    def script(self, *arguments: str, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """The same through the real console script."""
        env = {name: value for name, value in os.environ.items() if not name.startswith("SERVICEDESK_")}
        env |= {"SERVICEDESK_INSTANCE": str(self.instance)}
        env |= {name: value for name, value in self.environ.items() if value is not None}
        return subprocess.run(
            [CONSOLE_SCRIPT, *arguments], input=stdin, capture_output=True, env=env, check=False, timeout=60
        )


@pytest.fixture
def servicedesk(tmp_path: Path) -> Command:
    return Command(tmp_path)


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Instance]:
    """The instance the command works on."""
    instance = make_instance(tmp_path)
    yield instance
    instance.close()
