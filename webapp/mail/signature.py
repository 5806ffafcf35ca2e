# ruff: noqa: E501 - rows of words
"""What stands below a sender's words and is none of them: signature, list footer, disclaimer.

A line such as "Sent from my iPhone" stays: it is short, and no list of such lines is ever whole.
"""

from __future__ import annotations

import re

_SIGNATURE_LINES = 40
_BARE_SIGNATURE_LINES = 8
_SIGNATURE_LINE_CHARS = 75
_LIST_FOOTER_LINES = 8
_PIECES = 12  # looked for one above the other
_BARE_MARKS = ("--", "__", "—", "––")

_SENTENCE = re.compile(r"\?\s*$|(?:\S+\s+){3}\S+[.!:]\s*$")
_LIST = re.compile(
    r"mailing list|mailing-list|mailman|listinfo|unsubscribe|you received this message because|google groups|abmelden|désabonn|lists?\.\w",
    re.IGNORECASE,
)
_LIST_RULE = re.compile(r"^[_-]{10,}$|^-~-~")
_DISCLAIMER_BEGIN = re.compile(
    r"^\W{0,5}(?:confidential|disclaimer|privileged|legal notice|this (?:e-?mail|message|communication|transmission)|the (?:information|contents?) (?:contained )?(?:in|of) this"
    r"|diese (?:e-?mail|nachricht)|der inhalt dieser|vertraulichkeit|ce(?:t e-?mail| message| courriel)|este (?:mensaje|correo|e-?mail)|la información contenida"
    r"|quest[oa] (?:messaggio|e-?mail)|le informazioni contenute|esta mensagem|dit (?:e-?mail)?bericht|deze e-?mail|denne (?:e-?mail|mail|e-?post)|detta (?:mejl|e-?post|meddelande)|ta wiadomość|tato zpráva|это (?:сообщение|письмо)|данное сообщение)",
    re.IGNORECASE,
)
_DISCLAIMER = re.compile(
    r"intended (?:only|solely|exclusively)|not the intended|intended recipient|nicht der richtige adressat|vertrauliche|irrtümlich|strictement confidentiel|destiné exclusivement|exclusivement (?:à|destiné)|destinataire"
    r"|confidencial|exclusivamente|esclusivamente|riservat|vertrouwelijk|uitsluitend bestemd|fortrolig|konfidentiell|poufn|důvěrn|конфиденциальн",
    re.IGNORECASE,
)
_ENVIRONMENT = re.compile(
    r"^\W{0,5}(?:please )?(?:consider|think of) the environment|^\W{0,5}bitte denken sie an die umwelt",
    re.IGNORECASE,
)


def without_tail(lines: list[str]) -> list[str]:
    """`lines` without signature, list footer and disclaimer at their end, blank lines there too."""
    for _ in range(_PIECES):
        lines = _without_blank_end(lines)
        shorter = _without_list_footer(lines)
        if len(shorter) == len(lines):
            shorter = _without_disclaimer(lines)
        if len(shorter) == len(lines):
            shorter = _without_signature(lines)
        if len(shorter) == len(lines):
            break
        lines = shorter
    return lines


def _without_blank_end(lines: list[str]) -> list[str]:
    end = len(lines)
    while end and (not lines[end - 1] or lines[end - 1].isspace()):
        end -= 1
    return lines[:end] if end < len(lines) else lines


def _without_list_footer(lines: list[str]) -> list[str]:
    for number in range(len(lines) - 1, max(-1, len(lines) - 1 - _LIST_FOOTER_LINES), -1):
        if _LIST_RULE.match(lines[number].strip()[:100]):
            below = " ".join(lines[number + 1 :])[:1000]
            return lines[:number] if _LIST.search(below) and "?" not in below else lines
    return lines


def _without_disclaimer(lines: list[str]) -> list[str]:
    """Without a last paragraph that begins as a disclaimer begins and says what one says."""
    begin = len(lines)
    while begin and lines[begin - 1].strip():
        begin -= 1
    if not begin or begin == len(lines):
        return lines
    paragraph = " ".join(lines[begin:])[:1500]
    is_one = _DISCLAIMER_BEGIN.match(paragraph) and _DISCLAIMER.search(paragraph)
    return lines[:begin] if is_one or _ENVIRONMENT.match(paragraph) else lines


def _without_signature(lines: list[str]) -> list[str]:
    """From the last "-- " on (RFC 3676 section 4.3), if it is short enough to be one.

    A mark that lost its blank is one only below an empty line, with a few short lines directly below: it may as well
    part two paragraphs, or be a line of SQL.
    """
    for number in range(len(lines) - 1, max(-1, len(lines) - _SIGNATURE_LINES), -1):
        line = lines[number]
        if len(line) > 4 or not line.startswith(("-", "_", "—", "–")):
            continue
        below = lines[number + 1 :]
        if line in ("-- ", "--\xa0"):
            return lines if below and below[0].startswith("--") else lines[:number]
        if line.strip() in _BARE_MARKS:
            is_below_blank = not number or not lines[number - 1].strip()
            return lines[:number] if is_below_blank and _is_bare_signature(below) else lines
    return lines


def _is_bare_signature(below: list[str]) -> bool:
    if not below or len(below) > _BARE_SIGNATURE_LINES or not below[0].strip():
        return False
    return not any(
        len(line) > _SIGNATURE_LINE_CHARS or line.startswith("--") or _SENTENCE.search(line) for line in below
    )
