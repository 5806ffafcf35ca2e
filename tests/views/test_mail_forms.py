"""The encryption that nobody chose follows the port, also in a browser without JavaScript."""

from __future__ import annotations

import pytest
from flask import Flask
from werkzeug.datastructures import MultiDict

from webapp.models import Row
from webapp.views.mail_forms import OPEN, MailServerForm, with_changes


def sent(app: Flask, row: Row = Row.INCOMING, **entries: str) -> tuple[str, str]:
    """Mode, and whether it is still the page's own, after a form was sent so."""
    with app.test_request_context():
        form = MailServerForm(row, formdata=MultiDict(entries))
        return form.tls_mode.data or "", form.mode_left.data or ""


@pytest.mark.parametrize(
    ("port", "mode", "left"),
    [
        ("", "implicit", "implicit"),
        ("993", "implicit", "implicit"),
        ("143", "starttls", "starttls"),
        (" 143 ", "starttls", "starttls"),
        ("587", "starttls", "starttls"),
        ("2993", "", OPEN),
        ("many", "implicit", "implicit"),
    ],
)
def test_a_mode_the_page_preselected_follows_the_port(app: Flask, port: str, mode: str, left: str) -> None:
    assert sent(app, port=port, tls_mode="implicit", mode_left="implicit") == (mode, left)


def test_a_sending_row_preselects_starttls(app: Flask) -> None:
    assert sent(app, Row.OUTGOING, port="465", tls_mode="starttls", mode_left="starttls")[0] == "implicit"
    assert sent(app, Row.OUTGOING, port="", tls_mode="starttls", mode_left="starttls")[0] == "starttls"


def test_a_chosen_mode_stays(app: Flask) -> None:
    assert sent(app, port="2993", tls_mode="starttls", mode_left="implicit")[0] == "starttls"
    assert sent(app, port="2993", tls_mode="implicit", mode_left="") == ("implicit", "")
    assert sent(app, port="143", tls_mode="implicit") == ("implicit", "")
    assert sent(app, port="2993", tls_mode="starttls", mode_left=OPEN)[0] == "starttls"


def test_what_was_asked_and_not_answered_follows_a_usual_port_again(app: Flask) -> None:
    assert sent(app, port="993", mode_left=OPEN) == ("implicit", "implicit")
    assert sent(app, port="2993", mode_left=OPEN) == ("", OPEN)


def test_a_button_that_fills_in_the_mode_has_chosen_it(app: Flask) -> None:
    entries = with_changes(
        MultiDict({"port": "993", "tls_mode": "implicit", "mode_left": "implicit"}),
        {"tls_mode": "implicit", "port": "2993"},
    )
    assert sent(app, Row.INCOMING, **entries.to_dict()) == ("implicit", "")
