"""The demonstration: the whole product with mail servers of its own, for `servicedesk run --demo`.

An IMAP and an SMTP server run inside the process, on loopback; a few companies exist and write. Nothing
outside `<instance>/demo` is read or written, and no account and no network is needed. This package alone
imports pymap and aiosmtpd (the extra `demo`).
"""
