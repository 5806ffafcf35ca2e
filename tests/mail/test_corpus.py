"""Real mail of other projects' test data (tests/messages/SOURCES.md), field by field.

A ratchet: what is not understood as its source says is listed here by name, and nothing else may be.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from webapp.mail import describe
from webapp.mail.parse import parse
from webapp.mail.wire import from_json, to_json

FOLDER = Path(__file__).parent.parent / "messages"
MESSAGES = sorted(FOLDER.glob("*/*.eml"))  # those of one subject stand deeper (tests/mail/stored.py)

# field -> messages that we read in another way than the expectation says, with the reason.
DIFFERING: dict[str, dict[str, str]] = {
    "subject": {
        "flanker/long-header": "a subject of 200 KB is cut",
        "mimekit/messages-stack-overflow": "the subject stands behind 2,000 lines",
    },
    "message_id": {"mimekit/messages-stack-overflow": "the id stands behind 2,000 lines"},
    "attachments": {"mimekit/tnef-ukr": "winmail.dat is unpacked and not listed itself"},
    "body": {
        "spamscope/mail_test_14": "the title of an HTML page is not its text",
        "spamscope/mail_test_3": "a text part with a file name is an attachment",
    },
    "reply_text": {
        "trimmer/embedded_email_7": "a quote answered below keeps the line that says whose words it is",
    },
}


def squeezed(text: object) -> str:
    return re.sub(r"\s+", "", str(text or ""))


def folded(values: list[str]) -> list[str]:
    return sorted(value.lower() for value in values)


def letters(text: str) -> str:
    return "".join(char for char in text.lower() if char.isalnum())


def same_attachments(expected: list[dict[str, Any]], got: list[dict[str, Any]]) -> bool:
    names = {attachment["filename"] for attachment in got}
    return len(expected) == len(got) and all(
        not attachment.get("filename") or attachment["filename"] in names for attachment in expected
    )


def body_has(lines: list[str], text: str) -> bool:
    return all(letters(line) in letters(text) for line in lines)


# field -> (key of the expectation, comparison of expected and described value)
FIELDS: dict[str, tuple[str, Callable[[Any, dict[str, Any]], bool]]] = {
    "subject": ("subject", lambda want, got: squeezed(want) == squeezed(got["subject"])),
    "from_addr": ("from_addr", lambda want, got: str(want).lower() == str(got["from_addr"]).lower()),
    "from_name": ("from_name", lambda want, got: squeezed(want) == squeezed(got["from_name"])),
    "to": ("to", lambda want, got: folded(want) == folded(got["to"])),
    "date": ("date", lambda want, got: want == got["date"]),
    "message_id": ("message_id", lambda want, got: squeezed(want) == squeezed(got["message_id"])),
    "in_reply_to": ("in_reply_to", lambda want, got: want == got["in_reply_to"]),
    "references": ("references", lambda want, got: want == got["references"]),
    "is_auto": ("is_auto", lambda want, got: want is got["is_auto"]),
    "attachments": ("attachments", lambda want, got: same_attachments(want, got["attachments"])),
    "attachment_count": ("attachment_count", lambda want, got: want == len(got["attachments"])),
    "body": ("body_text_contains", lambda want, got: body_has(want, got["body_text"])),
    "reply_text": ("reply_text", lambda want, got: letters(want) == letters(got["reply_text"])),
}


def name_of(path: Path) -> str:
    return path.relative_to(FOLDER).with_suffix("").as_posix()


@pytest.mark.parametrize("path", MESSAGES, ids=name_of)
def test_every_message_is_understood_and_goes_over_the_wire(path: Path) -> None:
    message = parse(path.read_bytes())
    assert from_json(json.loads(json.dumps(to_json(message), ensure_ascii=False).encode())) == message
    assert not [defect for defect in message.defects if "not understood:" in defect]


@pytest.mark.parametrize(
    "path", [path for path in MESSAGES if path.with_suffix(".expected.json").exists()], ids=name_of
)
def test_every_field_is_as_its_source_says(path: Path) -> None:
    expected = json.loads(path.with_suffix(".expected.json").read_text("utf-8"))
    got = describe(path.read_bytes())
    differing = {
        field
        for field, (key, is_same) in FIELDS.items()
        if expected.get(key) is not None and not is_same(expected[key], got)
    }
    assert differing == {field for field, names in DIFFERING.items() if name_of(path) in names}


def test_the_corpus_is_whole() -> None:
    assert len(MESSAGES) > 200
    known = {name_of(path) for path in MESSAGES}
    assert {name for names in DIFFERING.values() for name in names} <= known
