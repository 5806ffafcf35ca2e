"""Text that grows line by line: line ends between blocks, marks of quotations, addresses behind sentences."""

from __future__ import annotations

import re

from webapp.mail.html_lists import ItemList

_MANY_NEWLINES = re.compile(r"\n(?:[ \t\xa0]*\n){2,}")
_LINE_END_BLANKS = re.compile(r"(?<![ \t\xa0])[ \t\xa0]+\n")
_SENTENCE_END = re.compile(r"[.!?…。！？]+(?=[\s)\"'»”]|$)")
_LINE_ENDS = ("", "\n", "\n\n")


class Page:
    """The document, or one cell of a table in it."""

    def __init__(self) -> None:
        self.out: list[str] = []
        self.prefix = ""  # marks of the quotations around
        self.indent = ""  # of the next list item
        self.lists: list[ItemList] = []
        self.paragraph_lines = 2
        self.waiting: list[str] = []  # addresses of links whose sentence has not ended
        self.was_word_since_link = False
        self._tail = "\n\n"  # the last characters written: how many line ends stand there
        self._marker = -1  # length of `out` behind the mark of a list item
        self._waiting_at = 0  # index in `out` of the last words of the last link
        self._struck = ""  # "" | "open": no word yet | "written"

    @property
    def is_at_start(self) -> bool:
        """Whether a blank would stand at the beginning of a line, or behind another."""
        return self._tail.endswith((" ", "\n"))

    @property
    def is_behind_marker(self) -> bool:
        return len(self.out) == self._marker

    def text(self) -> str:
        self.write_addresses()
        self.end_struck()
        return _MANY_NEWLINES.sub("\n\n", _LINE_END_BLANKS.sub("\n", "".join(self.out)))

    def write(self, text: str) -> None:
        if not text:
            return
        if self._struck == "open" and text.strip():
            words = text.lstrip()
            text = f"{text[: len(text) - len(words)]}~~{words}"
            self._struck = "written"
        if self.prefix and (self._tail.endswith("\n") or "\n" in text):
            text = self._quoted(text)
        self.out.append(text)
        self._tail = (self._tail + text)[-2:]

    def flow(self, text: str) -> None:
        """Writes, with the addresses of earlier links where the sentence they stand in ends."""
        if not self.waiting:
            self.write(text)
            return
        end = _SENTENCE_END.search(text)
        line_end = text.find("\n")
        if line_end >= 0 and (end is None or line_end < end.start()):
            stop = line_end
        elif end is not None:
            stop = end.start()
        else:
            self.write(text)
            self.was_word_since_link |= any(map(str.isalnum, text))
            return
        before = text[:stop]
        self.was_word_since_link |= any(map(str.isalnum, before))
        if before:
            self.write(before)
        self.write_addresses()
        self.write(text[stop:])

    def item(self, marker: str) -> None:
        self.write(self.indent + marker)
        self.indent = ""
        if marker.endswith(" "):
            self._marker = len(self.out)

    def break_line(self, lines: int) -> None:
        """At least so many line ends before what comes next: 0, 1 or 2."""
        if lines:
            self.write_addresses()
            self._pause_struck()
        if not self.out:
            return
        while not self._tail.endswith(_LINE_ENDS[lines]):
            self.out.append(self.prefix.rstrip() + "\n" if self._tail.endswith("\n") else "\n")
            self._tail = (self._tail + "\n")[-2:]

    def await_address(self, address: str, begin: int) -> None:
        """The address belongs behind what was written since `begin`, or where its sentence ends."""
        last = len(self.out) - 1
        while last > begin and not self.out[last].strip("\n\t >\xa0"):
            last -= 1
        if "\n" in "".join(self.out[last:]):  # the link holds blocks: it is a sentence of its own
            self.out[last] = _with_address(self.out[last], address)
            self._tail = ("".join(self.out[-2:]))[-2:]
            return
        self.waiting.append(address)
        self._waiting_at = last
        self.was_word_since_link = False

    def write_addresses(self) -> None:
        if not self.waiting:
            return
        addresses = " ".join(self.waiting)
        self.waiting = []
        last = len(self.out) - 1 if self.was_word_since_link else self._waiting_at
        while last > 0 and not self.out[last].strip():
            last -= 1
        self.out[last] = _with_address(self.out[last], addresses)
        self._tail = ("".join(self.out[-2:]))[-2:]

    def begin_struck(self) -> None:
        self._struck = self._struck or "open"

    def end_struck(self) -> None:
        self._pause_struck()
        self._struck = ""

    def _pause_struck(self) -> None:
        if self._struck == "written":
            self._struck = "open"
            words = self.out[-1].rstrip(" ")
            blank = self.out[-1][len(words) :]
            self.out[-1] = f"{words}~~{blank}"
            self._tail = (words[-1:] + "~~" + blank)[-2:]

    def _quoted(self, text: str) -> str:
        """Each line that begins here gets the marks of the quotations it stands in."""
        body = text[:-1] if text.endswith("\n") else text
        marked = body.replace("\n", "\n" + self.prefix)
        start = self.prefix if self._tail.endswith("\n") else ""
        return start + marked + ("\n" if text.endswith("\n") else "")


def _with_address(words: str, address: str) -> str:
    bare = words.rstrip(" \t\n\xa0")
    return f"{bare}{' ' if bare else ''}{address}{words[len(bare) :]}"
