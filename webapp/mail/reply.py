"""The part of a text that its sender wrote: quoted history and signature folded away, conservatively.

First version: where it is not clear that a line begins history, the line is kept. On screen what is left
out is folded, never deleted.
"""

from __future__ import annotations

import re

MARKER = "-- reply above this line --"

_MARKER_LINE = re.compile(r"^[>\s]*[-_=]*\s*(?:please )?reply above this line\s*[-_=]*\s*$", re.IGNORECASE)
_SIGNATURE = re.compile(r"^-- ?$")
_ORIGINAL_MESSAGE = re.compile(
    r"""^[>\s*]*[-_]{2,}\s*(?:original\ (?:message|appointment)|forwarded\ message
    |urspr(?:ü|ue)ngliche\ (?:nachricht|mail)
    |message\ d'origine|message\ original|mensaje\ original|messaggio\ originale|mensagem\ original
    |oorspronkelijk\ bericht|ursprungligt\ meddelande|oprindelig\ meddelelse|opprinnelig\ melding
    |alkuper[äa]inen\ viesti|pôvodná\ správa|původní\ zpráva|wiadomość\ oryginalna|исходное\ сообщение
    |original\ message|reply\ message|antwort)\s*[-_]{2,}[\s*]*$""",
    re.IGNORECASE | re.VERBOSE,
)
# "On <date>, <name> wrote:" in the languages mail programs speak; the attribution may be wrapped.
_WROTE = re.compile(
    r"""(?:^|\s)(?:wrote|writes|schrieb(?:\ .{1,80})?|geschrieben|a\ écrit|escribi[óo]|escreveu|ha\ scritto
    |schreef(?:\ .{1,80})?|skrev(?:\ .{1,80})?|kirjoitti|napisał\(?a?\)?|napsal\(?a?\)?|пишет|написал\(?а?\)?
    |yazdı|написа|a\ scris|írta|wrote\ on\ .{1,60})\s*[:：]\s*$|(?:写道|書きました|のメール)\s*[:：]?\s*$""",
    re.IGNORECASE | re.VERBOSE,
)
_BEGINS_ATTRIBUTION = re.compile(
    r"""^(?:(?:on|am|le|el|il|em|op|den|på|w\ dniu|dne|pada|tor|ti|ke|ma|la|pe|su|dnia|vào|в|у)\b
    |\d{1,4}[-./年]|\d{1,2}\ |[^\s]{2,4},?\ \d)""",
    re.IGNORECASE | re.VERBOSE,
)
# "Name <address> schrieb am Mo., 1. Jan. 2024 um 09:00 Uhr:", "2016-10-24 15:36 GMT+02:00 Name <address>:"
_NAME_FIRST = re.compile(
    r"""@[^\s<>]{1,100}>?\s{1,3}(?:wrote|schrieb|a\ écrit|escribi[óo]|escreveu|ha\ scritto|schreef|skrev
    |kirjoitti|napisał\(?a?\)?|napsal\(?a?\)?|написал\(?а?\)?)\b.{0,80}:\s*$
    |^\s*\d{4}-\d\d-\d\d\ .{5,100}@[^\s<>]{1,100}>:\s*$""",
    re.IGNORECASE | re.VERBOSE,
)
_HEADER_WORDS = {
    "from": "from von de da van från fra lähettäjä od от kimden feladó remitente expéditeur mittente",
    "sent": """sent date gesendet datum envoyé envoye enviado inviato data verzonden skickat sendt lähetetty
               wysłano odesláno дата отправлено gönderilen fecha""",
    "to": "to an à a para til till aan vastaanottaja do komu кому kime címzett",
    "subject": """subject betreff objet asunto assunto oggetto onderwerp ämne emne aihe temat předmět тема
                  konu""",
}
_WORD_KIND = {word: kind for kind, words in _HEADER_WORDS.items() for word in words.split()}
_HEADER_LINE = re.compile(r"^[>\s]*\*{0,2}([^\W\d_]{1,14})\s?\*{0,2}\s?[:：]\*{0,2}\s*(.*)$")
_RULE = re.compile(r"^[-_]{10,}$")
_ATTRIBUTION_LINES = 3
_ATTRIBUTION_CHARS = 400
_SIGNATURE_LINES = 20
_BARE_SIGNATURE_LINES = 8


def reply_text(text: str) -> str:
    """`text` without quoted history and signature; all of it where nothing would be left."""
    lines = text.split("\n")
    lines = lines[_length_of_leading_quote(lines) :]
    end = _end_of_reply(lines)
    kept = _without_trailing_quotes(lines[:end])
    kept = _without_signature(kept)
    result = "\n".join(kept).strip()
    return result if result else text.strip()


def _length_of_leading_quote(lines: list[str]) -> int:
    """An attribution with its quote on top and only the answer below: the lines before the answer."""
    begin = next((number for number, line in enumerate(lines) if line.strip()), None)
    if begin is None or not (length := _attribution_length(lines, begin)):
        return 0
    answer = begin + length
    while answer < len(lines) and (lines[answer].startswith(">") or not lines[answer].strip()):
        answer += 1
    is_one_quote = any(line.startswith(">") for line in lines[begin + length : answer])
    is_answered_once = not any(line.startswith(">") for line in lines[answer:])
    return answer if is_one_quote and is_answered_once else 0


def _end_of_reply(lines: list[str]) -> int:
    """The line where history begins, or the number of lines."""
    history_from = _first_line_of_history(lines)
    for number, line in enumerate(lines):
        if not line or line.isspace():
            continue
        if _MARKER_LINE.match(line):
            return number
        if _ORIGINAL_MESSAGE.match(line) or _is_header_block(lines, number):
            return _before_rule(lines, number)
        length = _attribution_length(lines, number)
        if length and number + length >= history_from:
            return number
    return len(lines)


def _first_line_of_history(lines: list[str]) -> int:
    """From here on an attribution has only history below it.

    Answers between the quotes are the sender's words: then nothing is folded. Without a single ">"
    (Outlook, mobile clients) everything below an attribution is history.
    """
    last_quote = max((number for number, line in enumerate(lines) if line.startswith(">")), default=-1)
    if last_quote < 0:
        return 0
    behind = [line for line in lines[last_quote + 1 :] if line.strip()]
    if behind and not _SIGNATURE.match(behind[0]) and not _RULE.match(behind[0].strip()):
        return len(lines) + 1
    for number in range(last_quote, -1, -1):
        if lines[number].strip() and not lines[number].startswith(">"):
            return number + 1
    return 0


def _attribution_length(lines: list[str], number: int) -> int:
    """How many lines "On ... wrote:" takes from here; 0 where none begins."""
    if lines[number].startswith(">"):
        return 0
    begins = _BEGINS_ATTRIBUTION.match(lines[number].strip()) is not None
    if not begins and "@" not in lines[number]:
        return 0
    joined = ""
    for length in range(1, _ATTRIBUTION_LINES + 1):
        line = lines[number + length - 1] if number + length <= len(lines) else ""
        if not line.strip():
            return 0
        joined = f"{joined} {line.strip()}"
        if len(joined) > _ATTRIBUTION_CHARS:
            return 0
        if (begins or "@" in joined) and (_WROTE.search(joined) or _NAME_FIRST.search(joined)):
            return length
    return 0


def _is_header_block(lines: list[str], number: int) -> bool:
    """From/Sent/To/Subject as Outlook writes above a quoted message: three kinds of four within six lines."""
    first = _kind(lines[number])
    if first not in ("from", "sent"):
        return False
    kinds = {first}
    for line in lines[number + 1 : number + 7]:
        if line.strip():
            kinds.add(_kind(line) or "")
    kinds.discard("")
    return len(kinds) >= 3 and "from" in kinds


def _kind(line: str) -> str | None:
    found = _HEADER_LINE.match(line[:200])
    return _WORD_KIND.get(found[1].lower()) if found else None


def _before_rule(lines: list[str], number: int) -> int:
    """Outlook's line of underscores belongs to what it stands above."""
    before = number
    while before > 0 and not lines[before - 1].strip():
        before -= 1
    return before - 1 if before > 0 and _RULE.match(lines[before - 1].strip()) else number


def _without_trailing_quotes(lines: list[str]) -> list[str]:
    end = len(lines)
    while end and (not lines[end - 1].strip() or lines[end - 1].startswith(">")):
        end -= 1
    return lines[:end]


def _without_signature(lines: list[str]) -> list[str]:
    """From the last "-- " on (RFC 3676 section 4.3), if it is short enough to be one.

    A "--" that lost its blank is one only below an empty line: it may as well be drawn by hand.
    """
    for number in range(len(lines) - 1, max(-1, len(lines) - _SIGNATURE_LINES), -1):
        if lines[number] == "-- ":
            return lines[:number]
        if lines[number] == "--" and len(lines) - number <= _BARE_SIGNATURE_LINES:
            return lines[:number] if not number or not lines[number - 1].strip() else lines
    return lines
