"""Names of charsets: what senders write, and the codec that reads what they mean."""

from __future__ import annotations

import codecs
import re
from encodings import normalize_encoding
from encodings.aliases import aliases

# What senders write -> what Python can decode. The right side is the superset real mail uses: Windows
# labels its code pages with the name of the standard they extend (as the WHATWG encoding table does).
ALIASES = {
    "ascii": "utf-8",
    "us-ascii": "utf-8",
    "ansi_x3.4-1968": "utf-8",
    "iso646-us": "utf-8",
    "unicode": "utf-8",
    "utf8": "utf-8",
    "utf-8": "utf-8",
    "utf8mb4": "utf-8",
    "unicode-1-1-utf-8": "utf-8",
    "x-unicode-2-0-utf-8": "utf-8",
    "unicode-1-1-utf-7": "utf-7",
    "x-unicode-2-0-utf-7": "utf-7",
    "unicode-2-0-utf-7": "utf-7",
    "iso-8859-1": "cp1252",
    "iso8859-1": "cp1252",
    "iso_8859-1": "cp1252",
    "latin1": "cp1252",
    "latin-1": "cp1252",
    "x-ansi": "cp1252",
    "ansi": "cp1252",
    "x-user-defined": "cp1252",
    "x-unknown": "utf-8",
    "unknown-8bit": "utf-8",
    "unknown": "utf-8",
    "default": "utf-8",
    "iso-8859-9": "cp1254",
    "iso-8859-11": "cp874",
    "tis-620": "cp874",
    "iso-8859-8-i": "iso8859-8",
    "iso-8859-8-e": "iso8859-8",
    "iso-8859-6-i": "iso8859-6",
    "gb2312": "gb18030",
    "gb_2312-80": "gb18030",
    "gbk": "gb18030",
    "cp936": "gb18030",
    "x-gbk": "gb18030",
    "euc-cn": "gb18030",
    "cn-gb": "gb18030",
    "big5": "big5hkscs",
    "x-big5": "big5hkscs",
    "cn-big5": "big5hkscs",
    "shift_jis": "cp932",
    "shift-jis": "cp932",
    "sjis": "cp932",
    "x-sjis": "cp932",
    "ms_kanji": "cp932",
    "windows-31j": "cp932",
    "x-euc-jp": "euc_jp",
    "iso-2022-jp": "iso2022_jp_ext",
    "euc-kr": "cp949",
    "ks_c_5601": "cp949",
    "ks_c_5601-1987": "cp949",
    "ksc5601": "cp949",
    "x-windows-949": "cp949",
    "windows-874": "cp874",
    "x-mac-roman": "mac_roman",
    "macintosh": "mac_roman",
    "x-mac-cyrillic": "mac_cyrillic",
    "koi8": "koi8_r",
    "koi": "koi8_r",
    "8bit": "utf-8",
    "binary": "utf-8",
    "cesu-8": "utf-8",
    "iso2022_jp": "iso2022_jp_ext",
    "euc_kr": "cp949",
    "korean": "cp949",
    "ksc_5601": "cp949",
    "ks_c_5601-1989": "cp949",
    "x-mac-japanese": "cp932",
    "x-mac-korean": "cp949",
    "x-mac-chinesesimp": "gb18030",
    "x-mac-chinesetrad": "big5hkscs",
    "x-mac-ce": "mac_latin2",
    "x-mac-greek": "mac_greek",
    "x-mac-turkish": "mac_turkish",
    "logical": "iso8859-8",
    "visual": "iso8859-8",
    "iso88591": "cp1252",
    "x-iso-8859-1": "cp1252",
    "iso-latin-1": "cp1252",
    "latin-9": "iso8859-15",
    "gb_18030": "gb18030",
    "gb_2312": "gb18030",
    "ks_x_1001": "cp949",
    "koi8-ru": "koi8_u",
    "cswindows31j": "cp932",
    "x-ms-cp932": "cp932",
    "iso-2022-jp-ms": "iso2022_jp_ext",
    "eucjp-ms": "euc_jp",
    "csutf8": "utf-8",
    # The numbers Windows gives to what others call by a name: TNEF and old gateways write them.
    "cp20127": "utf-8",
    "cp28591": "cp1252",
    **{f"cp2859{part}": f"iso8859-{part}" for part in range(2, 9)},
    "cp28599": "cp1254",
    "cp28603": "iso8859-13",
    "cp28605": "iso8859-15",
    "cp38598": "iso8859-8",
    "cp20866": "koi8_r",
    "cp21866": "koi8_u",
    "cp20932": "euc_jp",
    "cp51932": "euc_jp",
    "cp50220": "iso2022_jp_ext",
    "cp50221": "iso2022_jp_ext",
    "cp50222": "iso2022_jp_ext",
    "cp50225": "iso2022_kr",
    "cp51936": "gb18030",
    "cp54936": "gb18030",
    "cp52936": "hz",
    "cp51949": "cp949",
    "cp10000": "mac_roman",
    "cp10007": "mac_cyrillic",
    "cp10029": "mac_latin2",
    "cp1200": "utf-16-le",
    "cp1201": "utf-16-be",
    "cp65000": "utf-7",
}
# Python "text encodings" that are no charset of mail: they execute escapes, are quadratic, or always fail.
_NO_CHARSETS = {"idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined", "mbcs", "oem"}
# All that Python knows: it remembers for ever what it was asked for in vain, and each mail could ask anew.
_CODECS = frozenset(
    """cp1006 cp720 cp737 cp856 cp874 cp875 iso8859_1 koi8_t koi8_u mac_arabic mac_croatian mac_farsi
    mac_romanian utf_8_sig""".split()  # noqa: SIM905
).union(aliases, aliases.values())
_EBCDIC = {"cp037", "cp273", "cp424", "cp500", "cp875", "cp1026", "cp1140"}
_NOT_ASCII_BASED = _EBCDIC | {
    "utf-7", "hz", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be",
}  # fmt: skip
# "windows-1252", "cp_850", "win1251", "ibm-437", "dos850": Python's name is cp and the number.
_LOST_HYPHEN = re.compile(r"\b(iso|windows|utf|shift|koi8|euc|us)[ .](?=\w)")
_CODE_PAGE = re.compile(r"^(?:x-)?(?:cp|windows|win|ibm|dos|ms)[-_ ]?(?=\d)")
# What stands around a label: 3D of a header sent through quoted-printable, quotes, comments, controls.
_LABEL = re.compile(r"^(?:\([^()]*\)|charset|3d|[\s\"'<=\x00-\x1f])*+([^\s\"'<>;,()=?\x00-\x1f\x7f]{1,50})")


def is_ascii_based(name: str) -> bool:
    """Whether octets below 128 that stand by themselves are ASCII in the codec `name` (of `python_name`)."""
    return name not in _NOT_ASCII_BASED and not name.startswith("iso2022")


def python_name(label: str) -> str | None:
    """The codec to decode with, or None where the label names no charset."""
    key = label.lower()
    if " " in key or "." in key:
        key = _LOST_HYPHEN.sub(r"\1-", key[:200])
    if (found := ALIASES.get(key)) is not None:
        return found
    bare = _LABEL.match(key[:200])
    if bare is None or not bare[1].isascii() or not bare[1].isprintable():
        return None
    key = bare[1]
    if (found := ALIASES.get(key)) is not None:
        return found
    key = _CODE_PAGE.sub("cp", key)
    key = normalize_encoding(ALIASES.get(key, key))
    if key not in _CODECS and key.replace(".", "_") not in _CODECS:
        return None
    try:
        info = codecs.lookup(key)
    except (LookupError, ValueError):
        return None
    if info.name in _NO_CHARSETS or not getattr(info, "_is_text_encoding", True):
        return None
    return ALIASES.get(info.name, info.name)


def shown_label(label: str | None) -> str:
    """A charset label for a defect text: short and printable."""
    return repr((label or "")[:40].encode("ascii", "replace").decode("ascii"))
