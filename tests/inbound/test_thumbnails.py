"""Small pictures out of mail, made in the parser process as it is: closed off, with 1 GB."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from email.message import EmailMessage
from email.policy import SMTP

import pytest
from PIL import Image

from webapp.inbound.parser_process import ParserProcess


def picture(kind: str, size: tuple[int, int] = (1600, 800), mode: str = "RGB", **told: object) -> bytes:
    """Red on its left half, blue on its right one."""
    drawn = Image.new("RGB", size, (0, 0, 255))
    drawn.paste((255, 0, 0), (0, 0, size[0] // 2, size[1]))
    written = io.BytesIO()
    drawn.convert(mode).save(written, kind, **told)
    return written.getvalue()


def with_file(content: bytes, content_type: str = "image/png") -> bytes:
    message = EmailMessage(policy=SMTP)
    message.set_content("See the picture.\n")
    maintype, _, subtype = content_type.partition("/")
    message.add_attachment(content, maintype=maintype, subtype=subtype, filename="picture")
    return message.as_bytes()


def small(parser: ParserProcess, content: bytes) -> Image.Image | None:
    made = parser.thumbnail(with_file(content), [1])
    return None if made is None else Image.open(io.BytesIO(made))


def red_at(made: Image.Image, place: tuple[int, int]) -> bool:
    pixel = made.convert("RGB").getpixel(place)
    assert isinstance(pixel, tuple)
    return pixel[0] > 200 > 100 > pixel[2]


def bomb(width: int, height: int) -> bytes:
    """A PNG of a few KB that says it is so large."""
    rows = zlib.compress(b"\0" * 200_000)
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", rows),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


@pytest.fixture(scope="module")
def parser() -> Iterator[ParserProcess]:
    with ParserProcess(seconds=20) as parser:
        yield parser


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP"])
def test_each_kind_becomes_a_small_webp(parser: ParserProcess, kind: str) -> None:
    made = small(parser, picture(kind))
    assert made is not None
    assert (made.format, made.size) == ("WEBP", (320, 160))
    assert red_at(made, (40, 80))
    assert not red_at(made, (280, 80))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA"])
def test_every_mode_of_a_png(parser: ParserProcess, mode: str) -> None:
    made = small(parser, picture("PNG", mode=mode))
    assert made is not None
    assert made.size == (320, 160)


def test_sixteen_bits_of_grey(parser: ParserProcess) -> None:
    written = io.BytesIO()
    Image.new("I;16", (1600, 800), 25_600).save(written, "PNG")
    made = small(parser, written.getvalue())
    assert made is not None
    assert made.size == (320, 160)
    assert made.convert("L").getpixel((9, 9)) in range(95, 106)


def test_a_small_picture_is_not_made_larger(parser: ParserProcess) -> None:
    made = small(parser, picture("PNG", (40, 20)))
    assert made is not None
    assert made.size == (40, 20)


def test_it_stands_as_the_camera_was_held_and_tells_nothing_else(parser: ParserProcess) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by 90 degrees
    exif[0x010F] = "CANARY camera"
    content = picture("JPEG", exif=exif)
    assert b"CANARY" in content
    made = small(parser, content)
    assert made is not None
    assert made.size == (160, 320)
    assert red_at(made, (80, 40))  # what was left is on top
    assert not red_at(made, (80, 280))
    assert not made.getexif()
    raw = parser.thumbnail(with_file(content), [1])
    assert raw is not None
    assert b"CANARY" not in raw


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not a picture",
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"BM" + b"\0" * 100,
        picture("PNG")[:200],
        picture("JPEG")[:400] + b"\0" * 500,
        b"\x89PNG\r\n\x1a\n" + b"\xff" * 300,
        b"GIF89a" + b"\xff" * 300,
        b"RIFF\xff\xff\xff\xffWEBPVP8 " + b"\xff" * 300,
        bomb(60_000, 60_000),
        bomb(2**31 - 1, 2**31 - 1),
    ],
)
def test_what_is_broken_or_too_large_is_none_and_the_process_lives(
    parser: ParserProcess, content: bytes
) -> None:
    before = parser._child
    made = small(parser, content)
    assert made is None or made.width <= 320  # a picture cut off in its middle may still show something
    assert parser._child is before or before is None
    assert small(parser, picture("PNG")) is not None


def test_as_large_as_is_allowed(parser: ParserProcess) -> None:
    made = small(parser, picture("PNG", (9_000, 6_000)))
    assert made is not None
    assert made.size == (320, 213)


def test_only_what_is_there(parser: ParserProcess) -> None:
    with pytest.raises(LookupError):
        parser.thumbnail(with_file(picture("PNG")), [7])
    with pytest.raises(LookupError):
        parser.file(with_file(b"x"), [])
    with pytest.raises(LookupError):
        parser.file(with_file(b"x"), [0] * 7)
