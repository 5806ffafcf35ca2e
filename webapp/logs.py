"""How log lines are written: for people, or as JSON for whatever collects them.

An event's facts are `name=value` pairs in one line, so that both a person and a program can read them. No
value is ever a secret or a part of a mail's text.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

from webapp.config import Settings


def fields(event: str, /, **facts: Any) -> str:
    """`event name=value ...`; what is None is left out, and text with spaces in it is quoted."""
    return " ".join(
        [event, *(f"{name}={_told(value)}" for name, value in facts.items() if value is not None)]
    )


def start(settings: Settings) -> None:
    """To stderr, unless whoever called has set it up."""
    handler = logging.StreamHandler(sys.stderr)
    if settings.log_format == "json":
        handler.setFormatter(JsonLines())
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=settings.log_level, handlers=[handler])
    logging.getLogger("apscheduler").setLevel(logging.WARNING)  # two lines a minute that say nothing


class JsonLines(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, message, and the trace where there is one."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def _told(value: Any) -> str:
    text = str(value)
    plain = text and text.isprintable() and not any(char in text for char in ' "=')
    return text if plain else json.dumps(text, ensure_ascii=False)
