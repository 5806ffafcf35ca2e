"""Mailboxes in header fields (RFC 5322 section 3.4, RFC 6532), and who a message is from.

Two ways of reading: `parse_addresses` takes what it can get, for showing and for recipients; `sender_of`
names a sender only where every careful reader would name the same one.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

import idna

from webapp.mail import limits
from webapp.mail.charset import one_line
from webapp.mail.encoded_words import decode_words
from webapp.mail.mailboxes import Mailbox, mailboxes
from webapp.mail.message import Address, Sender

_ADDR_SPEC = re.compile(
    r"""(?P<local>[^\s()<>\[\]:;@\\,"\x00-\x1f\x7f]+|"(?:[^"\\\x00-\x1f\x7f]|\\[^\x00-\x1f\x7f])*")
        @(?P<domain>[^\s()<>\[\]:;@\\,"\x00-\x1f\x7f.]+(?:\.[^\s()<>\[\]:;@\\,"\x00-\x1f\x7f.]+)*
          |\[[0-9A-Za-z:.\-]+\])""",
    re.VERBOSE,
)
_ASCII_DOMAIN = re.compile(r"[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*|\[[0-9A-Za-z:.\-]+\]")
_DOT_ATOM = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+)*")
_RAW_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_STRUCTURE = re.compile(r"[\[\]\\:;]")
_BIDI_AND_INVISIBLE = re.compile("[\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]")
_WRITTEN_CHARS = 2_000
# "mailto:", "SMTP:" and the route of RFC 822 section 6.1 in front of an address.
_IN_FRONT = re.compile(r"^(?:mailto:|smtp:|(?:@[^@:,<>\s]{1,255},?){1,20}:)", re.IGNORECASE)
_DOMAIN_CHARS = 255  # RFC 1035 section 2.3.4
_ASCII_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
# Letters of no width or no ink that are not in a Unicode category of their own.
_BLANK_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_BAD_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zs", "Zl", "Zp"})


def parse_addresses(
    fields: Sequence[str], limit: int = limits.RECIPIENTS
) -> tuple[tuple[Address, ...], bool]:
    """The mailboxes of all `fields`, and whether there were more than `limit`."""
    addresses: list[Address] = []
    for value in fields:
        before = ""
        for mailbox in mailboxes(value):
            found = _lenient(mailbox, before)
            # `Lee, Ann <ann@acme.test>`: the first half of a name that should stand in quotes.
            before = "" if found or mailbox.semicolon else _display_name(mailbox.phrase)
            for address in found:
                if len(addresses) == limit:
                    return tuple(addresses), True
                addresses.append(address)
    return tuple(addresses), False


def sender_of(fields: Sequence[str], *, field_count: int | None = None) -> Sender:
    """Who a message with these From fields is from: one mailbox, or a doubt that says why not.

    `field_count` is the number of From fields in the whole message where some lie beyond a limit.
    """
    written = one_line(decode_words(fields[0]))[:_WRITTEN_CHARS] if fields else ""
    name = ""
    if fields:
        shown, _ = parse_addresses(fields[:1], limit=1)
        name = shown[0].display_name if shown else _name_alone(mailboxes(fields[0]))
    count = max(len(fields), field_count or 0)
    if count != 1 or not fields:
        return Sender(None, name, written, f"{count} From headers" if count else "no From header")
    addr_spec, doubt = _only_mailbox(fields[0])
    return Sender(addr_spec, name, written, doubt)


def fold_addr_spec(addr_spec: str) -> str:
    """The key two addresses are compared by: local part ASCII-case-folded, domain as lower-case A-labels.

    Never NFKC or `str.lower`: a fullwidth or Kelvin-sign look-alike must not become a known address.
    """
    local, at, domain = addr_spec.strip().rpartition("@")
    if not at:
        return addr_spec.strip().translate(_ASCII_LOWER)
    if local.startswith('"') and local.endswith('"') and _DOT_ATOM.fullmatch(local[1:-1]):
        local = local[1:-1]  # RFC 5321 section 4.1.2: the same mailbox, quoted without need
    return f"{local.translate(_ASCII_LOWER)}@{_fold_domain(domain)}"


def _fold_domain(domain: str) -> str:
    domain = domain.rstrip(".")
    if domain.isascii() or len(domain) > _DOMAIN_CHARS:
        return domain.translate(_ASCII_LOWER)
    lowered = unicodedata.normalize("NFC", domain.lower())
    if sum(map(str.isascii, lowered)) != sum(map(str.isascii, domain)):
        return domain  # some letter became an ASCII one: nobody's domain
    try:
        return idna.encode(lowered).decode("ascii").translate(_ASCII_LOWER)
    except (idna.IDNAError, UnicodeError, ValueError, IndexError):
        return domain


def _only_mailbox(value: str) -> tuple[str | None, str | None]:
    """The addr-spec of a From value, or why there is none."""
    if _RAW_CONTROLS.search(value):
        return None, "control characters in From"
    everything = mailboxes(value)
    named = [mailbox for mailbox in everything if not mailbox.is_nameless()]
    if any(mailbox.group_closed for mailbox in everything):
        return None, "group syntax in From"
    if not named:
        return None, "no address in From"
    if len(named) > 1 or len(named[0].angles) > 1:
        return None, "more than one mailbox in From"
    return _careful(named[0])


def _careful(mailbox: Mailbox) -> tuple[str | None, str | None]:
    phrase = "".join(mailbox.phrase)
    if mailbox.group is not None and not mailbox.angles:
        return None, "group syntax in From"
    if mailbox.angles:
        candidate = mailbox.angles[0].strip(" \t")
        name = _outside_quotes(mailbox)
        if mailbox.trailing or ("@" in name and (mailbox.stray or _STRUCTURE.search(name))):
            return None, "more than one address in From"
    else:
        candidate = phrase.strip(" \t")
        if mailbox.stray:
            return None, "malformed address in From"
    return _checked_addr_spec(candidate)


def _outside_quotes(mailbox: Mailbox) -> str:
    unquoted = "".join(piece for piece in mailbox.phrase if not (len(piece) > 1 and piece.startswith('"')))
    return f"{mailbox.group or ''}{':' if mailbox.group is not None else ''}{unquoted}"


def _checked_addr_spec(candidate: str) -> tuple[str | None, str | None]:
    if any(map(_is_invisible, candidate)):
        return None, "control or invisible characters in the From address"
    if "=?" in candidate and "?=" in candidate:
        return None, "encoded word in the From address"
    found = _ADDR_SPEC.fullmatch(candidate)
    if found is None:
        return None, "no address in From" if "@" not in candidate else "malformed address in From"
    if not _is_domain(found["domain"]):
        return None, "malformed domain in the From address"
    return candidate, None


def _is_domain(domain: str) -> bool:
    if len(domain) > _DOMAIN_CHARS:
        return False
    if domain.isascii():
        return _ASCII_DOMAIN.fullmatch(domain) is not None
    return _fold_domain(domain).isascii()


def _is_invisible(char: str) -> bool:
    if " " <= char < "\x7f":
        return False
    return (
        unicodedata.category(char) in _BAD_CATEGORIES
        or char in _BLANK_LETTERS
        or "\ufe00" <= char <= "\ufe0f"
        or "\U000e0100" <= char <= "\U000e01ef"
        or "\u180b" <= char <= "\u180f"
    )


def _lenient(mailbox: Mailbox, before: str = "") -> list[Address]:
    """The mailbox as addresses to show and to answer, none where it names none.

    `before` is the name in front of it that a bare comma cut off. Commas are forgotten too: then one
    mailbox holds several addresses.
    """
    phrase = "".join(mailbox.phrase)
    comment = _clean_name(_unescaped(mailbox.comments[0])) if mailbox.comments else ""
    if mailbox.angles:
        opening = [f"{mailbox.group}:"] if mailbox.group and not mailbox.group_closed else []
        name = _display_name(opening + mailbox.phrase)
        name = _clean_name(f"{before}, {name}") if before and name else name or comment
        first, *others = mailbox.angles
        more = dict.fromkeys(other for other in others if "@" in other and other != first)
        return _addresses([(name, first), *(("", other) for other in more)])
    if "@" in phrase:
        return _bare(phrase, comment)
    if "=?" in phrase and "@" in (decoded := decode_words(phrase)) and "=?" not in decoded:
        return _lenient(mailboxes(decoded)[0])
    return []


def _bare(phrase: str, comment: str) -> list[Address]:
    """An address without brackets; words beside it are its name, unless they are addresses as well."""
    phrase = phrase.strip()
    if phrase[0] != "'" and _ADDR_SPEC.fullmatch(phrase) is not None:
        return _addresses([(comment, phrase)])
    words = phrase.split()
    if all(_ADDR_SPEC.fullmatch(word) is not None for word in words):
        return _addresses([(comment if len(words) == 1 else "", word) for word in words])
    addr_spec = next((word for word in reversed(words) if "@" in word.strip("@")), "".join(words))
    name = comment or _clean_name(" ".join(word for word in words if word != addr_spec))
    return _addresses([(name, addr_spec)])


def _addresses(named: list[tuple[str, str]]) -> list[Address]:
    found = []
    for name, written in named:
        if "@" not in written and len(written.split()) > 1:
            continue
        is_whole = (
            written[:1] == '"' and _ADDR_SPEC.fullmatch(written) is not None
        )  # a local part with blanks
        addr_spec = one_line(written) if is_whole else _without_ornament("".join(written.split()))
        if addr_spec and len(addr_spec) <= limits.ADDRESS_CHARS:
            found.append(Address(name, addr_spec))
    return found


def _without_ornament(addr_spec: str) -> str:
    """The address without what is wrongly left around it: brackets, quotes, a scheme, a route."""
    addr_spec = one_line(addr_spec).strip("<>")
    if len(addr_spec) > 1 and addr_spec[0] == addr_spec[-1] == "'":
        addr_spec = addr_spec[1:-1]
    if addr_spec.endswith("]") and "[" not in addr_spec:
        addr_spec = addr_spec[:-1]
    return _IN_FRONT.sub("", addr_spec)


def _name_alone(found: list[Mailbox]) -> str:
    """What a field without an address calls its sender: "MAILER-DAEMON (Mail Delivery System)"."""
    for mailbox in found:
        name = _display_name(mailbox.phrase) or _clean_name("".join(mailbox.comments[:1]))
        if name:
            return name
    return ""


def _display_name(phrase: list[str]) -> str:
    pieces = []
    for piece in phrase:
        if len(piece) > 1 and piece.startswith('"'):
            piece = piece[1:-1]
        pieces.append(_unescaped(piece))
    return _clean_name("".join(pieces))


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL) if "\\" in text else text


def _clean_name(text: str) -> str:
    decoded = one_line(decode_words(text))
    if not decoded:
        return ""
    name = " ".join(_BIDI_AND_INVISIBLE.sub("", decoded).split()).strip('" ')
    if len(name) > 1 and name[0] == name[-1] == "'":
        name = name[1:-1].strip("\"' ")  # 'Ann', and not 'Ann' via List
    return name[: limits.NAME_CHARS].strip()
