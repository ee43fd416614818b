"""Calendar files (RFC 5545, 5546): one and the same entry in mails, in downloads and in feeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from urllib.parse import quote
from uuid import UUID

from icalendar import Calendar, Event, vCalAddress, vDuration, vText, vUri

from expert_booking.domain.email_schedule import Audience
from expert_booking.domain.lifecycle import LIVE, Status
from expert_booking.mail.plain import lines, one_line

_PLAIN_IN_URIS: Final = "!$'*+"
_PRODUCT: Final = "-//Expert Booking//Expert Booking//EN"
# How often whoever subscribes may look again.
_REFRESH: Final = timedelta(minutes=15)


class Method(StrEnum):
    """What a calendar is to do: show it, take it (or its new time), take it out."""

    PUBLISH = "PUBLISH"
    REQUEST = "REQUEST"
    CANCEL = "CANCEL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A booking as the calendar of its customer or its expert has it. Instants are UTC."""

    booking_id: UUID
    # Of the site, which tells its entries from those of every other.
    installation: UUID
    audience: Audience
    status: Status
    starts_at: datetime
    ends_at: datetime
    # How often it was moved or ended, and when anything of it changed last.
    sequence: int
    changed_at: datetime
    session_title: str
    expert_name: str
    customer_name: str
    customer_email: str
    customer_phone: str | None
    notes: str
    # Where the booking is; and where the receiver manages it, which may hold a key.
    url: str
    manage_url: str

    @property
    def uid(self) -> str:
        """Names the entry for ever and everywhere."""
        return f"{self.booking_id}@{self.installation}"

    @property
    def method(self) -> Method:
        """What the calendar of whoever gets it by mail is to do with it."""
        return Method.REQUEST if self.status in LIVE else Method.CANCEL


@dataclass(frozen=True, slots=True)
class Party:
    """Somebody in a calendar: a name, and an address as `mail_address` gives it."""

    name: str
    address: str


def invitation(entry: Entry, *, organizer: Party, attendee: Party) -> bytes:
    """The file of a mail: what its receiver's calendar is to do (`entry.method`)."""
    file: bytes = _calendar(entry.method, [_event(entry, organizer, attendee)]).to_ical()
    return file


def publication(entries: Sequence[Entry], *, organizer: str, name: str = "") -> bytes:
    """The file of a download, or with a name that of a feed; from the same entries always the same octets.

    `organizer` is the address of the site. Nobody is invited (RFC 5546 wants no attendees here).
    """
    calendar = _calendar(Method.PUBLISH, [_event(entry, Party(entry.expert_name, organizer)) for entry in entries])
    if name:
        for key in ("NAME", "X-WR-CALNAME"):
            calendar.add(key, _Text(one_line(name)))
        calendar.add("REFRESH-INTERVAL", vDuration(_REFRESH), parameters={"VALUE": "DURATION"})
        calendar.add("X-PUBLISHED-TTL", vDuration(_REFRESH))
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
    event.add("URL", vUri(entry.url))
    event.add("ORGANIZER", _person(organizer))
    if attendee is not None:
        event.add("ATTENDEE", _attendee(attendee, entry))
    return event


def _status(status: Status) -> str:
    if status not in LIVE:
        return "CANCELLED"
    return "TENTATIVE" if status is Status.PENDING else "CONFIRMED"


def _summary(entry: Entry) -> str:
    other = entry.customer_name if entry.audience is Audience.EXPERT else entry.expert_name
    return one_line(f"{entry.session_title} with {other}")


def _description(entry: Entry) -> list[str]:
    waits = entry.status is Status.PENDING
    if entry.audience is Audience.CUSTOMER:
        said = ["The expert has not confirmed it yet."] if waits else []
        return [*said, f"Manage your booking: {entry.manage_url}"]
    said = ["You have not answered this request yet."] if waits else []
    facts = (("Customer", entry.customer_name), ("E-mail", entry.customer_email), ("Phone", entry.customer_phone))
    said += [f"{name}: {one_line(fact)}" for name, fact in facts if fact]
    notes = ["Notes:", *lines(entry.notes)] if entry.notes else []
    return [*said, *notes, f"Manage this booking: {entry.manage_url}"]


def _person(party: Party) -> vCalAddress:
    local, _, domain = party.address.rpartition("@")
    # RFC 6068: in a mailto: some signs that addresses may have mean something else.
    person = vCalAddress(f"mailto:{quote(local, safe=_PLAIN_IN_URIS)}@{domain}")
    if name := one_line(party.name):
        # No double quote can stand in a parameter, and few programs know the way around that (RFC 6868).
        person.params["CN"] = name.replace('"', "'")
    return person


def _attendee(attendee: Party, entry: Entry) -> vCalAddress:
    person = _person(attendee)
    answers = entry.audience is Audience.EXPERT and entry.status is Status.PENDING
    person.params |= {
        "CUTYPE": "INDIVIDUAL", "ROLE": "REQ-PARTICIPANT", "RSVP": "FALSE",
        "PARTSTAT": "NEEDS-ACTION" if answers else "ACCEPTED",
    }  # fmt: skip
    return person


class _Text(vText):
    r"""A text that comes out as it went in: the library makes a line end of what people typed as `\N`."""

    def to_ical(self) -> bytes:
        """With what has a meaning in calendars escaped (RFC 5545, 3.3.11)."""
        escaped = str(self).replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,")
        return escaped.replace("\n", "\\n").encode()
