"""The web portal for the e-mail side of a service desk.

`create_app` is imported on demand: the parser process and the command line import parts of this
package and must not pay for Flask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from webapp.config import Settings


def create_app(settings: Settings | None = None) -> Flask:
    """The Flask application; see `webapp.app.create_app`."""
    from webapp.app import create_app as build

    return build(settings)
