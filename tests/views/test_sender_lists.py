"""Settings > Service desk > Senders and Rules for incoming mail."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from tests.views import factories as make
from tests.views.browser import Browser
from webapp.desk import incoming_rules, sender_lists
from webapp.desk.incoming_rules import IncomingRules
from webapp.desk.sender_lists import Listed, ListRefused, NeedsConsent
from webapp.instance import Instance
from webapp.models import Audit, SenderList, SenderRule

PAGE, RULES = "/settings/service-desk/senders", "/settings/service-desk/incoming-rules"


def rules(instance: Instance) -> list[tuple[str, str]]:
    with instance.database.reading() as session:
        query = sa.select(SenderRule.list, SenderRule.value_key).order_by(SenderRule.id)
        return [(which.value, value) for which, value in session.execute(query)]


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Ann@ACME.example", "ann@acme.example"),
        (" acme.example ", "acme.example"),
        ("@acme.example", "acme.example"),
        ("*.acme.example", "acme.example"),
        ("*@acme.example", "acme.example"),
        ("Bücher.example", "xn--bcher-kva.example"),
    ],
)
def test_what_is_kept(text: str, kept: str) -> None:
    assert sender_lists.read_value(text) == kept


@pytest.mark.parametrize(
    "text", ["", "@", "com", "co.uk", "a b", "a@b@c", "acme..example", "-a.example", "x" * 300]
)
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(ListRefused):
        sender_lists.read_value(text)


def test_a_domain_covers_its_subdomains_and_nothing_that_only_looks_like_it(instance: Instance) -> None:
    with instance.database.writing() as session:
        sender_lists.add(session, SenderList.BLOCK, "acme.example", now=make.NOW, actor="x")
        sender_lists.add(session, SenderList.ALLOW, "ann@mail.acme.example", now=make.NOW, actor="x")
        keys = [
            "ann@acme.example",
            "ann@mail.acme.example",
            "ann@notacme.example",
            "acme.example@evil.example",
        ]
        found = sender_lists.listed(session, keys)
    assert found == {
        "ann@acme.example": Listed("acme.example", None),
        "ann@mail.acme.example": Listed("acme.example", "ann@mail.acme.example"),
    }


@pytest.mark.parametrize("text", ["help@example.com", "example.com"])
def test_our_own_addresses_are_never_listed(instance: Instance, text: str) -> None:
    with instance.database.writing() as session:
        make.make_incoming(session)
        with pytest.raises(ListRefused, match="own addresses"):
            sender_lists.add(session, SenderList.BLOCK, text, now=make.NOW, actor="x")


def test_a_public_mail_domain_needs_a_word(alice: Browser, instance: Instance) -> None:
    with instance.database.writing() as session, pytest.raises(NeedsConsent):
        sender_lists.add(session, SenderList.BLOCK, "gmail.com", now=make.NOW, actor="x")
    answer = alice.send(PAGE, PAGE, which="block", value="gmail.com")
    assert answer.status_code == 422
    assert "Anybody can have an address at gmail.com." in answer.text
    assert 'name="consent"' in answer.text
    assert rules(instance) == []
    assert alice.send(PAGE, PAGE, which="block", value="gmail.com", consent="true").status_code == 303
    assert rules(instance) == [("block", "gmail.com")]


def test_added_searched_removed_and_undone(alice: Browser, instance: Instance) -> None:
    alice.send(PAGE, PAGE, which="allow", value="monitor.example", note="RMM")
    alice.send(PAGE, PAGE, which="block", value="eve@evil.example", note="Spam")
    alice.send(PAGE, PAGE, which="block", value="EVE@evil.example")
    assert rules(instance) == [("allow", "monitor.example"), ("block", "eve@evil.example")]
    alice.get(PAGE)  # says what was added
    page = alice.get(f"{PAGE}?q=RMM").text
    assert "monitor.example" in page
    assert "eve@evil.example" not in page
    assert "alice@desk.example" in page
    answer = alice.send(f"{PAGE}/2/remove", PAGE)
    assert rules(instance) == [("allow", "monitor.example")]
    assert "eve@evil.example was removed from the block list." in alice.get(answer.location).text
    page = alice.get(f"{PAGE}?removed=gmail.com&list=allow").text
    assert "was removed" not in page  # what somebody else's link says is not believed
    alice.send(PAGE, PAGE, which="block", value="eve@evil.example", note="Spam", consent="y")
    assert ("block", "eve@evil.example") in rules(instance)
    with instance.database.reading() as session:
        actions = session.scalars(sa.select(Audit.action).where(Audit.action.like("senders.%"))).all()
    assert actions == ["senders.add-allow", "senders.add-block", "senders.remove-block", "senders.add-block"]


@pytest.mark.parametrize("data", [{"value": "a.example"}, {"which": "burn", "value": "a.example"}])
def test_an_unknown_list_is_refused(alice: Browser, instance: Instance, data: dict[str, str]) -> None:
    sent = alice.send(PAGE, PAGE, **({"which": ""} | data))
    assert sent.status_code == 422
    assert rules(instance) == []


def test_a_technician_blocks_from_the_email_log(bob: Browser, instance: Instance) -> None:
    with instance.database.writing() as session:
        make.make_incoming(session)
        make.make_inbound(session, make.make_mailbox(session), from_addr="eve@evil.example", raw=b"x")
    assert "Block sender" in bob.get("/email-log/1").text
    bob.send("/email-log/1/block-sender", "/email-log/1")
    assert rules(instance) == [("block", "eve@evil.example")]
    page = bob.get("/email-log/1").text
    assert "Mail from eve@evil.example is ignored from now on." in page
    assert "/block-sender" not in page


def test_the_rules_are_saved_and_said(alice: Browser, instance: Instance) -> None:
    page = alice.get(RULES).text
    assert "How a message is judged" in page
    alice.send(RULES, RULES, reopen_days="7", authserv_id=" mx.example.com ", do_not_reply="true")
    with instance.database.reading() as session:
        assert incoming_rules.load(session) == IncomingRules(
            same_company=False, reopen_days=7, authserv_id="mx.example.com", do_not_reply=True,
            other_automated=False,
        )  # fmt: skip
        audit = session.scalars(sa.select(Audit).where(Audit.action == "settings.incoming-rules")).one()
    assert (audit.detail["before"]["reopen_days"], audit.detail["after"]["reopen_days"]) == (0, 7)


@pytest.mark.parametrize(
    ("entered", "told"),
    [
        ({"reopen_days": "-1"}, "Enter a number of days from 0 to 365"),
        ({"reopen_days": "366"}, "Enter a number of days from 0 to 365"),
        ({"reopen_days": "٣"}, "Enter a number of days from 0 to 365"),
        ({"reopen_days": "0", "authserv_id": "mx example"}, "Enter the name as it stands"),
    ],
)
def test_what_makes_no_sense_is_refused(
    alice: Browser, instance: Instance, entered: dict[str, str], told: str
) -> None:
    answer = alice.send(RULES, RULES, **entered)
    assert answer.status_code == 422
    assert told in answer.text
    with instance.database.reading() as session:
        assert incoming_rules.load(session) == IncomingRules()
