"""The second half of the sample mail."""

from __future__ import annotations

from . import picture
from .people import (
    AYLIN,
    ELENA,
    GEORGE,
    LUIS,
    MARA,
    MONITORING,
    NEWSLETTER,
    PETRA,
    POSTMASTER,
    SAM,
    STRANGER,
    TOM,
)  # fmt: skip
from .sample import Attachment, Sample

AFTERNOON: tuple[Sample, ...] = (
    Sample(
        name="label-printer-2",
        sender=PETRA,
        subject="Re: label printer prints half labels",
        text="""\
Hello, this blocks our 16:00 collection. If a new print head is needed please order it right away, I
approve it.""",
        follows="label-printer",
    ),
    Sample(
        name="backup-report",
        sender=MONITORING,
        subject="[backup] job NIGHTLY-FILES finished with warnings",
        text="""\
Job: NIGHTLY-FILES
Result: warning (3 files in use were skipped)
Duration: 01:12:44
Size: 412.8 GB""",
        signed=False,
        headers={"Auto-Submitted": "auto-generated"},
    ),
    Sample(
        name="flower-shop",
        sender=STRANGER,
        subject="Do you also take small shops?",
        text="""\
Hello,

Mara from the dental clinic next door says you look after their computers. I have a flower shop with
one till and two laptops. Would you take us on, and what would it cost a month?

Warm regards""",
    ),
    Sample(
        name="phone-lost-2",
        sender=TOM,
        subject="Re: URGENT - clinic phone lost on the bus",
        text="""\
The bus driver has it! I can collect it at the depot at five. Is the wipe already done, or can it be
stopped?""",
        follows="phone-lost",
    ),
    Sample(
        name="bank-mail",
        sender=AYLIN,
        subject="Is this mail from the bank real?",
        text="""\
Hi,

I got the mail below "from the bank" with a link to confirm our account. I did not click. It looks
odd to me, and we have no account there. Should I warn the others?""",
        quoted="""\
Dear customer,

your account will be limited within 24 hours. Confirm your details at
hxxp://bank-secure.invalid/confirm

Your bank""",
        quoted_from="Your Bank <service@bank-secure.invalid>",
        html=True,
    ),
    Sample(
        name="xray-slow-2",
        sender=ELENA,
        subject="X-ray pictures open very slowly",
        text="""\
Thank you for coming by. It is better but not yet as before: about fifteen seconds. I am free after
17:00 if you need the computer.""",
        follows="xray-slow",
        tagged=True,
    ),
    Sample(
        name="new-starter-2",
        sender=MARA,
        subject="Re: New colleague starting Monday",
        text="""\
Hi Jonas,

a correction: her name is spelled Hannah, with an h at the end. Sorry! Is the address already made?""",
        quoted="""\
Hi Mara,

gladly. The account and the mailbox will be ready on Friday, and Julia's laptop gets a new disk.

Jonas""",
        follows="new-starter",
    ),
    Sample(
        name="dispatch-fail",
        sender=POSTMASTER,
        subject="Undelivered Mail Returned to Sender",
        text="""\
This is the mail system at kestrel-logistics.example.

Your message could not be delivered to one recipient:

<old.dispatch@kestrel-logistics.example>: user unknown""",
        report="""\
Reporting-MTA: dns; mx.kestrel-logistics.example

Final-Recipient: rfc822; old.dispatch@kestrel-logistics.example
Action: failed
Status: 5.1.1
""",
        headers={"Auto-Submitted": "auto-replied"},
    ),
    Sample(
        name="panel-saw",
        sender=SAM,
        subject="Saw computer beeps",
        text="""\
The PC at the panel saw beeps three times and stays black. There was a lot of dust in it last time.
Can somebody pass by? We cut by hand until then.

Sam""",
        signed=False,
    ),
    Sample(
        name="two-screens-2",
        sender=PETRA,
        subject="Re: Question: second screen for dispatch",
        text="""\
Hello Jonas,

the offer is fine, please order. Delivery to dispatch, not to the warehouse, they put everything on
a lorry :)""",
        quoted="""\
Hello Petra,

two 24" screens with arms, mounted: 540.00 plus VAT. We could be there on Thursday.

Jonas""",
        html=True,
        follows="two-screens",
    ),
    Sample(
        name="delivery-notes",
        sender=LUIS,
        subject="Strange characters on our invoices",
        text="""\
aylin from oak & pine forwarded me this: the delivery notes we get from them have the same wrong
euro sign. is it the same problem?""",
        follows="invoice-layout",
        tagged=True,
    ),
    Sample(
        name="password-expired",
        sender=GEORGE,
        subject="Password expired while I was away",
        text="""\
Back from the fair. My password has expired and I cannot set a new one from here, it says "the trust
relationship failed". I am in the office until six.

George""",
        signed=False,
        files=(Attachment("screenshot.png", "image/png", picture.error_window()),),
    ),
    Sample(
        name="cloud-news-47",
        sender=NEWSLETTER,
        subject="Cloud News Weekly: last chance for early-bird tickets",
        text="""\
Only until Friday. Also this week: how a bakery moved to the cloud, and five questions to ask your
provider.""",
        signed=False,
        html=True,
        headers={"List-Unsubscribe": "<https://cloudnews.example/unsubscribe>", "Precedence": "bulk"},
    ),
    Sample(
        name="tablet-consent",
        sender=TOM,
        subject="Tablet for the consent forms",
        text="""\
Hi, patients sign the consent form on the tablet, and since Friday the signature is mirrored, left
to right. Funny, but the doctors do not like it. It is the white tablet with the sticker no. 4.""",
    ),
    Sample(
        name="gate-camera",
        sender=LUIS,
        subject="camera at the yard gate is black",
        text="""\
the picture of the yard gate is black since the storm. the other cameras are fine. there is a ladder
here if somebody comes

luis""",
        signed=False,
    ),
    Sample(
        name="label-printer-3",
        sender=LUIS,
        subject="Re: label printer prints half labels",
        text="""\
new head is in, prints perfect. thanks for being so quick!!""",
        signed=False,
        follows="label-printer",
    ),
    Sample(
        name="website-form",
        sender=AYLIN,
        subject="Contact form on our website",
        text="""\
Hi,

customers tell me that the contact form says "sent", but nothing arrives at my end since the
weekend. I tried it myself three times, at 13:10, 13:12 and 13:20.

Could you check where these go?""",
    ),
    Sample(
        name="music-on-hold-2",
        sender=GEORGE,
        subject="Re: Music when customers wait on the phone",
        text="""\
Heard it. Perfect. My compliments to whoever chose it.""",
        signed=False,
        follows="music-on-hold",
    ),
    Sample(
        name="licence-count",
        sender=MARA,
        subject="How many office licences do we pay for?",
        text="""\
Hello,

our accountant asks how many office licences we have and how many are in use. Could you send me a
short list? By the end of the month is early enough.

Thank you!""",
    ),
    Sample(
        name="elena-home",
        sender=ELENA,
        subject="Working from home on Fridays",
        text="""\
Dear all,

from January I would like to write my reports from home on Fridays. What do I need for that, and may
I use my own computer (a Mac)?

Kind regards""",
        html=True,
    ),
    Sample(
        name="website-form-2",
        sender=AYLIN,
        subject="Contact form on our website",
        text="""\
All three just arrived, together with eleven from customers. Thank you! Was it the spam filter?""",
        follows="website-form",
        tagged=True,
    ),
    Sample(
        name="tom-away",
        sender=TOM,
        subject="Automatic reply: Tablet for the consent forms",
        text="""\
Thank you for your mail. Reception is open again tomorrow from 8:00.""",
        headers={"X-Auto-Response-Suppress": "DR, OOF, AutoReply", "Auto-Submitted": "auto-generated"},
    ),
    Sample(
        name="pallet-scale",
        sender=LUIS,
        subject="pallet scale shows kg and lbs mixed",
        text="""\
the display of the pallet scale jumps between kg and lbs and the system takes what it sees. 2 wrong
bookings today. i can unplug it but then we type by hand""",
        signed=False,
    ),
    Sample(
        name="thank-you",
        sender=MARA,
        subject="Re: New colleague starting Monday",
        text="""\
Hannah could log in straight away this morning, everything was there. Thank you, that was really
well prepared!""",
        follows="new-starter",
    ),
)
