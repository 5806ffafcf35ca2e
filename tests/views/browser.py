"""A test client that uses pages as a browser would, and the three people who do."""

from __future__ import annotations

import re

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from webapp.models import Role

PASSWORD = "correct horse battery"
PEOPLE = {
    "alice": ("alice@desk.example", "Alice Able", Role.ADMINISTRATOR),
    "bob": ("bob@desk.example", "Bob Best", Role.TECHNICIAN),
    "vera": ("vera@desk.example", "Vera View", Role.VIEWER),
}


class Browser(FlaskClient):
    """A client that posts forms as a page of ours would: with the token of the page it stands on."""

    def csrf_token(self, page: str = "/login") -> str:
        found = re.search(r'name="csrf_token" value="([^"]+)"', self.get(page, follow_redirects=True).text)
        assert found, f"{page} has no form"
        return found[1]

    def send(self, path: str, page: str = "/login", **data: str) -> TestResponse:
        return self.post(path, data=data | {"csrf_token": self.csrf_token(page)})

    def sign_in(self, person: str, password: str = PASSWORD) -> TestResponse:
        email = PEOPLE[person][0] if person in PEOPLE else person
        return self.send("/login", email=email, password=password)
