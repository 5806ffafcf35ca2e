"""Error pages: a sentence, never a trace, whatever went wrong."""

from __future__ import annotations

import logging
import re

import pytest
from flask import Flask

from tests.views.browser import Browser
from webapp.instance import Instance
from webapp.models import Account


@pytest.fixture
def broken(app: Flask) -> Flask:
    def view() -> str:
        raise RuntimeError("the secret inside")

    view.access = "public"  # type: ignore[attr-defined]
    app.add_url_rule("/broken", "broken", view)
    return app


def test_a_500_has_a_reference_that_stands_in_the_log(
    broken: Flask, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        answer = broken.test_client().get("/broken")
    assert answer.status_code == 500
    found = re.search(
        r"Something went wrong on our side\. Nothing was changed\. Reference ([0-9A-F]{8})\.", answer.text
    )
    assert found
    assert f"reference {found[1]}" in caplog.text
    assert "the secret inside" in caplog.text
    assert "the secret inside" not in answer.text
    assert "Traceback" not in answer.text


def test_without_a_database_there_is_still_an_answer(
    app: Flask, instance: Instance, alice: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone() -> None:
        raise OSError("disk gone")

    monkeypatch.setattr(type(instance.database), "reading", lambda self: gone())
    answer = alice.get("/tickets")
    assert answer.status_code == 500
    assert "Reference" in answer.text
    assert "disk gone" not in answer.text


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "a b", "x@y"])
def test_a_forged_host_is_refused(anonymous: Browser, people: dict[str, Account], host: str) -> None:
    answer = anonymous.get("/login", headers={"Host": host})
    assert answer.status_code == 400
    assert "does not answer to the host name" in answer.text
    assert host not in answer.text
    assert "Content-Security-Policy" in answer.headers


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8080", "localhost:1"])
def test_a_host_of_ours_is_answered(anonymous: Browser, people: dict[str, Account], host: str) -> None:
    assert anonymous.get("/login", headers={"Host": host}).status_code == 200


def test_a_form_that_is_too_large_is_refused(anonymous: Browser, people: dict[str, Account]) -> None:
    token = anonymous.csrf_token()
    answer = anonymous.post("/login", data={"email": "x" * 10_000_000, "csrf_token": token})
    assert answer.status_code == 413
    assert "larger than this page takes" in answer.text


def test_a_field_that_is_too_large_is_refused(anonymous: Browser, people: dict[str, Account]) -> None:
    token = anonymous.csrf_token()
    part = '--b\r\nContent-Disposition: form-data; name="{}"\r\n\r\n{}\r\n'
    body = part.format("csrf_token", token) + part.format("email", "x" * 600_000) + "--b--\r\n"
    answer = anonymous.post("/login", data=body, content_type="multipart/form-data; boundary=b")
    assert answer.status_code == 413


def test_405_says_what_is_allowed(alice: Browser) -> None:
    answer = alice.get("/logout")
    assert "POST" in answer.headers["Allow"]
    assert "cannot be used that way" in answer.text


def test_404_is_a_page_of_the_shell(alice: Browser) -> None:
    page = alice.get("/<script>alert(1)</script>").text
    assert "This page does not exist." in page
    assert "Sign out" in page
    assert "alert(1)" not in page


def test_healthz_is_plain(anonymous: Browser) -> None:
    answer = anonymous.get("/healthz")
    assert (answer.text, answer.mimetype) == ("ok\n", "text/plain")
