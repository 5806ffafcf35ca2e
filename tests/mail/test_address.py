"""Who a message is from: the single From mailbox, or a doubt."""

from __future__ import annotations

import pytest

from webapp.mail.address import fold_addr_spec, parse_addresses, sender_of

ALICE = "alice@example.org"

NAMES_ALICE = {
    "bare": "alice@example.org",
    "angle": "<alice@example.org>",
    "name": "Alice <alice@example.org>",
    "quoted name": '"Alice, Support" <alice@example.org>',
    "quoted name with an address": '"bob@evil.com" <alice@example.org>',
    "unquoted address as name": "alice@example.org <alice@example.org>",
    "comment": "alice@example.org (Alice)",
    "comment with an address": "alice@example.org (bob@evil.com)",
    "nested comment": "Alice (at (home)) <alice@example.org>",
    "comment with a quote": 'Alice (5" screen) <alice@example.org>',
    "unquoted dots": "J. R. Alice <alice@example.org>",
    "unquoted comma": "Doe, Alice <alice@example.org>",
    "unquoted brackets": "[HELP] Alice <alice@example.org>",
    "unquoted colon": "Level 1: Alice <alice@example.org>",
    "smiley": "Alice :) <alice@example.org>",
    "open quote": '"Alice <alice@example.org>',
    "empty name": '"" <alice@example.org>',
    "empty list elements": ", Alice <alice@example.org>,",
    "encoded name": "=?utf-8?q?Alice_=3Cbob=40evil=2Ecom=3E?= <alice@example.org>",
    "raw utf-8 name": "Ålice <alice@example.org>",
    "bidi override in the name": "Ali\u202ece <alice@example.org>",
    "tab before the address": "Alice\t<alice@example.org>",
    "quoted pair in the name": r'"Alice \"the\" A." <alice@example.org>',
}


@pytest.mark.parametrize("value", NAMES_ALICE.values(), ids=NAMES_ALICE.keys())
def test_oddities_of_the_name_never_change_who_it_is(value: str) -> None:
    sender = sender_of([value])
    assert sender.addr_spec == ALICE
    assert sender.doubt is None


IN_DOUBT = {
    "nothing": "",
    "only blanks": "  ",
    "empty angle": "<>",
    "no address": "Alice",
    "local part only": "root",
    "two mailboxes": "alice@example.org, bob@evil.com",
    "two angles": "<alice@example.org> <bob@evil.com>",
    "two by semicolon": "alice@example.org; bob@evil.com",
    "group": "Team: alice@example.org;",
    "group with a name": "Team: Alice <alice@example.org>;",
    "group of two": "Team: alice@example.org, bob@evil.com;",
    "group never closed": "Team: alice@example.org",
    "empty group": "undisclosed-recipients:;",
    "bracket and address": "alice@example.org)bob@evil.com",
    "bracket before the angle": "alice@example.org]<bob@evil.com>",
    "parenthesis before the angle": "alice@example.org)<bob@evil.com>",
    "backslash before the angle": "alice@example.org\\<bob@evil.com>",
    "open quote before the angle": '"alice@example.org <bob@evil.com>" <carol@evil.com',
    "address behind the angle": "Bob <bob@evil.com> alice@example.org",
    "two quoted angles": '"Bob" <x@evil.com>" <alice@example.org>',
    "address and words": "Alice alice@example.org",
    "blank in the address": "alice @example.org",
    "blank in the angle": "<alice @example.org>",
    "nul": "alice@example.org\x00",
    "bare cr": "alice@example.org\rX: <bob@evil.com>",
    "bare lf": "alice@example.org\nFrom: bob@evil.com",
    "zero width space": "alice@exam\u200bple.org",
    "soft hyphen": "al\u00adice@example.org",
    "bidi override": "\u202ealice@example.org",
    "no-break space": "alice@example.org\u00a0",
    "hangul filler": "alice\u3164@example.org",
    "variation selector": "alice\ufe0f@example.org",
    "encoded word as local part": "=?utf-8?q?alice?=@example.org",
    "all in an encoded word": "=?utf-8?q?alice=40example.org?=",
    "source route": "<@evil.com:alice@example.org>",
    "two ats": "alice@example.org@evil.com",
    "percent hack is no domain": "alice@",
    "no local part": "@example.org",
    "dot at the end": "alice@example.org.",
    "two dots": "alice@example..org",
    "comment inside": "<alice(x)@example.org>",
    "comment never closed": "Bob (<alice@example.org>",
    "fullwidth domain": "alice@\uff45xample.org",
    "kelvin sign": "alice@\u212aelvin.org",
    "domain of 300 letters": f"alice@{'a' * 300}.org",
}


@pytest.mark.parametrize("value", IN_DOUBT.values(), ids=IN_DOUBT.keys())
def test_a_doubtful_from_names_nobody(value: str) -> None:
    sender = sender_of([value])
    assert sender.addr_spec is None
    assert sender.doubt


@pytest.mark.parametrize(
    ("fields", "count", "doubt"),
    [
        ([], None, "no From header"),
        ([], 0, "no From header"),
        ([ALICE, ALICE], None, "2 From headers"),
        ([ALICE, "bob@evil.com"], 2, "2 From headers"),
        ([ALICE], 2, "2 From headers"),  # the second lies beyond the header limit
    ],
)
def test_there_is_one_from_header(fields: list[str], count: int | None, doubt: str) -> None:
    assert sender_of(fields, field_count=count).doubt == doubt


def test_a_doubtful_sender_is_still_shown() -> None:
    sender = sender_of(["=?utf-8?q?J=C3=B6rg?= <joerg@example.org>, bob@evil.com"])
    assert sender.display_name == "Jörg"
    assert sender.written == "Jörg <joerg@example.org>, bob@evil.com"


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("ann@acme.test (Ann Lee)", "Ann Lee"),
        ("Lee, Ann <ann@acme.test>", "Lee, Ann"),
        ("MAILER-DAEMON (Mail Delivery System)", "MAILER-DAEMON"),
        ("(Cron Daemon)", "Cron Daemon"),
        ("Ann <>", "Ann"),
        ("", ""),
    ],
)
def test_the_name_of_the_sender(written: str, name: str) -> None:
    assert sender_of([written]).display_name == name


@pytest.mark.parametrize(
    ("written", "key"),
    [
        ("Alice@Example.ORG", "alice@example.org"),
        ('"alice"@example.org', "alice@example.org"),
        ('"al ice"@example.org', '"al ice"@example.org'),
        ("alice@EXAMPLE.org.", "alice@example.org"),
        ("alice@bücher.example", "alice@xn--bcher-kva.example"),
        ("alice@BÜCHER.example", "alice@xn--bcher-kva.example"),
        ("alice@XN--BCHER-KVA.example", "alice@xn--bcher-kva.example"),
        ("JÖRG@example.org", "jÖrg@example.org"),  # only ASCII letters fold in a local part
        ("alice@\u212aelvin.org", "alice@\u212aelvin.org"),  # never the ASCII k
        ("alice@\uff45xample.org", "alice@\uff45xample.org"),
        ("alice@[192.0.2.1]", "alice@[192.0.2.1]"),
        ("root", "root"),
        ("", ""),
    ],
)
def test_the_key_of_an_address(written: str, key: str) -> None:
    assert fold_addr_spec(written) == key
    assert fold_addr_spec(key) == key


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a@b.org", [("", "a@b.org")]),
        ("Ann <a@b.org>, Bob <b@b.org>", [("Ann", "a@b.org"), ("Bob", "b@b.org")]),
        ('"Doe, Ann" <a@b.org>;b@b.org', [("Doe, Ann", "a@b.org"), ("", "b@b.org")]),
        ("Team: a@b.org, b@b.org;, c@b.org", [("", "a@b.org"), ("", "b@b.org"), ("", "c@b.org")]),
        ("undisclosed-recipients:;", []),
        ("=?utf-8?q?a=2C_b?= <a@b.org>", [("a, b", "a@b.org")]),
        ("'Ann' <a@b.org>", [("Ann", "a@b.org")]),
        ("Ann\u202e <a@b.org>", [("Ann", "a@b.org")]),
        ("=?utf-8?q?Ann=0D=0AX=3A_y?= <a@b.org>", [("Ann X: y", "a@b.org")]),
        ("a@b.org (Ann)", [("Ann", "a@b.org")]),
        ("=?utf-8?q?Ann_=3Ca=40b=2Eorg=3E?=", [("Ann", "a@b.org")]),
        ("", []),
        (",,;", []),
        ("(Ann Lee) a@b.org", [("Ann Lee", "a@b.org")]),
        ("<a@b.org> (Ann Lee)", [("Ann Lee", "a@b.org")]),
        ("Ann (Sales) <a@b.org>", [("Ann", "a@b.org")]),
        (r"a@b.org (Ann \(x\) Lee)", [("Ann (x) Lee", "a@b.org")]),
        ("a@b.org (=?utf-8?q?J=C3=B6rg?=)", [("Jörg", "a@b.org")]),
        ("J. R. Lee <a@b.org>", [("J. R. Lee", "a@b.org")]),
        ("Lee, Ann <a@b.org>", [("Lee, Ann", "a@b.org")]),
        ("Lee, Ann <a@b.org>, Bob <b@b.org>", [("Lee, Ann", "a@b.org"), ("Bob", "b@b.org")]),
        ("a@b.org; Lee, Ann <b@b.org>; c@b.org", [("", "a@b.org"), ("Lee, Ann", "b@b.org"), ("", "c@b.org")]),
        ("root; Ann <a@b.org>", [("Ann", "a@b.org")]),
        ('"Ann "the" Lee" <a@b.org>', [("Ann the Lee", "a@b.org")]),
        (r"\"Ann\" <a@b.org>", [("Ann", "a@b.org")]),
        ("\"'Ann' via List\" <l@b.org>", [("'Ann' via List", "l@b.org")]),
        ("\"'a@b.org'\" <a@b.org>", [("a@b.org", "a@b.org")]),
        ("'a@b.org'", [("", "a@b.org")]),
        ("Ann <mailto:a@b.org>", [("Ann", "a@b.org")]),
        ("<@r.org,@s.org:a@b.org>", [("", "a@b.org")]),
        ("Ann <a@b.org", [("Ann", "a@b.org")]),
        ("Ann a@b.org>", [("Ann", "a@b.org")]),
        ("Ann <a@b.org> <a@b.org>", [("Ann", "a@b.org")]),
        ("Ann <a@b.org>Bob <b@b.org>", [("Ann", "a@b.org"), ("", "b@b.org")]),
        ("a@b.org b@b.org", [("", "a@b.org"), ("", "b@b.org")]),
        ("Ann Lee a@b.org", [("Ann Lee", "a@b.org")]),
        ('"a b"@b.org', [("", '"a b"@b.org')]),
        ("Ann <ann at b.org>", []),
        ("Ann <root>", [("Ann", "root")]),
        ("a@bücher.example", [("", "a@bücher.example")]),
        ("Jörg <jörg@bücher.example>", [("Jörg", "jörg@bücher.example")]),
        (f"{'n' * 900} <a@b.org>", [("n" * 500, "a@b.org")]),
        (f"{'n' * 999}@b.org", []),
    ],
)
def test_recipients(value: str, expected: list[tuple[str, str]]) -> None:
    addresses, more = parse_addresses([value])
    assert [(address.display_name, address.addr_spec) for address in addresses] == expected
    assert not more


def test_recipients_are_bounded() -> None:
    addresses, more = parse_addresses([", ".join(f"u{number}@example.org" for number in range(201))])
    assert len(addresses) == 200
    assert more
