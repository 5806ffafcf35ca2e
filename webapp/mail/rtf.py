"""Rich Text Format out of TNEF: unpacked (MS-OXRTFCP), and the HTML or text that it carries (MS-OXRTFEX)."""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, replace

from webapp.mail import limits
from webapp.mail.charset_names import is_ascii_based, python_name

_MOST_RTF = limits.TEXT_CHARS  # octets
_DICTIONARY = (
    b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript "
    b"\\fdecor MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par "
    b"\\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx"
)
_WINDOW = 4_096
_COMPRESSED, _STORED = b"LZFu", b"MELA"
_MOST_GROUPS = 500
_TOKEN = re.compile(
    rb"\\([a-zA-Z]{1,32})(-?\d{1,10})? ?|\\'([0-9a-fA-F]{2})|\\([^a-zA-Z])|([{}])|([\r\n]+)|([^\\{}\r\n]+)"
)
_CHARSETS = {
    77: "mac-roman", 128: "cp932", 129: "cp949", 134: "cp936", 136: "cp950", 161: "cp1253", 162: "cp1254",
    163: "cp1258", 177: "cp1255", 178: "cp1256", 186: "cp1257", 204: "cp1251", 222: "cp874", 238: "cp1250",
}  # fmt: skip
_CHARACTERS = {
    b"par": "\n", b"line": "\n", b"sect": "\n", b"page": "\n", b"row": "\n", b"cell": "\t", b"tab": "\t",
    b"lquote": "\u2018", b"rquote": "\u2019", b"ldblquote": "\u201c", b"rdblquote": "\u201d",
    b"bullet": "\u2022", b"endash": "\u2013", b"emdash": "\u2014", b"emspace": " ", b"enspace": " ",
}  # fmt: skip
_SYMBOLS = {b"{": "{", b"}": "}", b"\\": "\\", b"~": "\u00a0", b"_": "\u2011", b"\n": "\n", b"\r": "\n"}
# Groups that hold no text of the message.
_HIDDEN = frozenset(
    b"""fonttbl colortbl stylesheet info pict object header footer headerl headerr footerl footerr fldinst
    listtable listoverridetable generator themedata datastore latentstyles xmlnstbl filetbl""".split()
)


@dataclass(frozen=True, slots=True)
class RichText:
    """One of the two: the HTML from which a mail program made the RTF, or the text of the RTF."""

    text: str
    is_html: bool


class RtfError(ValueError):
    """Octets that are no compressed RTF, or more of them than a message may cost."""


@dataclass(slots=True)
class Allowance:
    """How much RTF is still read in one message."""

    octets: int = _MOST_RTF
    tokens: int = 200_000


def unpack(data: bytes, allowance: Allowance | None = None) -> bytes:
    """Compressed RTF unpacked, as far as is allowed. Raises RtfError."""
    allowance = allowance or Allowance()
    if len(data) < 16:
        raise RtfError("too short for RTF")
    size, kind = struct.unpack_from("<I4s", data, 4)
    size = min(size, allowance.octets)
    allowance.octets -= min(size, 9 * len(data))  # two octets become seventeen at most
    if kind == _STORED:
        return data[16 : 16 + size]
    if kind != _COMPRESSED:
        raise RtfError("not compressed as RTF is")
    return _decompress(data, size)


def read_rtf(rtf: bytes, allowance: Allowance | None = None) -> RichText:
    """The HTML or text in `rtf`; where it is broken, or no more is allowed, what stands before."""
    return _Reader(rtf, allowance or Allowance()).read()


def _decompress(data: bytes, size: int) -> bytes:
    """LZFu (MS-OXRTFCP section 2.2): runs of eight tokens, each an octet or a place in the window."""
    window = bytearray(_DICTIONARY.ljust(_WINDOW, b"\0"))
    write = len(_DICTIONARY)
    out = bytearray()
    at, end = 16, len(data)
    while at < end and len(out) < size:
        control = data[at]
        at += 1
        for bit in range(8):
            if at >= end:
                break
            if not control >> bit & 1:
                piece = data[at : at + 1]
                at += 1
            else:
                if at + 2 > end:
                    return bytes(out[:size])
                reference = data[at] << 8 | data[at + 1]
                at += 2
                offset, length = reference >> 4, (reference & 15) + 2
                if offset == write:
                    return bytes(out[:size])
                piece = _from_window(window, offset, write, length)
            for octet in piece:
                window[write] = octet
                write = (write + 1) % _WINDOW
            out += piece
    return bytes(out[:size])


def _from_window(window: bytearray, offset: int, write: int, length: int) -> bytes:
    """`length` octets from `offset`; those that are only now being written repeat what was read."""
    known = (write - offset) % _WINDOW
    piece = bytes(window[(offset + count) % _WINDOW] for count in range(min(length, known)))
    return (piece * (length // known + 1))[:length]


@dataclass(frozen=True, slots=True)
class _State:
    """What holds within one group."""

    hidden: bool = False
    in_tag: bool = False  # \*\htmltag: HTML as it was
    rtf_only: bool = False  # \htmlrtf: what stands here only for readers of RTF
    codec: str = ""
    in_fonts: bool = False
    uc: int = 1  # octets to skip behind \u


class _Reader:
    def __init__(self, rtf: bytes, allowance: Allowance) -> None:
        self._rtf = rtf[:_MOST_RTF]
        self._allowance = allowance
        self._codec = "cp1252"
        self._fonts: dict[int, str] = {}
        self._font = 0
        self._is_html = b"\\fromhtml" in self._rtf[:4_096]
        self._state = _State()
        self._stack: list[_State] = []
        self._out: list[str] = []
        self._octets = bytearray()
        self._skip = 0
        self._starred = False

    def read(self) -> RichText:
        for found in _TOKEN.finditer(self._rtf):
            self._allowance.tokens -= 1
            if self._allowance.tokens < 0:
                break
            word, parameter, octet, symbol, brace, _, run = found.groups()
            if run is not None:
                self._put_octets(run)
            elif octet is not None:
                self._put_octets(bytes([int(octet, 16)]))
            elif word is not None:
                self._word(word, int(parameter) if parameter else None)
            elif brace == b"{":
                self._open()
            elif brace == b"}":
                if not self._stack:
                    break
                self._flush()
                self._state = self._stack.pop()
            elif symbol == b"*":
                self._starred = True
            elif symbol is not None:
                self._put(_SYMBOLS.get(symbol, ""))
        self._flush()
        text = "".join(self._out).encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        return RichText(text.replace("\0", ""), self._is_html)

    def _open(self) -> None:
        self._flush()
        self._starred = False
        if len(self._stack) >= _MOST_GROUPS:
            self._state = replace(self._state, hidden=True)
        self._stack.append(self._state)

    def _word(self, word: bytes, parameter: int | None) -> None:
        starred, self._starred = self._starred, False
        state = self._state
        if word == b"htmltag":
            self._change(in_tag=True)
        elif word in _HIDDEN or (starred and word != b"mhtmltag"):
            self._change(hidden=True, in_fonts=word == b"fonttbl")
        elif word == b"mhtmltag":
            self._change(hidden=True)
        elif word == b"htmlrtf":
            self._change(rtf_only=parameter != 0)
        elif word == b"ansicpg" and parameter:
            codec = python_name(f"cp{parameter}")
            self._codec = codec if codec and is_ascii_based(codec) else self._codec
        elif word == b"f" and parameter is not None:
            self._font = parameter
            if not state.in_fonts:
                self._change(codec=self._fonts.get(parameter, ""))
        elif word == b"fcharset" and parameter is not None and state.in_fonts and len(self._fonts) < 1_000:
            self._fonts[self._font] = _CHARSETS.get(parameter, "")
        elif word == b"plain":
            self._change(codec="")
        elif word == b"uc":
            self._change(uc=min(max(parameter or 0, 0), 8))
        elif word == b"u" and parameter is not None:
            self._put(chr(parameter % 0x10000))  # one unit of UTF-16: pairs come together at the end
            self._skip = state.uc
        elif word in _CHARACTERS:
            self._put(_CHARACTERS[word])

    def _change(self, **values: object) -> None:
        self._flush()
        self._state = replace(self._state, **values)  # type: ignore[arg-type]

    def _is_silent(self) -> bool:
        state = self._state
        return state.hidden or (self._is_html and state.rtf_only)

    def _put(self, text: str) -> None:
        if not self._is_silent():
            self._flush()
            self._out.append(text)

    def _put_octets(self, octets: bytes) -> None:
        if self._skip:
            octets, self._skip = octets[self._skip :], max(0, self._skip - len(octets))
        if octets and not self._is_silent():
            self._octets += octets

    def _flush(self) -> None:
        if self._octets:
            codec = "" if self._state.in_tag else self._state.codec
            self._out.append(self._octets.decode(codec or self._codec, "replace"))
            self._octets.clear()
