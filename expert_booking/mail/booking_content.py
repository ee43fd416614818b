"""Assemble the content of an email about a booking, for the customer or the expert, with times in both zones."""

from datetime import datetime
from typing import Final
from urllib.parse import quote
from zoneinfo import ZoneInfo

from expert_booking.domain import formatting
from expert_booking.domain.email_schedule import MessageKind
from expert_booking.domain.lifecycle import HOSTS, LIVE, Actor, Status
from expert_booking.domain.locations import Location
from expert_booking.domain.phone_numbers import international
from expert_booking.domain.signed_keys import SignedKeys
from expert_booking.domain.site import Site
from expert_booking.domain.unavailability import duration
from expert_booking.mail.booking_email import BookingEmail
from expert_booking.mail.headers import mail_address
from expert_booking.mail.layout import EmailContent, Fact, Link
from expert_booking.mail.plain import lines, one_line
from expert_booking.mail.wording import (
    CANCEL_AND_STOP,
    DO_NOT_FORWARD,
    ERASURE,
    FILE_ADDS,
    FILE_REMOVES,
    FILE_UPDATES,
    KEEP_CODE,
    NO_REMINDERS,
    NOT_BOOKED,
    NOT_TOLD,
    NOT_YOU,
    REPLIES,
    STOP,
    TO_CUSTOMER,
    TO_EXPERT,
    TOLD,
    TURN_OFF,
    VERIFY_BY,
    WHY_CUSTOMER,
    WHY_EXPERT,
    ActedBy,
    Template,
    site_link,
)

# Emails without a calendar file. Nothing has changed for a reminder or a new link: calendars would ask to import the
# entry again. A booking that its customer has not confirmed yet belongs in no calendar.
NO_CALENDAR: Final = frozenset({MessageKind.REMINDER, MessageKind.NEW_LINK, MessageKind.VERIFICATION})


def booking_content(email: BookingEmail, site: Site, now: datetime) -> EmailContent:
    """Return the content of an email about a booking. `now` is UTC and decides how far away the session is."""
    template, zone = _template(email), _zones(email)[0]
    other = one_line(email.expert_name if email.to_customer else email.customer_name or formatting.DELETED_CUSTOMER)
    title = one_line(email.session_title)
    at = f"{formatting.short_day(email.starts_at, zone)}, {_clock_time(email.starts_at, zone)}"
    button, *links = _links(email, site)
    return EmailContent(
        subject=f"{template.subject}: {at}, {title} with {other}",
        heading=template.heading.format(soon=_time_left(email.starts_at, now)),
        preview=", ".join(_times(email.starts_at, email, zone)),
        lead=[_lead(template, email).format(other=other), *filter(None, [_answer_deadline(email)])],
        facts=_facts(email),
        code=SignedKeys(site.secret).verification_code(email.booking_id) if _is_verification(email) else "",
        button=button,
        links=links,
        below=_below(email, now),
        footer=[_footer(email)],
        footer_links=_footer_links(email, site),
        site=site_link(site),
    )


def _is_verification(email: BookingEmail) -> bool:
    return email.kind is MessageKind.VERIFICATION


def _template(email: BookingEmail) -> Template:
    if email.is_erasure:
        return ERASURE
    found = (TO_CUSTOMER if email.to_customer else TO_EXPERT)[email.kind]
    return found if isinstance(found, Template) else found.get(_acted_by(email), found[ActedBy.SYSTEM])


def _lead(template: Template, email: BookingEmail) -> str:
    return template.lead if email.customer_email else template.lead.replace(TOLD, NOT_TOLD)


def _acted_by(email: BookingEmail) -> ActedBy:
    reader, other = (Actor.CUSTOMER, Actor.EXPERT) if email.to_customer else (Actor.EXPERT, Actor.CUSTOMER)
    if email.actor is reader:
        return ActedBy.READER
    return ActedBy.OTHER_SIDE if email.actor is other else ActedBy.SYSTEM


def _zones(email: BookingEmail) -> list[ZoneInfo]:
    """The reader's zone first, then the other side's if it differs."""
    expert = _zone(email.expert_zone) or formatting.UTC_ZONE
    customer = _zone(email.customer_zone) or expert
    own, other = (customer, expert) if email.to_customer else (expert, customer)
    return [own] if own == other else [own, other]


def _zone(name: str | None) -> ZoneInfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (ValueError, KeyError, OSError):
        return None


def _answer_deadline(email: BookingEmail) -> str:
    zone = _zones(email)[0]
    sentence = email.leeway.answer if email.to_customer else email.leeway.answer_prompt
    return sentence(lambda instant: formatting.moment(instant, zone))


def _facts(email: BookingEmail) -> list[Fact]:
    zones = _zones(email)
    old_time = email.previous_starts_at if email.kind is MessageKind.RESCHEDULED else None
    label = "When" if old_time is None else "New time"
    facts = [Fact(label, _times(email.starts_at, email, *zones), struck_out=email.status not in LIVE)]
    if old_time is not None:
        facts.append(Fact("Old time", _times(old_time, email, *zones), struck_out=True))
    facts.append(Fact("Session", [one_line(email.session_title)]))
    if email.location and email.status in LIVE:
        facts.append(_location_fact(email.location, for_host=not email.to_customer))
    facts += _price_facts(email)
    facts += [Fact("Expert", [one_line(email.expert_name)])] if email.to_customer else _customer_facts(email)
    # Never email a customer's own text to the customer: anyone can book with someone else's address and write anything.
    if email.reason and not email.is_erasure and (email.actor in HOSTS or not email.to_customer):
        facts.append(Fact("Reason", lines(email.reason)))
    return facts


def _location_fact(location: Location, *, for_host: bool) -> Fact:
    if location.is_link:
        return Fact("Video call", [location.text], link=location.text)
    return Fact("Where", [one_line(each) for each in location.lines(for_host=for_host)])


def _price_facts(email: BookingEmail) -> list[Fact]:
    price = [formatting.price(email.price)] if email.price else []
    note = lines(email.payment_note) if email.payment_note else []
    return [Fact("Price" if price else "Payment", [*price, *note])] if price or note else []


def _customer_facts(email: BookingEmail) -> list[Fact]:
    if not email.customer_name:
        return [Fact("Customer", [formatting.DELETED_CUSTOMER])]
    facts = [Fact("Customer", [one_line(email.customer_name)])]
    if email.customer_email:
        address = one_line(email.customer_email)
        facts.append(Fact("Email", [address], link=_mailto(address)))
    if email.customer_phone:
        facts.append(Fact("Phone", [one_line(international(email.customer_phone))]))
    if email.notes:
        facts.append(Fact("Notes", lines(email.notes)))
    facts += [Fact(one_line(each.question), lines(each.text)) for each in email.answers if each.value is not None]
    if any(each.value is None for each in email.answers):
        facts.append(Fact("Sensitive answers", ["Sign in to see them on the page of the booking."]))
    return facts


def _mailto(address: str) -> str:
    try:
        return f"mailto:{quote(mail_address(address), safe='@')}"
    except ValueError:
        return ""


def _times(starts_at: datetime, email: BookingEmail, zone: ZoneInfo, other: ZoneInfo | None = None) -> list[str]:
    """Day and time in the reader's zone and, if it differs, in the other side's."""
    ends_at = starts_at + (email.ends_at - email.starts_at)
    own = [
        formatting.long_day(starts_at, zone),
        f"{formatting.time_span(starts_at, ends_at, zone)}, {formatting.zone_at(zone, starts_at)}",
    ]
    if other is None:
        return own
    label = "For the expert" if email.to_customer else "For the customer"
    day = formatting.short_day(starts_at, other)
    span = formatting.time_span(starts_at, ends_at, other)
    return [*own, f"{label}: {day}, {span}, {formatting.zone_at(other, starts_at)}"]


def _clock_time(instant: datetime, zone: ZoneInfo) -> str:
    return f"{instant.astimezone(zone):%H:%M} ({formatting.offset(instant, zone)})"


def _time_left(starts_at: datetime, now: datetime) -> str:
    """`in 24 hours`, `in 40 minutes` or `now`: measured when the email is sent, as it may be late."""
    minutes = round((starts_at - now).total_seconds() / 60)
    if minutes < 1:
        return "now"
    if minutes < 120:
        return f"in {duration(minutes)}" if minutes <= 60 else f"in 1 hour {duration(minutes - 60)}"
    hours = round(minutes / 60)
    return f"in {hours} hours" if hours < 48 else f"in {round(hours / 24)} days"


def _links(email: BookingEmail, site: Site) -> list[Link]:
    """The button, followed by other links."""
    if not email.to_customer:
        is_open = email.leeway.status is Status.PENDING and email.status is Status.PENDING
        return [Link("Answer the request" if is_open else "See the booking", booking_url(email, site))]
    booking = manage_url(email, site)
    if _is_verification(email):
        confirm = f"{site.url}/verify/{SignedKeys(site.secret).verification(email.booking_id)}"
        return [Link("Confirm booking", confirm), Link("See or cancel this booking", booking)]
    if email.status in LIVE:
        return [Link("Manage your booking", booking)]
    return [
        Link("Choose another time", f"{site.url}/expert/{quote(email.expert_slug)}"),
        Link("See this booking", booking),
    ]


def booking_url(email: BookingEmail, site: Site) -> str:
    """Return the URL of the booking's page, without a key: the page asks visitors for proof."""
    return f"{site.url}/booking/{email.booking_id}"


def manage_url(email: BookingEmail, site: Site) -> str:
    """Return the link with which the recipient manages the booking. The customer's link contains the key."""
    if not email.to_customer:
        return booking_url(email, site)
    return f"{booking_url(email, site)}?key={SignedKeys(site.secret).booking(email.booking_id, email.key_version)}"


def reminders_url(email: BookingEmail, site: Site) -> str:
    """Return the link that turns the booking's reminders off, for people and, with a POST, for mail programs."""
    return f"{site.url}/reminders/{SignedKeys(site.secret).reminders(email.booking_id)}"


def _footer_links(email: BookingEmail, site: Site) -> list[Link]:
    if not email.to_customer:
        return []
    key = SignedKeys(site.secret).not_booked(email.booking_id, email.key_version)
    stop = Link(CANCEL_AND_STOP if email.status in LIVE else STOP, f"{site.url}/not-booked/{key}", before=NOT_BOOKED)
    if email.kind is not MessageKind.REMINDER:
        return [stop]
    return [Link(TURN_OFF, reminders_url(email, site), before=NO_REMINDERS), stop]


def _below(email: BookingEmail, now: datetime) -> list[str]:
    zone = _zones(email)[0]
    if _is_verification(email):
        deadline = email.leeway.verify_by
        until = [VERIFY_BY.format(at=formatting.moment(deadline, zone))] if deadline else []
        return [*until, NOT_YOU, KEEP_CODE]
    terms = email.leeway.sentences(now, lambda instant: formatting.moment(instant, zone)) if email.to_customer else []
    paragraphs = [" ".join(terms)] if terms else []
    if email.kind in NO_CALENDAR:
        return paragraphs
    if email.status not in LIVE:
        return [*paragraphs, FILE_REMOVES]
    return [*paragraphs, FILE_UPDATES if email.kind is MessageKind.RESCHEDULED else FILE_ADDS]


def _footer(email: BookingEmail) -> str:
    if not email.to_customer:
        return f"{WHY_EXPERT} {REPLIES}" if email.customer_email else WHY_EXPERT
    return f"{WHY_CUSTOMER} {DO_NOT_FORWARD.format(do='change or cancel' if email.status in LIVE else 'see')}"
