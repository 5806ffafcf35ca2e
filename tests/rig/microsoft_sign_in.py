"""A stand-in for Microsoft's sign-in: npm's oidc-provider over TLS, in a process of its own.

It is a real OpenID provider (PKCE required, refresh tokens good for one use), dressed like Microsoft's: the
tenant in the path, `tid` and `oid` in the id_token, AADSTS numbers in its refusals, an account picker, a page
for the permissions. Nothing here was ever compared with Microsoft's own servers.
"""

from __future__ import annotations

import fcntl
import json
import re
import shutil
import signal
import subprocess
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any
from urllib.parse import parse_qsl, urljoin, urlsplit

import requests

from tests.rig.certificates import ServerCertificate

FOLDER = Path(__file__).parent / "identity_provider"
TENANT = "11111111-2222-4333-8444-555555555555"
OTHER_TENANT = "99999999-2222-4333-8444-555555555555"
CLIENT_ID = "c0ffee00-1234-4567-89ab-0123456789ab"
CLIENT_SECRET = "client-secret-canary~7Q.abc"


@dataclass(frozen=True)
class StandInAccount:
    """Somebody who can sign in there. `opens`: other mailboxes this account can open."""

    id: str
    name: str
    address: str
    aliases: tuple[str, ...] = ()
    opens: tuple[str, ...] = ()
    tenantId: str = TENANT
    tenantName: str = "Contoso"


HELP = StandInAccount(
    "00000000-0000-4000-8000-000000000001",
    "Help Desk",
    "helpdesk@contoso.example",
    aliases=("support@contoso.example",),
)
ANNA = StandInAccount(
    "00000000-0000-4000-8000-000000000002",
    "Anna Petrova",
    "anna@contoso.example",
    opens=("helpdesk@contoso.example",),
)
ALICE = StandInAccount("00000000-0000-4000-8000-000000000003", "Alice Able", "alice@desk.example")
STRANGER = StandInAccount(
    "00000000-0000-4000-8000-000000000004",
    "Sam Strange",
    "sam@fabrikam.example",
    tenantId=OTHER_TENANT,
    tenantName="Fabrikam",
)
ACCOUNTS = (HELP, ANNA, ALICE, STRANGER)


@dataclass
class IdentityProvider:
    """The running stand-in. `origin`: https://localhost:PORT."""

    process: subprocess.Popen[str]
    origin: str
    ca_file: Path
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def start(
        cls, certificate: ServerCertificate, ca_file: Path, *, token_seconds: int = 3600
    ) -> IdentityProvider:
        install()
        process = subprocess.Popen(
            ["node", "server.mjs"],
            cwd=FOLDER,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        setup = {
            "cert": certificate.chain_file.read_text(),
            "key": certificate.key_file.read_text(),
            "tenant": TENANT,
            "clientId": CLIENT_ID,
            "clientSecret": CLIENT_SECRET,
            "accounts": [asdict(account) for account in ACCOUNTS],
            "tokenSeconds": token_seconds,
        }
        _write(process, setup)
        return cls(process, _read(process)["origin"], ca_file)

    @property
    def settings(self) -> dict[str, str]:
        """What an instance is told to use this instead of Microsoft's."""
        return {
            "ms_authority": f"{self.origin}/{TENANT}",
            "ms_graph_base": f"{self.origin}/v1.0",
            "ms_stand_ins": "true",
            "mail_ca_file": str(self.ca_file),
        }

    def allow(self, *redirect_addresses: str) -> None:
        """The redirect addresses that are registered from now on."""
        self._tell("allow", addresses=redirect_addresses)

    def set_secret(self, value: str = CLIENT_SECRET) -> None:
        """Another client secret from now on: the old one has expired."""
        self._tell("secret", value=value)

    def fail(self, *failures: tuple[int, object], headers: dict[str, str] | None = None) -> None:
        """Status and answer (JSON, or a text as it is) of the next requests for a token."""
        told = [
            {
                "status": status,
                "headers": headers or {},
                "body": answer if isinstance(answer, str) else json.dumps(answer),
            }
            for status, answer in failures
        ]
        self._tell("fail", failures=told)

    def delay(self, milliseconds: int) -> None:
        """How long each request for a token takes from now on."""
        self._tell("delay", milliseconds=milliseconds)

    def asked(self) -> list[str]:
        """The grant types of the requests for a token since this was asked last."""
        found: list[str] = self._tell("asked")
        return found

    def stop_answering(self) -> None:
        """Connections are accepted, and nothing comes."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def revoke(self, account: StandInAccount) -> None:
        """Everything that was ever given to this account is void."""
        self._tell("revoke", address=account.address)

    def who(self, token: str) -> dict[str, Any] | None:
        """Whose access token this is: address, scopes, expiresAt."""
        found: dict[str, Any] | None = self._tell("who", token=token)
        return found

    def restore(self) -> None:
        """As it was at the start, but for what was granted."""
        self.set_secret()
        self.fail()
        self.delay(0)
        self.asked()

    def stop(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()

    def _tell(self, command: str, **options: object) -> Any:
        with self._lock:
            _write(self.process, {"command": command, **options})
            return _read(self.process)


class StandInBrowser:
    """A person at the stand-in's pages, without a browser; keeps its session there from one to the next."""

    def __init__(self, provider: IdentityProvider) -> None:
        self._client = requests.Session()
        self._client.trust_env = False
        self._client.verify = str(provider.ca_file)

    def answer(self, address: str, account: StandInAccount, *, refuse: str = "") -> dict[str, str]:
        """What the stand-in sends back with the browser: the query of the redirect address.

        `refuse`: cancel (at the account picker), declined or approval (at the permissions).
        """
        response = self._client.get(address, allow_redirects=False, timeout=10)
        for _ in range(20):
            if "location" in response.headers:
                address = urljoin(response.url, response.headers["location"])
                if "/oauth/office365/callback" in address:
                    return dict(parse_qsl(urlsplit(address).query))
                response = self._client.get(address, allow_redirects=False, timeout=10)
                continue
            picks = "Pick an account" in response.text
            form: dict[str, Any] = {"account": account.id} if picks else {"scope": _scopes_of(response.text)}
            if refuse == "cancel" or (refuse and not picks):
                form = {"refuse": refuse}
            response = self._client.post(response.url, data=form, allow_redirects=False, timeout=10)
        raise AssertionError(f"lost at {response.url}: {response.text[-500:]}")


def _scopes_of(page: str) -> list[str]:
    return re.findall(r'name="scope" value="([^"]+)"', page)


def install() -> None:
    """Install oidc-provider as the lock file says, once; several test processes may come at a time."""
    with (FOLDER / "package-lock.json").open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        done = FOLDER / "node_modules" / ".installed"
        wanted = (FOLDER / "package-lock.json").read_text()
        if done.is_file() and done.read_text() == wanted:
            return
        npm = shutil.which("npm")
        assert npm, "npm is missing: apt-get install nodejs npm"
        subprocess.run(
            [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
            cwd=FOLDER,
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=240,
        )
        done.write_text(wanted)


def _write(process: subprocess.Popen[str], told: object) -> None:
    pipe: IO[str] | None = process.stdin
    assert pipe is not None
    pipe.write(json.dumps(told) + "\n")
    pipe.flush()


def _read(process: subprocess.Popen[str]) -> Any:
    assert process.stdout is not None
    line = process.stdout.readline()
    ends_at = time.monotonic() + 5
    while not line and process.poll() is None and time.monotonic() < ends_at:
        line = process.stdout.readline()
    assert line, "the stand-in for Microsoft's sign-in has ended"
    return json.loads(line)
