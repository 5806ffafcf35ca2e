"""The words in which mail systems say that mail was not delivered, and what they mean (RFC 3463)."""

from __future__ import annotations

import re

# The beginning of a line in the first lines of a bounce. Systems: Exim, Postfix, Sendmail, qmail, Exchange,
# Office 365, Gmail, Yahoo, Domino and Notes, Courier, MDaemon, GroupWise, IMail, GMX, web.de, T-Online, mail.ru, X.400.
OPENING = re.compile(
    r"""(?:^|\n)[ \t*|]{0,8}(?:
    this\ (?:message|e-?mail)\ was\ created\ automatically\ by\ (?:the\ )?mail\ delivery\ (?:software|system)
    | (?:this\ is\ the\ (?:mail\ system|postfix\ program|mail\ delivery\ (?:agent|system|program))\ (?:at|on|for)?)
    | hi\.\ this\ is\ the\ (?:qmail-send|deliver)\ program
    | hi\.\ the\ mta\ program\ at
    | i'm\ (?:afraid|sorry),?\ (?:i\ wasn't|but\ i\ was\ unable|to\ have\ to\ inform\ you)
    | i\ (?:was\ unable|am\ sorry)\ to\ (?:deliver|have\ to\ inform)
    | sorry,\ we\ were\ unable\ to\ deliver\ your\ message
    | sorry,\ we\ couldn't\ deliver
    | unable\ to\ deliver\ (?:the\ )?(?:message|mail|to)
    | ----- [ ]?the\ following\ addresses\ had\ (?:permanent|transient|delivery|fatal)
    | (?:-{3,7}\ )?(?:failed\ addresses|failure\ reasons|transcript\ of\ session)
    | the\ following\ (?:addresses|recipients?|message)\ (?:had|could\ not|failed|to\ <|was\ undeliverable)
    | the\ original\ message\ was\ received\ at
    | delivery\ to\ the\ following\ recipients?\ (?:failed|has\ been\ delayed|was\ aborted)
    | delivery\ (?:has\ failed|is\ delayed)\ to\ these\ recipients?
    | (?:the\ )?delivery\ of\ the\ following\ message\ failed
    | your\ message\ (?:to\ .{1,200}\ )?(?:couldn.t|could\ not|cannot|wasn.t|was\ not|has\ not\ been|hasn.t\ been|did\ not)\ (?:be\ )?
      (?:delivered|reach)
    | your\ (?:e-?)?mail\ (?:could\ not|couldn.t)\ be\ delivered
    | your\ message\s+(?:subject|to):
    | your\ message\ did\ not\ reach\ some\ or\ all
    | (?:address|message)\ not\ (?:found|delivered)
    | message\ (?:blocked|not\ delivered|rejected)\s*\n
    | there\ was\ a\ (?:temporary\ )?problem\ (?:while\ )?delivering\ your\ message
    | this\ is\ an\ automatically\ generated\ delivery\ status\ notification
    | this\ is\ a\ delivery\ (?:status|failure)\ (?:notification|report)
    | (?:this\ report\ relates\ to|delivery\ report\ for)\ (?:a|your)\ message
    | this\ is\ a\ (?:permanent|warning)\ (?:error|message)
    | the\ (?:message|mail|e-?mail)\ (?:that\ )?you\ sent\ (?:to\ .{1,200}\ )?(?:could\ not|has\ not|was\ not|couldn.t)
    | a\ message\ (?:that\ )?you\ sent\ (?:could\ not|to\ the\ following)
    | (?:could\ not|couldn.t|cannot)\ (?:be\ delivered|deliver)
    | the\ message\ (?:that\ )?you\ sent\ was\ undeliverable
    | (?:failed\ to\ deliver|undeliver(?:ed|able)\ (?:mail|message|to))
    | user\ mailbox\ exceeds\ allowed\ size
    | message\ from\ \S{1,60}\ e-?mail\ virus
    | diese\ (?:nachricht|e-?mail)\ wurde\ (?:automatisch|vom\ mail)
    | (?:ihre|die|eine)\ (?:nachricht|e-?mail|mail)\b[^.\n]{0,200}(?:\n[^.\n]{0,120})?
      nicht[^.\n]{0,60}\ (?:zugestellt|ausgeliefert|zustellen)
    | fehler\ bei\ der\ (?:nachrichten)?[zü]u?stellung
    | (?:die\ )?zustellung\ (?:an\ .{1,100}|ihrer\ .{1,60})?(?:ist\ )?fehlgeschlagen
    | (?:votre|le)\ message\ .{0,100}n['’]a\ pas\ pu
    | (?:el|su)\ mensaje\ .{0,100}no\ (?:se\ ha\ podido|pudo)
    | это\ письмо\ создано\ автоматически
    | к\ сожалению,\ ваше\ письмо\ не\ может
    | (?:很?抱歉[，,]?\ ?)?您(?:发送)?的(?:邮|郵)件(?:未能投递|被退回)|很?抱歉您发送的邮件被退回|无法发送到
    )""",
    re.IGNORECASE | re.VERBOSE,
)

SUBJECT = re.compile(
    r"""\s*(?:\[[^\]]{1,40}\]\s*)?(?:
    (?:undeliver(?:ed|able)|undelivered\ mail\ returned\ to\ sender|non[- ]?deliver)
    | (?:mail\ )?(?:delivery|system)\ (?:failed|failure|status|error|has\ failed|delayed|problem|notification|report)
    | (?:failure|failed)\ (?:notice|delivery|mail)
    | (?:warning:\ )?(?:message\ (?:delivery|undeliver|not\ deliver|blocked)|could\ not\ send\ message|mail\ failure)\b
    | (?:mail|message)\ (?:could\ not|not|couldn.t)\ (?:be\ )?deliver | (?:mail|processing)\ error\b | mail\ failed
    | warning:\ .{1,200}(?:user\ unknown|delayed) | non[- ]?remis
    | returned\ mail
    | (?:delivery|mail)[ -]?(?:failure|failed)
    | (?:unzustellbar|nicht\ zustellbar|zustellung\ (?:fehlgeschlagen|verz)|mail\ konnte\ nicht|übermittlungsfehler)
    | (?:non\ remis|no\ se\ puede\ entregar|no\ entregado|onbestelbaar|non\ recapitabile|não\ é\ possível\ entregar)
    | 系统退信|退信通知 | address\ not\ found | user\ unknown | mail\ system\ error | nondeliverable\ mail | permanent\ (?:delivery|fail)
    )""",
    re.IGNORECASE | re.VERBOSE,
)

DELAYED = re.compile(
    r"(?:delivery (?:has been|is|was) delayed|has (?:not yet|been delayed)|hasn.t been delivered yet"
    r"|warning message only|will (?:continue to|be) (?:try|retr)|not yet been delivered|still (?:being )?retr"
    r"|transient (?:non-fatal|error)|do not need to resend|temporary problem|verzögert|delivery incomplete)",
    re.IGNORECASE,
)

# Behind these words stands who did not get it; before them perhaps to whom else it was written.
RECIPIENTS = re.compile(
    r"(?:did not reach|(?:not|n.t)(?: be)? delivered to|failed (?:recipients?|addresses)|following (?:e-?mail )?"
    r"(?:recipients?|address(?:es)?)|these recipients or groups|recipient\(s\)|error-for|无法发送到|收件人[:：]|folgenden? (?:empfänger|adresse))",
    re.IGNORECASE,
)

# Where the report ends and the returned message begins.
SEPARATOR = re.compile(
    r"""^[ \t]{0,8}(?:
    [-*|]{2,}\ ?(?:this\ is\ a\ copy\ of|below\ this\ line|(?:the\ )?(?:original|returned|unsent|undelivered)\ (?:message|mail)
      |the\ (?:headers?|body)\ of|returned\ mail|header\ of|start\ of\ returned|message\ (?:header|text)|forwarded\ message|im\ folgenden|ursprüngliche)
    | (?:original|returned)\ message\ (?:headers?|follows)
    | -{3,}\ ?(?:enclosed|copy)\b
    | (?:original|your)\ message\ follows
    | message\ headers\ follow
    | ursprüngliche\ (?:nachricht|kopfzeilen)
    | (?:received|return-path|message-id):
    )""",
    re.IGNORECASE | re.VERBOSE | re.MULTILINE,
)

# What words mean where no status stands; the first that fits.
_MEANINGS = (
    (
        "5.1.1",
        r"user[- ]unknown|unknown[- ](?:user|recipient|mailbox|local[- ]part)|no such (?:user|recipient|mailbox|address|person)"
        r"|(?:user|recipient|address|mailbox|account) (?:\S{1,80} )?(?:was |is |could )?(?:not|n.t) (?:be )?(?:found|known|listed|exist)"
        r"|not listed in|(?:doesn.t|does not|n.existe|didn.t) (?:exist|have an? (?:\S+ )?account)|address (?:couldn.t|wasn.t|not) (?:be )?found"
        r"|address wasn.t found|no mailbox here by that name|invalid (?:address|recipient|mailbox|user)|recipientnotfound"
        r"|unrouteable address|no longer (?:valid|exists)|existiert nicht|(?:empfänger|benutzer)\S* (?:ist )?unbekannt"
        r"|邮件地址\S{0,80}不存在|用户不存在|not a (?:valid|known) (?:user|mailbox|recipient)|bad destination mailbox|user doesn.t",
    ),
    ("5.2.2", r"(?:mailbox|inbox|account|postfach) (?:\S{1,80} )?(?:is )?(?:full|voll)|over ?quota|quota exceeded|exceed\S* (?:\S+ ){0,3}(?:quota|allowed size)"),
    ("5.2.1", r"(?:account|mailbox|user) (?:\S{1,80} )?(?:is |has been )?(?:disabled|inactive|suspended|deactivated)"),
    ("5.1.2", r"(?:host|domain) (?:\S{1,80} )?(?:unknown|not found|name not found)|unknown (?:host|domain)|couldn.t find any host|name service error|nxdomain"),
    ("5.3.4", r"message (?:\S+ )?(?:size )?(?:is )?(?:too (?:large|big)|exceeds)|size limit"),
    ("5.7.1", r"relay(?:ing)? (?:access )?denied|spam|blacklist|blocklist|blocked|policy|not (?:allowed|authorized|permitted)|access denied|dmarc|rejected by"),
    ("5.4.7", r"retry time(?:out)? (?:not reached|exceeded)|delivery time expired|timed out|too old|expired|been in the queue too long"),
)  # fmt: skip
MEANINGS = tuple((status, re.compile(words, re.IGNORECASE)) for status, words in _MEANINGS)


def meaning_of(said: str) -> str:
    """The status that the words of a mail system amount to, "" where they tell none."""
    return next((status for status, words in MEANINGS if words.search(said)), "")
