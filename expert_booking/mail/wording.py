"""What letters say: to the customer and to the expert, each in words that fit them, and times in both zones."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Final
from urllib.parse import quote
from zoneinfo import ZoneInfo

from expert_booking.domain import formatting
from expert_booking.domain.email_schedule import MessageKind
from expert_booking.domain.lifecycle import HOSTS, LIVE, Actor, Status
from expert_booking.domain.signed_keys import SignedKeys
from expert_booking.domain.site import Site
from expert_booking.domain.unavailability import duration
from expert_booking.mail.booking_email import BookingEmail
from expert_booking.mail.headers import mail_address, name_and_address
from expert_booking.mail.layout import EmailContent, Fact, Link
from expert_booking.mail.plain import lines, one_line


class _Did(Enum):
    """Who did what a letter tells of, as its reader sees it."""

    YOU = auto()
    THE_OTHER = auto()
    # An admin, the site itself at a deadline, or nobody.
    THE_SYSTEM = auto()


@dataclass(frozen=True, slots=True)
class _Said:
    """The first words of the subject, the heading, and the first sentence. `{other}` is the other side's name."""

    subject: str
    heading: str
    lead: str


_TO_CUSTOMER: Final[Mapping[MessageKind, _Said | Mapping[_Did, _Said]]] = {
    MessageKind.RECEIVED: _Said(
        "Request received",
        "We have your request",
        "{other} has been asked. Until there is an answer, this time is kept for you.",
    ),
    MessageKind.CONFIRMED: {
        _Did.YOU: _Said("Confirmed", "Your booking is confirmed", "Your session with {other} is booked."),
        _Did.THE_OTHER: _Said("Confirmed", "Your booking is confirmed", "{other} has confirmed your session."),
        _Did.THE_SYSTEM: _Said("Confirmed", "Your booking is confirmed", "Your session with {other} is confirmed."),
    },
    MessageKind.DECLINED: {
        _Did.THE_OTHER: _Said(
            "Declined", "Your request was declined", "{other} cannot take this session. Nothing is booked."
        ),
        _Did.THE_SYSTEM: _Said(
            "Declined", "Your request was declined", "Your session with {other} cannot take place. Nothing is booked."
        ),
    },
    MessageKind.RESCHEDULED: {
        _Did.YOU: _Said("Moved", "You have moved your booking", "Your session with {other} has a new time."),
        _Did.THE_OTHER: _Said(
            "Moved", "Your booking has a new time", "{other} has moved your session to another time."
        ),
        _Did.THE_SYSTEM: _Said(
            "Moved", "Your booking has a new time", "Your session with {other} has been moved to another time."
        ),
    },
    MessageKind.CANCELLED: {
        _Did.YOU: _Said(
            "Cancelled", "You have cancelled your booking", "Your session with {other} will not take place."
        ),
        _Did.THE_OTHER: _Said("Cancelled", "Your booking was cancelled", "{other} has cancelled your session."),
        _Did.THE_SYSTEM: _Said(
            "Cancelled", "Your booking was cancelled", "Your session with {other} has been cancelled."
        ),
    },
    MessageKind.EXPIRED: _Said(
        "Request expired",
        "Your request has expired",
        "{other} has not answered in time. Nothing is booked, and the time is no longer kept for you.",
    ),
    MessageKind.REMINDER: _Said("Reminder", "Your session begins {soon}", "{other} expects you."),
    MessageKind.NEW_LINK: _Said(
        "New link", "Your new link", "Earlier links to this booking with {other} no longer work. Please use this one."
    ),
}
_TO_EXPERT: Final[Mapping[MessageKind, _Said | Mapping[_Did, _Said]]] = {
    MessageKind.RECEIVED: _Said("New request", "You have a new request", "{other} asks for this session."),
    MessageKind.CONFIRMED: {
        _Did.YOU: _Said("Confirmed", "You have confirmed this booking", "{other} has been told."),
        _Did.THE_OTHER: _Said(
            "New booking", "You have a new booking", "{other} has booked this session. There is nothing to answer."
        ),
        _Did.THE_SYSTEM: _Said("Confirmed", "A booking was confirmed for you", "{other} has been told."),
    },
    MessageKind.DECLINED: {
        _Did.YOU: _Said("Declined", "You have declined this request", "{other} has been told."),
        _Did.THE_SYSTEM: _Said("Declined", "A request was declined for you", "{other} has been told."),
    },
    MessageKind.RESCHEDULED: {
        _Did.YOU: _Said("Moved", "You have moved this booking", "{other} has been told."),
        _Did.THE_OTHER: _Said("Moved", "A booking has a new time", "{other} has moved the session to another time."),
        _Did.THE_SYSTEM: _Said("Moved", "A booking was moved for you", "{other} has been told."),
    },
    MessageKind.CANCELLED: {
        _Did.YOU: _Said("Cancelled", "You have cancelled this booking", "{other} has been told."),
        _Did.THE_OTHER: _Said("Cancelled", "A booking was cancelled", "{other} has cancelled the session."),
        _Did.THE_SYSTEM: _Said("Cancelled", "A booking was cancelled for you", "{other} has been told."),
    },
    MessageKind.EXPIRED: _Said(
        "Request expired", "A request has expired", "It was not answered in time, and {other} has been told."
    ),
    MessageKind.REMINDER: _Said("Reminder", "Your session begins {soon}", "{other} expects you."),
}
_ANSWER_TO_IT: Final = "An answer to this mail goes to the customer."
_KEEP_IT: Final = "Whoever has this mail can {do} the booking: better do not pass it on."
_WHY: Final = "You get this mail because this address was used to book."
_WHOSE: Final = "You get this mail because the booking is in your calendar."
_INTO_CALENDAR: Final = "The attached file puts it into your calendar."
_WITHIN_CALENDAR: Final = "The attached file moves it in your calendar, too."
_OUT_OF_CALENDAR: Final = "The attached file takes it out of your calendar."


def about_booking(news: BookingEmail, site: Site, now: datetime) -> EmailContent:
    """What there is to say of a booking at this instant."""
    other = one_line(news.expert_name if news.to_customer else news.customer_name)
    said, zone = _said(news), _zones(news)[0]
    title = one_line(news.session_title)
    soon = _soon(news.starts_at, now)
    at = f"{formatting.short_day(news.starts_at, zone)}, {_clock(news.starts_at, zone)}"
    button, *links = _ways_on(news, site)
    return EmailContent(
        subject=f"{said.subject}: {at}, {title} with {other}",
        heading=said.heading.format(soon=soon),
        preview=", ".join(_when(news.starts_at, news, zone)),
        lead=[said.lead.format(other=other), *filter(None, [_answer(news)])],
        facts=_facts(news),
        button=button,
        links=links,
        after=_after(news, now),
        foot=[_foot(news)],
        site=_who_writes(site),
    )


def about_access(
    email: str, link: str, code: str, expires_at: datetime, site: Site, now: datetime, asked_before: str = ""
) -> EmailContent:
    """How to prove an address. `asked_before` is what `requests_before` says."""
    who = _who_writes(site)
    left = duration(max(1, round((expires_at - now).total_seconds() / 60)))
    return EmailContent(
        subject=f"Sign in to {who.words}",
        heading="Sign in",
        preview="A link and a code that show that this address is yours.",
        lead=[
            f"Somebody wants to see the bookings of {one_line(email)}.",
            "If it is you, use the button below, or type this code where you asked for it.",
        ],
        code=code,
        button=Link("Sign in", link),
        after=[
            f"They count for {left}, and only once.",
            *filter(None, [asked_before]),
            "Was it not you? Then there is nothing to do: without this mail nobody gets in.",
            "Do not pass this mail on, and tell nobody the code, whoever asks for it.",
        ],
        foot=["You get this mail because somebody typed in this address."],
        site=who,
    )


def requests_before(earlier: int, elsewhere: int) -> str:
    """How often an address was asked for in the last hour, and from where; nothing for the first request."""
    if not earlier:
        return ""
    if not elsewhere:
        where = "all of them from the same network"
    elif elsewhere == 1:
        where = "1 of them from another network"
    else:
        where = f"{elsewhere} of them from other networks"
    return f"There were {earlier + 1} requests for this address in the last hour, {where}."


def about_new_address(email: str, expert: str, link: str, site: Site) -> EmailContent:
    """How to confirm that an address is the new one of an expert."""
    who = _who_writes(site)
    return EmailContent(
        subject=f"Confirm your new address for {who.words}",
        heading="Confirm your new address",
        preview="Once you confirm it, emails about your sessions come to this address.",
        lead=[
            f"{one_line(email)} was entered as the new address of the expert {one_line(expert)}.",
            "If that is right, please confirm it. You then sign in with it and get the emails about your sessions.",
        ],
        button=Link("Confirm this address", link),
        after=[
            "The link works once, within 24 hours. Until you use it, nothing changes.",
            "You don't know what this is about? Then there is nothing to do. Please don't forward this email.",
        ],
        foot=["You get this email because someone entered this address."],
        site=who,
    )


def about_address_change(expert: str, site: Site) -> EmailContent:
    """To the old address: a new one was entered."""
    who = _who_writes(site)
    return EmailContent(
        subject=f"A new address was entered for {one_line(expert)}",
        heading="A new address was entered",
        preview="Nothing has changed yet: the new address has to be confirmed first.",
        lead=[
            f"Someone entered another address for the expert {one_line(expert)}, in place of this one.",
            "Once the new address is confirmed, it gets the emails about sessions, and this address no longer signs in "
            "as the expert.",
        ],
        button=Link(f"Open {who.words}", who.url),
        after=[
            "Was it not you? Then please tell the people who run this site at once, so that they can revoke the access "
            "token that was used.",
        ],
        foot=["You get this email because this is the expert's address."],
        site=who,
    )


def _said(news: BookingEmail) -> _Said:
    said = (_TO_CUSTOMER if news.to_customer else _TO_EXPERT)[news.kind]
    return said if isinstance(said, _Said) else said.get(_did(news), said[_Did.THE_SYSTEM])


def _did(news: BookingEmail) -> _Did:
    sides = (Actor.CUSTOMER, Actor.EXPERT) if news.to_customer else (Actor.EXPERT, Actor.CUSTOMER)
    return dict(zip(sides, (_Did.YOU, _Did.THE_OTHER), strict=True)).get(news.actor or Actor.SYSTEM, _Did.THE_SYSTEM)


def _zones(news: BookingEmail) -> list[ZoneInfo]:
    """The reader's own first, then the other side's where that is another one."""
    expert = _zone(news.expert_zone) or formatting.UTC_ZONE
    customer = _zone(news.customer_zone) or expert
    own, other = (customer, expert) if news.to_customer else (expert, customer)
    return [own] if own == other else [own, other]


def _zone(name: str | None) -> ZoneInfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (ValueError, KeyError, OSError):
        return None


def _answer(news: BookingEmail) -> str:
    """By when the expert answers."""
    leeway, zone = news.leeway, _zones(news)[0]
    # The same sentence for both sides, as it stands on the pages.
    said = leeway.answer(lambda instant: formatting.moment(instant, zone))
    return said if news.to_customer else said.replace("The expert answers", "Please answer")


def _facts(news: BookingEmail) -> list[Fact]:
    off = news.status not in LIVE
    zones = _zones(news)
    moved = news.previous_starts_at if news.kind is MessageKind.RESCHEDULED else None
    facts = [Fact("New time" if moved else "When", _when(news.starts_at, news, *zones), off=off)]
    if moved is not None:
        facts.append(Fact("Old time", _when(moved, news, *zones), off=True))
    facts.append(Fact("Session", [one_line(news.session_title)]))
    facts += [Fact("Expert", [one_line(news.expert_name)])] if news.to_customer else _of_customer(news)
    # What customers typed is not mailed to customers: anybody may book with anybody's address, and write anything.
    if news.reason and (news.actor in HOSTS or not news.to_customer):
        facts.append(Fact("Reason", lines(news.reason)))
    return facts


def _of_customer(news: BookingEmail) -> list[Fact]:
    email = one_line(news.customer_email)
    facts = [Fact("Customer", [one_line(news.customer_name)]), Fact("E-mail", [email], link=_mailto(email))]
    if news.customer_phone:
        facts.append(Fact("Phone", [one_line(news.customer_phone)]))
    if news.notes:
        facts.append(Fact("Notes", lines(news.notes)))
    return facts


def _mailto(email: str) -> str:
    try:
        return f"mailto:{quote(mail_address(email), safe='@')}"
    except ValueError:
        return ""


def _when(starts_at: datetime, news: BookingEmail, zone: ZoneInfo, other: ZoneInfo | None = None) -> list[str]:
    """Day and time in the reader's zone, and in the other side's."""
    ends_at = starts_at + (news.ends_at - news.starts_at)
    own = [
        formatting.long_day(starts_at, zone),
        f"{formatting.time_span(starts_at, ends_at, zone)}, {formatting.zone_at(zone, starts_at)}",
    ]
    if other is None:
        return own
    whose = "For the expert" if news.to_customer else "For the customer"
    day = formatting.short_day(starts_at, other)
    span = formatting.time_span(starts_at, ends_at, other)
    return [*own, f"{whose}: {day}, {span}, {formatting.zone_at(other, starts_at)}"]


def _clock(instant: datetime, zone: ZoneInfo) -> str:
    return f"{instant.astimezone(zone):%H:%M} ({formatting.offset(instant, zone)})"


def _soon(starts_at: datetime, now: datetime) -> str:
    """`in 24 hours`, `in 1 hour`, `in 40 minutes`, `now`: how far away it really is."""
    minutes = round((starts_at - now).total_seconds() / 60)
    if minutes < 1:
        return "now"
    if minutes < 120:
        return f"in {duration(minutes)}" if minutes <= 60 else f"in 1 hour {duration(minutes - 60)}"
    hours = round(minutes / 60)
    return f"in {hours} hours" if hours < 48 else f"in {round(hours / 24)} days"


def _ways_on(news: BookingEmail, site: Site) -> list[Link]:
    """The button, and what else there is to click on."""
    if not news.to_customer:
        waits = news.leeway.status is Status.PENDING and news.status is Status.PENDING
        return [Link("Answer the request" if waits else "See the booking", booking_url(news, site))]
    own = manage_url(news, site)
    if news.status in LIVE:
        return [Link("Manage your booking", own)]
    again = Link("Choose another time", f"{site.url}/expert/{quote(news.expert_slug)}")
    return [again, Link("See this booking", own)]


def booking_url(news: BookingEmail, site: Site) -> str:
    """Where a booking is: it opens to who may see it."""
    return f"{site.url}/booking/{news.booking_id}"


def manage_url(news: BookingEmail, site: Site) -> str:
    """Where its reader manages a booking; the customer's holds its key."""
    if not news.to_customer:
        return booking_url(news, site)
    return f"{booking_url(news, site)}?key={SignedKeys(site.secret).booking(news.booking_id, news.key_version)}"


def _after(news: BookingEmail, now: datetime) -> list[str]:
    zone = _zones(news)[0]
    terms = news.leeway.sentences(now, lambda instant: formatting.moment(instant, zone)) if news.to_customer else []
    said = [" ".join(terms)] if terms else []
    if news.kind in (MessageKind.REMINDER, MessageKind.NEW_LINK):
        return said
    if news.status not in LIVE:
        return [*said, _OUT_OF_CALENDAR]
    return [*said, _WITHIN_CALENDAR if news.kind is MessageKind.RESCHEDULED else _INTO_CALENDAR]


def _foot(news: BookingEmail) -> str:
    if not news.to_customer:
        return f"{_WHOSE} {_ANSWER_TO_IT}"
    return f"{_WHY} {_KEEP_IT.format(do='change or cancel' if news.status in LIVE else 'see')}"


def _who_writes(site: Site) -> Link:
    return Link(name_and_address(site.sender)[0] or "Expert Booking", site.url)
