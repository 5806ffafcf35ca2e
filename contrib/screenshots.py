"""Make docs/screenshots from the demonstration: `make screenshots`. Needs Debian's chromium.

The demonstration runs in a temporary folder, on a free port, and is thrown away afterwards.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep

from playwright.sync_api import Locator, Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "screenshots"
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
ADMINISTRATOR = 0  # the first of the printed sign-ins
START_SECONDS, MAIL_SECONDS = 60.0, 60.0
WIDTH, HEIGHT = 1100, 800
LIMIT_BYTES = 150_000


@contextmanager
def demonstration() -> Iterator[tuple[str, str, str]]:
    """Address, email address and password of the administrator."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="screenshots-") as folder:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("SERVICEDESK_")}
        environ |= {"SERVICEDESK_INSTANCE": folder, "TZ": "Europe/Sofia"}
        with open(Path(folder) / "output.log", "wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "webapp.cli", "run", "--demo", "--port", str(port)],
                cwd=ROOT,
                env=environ,
                stdout=output,
                stderr=output,
            )
        address = f"http://127.0.0.1:{port}"
        try:
            wait_for(address, process, Path(folder) / "output.log")
            sign_ins: dict[str, str] = json.loads((Path(folder) / "demo" / "sign-in.json").read_text("utf-8"))
            yield (address, *list(sign_ins.items())[ADMINISTRATOR])
        finally:
            process.terminate()
            process.wait(20)


def wait_for(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    ends_at = monotonic() + START_SECONDS
    while monotonic() < ends_at and process.poll() is None:
        with suppress(OSError), urllib.request.urlopen(f"{address}/healthz", timeout=5):  # noqa: S310
            return
        sleep(0.2)
    raise SystemExit(f"The demonstration does not start:\n{log.read_text(errors='replace')}")


def wait_for_tickets(page: Page, address: str) -> None:
    """Until the mail of the start is in: its tickets, and a run that found nothing more."""
    ends_at = monotonic() + MAIL_SECONDS
    while monotonic() < ends_at:
        page.goto(f"{address}/tickets")
        if page.locator("#ticket-list tbody tr").count() >= 4:
            return
        page.wait_for_timeout(1000)
    raise SystemExit("The demonstration's first tickets do not arrive.")


def sign_in(page: Page, address: str, email: str, password: str) -> None:
    page.goto(f"{address}/login")
    page.get_by_label("Email address").fill(email)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/tickets")


def shoot_mail_server_configuration(page: Page, address: str) -> None:
    """The stages of a test, and then the three rows, each tested."""
    page.goto(f"{address}/settings/service-desk/mail")
    for row in ("outgoing", "invoice", "incoming"):
        shown = page.locator(f"#row-{row}")
        shown.get_by_role("button", name="Test Connection").click()
        shown.get_by_text("Test passed in").wait_for()
        if row == "incoming":
            save(page.locator(f"#test-{row}"), "connection-test")
        shown.get_by_text("Last test passed").wait_for()
    page.goto(f"{address}/settings/service-desk/mail")
    height = page.locator("#row-incoming").evaluate(
        "row => Math.ceil(row.getBoundingClientRect().bottom) + 16"
    )
    page.set_viewport_size({"width": WIDTH, "height": height})
    save(page, "mail-server-configuration")


def shoot_ticket(page: Page, address: str) -> None:
    """A ticket with an answer in its conversation, or else the oldest one."""
    page.goto(f"{address}/tickets")
    page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
    paths = page.locator("#ticket-list tbody th a").evaluate_all("links => links.map(link => link.pathname)")
    for path in reversed(paths):
        page.goto(f"{address}{path}")
        if page.locator("#conversation article").count() > 1:
            break
    save(page, "ticket")


def save(what: Page | Locator, name: str) -> None:
    path = FOLDER / f"{name}.png"
    what.screenshot(path=path)
    size = path.stat().st_size
    sys.stdout.write(f"{path.relative_to(ROOT)} ({size // 1000} kB)\n")
    if size > LIMIT_BYTES:
        raise SystemExit(f"{path.name} is larger than {LIMIT_BYTES // 1000} kB.")


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with demonstration() as (address, email, password), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        sign_in(page, address, email, password)
        wait_for_tickets(page, address)
        shoot_mail_server_configuration(page, address)
        shoot_ticket(page, address)
        browser.close()


if __name__ == "__main__":
    main()
