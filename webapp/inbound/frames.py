"""What passes between the parser process and its parent: a JSON object and a run of octets a frame."""

from __future__ import annotations

import json
import struct
from typing import IO, Any

_LENGTHS = struct.Struct(">II")  # octets of JSON, octets of content


def write_frame(stream: IO[bytes], head: dict[str, Any], content: bytes = b"") -> None:
    text = json.dumps(head, ensure_ascii=False, separators=(",", ":")).encode()
    stream.write(_LENGTHS.pack(len(text), len(content)))
    stream.write(text)
    stream.write(content)
    stream.flush()


def read_frame(stream: IO[bytes]) -> tuple[dict[str, Any], bytes] | None:
    """The next frame; None when the other side is gone, even in the middle of one."""
    lengths = stream.read(_LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        return None
    text_length, content_length = _LENGTHS.unpack(lengths)
    text, content = stream.read(text_length), stream.read(content_length)
    if len(text) < text_length or len(content) < content_length:
        return None
    return json.loads(text), content
