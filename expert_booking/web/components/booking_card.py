"""A booking as HTML: a card in a list, and its details, for the customer or a host."""

from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from markupsafe import Markup

from expert_booking.domain import formatting, phone_numbers
from expert_booking.domain.lifecycle import LIVE, Status
from expert_booking.domain.locations import Location, LocationKind
from expert_booking.schemas import BookingView

_BADGE: Final = Markup('<span class="badge {status}">{text}</span>')
_CARD: Final = Markup(
    """<li class="booking-card{past}" data-booking="{id}" data-status="{status}">
<img class="portrait" src="/portrait/{slug}.svg" width="48" height="48" alt="" loading="lazy">
<div><b><a href="/booking/{id}">{day}, <span class="nowrap">{time}</span></a></b>
<div class="small soft">{expert} · {session} · {zone}{mail}</div></div>{badge}</li>"""
)
_HOST_CARD: Final = Markup(
    """<li class="booking-card" data-booking="{id}" data-status="{status}">
<img class="portrait" src="/portrait/{slug}.svg" width="48" height="48" alt="{expert}" loading="lazy">
<div><b><a href="/booking/{id}">{day}, <span class="nowrap">{time}</span></a></b>
<div class="small soft"><span class="ink">{customer}</span> · {session} · {zone}</div></div>{badge}</li>"""
)
_WHEN: Final = Markup("""<dl class="when"><dt>When</dt><dd>{day}<br>{time}<small>{zone}</small></dd>{theirs}</dl>""")
_EXPERT_WHEN: Final = Markup("<dt>Expert's time</dt><dd>{time}<small>{day} · {zone}</small></dd>")
_DETAILS: Final = Markup(
    """<section data-booking="{id}" data-status="{status}">{head}<div class="panel"><dl class="details">
<dt>Status</dt><dd>{badge}</dd>
<dt>Expert</dt><dd><a href="/expert/{slug}">{expert}</a></dd>
<dt>Session</dt><dd>{session}</dd>
<dt>Your time</dt><dd><b class="time">{day}, <span class="nowrap">{time}</span></b>
{zone}</dd>{theirs}{where}{price}
<dt>Name</dt><dd>{name}</dd>{email}{phone}{notes}{answers}
</dl></div></section>"""
)
_HEAD: Final = Markup(
    """<div class="booking-head">
<div class="done-mark{off}" aria-hidden="true">
<svg width="30" height="30" viewBox="0 0 30 30" fill="none" stroke="currentColor"
 stroke-width="3.500" stroke-linecap="round" stroke-linejoin="round"><path d="{mark}"/></svg></div>
<div><h1>{title}</h1><p>{text}</p></div></div>
"""
)
_EXPERT_TIME: Final = Markup('{day}, <span class="nowrap">{time}</span>\n{zone}')
_PRICE: Final = Markup('{price}\n<span class="soft">{note}</span>')
_LINK: Final = Markup('Video call\n<a href="{}" target="_blank" rel="noopener noreferrer">{}</a>')
_LINK_LATER: Final = "The link is shown here once the booking is confirmed."
_NO_LINK: Final = "The expert will add the link."
_SIGN_IN: Final = Markup('<a href="{}">Sign in</a> to see this answer.')
_ROW: Final = Markup("<dt>{name}</dt><dd>{value}</dd>")
_TICK = "m7 15.500 5.500 5.500L23.500 9.500"
_CROSS = "M9 9l12 12M21 9 9 21"
# For the customer: a title for each status, and what it means.
_STATUS_TEXTS: Final = {
    Status.PENDING: (
        "Your request has been sent",
        "The time is reserved until the expert answers. This page updates automatically.",
    ),
    Status.CONFIRMED: ("Your booking is confirmed", "You're all set."),
    Status.COMPLETED: ("This session is over", "Thank you for coming."),
    Status.CANCELLED: ("This booking is cancelled", "The time is available again."),
    Status.DECLINED: ("The expert could not take this booking", "The time is no longer reserved for you."),
    Status.EXPIRED: (
        "This booking has expired",
        "It was not confirmed in time, so the time is no longer reserved for you.",
    ),
    Status.NO_SHOW: ("This session was missed", "The expert marked this session as a no-show."),
    Status.HELD: ("This time is on hold for you", "It is not booked yet."),
    Status.BLOCKED: ("This time is not available", "The expert keeps it free."),
}
# The same for a host.
_HOST_STATUS_TEXTS: Final = {
    Status.PENDING: ("New booking request", "The time is reserved until you answer."),
    Status.CONFIRMED: ("This booking is confirmed", "The customer is expecting you."),
    Status.COMPLETED: ("This session is over", "Marked as completed."),
    Status.CANCELLED: ("This booking is cancelled", "The time is available again."),
    Status.DECLINED: ("This request is declined", "The time is available again."),
    Status.EXPIRED: ("This request has expired", "It was not answered in time."),
    Status.NO_SHOW: ("This session was missed", "Marked as a no-show."),
    Status.HELD: ("This time is on hold for a customer", "It is not booked yet."),
    Status.BLOCKED: ("This time is blocked", "It cannot be booked."),
}
# For the customer and for a host, if a booking has ended because the email address was not confirmed.
_NEVER_VERIFIED: Final = (
    "This booking was not confirmed",
    "The email address was not confirmed in time, or a wrong code was entered too often. The time is no longer "
    "reserved for you.",
)
_HOST_UNVERIFIED: Final = (
    "Waiting for the customer",
    "The customer has not confirmed the email address yet. The time is taken until then.",
)
_HOST_NEVER_VERIFIED: Final = ("This booking was not confirmed", "The customer did not confirm the email address.")
# For the customer, when the address is confirmed while the page is open.
_VERIFIED: Final = {
    Status.PENDING: "Your email address is confirmed, and your request has been sent.",
    Status.CONFIRMED: "Your booking is confirmed.",
}
_EXPIRED_UNVERIFIED: Final = "Your booking has expired, because it was not confirmed in time."
# For the customer, when the status changes while the page is open.
_STATUS_CHANGES: Final = {
    Status.HELD: "This time is on hold for you.",
    Status.PENDING: "Your booking is waiting for the expert's answer.",
    Status.CONFIRMED: "The expert has confirmed your booking.",
    Status.COMPLETED: "This session is over.",
    Status.CANCELLED: "Your booking has been cancelled.",
    Status.DECLINED: "The expert has declined your booking.",
    Status.EXPIRED: "Your booking has expired without an answer.",
    Status.NO_SHOW: "The expert marked this session as a no-show.",
    Status.BLOCKED: "This time is not available.",
}


def badge(booking: BookingView) -> Markup:
    """Return the status as a coloured label."""
    text = "Not confirmed yet" if booking.awaits_verification else formatting.STATUS[booking.status]
    return _BADGE.format(status=booking.status.value, text=text)


def booking_card(booking: BookingView, zone: ZoneInfo, *, past: bool, mail: str = "") -> Markup:
    """Return a customer's list item; `mail` is the delivery state of the email about it."""
    return _CARD.format(past=" past" if past else "", mail=mail, **_facts(booking, zone))


def host_card(booking: BookingView, zone: ZoneInfo) -> Markup:
    """Return a host's list item, which names the customer."""
    return _HOST_CARD.format(customer=booking.customer_name, **_facts(booking, zone))


def session_times(starts_at: datetime, ends_at: datetime, zone: ZoneInfo, expert_zone: ZoneInfo) -> Markup:
    """Return date and time in the visitor's zone, and in the expert's zone if it differs. Instants are UTC."""
    theirs = _EXPERT_WHEN.format(
        day=formatting.long_day(starts_at, expert_zone),
        time=formatting.time_span(starts_at, ends_at, expert_zone),
        zone=formatting.zone_at(expert_zone, starts_at),
    )
    return _WHEN.format(
        day=formatting.long_day(starts_at, zone),
        time=formatting.time_span(starts_at, ends_at, zone),
        zone=formatting.zone_at(zone, starts_at),
        theirs=theirs if expert_zone.key != zone.key else "",
    )


def describe_change(before: BookingView, after: BookingView, zone: ZoneInfo, *, by_host: bool = False) -> str:
    """Say how the booking's time or status changed, for its customer or a host; empty if neither did."""
    sentences = []
    if after.starts_at != before.starts_at:
        sentences.append(describe_new_time(after.starts_at, zone, by_host=by_host))
    verified = before.awaits_verification and not after.awaits_verification
    if after.status is not before.status or verified:
        sentences.append(f"{_status_texts(after, by_host=True)[0]}." if by_host else _status_change(before, after))
    return " ".join(sentences)


def _status_change(before: BookingView, after: BookingView) -> str:
    if before.awaits_verification and after.status in _VERIFIED:
        return _VERIFIED[after.status]
    return _EXPIRED_UNVERIFIED if is_never_verified(after) else _STATUS_CHANGES[after.status]


def is_never_verified(booking: BookingView) -> bool:
    """Whether a booking has ended because its customer did not confirm the email address."""
    return booking.status is Status.EXPIRED and booking.verify_by is not None


def _status_texts(booking: BookingView, *, by_host: bool) -> tuple[str, str]:
    if is_never_verified(booking):
        return _HOST_NEVER_VERIFIED if by_host else _NEVER_VERIFIED
    if booking.awaits_verification and by_host:
        return _HOST_UNVERIFIED
    return (_HOST_STATUS_TEXTS if by_host else _STATUS_TEXTS)[booking.status]


def describe_new_time(starts_at: datetime, zone: ZoneInfo, *, by_host: bool = False) -> str:
    """Say that the booking was rescheduled, and to when."""
    return f"{'This' if by_host else 'Your'} booking has been rescheduled to {formatting.moment(starts_at, zone)}."


def booking_details(booking: BookingView, zone: ZoneInfo, expert_zone: ZoneInfo, *, by_host: bool = False) -> Markup:
    """Return everything about one booking, for its customer or a host.

    Without a heading for the customer who has to confirm the email address: `VerifyEmail` has one.
    """
    title, text = _status_texts(booking, by_host=by_host)
    leeway = booking.leeway()
    deadline = leeway.answer_prompt if by_host else leeway.answer
    answer = deadline(lambda instant: formatting.moment(instant, zone))
    is_on = booking.status in LIVE - {Status.NO_SHOW}
    expert_time = _EXPERT_TIME.format(
        day=formatting.long_day(booking.starts_at, expert_zone),
        time=formatting.time_span(booking.starts_at, booking.ends_at, expert_zone),
        zone=formatting.zone_at(expert_zone, booking.starts_at),
    )
    head = _HEAD.format(
        off="" if is_on else " off",
        mark=_TICK if is_on else _CROSS,
        title=title,
        text=f"{text} {answer}" if answer else text,
    )
    return _DETAILS.format(
        **_facts(booking, zone),
        head="" if booking.awaits_verification and not by_host else head,
        theirs=_ROW.format(name="Expert's time", value=expert_time) if expert_zone.key != zone.key else "",
        name=booking.customer_name,
        email=_ROW.format(name="Email", value=booking.email) if booking.email else "",
        phone=_ROW.format(name="Phone", value=phone_numbers.international(booking.phone)) if booking.phone else "",
        notes=_ROW.format(name="Notes", value=booking.notes) if booking.notes else "",
        where=location_row(booking, by_host=by_host),
        answers=answer_rows(booking),
        price=price_row(booking),
    )


def location_row(booking: BookingView, *, by_host: bool) -> Markup:
    """Where a booking takes place, as a row of its details; empty if no location is known."""
    if booking.location is None:
        return Markup("")
    return _ROW.format(name="Where", value=location_text(booking.location, booking.status, by_host=by_host))


def location_text(location: Location, status: Status, *, by_host: bool) -> Markup:
    """A location for the customer or a host of a booking with this status."""
    if location.is_link:
        return _LINK.format(location.text, location.text)
    lines = location.lines(for_host=by_host)
    if location.kind is LocationKind.VIDEO:
        lines.append(_LINK_LATER if status is Status.PENDING else _NO_LINK if status is Status.CONFIRMED else "")
    return Markup.escape("\n".join(filter(None, lines)))


def answer_rows(booking: BookingView) -> Markup:
    """The questions of a booking with their answers, as rows of its details."""
    hidden = _SIGN_IN.format(f"/sign-in?next=/booking/{booking.id}")
    return Markup("").join(
        _ROW.format(name=answer.question, value=hidden if answer.value is None else answer.text)
        for answer in booking.answers
    )


def price_row(booking: BookingView) -> Markup:
    """The price of a booking and how to pay it, as a row of its details; empty if nothing is stated."""
    note = booking.payment_note
    if booking.price is None:
        return _ROW.format(name="Payment", value=note) if note else Markup("")
    price = formatting.price(booking.price)
    return _ROW.format(name="Price", value=_PRICE.format(price=price, note=note) if note else price)


def _facts(booking: BookingView, zone: ZoneInfo) -> dict[str, object]:
    return {
        "id": booking.id,
        "status": booking.status.value,
        "badge": badge(booking),
        "slug": booking.expert_slug,
        "expert": booking.expert_name,
        "session": booking.session_title,
        "day": formatting.long_day(booking.starts_at, zone),
        "time": formatting.time_span(booking.starts_at, booking.ends_at, zone),
        "zone": formatting.zone_at(zone, booking.starts_at),
    }
