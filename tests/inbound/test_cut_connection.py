"""The connection is cut at any octet of a run: no part of a message is ever taken for the whole."""

from __future__ import annotations

import random

import pytest

from tests.factories import set_incoming_from
from tests.inbound.accounting import assert_accounted, varied_messages
from tests.rig.dovecot import DovecotMailbox
from tests.rig.proxy import Plan, Proxy
from webapp.inbound.parser_process import ParserProcess
from webapp.inbound.poll import poll
from webapp.instance import Instance

pytestmark = pytest.mark.dovecot

CUTS, PORTION = 60, 2


def test_cut_at_sixty_places_of_a_session(
    at: Instance, mailbox: DovecotMailbox, parser: ParserProcess
) -> None:
    sent = varied_messages(PORTION * (CUTS + 1))
    raws = [raw for _, raw in sent.values()]
    with Proxy(mailbox.server.tls_port) as proxy:
        set_incoming_from(at, mailbox.settings(port=proxy.port))
        poll(at, parser, trigger="command")  # the archive is made
        proxy.from_server.clear()
        mailbox.deliver_many(raws[:PORTION])
        assert poll(at, parser, trigger="command").failure is None
        whole_session = len(proxy.from_server)
        failed = 0
        for number, place in enumerate(random.Random(20261124).sample(range(whole_session), CUTS), 1):
            mailbox.deliver_many(raws[PORTION * number : PORTION * (number + 1)])
            proxy.plan = Plan(cut_after=place)
            report = poll(at, parser, trigger="command")
            failed += report.failure is not None
        proxy.plan = Plan()
        assert failed > CUTS * 3 / 4  # else they did not meet a run at work
        assert poll(at, parser, trigger="command").failure is None
    assert_accounted(at, mailbox, sent)
