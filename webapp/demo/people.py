"""Who takes part: the desk's own people, and the customers who write to it.

All of it is invented; the domains end in .example, which is reserved (RFC 2606), and the telephone
numbers are those set aside for fiction.
"""

from __future__ import annotations

from dataclasses import dataclass

from webapp.models import Role

MAILBOX = "support@bluebird-it.example"
BILLING = "billing@bluebird-it.example"


@dataclass(frozen=True, slots=True)
class Colleague:
    """Somebody of the desk, with an account."""

    email: str
    name: str
    role: Role


@dataclass(frozen=True, slots=True)
class Customer:
    """Somebody who writes. Without a company nobody at the desk knows them."""

    email: str
    name: str
    title: str = ""
    company: str = ""
    phone: str = ""

    @property
    def domain(self) -> str:
        return self.email.partition("@")[2]

    @property
    def signature(self) -> str:
        """What stands below their mail."""
        place = ", ".join(filter(None, (self.title, self.company)))
        return "\n".join(filter(None, (self.name, place, self.phone)))


DANA = Colleague("dana@bluebird-it.example", "Dana Wolff", Role.ADMINISTRATOR)
JONAS = Colleague("jonas@bluebird-it.example", "Jonas Berg", Role.TECHNICIAN)
PRIYA = Colleague("priya@bluebird-it.example", "Priya Nair", Role.VIEWER)
COLLEAGUES = (DANA, JONAS, PRIYA)

_CLINIC, _OAK, _KESTREL = "Harbour Dental Clinic", "Oak & Pine Furniture", "Kestrel Logistics"
MARA = Customer(
    "mara.lindqvist@harbourdental.example", "Mara Lindqvist", "Office manager", _CLINIC, "01632 960 114"
)
TOM = Customer("tom.okafor@harbourdental.example", "Tom Okafor", "Reception", _CLINIC, "01632 960 110")
ELENA = Customer("e.petrova@harbourdental.example", "Dr Elena Petrova", "Dentist", _CLINIC)
GEORGE = Customer("george@oakandpine.example", "George Miller", "Owner", _OAK, "01632 960 237")
AYLIN = Customer("aylin@oakandpine.example", "Aylin Demir", "Sales", _OAK, "01632 960 238")
SAM = Customer("sam@oakandpine.example", "Sam Whitfield", "Workshop", _OAK)
PETRA = Customer(
    "petra.novak@kestrel-logistics.example", "Petra Nováková", "Dispatch", _KESTREL, "01632 960 551"
)
LUIS = Customer("luis.ortega@kestrel-logistics.example", "Luis Ortega", "Warehouse 2", _KESTREL)
CUSTOMERS = (MARA, TOM, ELENA, GEORGE, AYLIN, SAM, PETRA, LUIS)

GEORGE_AT_HOME = Customer("george.miller.58@mailbox.example", "George Miller")
STRANGER = Customer("rosa@rosas-flowers.example", "Rosa Castellano", "Rosa's Flowers")
SALESMAN = Customer("kevin.hart@printerpartner.example", "Kevin Hart", "Printer Partner")
NEWSLETTER = Customer("no-reply@cloudnews.example", "Cloud News Weekly")
MONITORING = Customer("monitor@kestrel-logistics.example", "Kestrel backup server")
POSTMASTER = Customer("mailer-daemon@kestrel-logistics.example", "Mail Delivery System")


def customers_csv() -> str:
    """The directory as the product imports it."""
    lines = [f'{one.email},"{one.name}","{one.company}",{one.phone}' for one in CUSTOMERS]
    return "\n".join(("email,name,company,phone", *lines, ""))
