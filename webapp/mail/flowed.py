"""Paragraphs of `format=flowed` text put together again (RFC 3676)."""

from __future__ import annotations


def unflow(text: str, *, delete_space: bool = False) -> str:
    """`text` with soft line breaks removed; `delete_space` is the parameter DelSp=yes."""
    out: list[str] = []
    paragraph: list[str] = []  # an open paragraph: its last line ended in a soft break
    depth_before = 0
    for line in text.split("\n"):
        content = line.lstrip(">")
        depth = len(line) - len(content)
        if content[:1] == " ":
            content = content[1:]  # space-stuffing, section 4.4
        is_signature = content == "-- "
        if paragraph and (depth != depth_before or is_signature):
            out.append(_quoted(depth_before, "".join(paragraph).rstrip(" ")))
            paragraph = []
        if content.endswith(" ") and not is_signature:
            paragraph.append(content[:-1] if delete_space else content)
        else:
            out.append(_quoted(depth, "".join(paragraph) + content))
            paragraph = []
        depth_before = depth
    if paragraph:
        out.append(_quoted(depth_before, "".join(paragraph).rstrip(" ")))
    return "\n".join(out)


def _quoted(depth: int, content: str) -> str:
    return f"{'>' * depth} {content}" if depth and content else ">" * depth + content
