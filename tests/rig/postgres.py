"""A real PostgreSQL in a folder of its own, and a database for each instance of a test.

With `SERVICEDESK_TEST_DATABASE=postgresql` every instance folder a test makes gets a database of its own
there (`give_databases`), so that the same tests run on both. They are copies of one that was migrated.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from sqlalchemy.engine import make_url

from tests.rig.ports import free_ports
from webapp import config
from webapp.database import Database

START_SECONDS = 20.0
USER = "servicedesk"
_TEMPLATE = "migrated"
_OPTIONS = (
    "fsync=off",  # nothing here survives the machine; that a commit is durable is PostgreSQL's own affair
    "synchronous_commit=off",
    "full_page_writes=off",
    "max_connections=300",
    "shared_buffers=64MB",
    "autovacuum=off",
    "unix_socket_directories=",
    "listen_addresses=127.0.0.1",
    "timezone=Asia/Kolkata",  # what the server thinks the time is must not matter
)


@dataclass(slots=True)
class PostgresServer:
    """A running server; `create_database()` gives the address of a fresh database."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] = field(repr=False)
    _count: int = 0

    @classmethod
    def start(cls) -> PostgresServer:
        """Make a cluster and start it. Raises RuntimeError with what it logged."""
        folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        data = folder / "data"
        data.mkdir()
        if os.getuid() == 0:
            person = pwd.getpwnam("postgres")
            for path in (folder, data):
                os.chown(path, person.pw_uid, person.pw_gid)
        initdb = [*_as_user(), _program("initdb"), "-D", str(data), "-U", USER, "--auth=trust", "-N"]
        initdb += ["--encoding=UTF8", "--locale=C"]
        made = subprocess.run(initdb, capture_output=True, cwd="/", check=False)
        if made.returncode:
            raise RuntimeError(f"initdb failed: {made.stderr.decode(errors='replace')[-2000:]}")
        (port,) = free_ports(1)
        options = [part for option in _OPTIONS for part in ("-c", option)]
        with (folder / "postgres.log").open("wb") as log:
            process = subprocess.Popen(
                [*_as_user(), _program("postgres"), "-D", str(data), "-p", str(port), *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
            )
        server = cls(folder, port, process)
        server._wait()
        return server

    def url(self, database: str) -> str:
        return f"postgresql+psycopg://{USER}@127.0.0.1:{self.port}/{database}"

    def create_database(self, template: str = "template0") -> str:
        """A fresh database's name, a copy of `template`."""
        self._count += 1
        name = f"desk{self._count}"
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return name

    def execute(self, statement: str) -> None:
        with psycopg.connect(
            f"host=127.0.0.1 port={self.port} user={USER} dbname=postgres", autocommit=True
        ) as one:
            one.execute(statement)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGQUIT)  # at once: nothing of it is needed again
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(10)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        shutil.rmtree(self.folder, ignore_errors=True)

    def log(self) -> str:
        return (self.folder / "postgres.log").read_text(errors="replace")

    def _wait(self) -> None:
        ends_at = time.monotonic() + START_SECONDS
        while time.monotonic() < ends_at and self.process.poll() is None:
            with contextlib.suppress(psycopg.OperationalError):
                self.execute("SELECT 1")
                return
            time.sleep(0.05)
        log = self.log()
        self.stop()
        raise RuntimeError(f"PostgreSQL does not start: {log[-2000:]}")


def copy_database(source: Path, target: Path) -> None:
    """Give the instance folder `target` a copy of the database of the closed instance in `source`."""
    told = source / "servicedesk.toml"
    if not told.exists():
        shutil.copy(source / "servicedesk.db", target)
        return
    assert _giving is not None
    url = make_url(tomllib.loads(told.read_text())["database_url"])
    name = _giving.create_database(str(url.database))
    (target / "servicedesk.toml").write_text(f'database_url = "{_giving.url(name)}"\n')


_giving: PostgresServer | None = None


@contextlib.contextmanager
def give_databases(server: PostgresServer) -> Iterator[None]:
    """Until the block ends, every new instance folder of this process uses a database of `server`."""
    global _giving
    _giving, template = server, server.create_database()
    make_folder = config._create_instance

    def create(instance: Path) -> None:
        make_folder(instance)
        told = instance / "servicedesk.toml"
        if not told.exists():
            name = server.create_database(template)
            told.write_text(f'database_url = "{server.url(name)}"\n')

    with tempfile.TemporaryDirectory() as folder:
        settings = config.load_settings({}, instance=folder, database_url=server.url(template))
        database = Database(settings)
        database.upgrade()
        database.dispose()
    config._create_instance = create
    try:
        yield
    finally:
        config._create_instance, _giving = make_folder, None


def _program(name: str) -> str:
    """Debian keeps the server's programs off the path, a folder a version."""
    found = shutil.which(name) or max(
        (str(path) for path in Path("/usr/lib/postgresql").glob(f"*/bin/{name}")), default=""
    )
    if not found:
        raise RuntimeError(f"{name} is not installed: apt-get install postgresql")
    return found


def _as_user() -> list[str]:
    """PostgreSQL refuses to run as root; it ends with the process that started it, however that ends."""
    user = ["--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.getuid() == 0 else []
    return ["setpriv", "--pdeathsig=QUIT", *user]
