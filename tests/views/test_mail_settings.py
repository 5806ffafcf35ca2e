"""Mail server configuration: the rows, edited in place, tested unsaved; with htmx and without."""

from __future__ import annotations

import json
import re
import socket
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from tests.factories import make_raw, set_row
from tests.rig.dovecot import DovecotMailbox
from tests.views.browser import Browser
from webapp.desk import mail_servers, options
from webapp.instance import Instance
from webapp.models import Audit, MailServer, Row

PAGE = "/settings/service-desk/mail"
INCOMING = {
    "version": "0", "protocol": "imap", "use_ssl": "true", "tls_mode": "implicit", "host": "imap.example.com",
    "port": "993", "username": "help@example.com", "password": "canary-secret", "timeout_ms": "30000",
}  # fmt: skip
OUTGOING = INCOMING | {
    "protocol": "smtp", "tls_mode": "starttls", "host": "smtp.example.com", "port": "587",
    "requires_auth": "true", "from_address": "help@example.com",
}  # fmt: skip
HTMX = {"HX-Request": "true"}


def post(browser: Browser, path: str, data: dict[str, str], *, htmx: bool = True):  # type: ignore[no-untyped-def]
    token = browser.csrf_token(f"{PAGE}/incoming/edit")
    return browser.post(path, data=data | {"csrf_token": token}, headers=HTMX if htmx else {})


def saved(instance: Instance, row: Row = Row.INCOMING) -> MailServer | None:
    with instance.database.reading() as session:
        return mail_servers.load(session, row)


def test_nothing_set_up_says_where_to_begin(alice: Browser) -> None:
    text = alice.get(PAGE).text
    for label in ("Outgoing email settings", "Invoice email settings", "Incoming email settings"):
        assert label in text
    assert "No mail server is set up yet." in text
    assert text.count("Not set up") >= 3


def test_a_row_opens_in_place_and_as_a_page(alice: Browser) -> None:
    part = alice.get(f"{PAGE}/incoming/edit", headers=HTMX)
    page = alice.get(f"{PAGE}/incoming/edit")
    assert part.text.lstrip().startswith('<section id="row-incoming"')
    assert "<html" not in part.text
    assert "<html" in page.text
    assert 'id="incoming-host"' in page.text
    assert 'id="row-outgoing"' in page.text
    assert "HX-Request" in part.headers["Vary"]
    back = alice.get(f"{PAGE}/incoming/edit", headers=HTMX | {"HX-History-Restore-Request": "true"})
    assert "<html" in back.text


def test_saving_in_place_gives_the_row_back_with_focus_and_a_toast(
    alice: Browser, instance: Instance
) -> None:
    answer = post(alice, f"{PAGE}/incoming", INCOMING)
    assert answer.status_code == 200
    assert "IMAP · imap.example.com:993 · SSL/TLS · help@example.com" in answer.text
    assert "autofocus" in answer.text
    message = json.loads(answer.headers["HX-Trigger"])["toast"]["message"]
    assert message == "Incoming email settings saved. Not tested yet."
    row = saved(instance)
    assert row is not None
    assert (row.host, row.active, row.updated_by) == ("imap.example.com", False, "alice@desk.example")
    assert instance.vault.unseal(row.password_sealed) == "canary-secret"


def test_saving_without_script_leads_back_to_the_page(alice: Browser) -> None:
    answer = post(alice, f"{PAGE}/outgoing", OUTGOING, htmx=False)
    assert (answer.status_code, answer.location) == (303, f"{PAGE}#row-outgoing")
    text = alice.get(PAGE).text
    assert "Outgoing email settings saved. Not tested yet." in text
    assert "SMTP · smtp.example.com:587 · STARTTLS · From help@example.com" in text


@pytest.mark.parametrize("htmx", [True, False])
def test_a_refused_form_keeps_what_was_entered_but_never_the_password(
    alice: Browser, instance: Instance, htmx: bool
) -> None:
    wrong = INCOMING | {"host": "https://imap.example.com/", "timeout_ms": "5"}
    answer = post(alice, f"{PAGE}/incoming", wrong, htmx=htmx)
    assert answer.status_code == 422
    assert "Not saved. 3 fields need" in answer.text
    assert "Enter only the name, without" in answer.text
    assert "Enter a timeout from 1000 to 120000 milliseconds" in answer.text
    assert "Enter the password again." in answer.text
    assert 'value="https://imap.example.com/"' in answer.text
    assert "canary-secret" not in answer.text
    assert saved(instance) is None


def test_turning_on_with_missing_fields_names_them(alice: Browser, instance: Instance) -> None:
    answer = post(alice, f"{PAGE}/incoming", INCOMING | {"active": "true", "username": "", "password": ""})
    assert answer.status_code == 422
    assert "Enter the user name of the mailbox." in answer.text
    assert saved(instance) is None


def test_the_password_is_kept_when_left_empty_and_sent_to_no_other_host(
    alice: Browser, instance: Instance
) -> None:
    set_row(instance, host=INCOMING["host"], username=INCOMING["username"])
    kept = post(alice, f"{PAGE}/incoming", INCOMING | {"version": "1", "password": "", "timeout_ms": "20000"})
    assert kept.status_code == 200
    for action in ("", "/test"):
        answer = post(
            alice,
            f"{PAGE}/incoming{action}",
            INCOMING | {"version": "2", "password": "", "host": "evil.example"},
        )
        assert answer.status_code == 422
        assert "the saved one is only sent to imap.example.com." in answer.text
    row = saved(instance)
    assert row is not None
    assert (row.host, row.timeout_ms) == ("imap.example.com", 20000)


def test_two_editors_are_told_of_each_other(alice: Browser, instance: Instance) -> None:
    set_row(instance, host="first.example.com", username="help@example.com")
    mine = INCOMING | {"version": "0"}
    answer = post(alice, f"{PAGE}/incoming", mine)
    assert answer.status_code == 409
    assert "first.example.com" in answer.text
    assert "Save mine" in answer.text
    assert saved(instance).host == "first.example.com"  # type: ignore[union-attr]
    again = re.search(r'name="version" value="(\d+)"', answer.text)
    assert again
    assert post(alice, f"{PAGE}/incoming", mine | {"version": again[1]}).status_code == 200
    assert saved(instance).host == "imap.example.com"  # type: ignore[union-attr]


def test_the_date_is_typed_and_shown_in_the_desks_zone(alice: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        options.set_time_zone(session, "Europe/Sofia")
    dated = INCOMING | {"cutoff_enabled": "true", "cutoff_date": "2026-11-23", "cutoff_time": "12:00"}
    assert post(alice, f"{PAGE}/incoming", dated).status_code == 200
    assert saved(instance).cutoff_at == datetime(2026, 11, 23, 10, 0, tzinfo=UTC)  # type: ignore[union-attr]
    text = alice.get(f"{PAGE}/incoming/edit").text
    assert 'value="2026-11-23"' in text
    assert 'value="12:00"' in text
    gap = dated | {"version": "1", "cutoff_date": "2027-03-28", "cutoff_time": "03:30"}
    answer = post(alice, f"{PAGE}/incoming", gap)
    assert answer.status_code == 422
    assert "does not exist in Europe/Sofia" in answer.text


def test_a_portal_users_address_is_no_incoming_mailbox(alice: Browser, instance: Instance) -> None:
    answer = post(alice, f"{PAGE}/incoming", INCOMING | {"username": "bob@desk.example"})
    assert answer.status_code == 422
    assert "bob@desk.example is also a portal user&#39;s address. Use a dedicated mailbox." in answer.text


def test_a_password_in_clear_asks_for_confirmation(alice: Browser, instance: Instance) -> None:
    clear = {k: v for k, v in INCOMING.items() if k != "use_ssl"} | {"port": "143"}
    answer = post(alice, f"{PAGE}/incoming", clear)
    assert answer.status_code == 422
    assert 'id="incoming-plaintext_accepted"' in answer.text
    assert post(alice, f"{PAGE}/incoming", clear | {"plaintext_accepted": "true"}).status_code == 200


def test_control_characters_are_refused(alice: Browser, instance: Instance) -> None:
    for name in ("host", "username", "password", "archive_folder"):
        assert post(alice, f"{PAGE}/incoming", INCOMING | {name: "a\r\nb"}).status_code == 422
    assert saved(instance) is None


def test_hints_are_told_while_the_form_is_filled_in(alice: Browser) -> None:
    asked = {"protocol": "imap", "use_ssl": "true", "tls_mode": "starttls", "port": "993", "host": "a b"}
    text = alice.get(f"{PAGE}/incoming/hints", query_string=asked, headers=HTMX).text
    told = re.search(r'id="incoming-tls_mode-hint"[^>]* hx-swap-oob="true">(.*?)</div>', text, re.S)
    assert told
    assert "Port 993 normally uses SSL/TLS." in told[1]
    assert "Enter only the name" not in text  # that is for when it is saved
    calm = alice.get(f"{PAGE}/incoming/hints", query_string=asked | {"tls_mode": "implicit"}, headers=HTMX)
    assert "normally" not in calm.text
    assert 'id="incoming-tls_mode-hint"' in calm.text  # and takes the old one away


def test_without_script_a_provider_is_filled_in_and_the_rest_stays(
    alice: Browser, instance: Instance
) -> None:
    page = alice.get(f"{PAGE}/incoming/edit").text
    gmail = next(text for text in re.findall(r"<option value='([^']+)'", page) if "imap.gmail.com" in text)
    answer = post(alice, f"{PAGE}/incoming/fill", INCOMING | {"provider": gmail}, htmx=False)
    assert 'value="imap.gmail.com"' in answer.text
    assert 'value="help@example.com"' in answer.text
    assert "Google needs an app password" in answer.text
    assert "canary-secret" not in answer.text
    assert "it is never sent back to the browser" in answer.text
    assert saved(instance) is None


@pytest.mark.parametrize(
    "nonsense", ["", "{", "[]", '"x"', '{"host": 5}', '{"password": "x"}', '{"version": "9"}']
)
def test_nonsense_fills_in_nothing(alice: Browser, nonsense: str) -> None:
    answer = post(alice, f"{PAGE}/incoming/fill", INCOMING | {"fill": nonsense}, htmx=False)
    assert answer.status_code == 200
    assert 'name="version" value="0"' in answer.text
    assert 'value="imap.example.com"' in answer.text


def test_invoice_is_copied_from_outgoing_and_asks_before_it_replaces(
    alice: Browser, instance: Instance
) -> None:
    assert "Copy from Outgoing" not in alice.get(f"{PAGE}/invoice/edit").text
    post(alice, f"{PAGE}/outgoing", OUTGOING)
    assert "Copy from Outgoing" in alice.get(f"{PAGE}/invoice/edit").text
    assert "Copy from Outgoing" not in alice.get(f"{PAGE}/outgoing/edit").text
    mine = OUTGOING | {"host": "smtp.mine.example", "password": ""}
    asked = post(alice, f"{PAGE}/invoice/copy", mine, htmx=False)
    assert "Invoice has settings already. Replace them with those of Outgoing?" in asked.text
    assert saved(instance, Row.INVOICE) is None
    done = post(alice, f"{PAGE}/invoice/copy", mine | {"anyway": "true"})
    assert "smtp.example.com:587" in done.text
    assert "canary-secret" not in done.text
    row = saved(instance, Row.INVOICE)
    assert row is not None
    assert not row.active
    assert instance.vault.unseal(row.password_sealed) == "canary-secret"


def test_a_row_that_looks_the_same_is_not_sent_again(alice: Browser, instance: Instance) -> None:
    set_row(instance, host="imap.example.com", username="help@example.com")
    link = re.search(r'hx-get="([^"]+/incoming\?seen=[^"]+)"', alice.get(PAGE).text)
    assert link
    assert alice.get(link[1], headers=HTMX).status_code == 204
    set_row(instance, port="143")
    changed = alice.get(link[1], headers=HTMX)
    assert changed.status_code == 200
    assert changed.text.lstrip().startswith('<div id="facts-incoming"')
    assert "autofocus" not in changed.text


def test_settings_are_suggested_for_the_address(alice: Browser) -> None:
    entered = INCOMING | {"host": "", "port": "", "username": "help@gmail.com"}
    answer = post(alice, f"{PAGE}/incoming/suggest", entered, htmx=False)
    text = alice.get(answer.location).text
    while 'http-equiv="refresh"' in text:
        text = alice.get(answer.location).text
    assert "Found: imap.gmail.com, port 993, SSL/TLS" in text
    assert "canary-secret" not in text
    changes = re.search(r"name=\"fill\" value='([^']+)'", text)
    assert changes
    assert json.loads(changes[1])["host"] == "imap.gmail.com"


def test_no_settings_are_suggested_for_what_is_no_address(alice: Browser) -> None:
    text = post(alice, f"{PAGE}/incoming/suggest", INCOMING | {"username": "help"}).text
    while found := re.search(r'hx-get="([^"]+)"', text):
        text = alice.get(found[1], headers=HTMX).text
    assert "Enter one email address, for example help@example.com." in text


class TestTheConnectionTest:
    def finish(self, browser: Browser, text: str) -> str:
        while found := re.search(r'hx-get="([^"]+)"', text):
            text = browser.get(found[1], headers=HTMX).text
        return text

    def test_a_closed_port_is_named_with_its_cure_and_nothing_is_saved(
        self, alice: Browser, instance: Instance
    ) -> None:
        answer = post(alice, f"{PAGE}/incoming/test", INCOMING | {"host": "127.0.0.1", "port": "1"})
        text = self.finish(alice, answer.text)
        assert "Test failed at Connection." in text
        assert "127.0.0.1 is there, but nothing answers on port 1." in text
        assert f'href="{PAGE}/incoming/edit#incoming-port"' in text
        assert "canary-secret" not in text
        assert saved(instance) is None

    def test_the_saved_row_is_tested_without_opening_it(self, alice: Browser, instance: Instance) -> None:
        set_row(instance, host="127.0.0.1", port="1", tls_mode="implicit", username="help@example.com")
        text = self.finish(alice, post(alice, f"{PAGE}/incoming/test/saved", {}).text)
        assert "Test failed at Connection." in text
        assert saved(instance).last_test_passed is False  # type: ignore[union-attr]
        assert "Last test failed" in alice.get(PAGE).text
        answer = post(alice, f"{PAGE}/incoming/test/saved", {}, htmx=False)
        page = alice.get(answer.location).text
        while 'http-equiv="refresh"' in page:
            page = alice.get(answer.location).text
        assert "Test failed at Connection." in page

    def test_a_result_counts_for_the_row_when_just_these_settings_are_saved(
        self, alice: Browser, instance: Instance
    ) -> None:
        entered = INCOMING | {"host": "127.0.0.1", "port": "1"}
        text = self.finish(alice, post(alice, f"{PAGE}/incoming/test", entered).text)
        tested = re.search(r'name="tested" value="([^"]+)"', text)
        assert tested
        post(alice, f"{PAGE}/incoming", entered | {"tested": tested[1], "password": "another"})
        assert saved(instance).last_test_passed is None  # type: ignore[union-attr]
        answer = post(alice, f"{PAGE}/incoming", entered | {"tested": tested[1], "version": "1"})
        assert saved(instance).last_test_passed is False  # type: ignore[union-attr]
        assert "saved. The last test failed." in answer.headers["HX-Trigger"]

    def test_the_cure_of_a_failed_test_is_filled_in_and_tested(self, alice: Browser) -> None:
        fix = json.dumps({"use_ssl": "true", "tls_mode": "starttls", "port": "1"})
        entered = INCOMING | {"host": "127.0.0.1", "port": "2", "fill": fix}
        text = self.finish(alice, post(alice, f"{PAGE}/incoming/test", entered).text)
        assert "127.0.0.1:1" in text

    def test_a_running_test_shows_how_far_it_is_and_is_stopped(self, alice: Browser) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = str(silent.getsockname()[1])
            entered = INCOMING | {"host": "127.0.0.1", "port": port}
            answer = post(alice, f"{PAGE}/incoming/test", entered, htmx=False)
            page = alice.get(answer.location).text
            assert re.search(r"step \d of 10", page)
            assert "Testing" in page
            stop = re.search(r'action="([^"]+/stop)"', page)
            assert stop
            back = post(alice, stop[1], {}, htmx=False)
            assert "The test was stopped." in alice.get(back.location).text

    def test_a_row_that_is_being_tested_says_so(self, alice: Browser, instance: Instance) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = str(silent.getsockname()[1])
            set_row(instance, host="127.0.0.1", port=port, tls_mode="implicit", username="help@example.com")
            answer = post(alice, f"{PAGE}/incoming/test/saved", {})
            assert "mail-row-changed" in answer.headers["HX-Trigger"]
            assert "<span>Testing</span>" in alice.get(PAGE).text
            stop = re.search(r'action="([^"]+/stop)"', answer.text)
            assert stop
            post(alice, stop[1], {})
        assert "<span>Testing</span>" not in alice.get(PAGE).text

    def test_saving_ends_a_test_that_is_still_running(self, alice: Browser, instance: Instance) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            entered = INCOMING | {"host": "127.0.0.1", "port": str(silent.getsockname()[1])}
            text = post(alice, f"{PAGE}/incoming/test", entered).text
            tested = re.search(r'name="tested" value="([^"]+)"', text)
            assert tested
            post(alice, f"{PAGE}/incoming", entered | {"tested": tested[1]})
            text = self.finish(alice, text)
        assert "The test was stopped." in text

    def test_a_test_message_goes_to_one_address(self, alice: Browser) -> None:
        answer = post(alice, f"{PAGE}/outgoing/test", OUTGOING | {"send": "true", "send_to": "a, b"})
        assert answer.status_code == 422
        assert "Enter one email address, for example anna@example.com." in answer.text

    def test_it_is_written_down_who_had_which_server_asked(self, alice: Browser, instance: Instance) -> None:
        post(alice, f"{PAGE}/incoming/test", INCOMING | {"host": "127.0.0.1", "port": "1"})
        with instance.database.reading() as session:
            [row] = session.scalars(sa.select(Audit).where(Audit.action == "mail_server.test"))
        assert (row.actor, row.detail) == ("alice@desk.example", {"host": "127.0.0.1", "port": 1})

    def test_without_script_the_result_comes_with_the_form(self, alice: Browser) -> None:
        closed = INCOMING | {"host": "127.0.0.1", "port": "1"}
        answer = post(alice, f"{PAGE}/incoming/test", closed, htmx=False)
        assert answer.status_code == 303
        text = alice.get(answer.location).text
        while 'http-equiv="refresh"' in text:  # the page asks for itself again until the test has ended
            text = alice.get(answer.location).text
        assert "Test failed at Connection." in text
        assert 'value="127.0.0.1"' in text
        assert "canary-secret" not in text
        assert "it is never sent back to the browser" in text

    def test_the_seventh_within_a_minute_is_refused(self, alice: Browser) -> None:
        closed = INCOMING | {"host": "127.0.0.1", "port": "1"}
        codes = [post(alice, f"{PAGE}/incoming/test", closed).status_code for _ in range(7)]
        assert codes == [200] * 6 + [429]

    @pytest.mark.dovecot
    def test_a_real_server_passes_unsaved_and_saved(
        self, alice: Browser, instance: Instance, mailbox: DovecotMailbox, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        object.__setattr__(instance.settings, "mail_ca_file", str(mailbox.server.ca_file))
        mailbox.deliver(make_raw())
        server = mailbox.settings()
        where = {"host": server.host, "port": str(server.port)}
        real = INCOMING | where | {"username": server.username, "password": server.password}
        text = self.finish(alice, post(alice, f"{PAGE}/incoming/test", real).text)
        assert "Test passed in" in text
        assert "1 message, 1 unread" in text
        assert "will be created" in text
        assert saved(instance) is None
        assert post(alice, f"{PAGE}/incoming", real).status_code == 200
        unchanged = real | {"version": "1", "password": ""}
        self.finish(alice, post(alice, f"{PAGE}/incoming/test", unchanged).text)
        assert saved(instance).last_test_passed  # type: ignore[union-attr]
        assert "Last test passed" in alice.get(PAGE).text
        assert mailbox.folders() == {"INBOX"}
        assert not mailbox.contents()[0].seen
