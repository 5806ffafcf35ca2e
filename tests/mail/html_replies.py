"""Replies in HTML as mail programs write them: name -> (HTML, the sender's own words).

The shapes are those of real mail; names, addresses and words are made up.
"""

from __future__ import annotations

GMAIL = (
    '<div dir="ltr">It works now.<div><br></div><div>Thanks, Ann</div></div><br>'
    '<div class="gmail_quote gmail_quote_container"><div dir="ltr" class="gmail_attr">On Tue, Nov 3, 2026 at '
    '10:12 AM Desk &lt;<a href="mailto:desk@example.org">desk@example.org</a>&gt; wrote:<br></div>'
    '<blockquote class="gmail_quote" style="margin:0px 0px 0px 0.8ex;border-left:1px solid rgb(204,204,204);'
    'padding-left:1ex"><div>Please restart the printer.</div></blockquote></div>'
)
OUTLOOK_DESKTOP = (
    '<html xmlns:o="urn:schemas-microsoft-com:office:office"><head><style>p.MsoNormal{{margin:0}}</style></head>'
    '<body lang="{lang}"><div class="WordSection1"><p class="MsoNormal">{own}<o:p></o:p></p>'
    '<p class="MsoNormal"><o:p>&nbsp;</o:p></p><div><div style="border:none;border-top:solid #E1E1E1 1.0pt;'
    'padding:3.0pt 0cm 0cm 0cm"><p class="MsoNormal">{fields}<o:p></o:p></p></div></div>'
    '<p class="MsoNormal"><o:p>&nbsp;</o:p></p><p class="MsoNormal">Please restart the printer.<o:p></o:p></p>'
    "</div></body></html>"
)


def _outlook(lang: str, own: str, *fields: tuple[str, str]) -> str:
    block = "<br>".join(f"<b>{name}</b> {value}" for name, value in fields)
    return OUTLOOK_DESKTOP.format(lang=lang, own=own, fields=block)


_DESK = "Desk &lt;desk@example.org&gt;"
FOLDED: dict[str, tuple[str, str]] = {
    "gmail": (GMAIL, "It works now.\n\nThanks, Ann"),
    "gmail, older": (
        '<div dir="ltr">It works now.</div><div class="gmail_extra"><br><div class="gmail_quote">'
        'On Tue, Nov 3, 2015 at 10:12 AM, Desk <span dir="ltr">&lt;desk@example.org&gt;</span> wrote:<br>'
        '<blockquote class="gmail_quote" style="margin:0 0 0 .8ex"><p>Please restart it.</p></blockquote>'
        "</div></div>",
        "It works now.",
    ),
    "gmail, korean": (
        '<div dir="ltr">이제 됩니다.</div><br><div class="gmail_quote"><div dir="ltr" class="gmail_attr">'
        "2026년 11월 3일 (화) 오전 10:12, Desk &lt;desk@example.org&gt;님이 작성:<br></div>"
        '<blockquote class="gmail_quote">프린터를 다시 시작하세요.</blockquote></div>',
        "이제 됩니다.",
    ),
    "gmail with a signature": (
        '<div dir="ltr">It works now.<br clear="all"><div><br></div><span class="gmail_signature_prefix">-- '
        '</span><br><div dir="ltr" class="gmail_signature" data-smartmail="gmail_signature">Ann Lee<br>'
        "Example Ltd</div></div><br>"
        '<div class="gmail_quote"><div class="gmail_attr">On Tue, Nov 3, 2026 Desk wrote:<br></div>'
        '<blockquote class="gmail_quote">Please restart it.</blockquote></div>',
        "It works now.",
    ),
    "gmail, answered below": (
        '<div dir="ltr"><div class="gmail_quote"><div class="gmail_attr">On Tue, Nov 3, 2026 Desk wrote:</div>'
        '<blockquote class="gmail_quote">Please restart it.</blockquote><div><br></div><div>I did, and it works.'
        "</div></div></div>",
        "I did, and it works.",
    ),
    "apple mail": (
        '<html><head></head><body style="overflow-wrap: break-word;">It works now.<br id="lineBreakAtBeginningOf'
        'Message"><div><br><blockquote type="cite"><div>On 3 Nov 2026, at 10:12, Desk &lt;desk@example.org&gt; '
        'wrote:</div><br class="Apple-interchange-newline"><div>Please restart it.</div></blockquote></div><br>'
        "</body></html>",
        "It works now.",
    ),
    "ios": (
        '<html><body dir="auto">It works now.<br><br><div dir="ltr">Sent from my iPhone</div><div dir="ltr"><br>'
        '<blockquote type="cite">On 3 Nov 2026, at 10:12, Desk &lt;desk@example.org&gt; wrote:<br><br>'
        '</blockquote></div><blockquote type="cite"><div dir="ltr">Please restart it.</div></blockquote></body>'
        "</html>",
        "It works now.\n\nSent from my iPhone",
    ),
    "thunderbird": (
        '<html><body><p>It works now.</p><div class="moz-cite-prefix">On 03/11/2026 10:12, Desk wrote:<br></div>'
        '<blockquote type="cite" cite="mid:1@example.org"><p>Please restart it.</p></blockquote></body></html>',
        "It works now.",
    ),
    "thunderbird, german, answered below": (
        '<html><body><div class="moz-cite-prefix">Am 03.11.26 um 10:12 schrieb Desk:<br></div>'
        '<blockquote type="cite" cite="mid:1@example.org"><p>Bitte neu starten.</p></blockquote>'
        "<p>Habe ich, jetzt geht es.</p></body></html>",
        "Habe ich, jetzt geht es.",
    ),
    "outlook": (
        _outlook(
            "EN-US",
            "It works now.",
            ("From:", _DESK),
            ("Sent:", "Tuesday, November 3, 2026 10:12"),
            ("To:", "Ann"),
            ("Subject:", "Printer"),
        ),
        "It works now.",
    ),
    "outlook, finnish": (
        _outlook(
            "FI",
            "Nyt toimii.",
            ("Lähettäjä:", _DESK),
            ("Lähetetty:", "tiistai 3. marraskuuta 2026 10.12"),
            ("Vastaanottaja:", "Ann"),
            ("Aihe:", "Tulostin"),
        ),
        "Nyt toimii.",
    ),
    "outlook, a language of no list": (
        _outlook("XX", "Zzz.", ("Qwe:", _DESK), ("Asd:", "3-11-2026"), ("Yxc:", "Ann"), ("Rtz:", "Fgh")),
        "Zzz.",
    ),
    "outlook on the web": (
        '<html><body dir="ltr"><div style="font-family:Calibri">It works now.</div><div id="appendonsend"></div>'
        '<hr style="display:inline-block;width:98%" tabindex="-1"><div id="divRplyFwdMsg" dir="ltr"><font '
        'face="Calibri" style="font-size:11pt"><b>From:</b> Desk &lt;desk@example.org&gt;<br><b>Sent:</b> 3 '
        "November 2026<br><b>To:</b> Ann<br><b>Subject:</b> Printer</font><div>&nbsp;</div></div>"
        "<div>Please restart it.</div></body></html>",
        "It works now.",
    ),
    "outlook on the web, quoted by another": (
        '<div>It works now.</div><div id="x_appendonsend"></div><hr tabindex="-1"><div id="x_divRplyFwdMsg">'
        "<b>Von:</b> Desk<br><b>Gesendet:</b> 3.11.2026<br><b>An:</b> Ann<br><b>Betreff:</b> Drucker</div>"
        "<div>Bitte neu starten.</div>",
        "It works now.",
    ),
    "outlook for mobiles": (
        '<html><body><div dir="auto">It works now.</div><div id="ms-outlook-mobile-signature" dir="auto">Get '
        '<a href="https://aka.ms/o0ukef">Outlook for iOS</a></div><div id="mail-editor-reference-message-container">'
        "<div><b>From:</b> Desk<br><b>Sent:</b> Tuesday<br><b>To:</b> Ann<br><b>Subject:</b> Printer</div>"
        "<div>Please restart it.</div></div></body></html>",
        "It works now.\n\nGet Outlook for iOS <https://aka.ms/o0ukef>",
    ),
    "yahoo": (
        '<html><body><div class="ydp1yahoo-style-wrap"><div>It works now.</div></div><div id="ydp2yahoo_quoted_1" '
        'class="ydp2yahoo_quoted"><div>On Tuesday, November 3, 2026 at 10:12:33 AM GMT+2, Desk '
        "&lt;desk@example.org&gt; wrote:</div><div>Please restart it.</div></div></body></html>",
        "It works now.",
    ),
    "proton": (
        '<div style="font-family: Arial;">It works now.</div><div class="protonmail_signature_block '
        'protonmail_signature_block-empty"></div><div class="protonmail_quote">On Tuesday, November 3rd, 2026 at '
        '10:12, Desk &lt;desk@example.org&gt; wrote:<br><br><blockquote class="protonmail_quote" type="cite">'
        "Please restart it.</blockquote><br></div>",
        "It works now.",
    ),
    "web.de": (
        '<html><body><div style="font-family: Verdana;"><div>Jetzt geht es.</div><div>&nbsp;</div><div name="quote" '
        'style="margin:10px 5px 5px 10px; border-left:2px solid #C3D9E5;"><div><b>Gesendet:</b>&nbsp;Dienstag, '
        "3. November 2026<br/><b>Von:</b>&nbsp;Desk<br/><b>An:</b>&nbsp;Ann<br/><b>Betreff:</b>&nbsp;Drucker</div>"
        '<div name="quoted-content">Bitte neu starten.</div></div></div></body></html>',
        "Jetzt geht es.",
    ),
    "zoho": (
        '<div>It works now.</div><div class="zmail_extra" style=""><div id="Zm-_Id_-Sgn1">---- On Tue, 03 Nov 2026 '
        '10:12:33 +0530 <b>Desk &lt;desk@example.org&gt;</b> wrote ---</div><blockquote id="blockquote_zmail">'
        "Please restart it.</blockquote></div>",
        "It works now.",
    ),
    "zimbra": (
        '<html><body><div>It works now.</div><hr id="zwchr" data-marker="__DIVIDER__"><div><b>From: </b>"Desk"<br>'
        "<b>To: </b>Ann<br><b>Sent: </b>Tuesday<br><b>Subject: </b>Printer</div><div>Please restart it.</div>"
        "</body></html>",
        "It works now.",
    ),
    "em client": (
        "<html><body><div>It works now.</div><div>------ Original Message ------</div><div>From: Desk "
        "&lt;desk@example.org&gt;</div><div>To: Ann</div><div>Sent: 03/11/2026 10:12</div><div>Subject: Printer"
        '</div><div><br></div><blockquote cite="1@example.org" type="cite">Please restart it.</blockquote></body>',
        "It works now.",
    ),
    "yandex": (
        '<div>Теперь работает.</div><div>&nbsp;</div><div>03.11.2026, 10:12, "Desk" &lt;desk@example.org&gt;:'
        "</div><blockquote><p>Перезапустите принтер.</p></blockquote>",
        "Теперь работает.",
    ),
}

# Nothing of these may be folded.
WHOLE: dict[str, str] = {
    "gmail, answers between": '<div class="gmail_quote"><div class="gmail_attr">On Tue, Nov 3, 2026 Desk wrote:'
    '</div><blockquote class="gmail_quote">Is it on?</blockquote><div>Yes.</div><blockquote class="gmail_quote">'
    "Is it warm?</blockquote><div>No.</div></div>",
    "apple, answers between": '<div>See below.</div><blockquote type="cite"><div>On 3 Nov 2026, Desk wrote:</div>'
    '<div>Is it on?</div></blockquote><div>Yes.</div><blockquote type="cite"><div>Is it warm?</div></blockquote>'
    "<div>No.</div>",
    "gmail, forwarded": '<div dir="ltr">Please look.</div><div class="gmail_quote"><div class="gmail_attr">'
    "---------- Forwarded message ---------<br>From: Bob &lt;bob@acme.test&gt;<br>Date: Tue, Nov 3, 2026<br>"
    "Subject: Printer<br>To: Ann</div><br>The printer is broken.</div>",
    "gmail's quote button": '<div>The log says</div><blockquote class="gmail_quote" style="border-left:1px solid">'
    "error 17</blockquote>",
    "pasted as a quotation": "<p>The log of 10:15 says:</p><blockquote>error 17</blockquote>",
    "an indented paragraph": '<blockquote style="margin: 0 0 0 40px; border: none; padding: 0px;">Indented'
    "</blockquote>",
    "a rule of one's own": '<p>One</p><hr tabindex="-1"><p>Two: a</p><p>Three</p>',
    "a border of one's own": '<div style="border-top:solid #E1E1E1 1.0pt">Total: 5</div>',
    "no mark at all": "<p>It works.</p>",
    "a cited law": '<p>The contract says</p><blockquote type="cite">No refunds.</blockquote><p>Really?</p>',
}
