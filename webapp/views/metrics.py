"""What a Prometheus server reads: how this process answers, and how mail goes, as the database tells it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import cast

import sqlalchemy as sa
from flask import Flask, Response, g, request
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy.orm import Session

from webapp.desk import expiry
from webapp.instance import Instance
from webapp.models import Delivery, DeliveryState, SendingTrouble, Ticket, TicketStatus
from webapp.outbound import outbox
from webapp.views import current
from webapp.views.queries import mail_state

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_EXTENSION = "metrics"


def init_app(app: Flask) -> None:
    registry = CollectorRegistry()
    requests = Counter(
        "servicedesk_requests", "Web requests answered.", ["method", "status"], registry=registry
    )
    seconds = Histogram(
        "servicedesk_request_seconds", "How long an answer took.", buckets=BUCKETS, registry=registry
    )
    registry.register(Database(app.extensions["instance"]))
    app.extensions[_EXTENSION] = registry

    @app.after_request
    def count(response: Response) -> Response:
        requests.labels(request.method, f"{response.status_code // 100}xx").inc()
        if "began" in g:
            seconds.observe(time.perf_counter() - g.began)
        return response


def exposition(app: Flask) -> bytes:
    return generate_latest(cast(CollectorRegistry, app.extensions[_EXTENSION]))


class Database(Collector):
    """Asked anew at each look; every query is a short one."""

    def __init__(self, instance: Instance) -> None:
        self._instance = instance

    def describe(self) -> list[Metric]:
        return []  # else registering would ask the database

    def collect(self) -> Iterator[Metric]:
        with self._instance.database.reading() as session:
            yield from _mail(session)
            yield from _outbox(session)
            open_tickets = session.scalar(
                sa.select(sa.func.count()).select_from(Ticket).where(Ticket.status != TicketStatus.CLOSED)
            )
            yield GaugeMetricFamily(
                "servicedesk_tickets_open", "Tickets not closed.", value=open_tickets or 0
            )
        yield from _expiring(self._instance)


def _mail(session: Session) -> Iterator[Metric]:
    state = mail_state.load(session)
    mailbox = state.mailbox
    yield GaugeMetricFamily("servicedesk_incoming_active", "Incoming mail is on.", value=state.is_active)
    if mailbox is None:
        return
    yield GaugeMetricFamily(
        "servicedesk_incoming_failing", "The last run failed.", value=mailbox.failing_since is not None
    )
    if mailbox.last_success_at:
        age = (current.now() - mailbox.last_success_at).total_seconds()
        yield GaugeMetricFamily(
            "servicedesk_incoming_last_success_seconds", "Since the last good run.", value=age
        )


def _outbox(session: Session) -> Iterator[Metric]:
    found = outbox.counts(session)
    deliveries = GaugeMetricFamily(
        "servicedesk_outbox_deliveries",
        f"Deliveries by state, counted up to {outbox.MOST_COUNTED}.",
        labels=["state"],
    )
    deliveries.add_metric(["waiting"], found.waiting)
    deliveries.add_metric(["failed"], found.failed)
    deliveries.add_metric(["uncertain"], found.uncertain)
    yield deliveries
    oldest = session.scalar(
        sa.select(sa.func.min(Delivery.queued_at)).where(
            Delivery.state.in_((DeliveryState.QUEUED, DeliveryState.DEFERRED)),
            Delivery.next_try_at.is_not(None),
        )
    )
    age = (current.now() - oldest).total_seconds() if oldest else 0.0
    yield GaugeMetricFamily("servicedesk_outbox_oldest_seconds", "Age of what waits longest.", value=age)
    failing = GaugeMetricFamily("servicedesk_sending_failing", "The row's server fails.", labels=["row"])
    troubled = set(session.scalars(sa.select(SendingTrouble.row)))
    for row in outbox.LABELS:
        failing.add_metric([row.value], row.value in troubled)
    yield failing


def _expiring(instance: Instance) -> Iterator[Metric]:
    days = GaugeMetricFamily(
        "servicedesk_expires_days", "Days until something a mail server row needs ends.", labels=["what"]
    )
    for one in expiry.find(instance, current.now()):
        days.add_metric([one.what], one.days)
    yield days
