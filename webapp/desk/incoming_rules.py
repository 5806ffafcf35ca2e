"""The settings by which incoming mail is judged that belong to no mail server row."""

from __future__ import annotations

from dataclasses import dataclass

from webapp.desk.stored_setting import StoredSetting

MAX_REOPEN_DAYS = 365


@dataclass(frozen=True, slots=True, kw_only=True)
class IncomingRules:
    same_company: bool = True  # users of the ticket's company may write to it
    reopen_days: int = 0  # mail reopens a closed ticket within so many days of its last change; 0: never
    authserv_id: str = ""  # the mail server whose Authentication-Results count; "": none
    do_not_reply: bool = False  # do-not-reply and do_not_reply in an address are no-reply, too
    other_automated: bool = True  # rule 8
    hold_claims: bool = False  # mail that may not be added to the ticket it names waits for a person
    cc_colleagues: bool = False  # users of the ticket's company in To and Cc of its customer take part


STORED = StoredSetting("incoming_rules", IncomingRules)
load, save = STORED.load, STORED.save
