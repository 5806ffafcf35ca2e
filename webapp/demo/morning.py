"""The first half of the sample mail, in the order it arrives."""

from __future__ import annotations

from . import picture
from .people import AYLIN, ELENA, GEORGE, GEORGE_AT_HOME, LUIS, MARA, NEWSLETTER, PETRA, SALESMAN, SAM, TOM
from .sample import Attachment, Forwarded, Sample

MORNING: tuple[Sample, ...] = (
    Sample(
        name="reception-printer",
        sender=TOM,
        subject="Reception printer is offline again",
        text="""\
Good morning,

the printer at reception says "offline" since we opened. I switched it off and on twice, no luck.
The one upstairs works, so it is not urgent, but we are running up and down the stairs for every
receipt.

Thanks a lot!""",
    ),
    Sample(
        name="invoice-layout",
        sender=AYLIN,
        subject="Strange characters on our invoices",
        text="""\
Hi,

since the update yesterday the euro sign on our invoices comes out as "â‚¬". Customers have started
to ask. I attached a list of the ones that went out so far.

Can somebody look at it today?""",
        files=(
            Attachment(
                "invoices-november.csv",
                "text/csv",
                b"number,customer,total\r\n20261118,Ashford Hotel,1840.00\r\n"
                b"20261119,B. Grant,312.50\r\n20261120,Lakeside School,4275.00\r\n",
            ),
        ),
    ),
    Sample(
        name="reception-printer-2",
        sender=TOM,
        subject="Re: Reception printer is offline again",
        text="""\
One more thing: the little display shows "E-14". I took a photo.""",
        follows="reception-printer",
        files=(Attachment("IMG_2231.png", "image/png", picture.printer_display()),),
    ),
    Sample(
        name="george-away",
        sender=GEORGE,
        subject="Automatic reply: Your quote for two workshop PCs",
        text="""\
I am at the furniture fair until Thursday and read mail only in the evening. In urgent cases please
call Aylin at 01632 960 238.""",
        headers={"Auto-Submitted": "auto-replied", "X-Auto-Response-Suppress": "All"},
    ),
    Sample(
        name="scanner-gun",
        sender=LUIS,
        subject="handheld scanner 7 loses wifi at gate C",
        text="""\
hello, scanner no 7 drops the wifi every time i go past gate C and then i have to log in again. the
others are ok there. can you send a replacement or is it the access point?

luis""",
        signed=False,
    ),
    Sample(
        name="cloud-news-46",
        sender=NEWSLETTER,
        subject="Cloud News Weekly: 7 storage tips you have not heard of",
        text="""\
This week: why your backup is not a backup, a look at the new mail filters, and a discount on our
spring conference. You receive this newsletter because you signed up for it.""",
        signed=False,
        html=True,
        headers={"List-Unsubscribe": "<https://cloudnews.example/unsubscribe>", "Precedence": "bulk"},
    ),
    Sample(
        name="laptop-password",
        sender=GEORGE_AT_HOME,
        subject="My laptop",
        text="""\
Hi Jonas, writing from my private address because Outlook on the laptop asks for a password I never
set. Could you call me on the mobile?

George""",
        signed=False,
    ),
    Sample(
        name="new-starter",
        sender=MARA,
        subject="New colleague starting Monday",
        text="""\
Hi all,

Hanna Brandt joins us as a dental nurse on Monday. She will need

 - an account and a mailbox (hanna.brandt@harbourdental.example)
 - the practice software, same rights as Tom
 - a place on the reception calendar

The old laptop of Julia is in the cupboard, if it is still good enough for her.

Many thanks""",
    ),
    Sample(
        name="vpn-dispatch",
        sender=PETRA,
        subject="VPN stops after a minute",
        text="""\
Hello,

from home the VPN connects, and after about one minute everything hangs. Yesterday it was still
fine. The window I get is below, with the times of this morning. Our internet provider wrote
something about it yesterday, I attached it. Can we look at it together tomorrow at ten?""",
        html=True,
        table=(
            ("Connected", "Stopped", "Over"),
            ("07:02", "07:03", "wireless"),
            ("07:15", "07:16", "wireless"),
            ("07:31", "07:32", "telephone"),
        ),
        picture=picture.error_window(),
        forwarded=Forwarded(
            '"Northline Broadband" <service@northline.example>',
            "Maintenance in your area",
            """\
Dear customer,

tonight between 1 and 5 we renew the equipment in your street. Afterwards please switch your box off
and on once.

Northline Broadband""",
        ),
        invites_to="Look at the VPN together",
    ),
    Sample(
        name="invoice-layout-2",
        sender=AYLIN,
        subject="Re: Strange characters on our invoices",
        text="""\
Hi Jonas,

yes, exactly since Tuesday's update, and only in the PDF. On the screen it looks right.

Shall I hold back today's invoices?""",
        quoted="""\
Hi Aylin,

thanks for the list. Do you see the wrong sign on the screen as well, or only in the PDF? And did it
begin with the update on Tuesday?

Kind regards
Jonas""",
        html=True,
        follows="invoice-layout",
    ),
    Sample(
        name="cnc-share",
        sender=SAM,
        subject="No access to the drawings folder",
        text="""\
Hi, the folder with the drawings for the CNC machine says "access denied" for me. George can open
it. I need the Ashford drawings before lunch if possible.

cheers, Sam""",
        signed=False,
    ),
    Sample(
        name="printer-offer",
        sender=SALESMAN,
        subject="Save 40 % on toner - only this week",
        text="""\
Dear Sir or Madam,

as an IT provider you surely know what printing costs. May I show you our new offer in a short call?
Ten minutes are enough.

Best""",
    ),
    Sample(
        name="xray-slow",
        sender=ELENA,
        subject="X-ray pictures open very slowly",
        text="""\
Dear support team,

in room 3 an X-ray picture now takes almost a minute to open; in rooms 1 and 2 it is immediate. With
a patient in the chair that is a long minute. Could you please have a look?

Kind regards""",
    ),
    Sample(
        name="scanner-gun-2",
        sender=LUIS,
        subject="Re: handheld scanner 7 loses wifi at gate C",
        text="""\
update: scanner 3 does it now too, only at gate C. so probably not the scanner.""",
        signed=False,
        follows="scanner-gun",
    ),
    Sample(
        name="reception-printer-3",
        sender=MARA,
        subject="Re: Reception printer is offline again",
        text="""\
Hello, Mara here, I am answering for Tom who is at lunch. The cable was loose at the wall, it prints
again. You can close this one. Thank you for the quick call!""",
        follows="reception-printer",
    ),
    Sample(
        name="two-screens",
        sender=PETRA,
        subject="Question: second screen for dispatch",
        text="""\
Hello,

our two dispatch places have one screen each and we keep switching windows. What would two more
screens with arms cost, mounted? 24" is plenty.

Děkuji / thank you""",
    ),
    Sample(
        name="mail-to-hotel",
        sender=AYLIN,
        subject="Customer says our mail lands in spam",
        text="""\
Hi,

the Ashford Hotel tells me that my quotes end up in their spam folder since last week. I attached
the header they sent me, I hope it says something to you. To me it does not :)""",
        files=(
            Attachment(
                "header.txt",
                "text/plain",
                b"Authentication-Results: mx.ashford-hotel.example;\r\n spf=softfail (sender 192.0.2.25)"
                b"\r\n smtp.mailfrom=oakandpine.example; dkim=none;\r\n dmarc=none action=none\r\n",
            ),
        ),
    ),
    Sample(
        name="phone-lost",
        sender=TOM,
        subject="URGENT - clinic phone lost on the bus",
        text="""\
Hi, I left the clinic's mobile on the bus this morning, line 14. Our mail and the calendar are on
it, with patient names. There is a PIN. Can you block or wipe it? Please call reception, 01632 960
110.

So sorry!""",
        headers={"Importance": "high", "X-Priority": "1"},
    ),
    Sample(
        name="cnc-share-2",
        sender=SAM,
        subject="No access to the drawings folder",
        text="""\
Works now, thanks. Could Ben get the same access? He takes over the night shift from December.""",
        quoted="""\
Hi Sam,

you were missing from the group "drawings" since you changed departments. I have added you; please
sign out and in again once.

Jonas""",
        signed=False,
        follows="cnc-share",
        tagged=True,
    ),
    Sample(
        name="petra-away",
        sender=PETRA,
        subject="Out of office: Second screen for dispatch",
        text="""\
Hello, today I am at the customs office and back tomorrow morning. Dispatch answers at 01632 960
550.""",
        headers={"Auto-Submitted": "auto-replied (vacation)", "Precedence": "auto_reply"},
    ),
    Sample(
        name="music-on-hold",
        sender=GEORGE,
        subject="Music when customers wait on the phone",
        text="""\
Morning,

small thing: the waiting music on our phone system is the one from the fair two years ago. Can it be
something neutral? Jazz is fine. No panpipes.

George""",
        signed=False,
    ),
    Sample(
        name="label-printer",
        sender=LUIS,
        subject="label printer prints half labels",
        text="""\
since this morning the big label printer cuts every label in the middle, photo attached. i tried the
other roll, the same. 60 parcels waiting

luis""",
        signed=False,
        files=(Attachment("photo.png", "image/png", picture.printer_display()),),
    ),
    Sample(
        name="vpn-dispatch-2",
        sender=PETRA,
        subject="VPN stops after a minute",
        text="""\
Good news: with the cable it has worked for an hour. Only over the wireless it stops. So it may be
my box at home.""",
        follows="vpn-dispatch",
        tagged=True,
    ),
    Sample(
        name="shared-calendar",
        sender=MARA,
        subject="Room calendar shows two bookings at once",
        text="""\
Hi,

treatment room 2 was booked twice for Wednesday 10:00, by Dr Petrova and by the hygienist. Until
last month the calendar refused that. Did a setting change?

No hurry, this week is fine.""",
        html=True,
    ),
)
