"""TNEF streams for the tests, made as MS-OXTNEF and MS-OXRTFCP say."""

from __future__ import annotations

import struct

SIGNATURE = struct.pack("<IH", 0x223E9F78, 1)
MESSAGE_CLASS, SUBJECT, MAPI = 0x78008, 0x18004, 0x69003
ATTACH_REND, ATTACH_TITLE, ATTACH_DATA, ATTACHMENT = 0x69002, 0x18010, 0x6800F, 0x69005
CODEPAGE = 0x69007
UNICODE, BINARY, OBJECT, LONG, TIME = 0x1F, 0x102, 0x0D, 0x03, 0x40
APPOINTMENT = bytes.fromhex("0220060000000000c000000000000046")


def attribute(number: int, value: bytes, level: int = 1) -> bytes:
    return struct.pack("<BII", level, number, len(value)) + value + struct.pack("<H", sum(value) & 0xFFFF)


def properties(*made: bytes) -> bytes:
    return struct.pack("<I", len(made)) + b"".join(made)


def variable(number: int, kind: int, value: bytes, name: bytes = b"") -> bytes:
    head = struct.pack("<HH", kind, number) + name
    return head + struct.pack("<II", 1, len(value)) + value + b"\0" * (-len(value) % 4)


def text(number: int, value: str, name: bytes = b"") -> bytes:
    return variable(number, UNICODE, (value + "\0").encode("utf-16-le"), name)


def fixed(number: int, kind: int, value: bytes, name: bytes = b"") -> bytes:
    return struct.pack("<HH", kind, number) + name + value


def named(number: int) -> bytes:
    return APPOINTMENT + struct.pack("<II", 0, number)


def file(name: str, content: bytes, *more: bytes) -> bytes:
    return (
        attribute(ATTACH_REND, b"\0" * 14, 2)
        + attribute(ATTACH_TITLE, b"SHORT~1.DAT\0", 2)
        + attribute(ATTACH_DATA, content, 2)
        + attribute(ATTACHMENT, properties(text(0x3707, name), *more), 2)
    )


def attached_mail(stream: bytes) -> bytes:
    made = properties(
        fixed(0x3705, LONG, struct.pack("<I", 5)), variable(0x3701, OBJECT, b"\7" * 16 + stream)
    )
    return attribute(ATTACH_REND, b"\0" * 14, 2) + attribute(ATTACHMENT, made, 2)


def stored_rtf(rtf: bytes) -> bytes:
    return struct.pack("<II4sI", len(rtf) + 12, len(rtf), b"MELA", 0) + rtf


def literal_rtf(rtf: bytes) -> bytes:
    """LZFu in which every octet stands for itself."""
    packed = b"".join(b"\0" + rtf[at : at + 8] for at in range(0, len(rtf), 8))
    return struct.pack("<II4sI", len(packed) + 12, len(rtf), b"LZFu", 0) + packed


def mail(stream: bytes, text: bytes = b"", name: bytes = b"winmail.dat") -> bytes:
    import base64

    return (
        b"From: ann@acme.test\r\nSubject: Plans\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\n"
        + text
        + b'\r\n--b\r\nContent-Type: application/ms-tnef; name="'
        + name
        + b'"\r\nContent-Transfer-Encoding: base64\r\n\r\n'
        + base64.encodebytes(stream)
        + b"\r\n--b--\r\n"
    )
