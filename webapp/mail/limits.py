"""How much of one message is looked at: a forged or huge message costs bounded time and memory.

What lies beyond a limit stays in the raw message; that something was cut is noted as a defect.
"""

from __future__ import annotations

HEADER_BLOCK = 256 * 1024
HEADER_FIELD = 32 * 1024
HEADER_LINES = 2_000
SHOWN_FIELDS = 200
SHOWN_FIELD_CHARS = 2_000

MIME_DEPTH = 30
MIME_PARTS = 500

RECIPIENTS = 200
NAME_CHARS = 500
ADDRESS_CHARS = 998  # as a Message-ID: no line is longer
REFERENCES = 50
MESSAGE_ID_CHARS = 998  # RFC 5322 section 2.1.1: no line is longer
ENCODED_WORDS = 200

HTML_CHARS = 512 * 1024
HTML_DEPTH = 200
HTML_TAGS = 100_000  # read as text, in all parts of a message together
TEXT_CHARS = 2 * 1024 * 1024

CONTAINERS = 20  # winmail.dat and S/MIME that are opened in one message
CONTAINER_DEPTH = 4  # one within the other
CONTAINER_OCTETS = 200 * 1024 * 1024  # content of all of them together
INFLATED_OCTETS = 64 * 1024 * 1024  # of compressed S/MIME

ATTACHMENTS = 100
FILENAME_CHARS = 150

DEFECTS = 50
