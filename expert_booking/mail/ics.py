"""Calendar files (RFC 5545, 5546): the same entry in emails, downloads and feeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from urllib.parse import quote
from uuid import UUID

from icalendar import Calendar, Event, vCalAddress, vDuration, vText, vUri

from expert_booking.domain.email_schedule import Audience
from expert_booking.domain.formatting import DELETED_CUSTOMER, price
from expert_booking.domain.lifecycle import LIVE, Status
from expert_booking.domain.locations import Location
from expert_booking.domain.phone_numbers import international
from expert_booking.domain.prices import Price
from expert_booking.domain.questions import Answer
from expert_booking.mail.plain import lines, one_line

_UNQUOTED_IN_URIS: Final = "!$'*+"
_PRODUCT: Final = "-//Expert Booking//Expert Booking//EN"
# How often a calendar program should reload a subscribed feed.
_REFRESH_INTERVAL: Final = timedelta(minutes=15)


class Method(StrEnum):
    """What the calendar program should do: show the entry, add or update it, or remove it."""

    PUBLISH = "PUBLISH"
    REQUEST = "REQUEST"
    CANCEL = "CANCEL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A booking as an entry in the calendar of its customer or its expert. Instants are UTC."""

    booking_id: UUID
    # Identifies the installation, so that entries of different sites never share a UID.
    installation: UUID
    audience: Audience
    status: Status
    starts_at: datetime
    ends_at: datetime
    # How often the booking was rescheduled or ended, and when anything about it last changed.
    sequence: int
    changed_at: datetime
    session_title: str
    expert_name: str
    customer_name: str
    customer_email: str
    customer_phone: str | None
    notes: str
    price: Price | None = None
    payment_note: str = ""
    # As this recipient may see it now.
    location: Location | None = None
    # For the expert, without the values of sensitive ones.
    answers: Sequence[Answer] = ()
    # The page of the booking, and the link with which the recipient manages it, which may contain a key.
    url: str
    manage_url: str

    @property
    def uid(self) -> str:
        """The globally unique, permanent identifier of the entry."""
        return f"{self.booking_id}@{self.installation}"

    @property
    def method(self) -> Method:
        """What the calendar of an email's recipient should do with the entry."""
        return Method.REQUEST if self.status in LIVE else Method.CANCEL


@dataclass(frozen=True, slots=True)
class Party:
    """An organizer or attendee: a name, and an address as `mail_address` returns it."""

    name: str
    address: str


def invitation(entry: Entry, *, organizer: Party, attendee: Party) -> bytes:
    """Return the file attached to an email. `entry.method` tells the recipient's calendar what to do."""
    file: bytes = _calendar(entry.method, [_event(entry, organizer, attendee)]).to_ical()
    return file


def publication(entries: Sequence[Entry], *, organizer: str, name: str = "") -> bytes:
    """Return the file of a download or, with `name`, of a feed. The same entries always give the same bytes.

    `organizer` is the address of the site. There are no attendees, as RFC 5546 requires for PUBLISH.
    """
    calendar = _calendar(Method.PUBLISH, [_event(entry, Party(entry.expert_name, organizer)) for entry in entries])
    if name:
        for key in ("NAME", "X-WR-CALNAME"):
            calendar.add(key, _Text(one_line(name)))
        calendar.add("REFRESH-INTERVAL", vDuration(_REFRESH_INTERVAL), parameters={"VALUE": "DURATION"})
        calendar.add("X-PUBLISHED-TTL", vDuration(_REFRESH_INTERVAL))
    file: bytes = calendar.to_ical()
    return file


def _calendar(method: Method, events: Sequence[Event]) -> Calendar:
    calendar = Calendar()
    calendar.add("VERSION", "2.0")
    calendar.add("PRODID", _PRODUCT)
    calendar.add("CALSCALE", "GREGORIAN")
    calendar.add("METHOD", method.value)
    for event in events:
        calendar.add_component(event)
    return calendar


def _event(entry: Entry, organizer: Party, attendee: Party | None = None) -> Event:
    event = Event()
    event.add("UID", entry.uid)
    event.add("SEQUENCE", entry.sequence)
    event.add("STATUS", _status(entry.status))
    changed_at = entry.changed_at.replace(microsecond=0)
    for name, instant in (("DTSTAMP", changed_at), ("LAST-MODIFIED", changed_at), ("DTSTART", entry.starts_at),
                          ("DTEND", entry.ends_at)):  # fmt: skip
        event.add(name, instant)
    event.add("SUMMARY", _Text(_summary(entry)))
    event.add("DESCRIPTION", _Text("\n".join(_description(entry))))
    if entry.location:
        _add_location(event, entry.location, for_host=entry.audience is Audience.EXPERT)
    event.add("URL", vUri(entry.url))
    event.add("ORGANIZER", _cal_address(organizer))
    if attendee is not None:
        event.add("ATTENDEE", _attendee(attendee, entry))
    return event


def _add_location(event: Event, location: Location, *, for_host: bool) -> None:
    """Add LOCATION and, with a link, CONFERENCE (RFC 7986), for programs that have a button for it."""
    where = location.text if location.is_link else ", ".join(location.lines(for_host=for_host))
    event.add("LOCATION", _Text(one_line(where)))
    if location.is_link:
        parameters = {"VALUE": "URI", "FEATURE": "VIDEO", "LABEL": "Video call"}
        event.add("CONFERENCE", vUri(location.text), parameters=parameters)


def _status(status: Status) -> str:
    if status not in LIVE:
        return "CANCELLED"
    return "TENTATIVE" if status is Status.PENDING else "CONFIRMED"


def _summary(entry: Entry) -> str:
    customer = entry.customer_name or DELETED_CUSTOMER
    other = customer if entry.audience is Audience.EXPERT else entry.expert_name
    return one_line(f"{entry.session_title} with {other}")


def _description(entry: Entry) -> list[str]:
    pending = entry.status is Status.PENDING
    if entry.audience is Audience.CUSTOMER:
        status = ["The expert has not confirmed it yet."] if pending else []
        return [*status, *_payment(entry), f"Manage your booking: {entry.manage_url}"]
    description = ["You have not answered this request yet."] if pending else []
    phone = international(entry.customer_phone or "")
    facts = (("Customer", entry.customer_name), ("Email", entry.customer_email), ("Phone", phone))
    description += [f"{name}: {one_line(fact)}" for name, fact in facts if fact]
    notes = ["Notes:", *lines(entry.notes)] if entry.notes else []
    answers = [one_line(f"{each.question}: {each.text}") for each in entry.answers if each.value is not None]
    return [*description, *notes, *answers, *_payment(entry), f"Manage this booking: {entry.manage_url}"]


def _payment(entry: Entry) -> list[str]:
    cost = [f"Price: {price(entry.price)}"] if entry.price else []
    return [*cost, *(lines(entry.payment_note) if entry.payment_note else [])]


def _cal_address(party: Party) -> vCalAddress:
    local, _, domain = party.address.rpartition("@")
    # Some characters allowed in addresses have another meaning in a mailto: URI (RFC 6068).
    address = vCalAddress(f"mailto:{quote(local, safe=_UNQUOTED_IN_URIS)}@{domain}")
    if name := one_line(party.name):
        # A parameter cannot contain a double quote, and few programs support the escape for it (RFC 6868).
        address.params["CN"] = name.replace('"', "'")
    return address


def _attendee(attendee: Party, entry: Entry) -> vCalAddress:
    address = _cal_address(attendee)
    must_answer = entry.audience is Audience.EXPERT and entry.status is Status.PENDING
    address.params |= {
        "CUTYPE": "INDIVIDUAL", "ROLE": "REQ-PARTICIPANT", "RSVP": "FALSE",
        "PARTSTAT": "NEEDS-ACTION" if must_answer else "ACCEPTED",
    }  # fmt: skip
    return address


class _Text(vText):
    r"""A text that survives a round trip: the library turns `\N` as typed by people into a line break."""

    def to_ical(self) -> bytes:
        """Escape the characters that have a meaning in iCalendar (RFC 5545, 3.3.11)."""
        escaped = str(self).replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,")
        return escaped.replace("\n", "\\n").encode()
