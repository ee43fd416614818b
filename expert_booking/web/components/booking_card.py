"""A booking as its customer sees it: a card in a list, and the whole of it."""

from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from markupsafe import Markup

from expert_booking.domain import formatting
from expert_booking.domain.lifecycle import LIVE, Status
from expert_booking.schemas import BookingView

_BADGE: Final = Markup('<span class="badge {status}">{words}</span>')
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
_THEIRS: Final = Markup("<dt>At the expert's</dt><dd>{time}<small>{day} · {zone}</small></dd>")
_WHOLE: Final = Markup(
    """<section data-booking="{id}" data-status="{status}"><div class="booking-head">
<div class="done-mark{off}" aria-hidden="true">
<svg width="30" height="30" viewBox="0 0 30 30" fill="none" stroke="currentColor"
 stroke-width="3.500" stroke-linecap="round" stroke-linejoin="round"><path d="{mark}"/></svg></div>
<div><h1>{title}</h1><p>{text}</p></div></div>
<div class="panel"><dl class="details">
<dt>Status</dt><dd>{badge}</dd>
<dt>Expert</dt><dd><a href="/expert/{slug}">{expert}</a></dd>
<dt>Session</dt><dd>{session}</dd>
<dt>Your time</dt><dd><b class="time">{day}, <span class="nowrap">{time}</span></b>
{zone}</dd>{theirs}
<dt>Name</dt><dd>{name}</dd><dt>E-mail</dt><dd>{email}</dd>{phone}{notes}
</dl></div></section>"""
)
_THERE: Final = Markup('{day}, <span class="nowrap">{time}</span>\n{zone}')
_ROW: Final = Markup("<dt>{name}</dt><dd>{value}</dd>")
_TICK = "m7 15.500 5.500 5.500L23.500 9.500"
_CROSS = "M9 9l12 12M21 9 9 21"
# What a booking of each status says about itself: a title, and what comes next.
_SAYS: Final = {
    Status.PENDING: (
        "Your time is booked",
        "It is kept for you until the expert has answered; this page follows by itself.",
    ),
    Status.CONFIRMED: ("Your booking is confirmed", "The expert expects you."),
    Status.COMPLETED: ("This session is over", "Thank you for coming."),
    Status.CANCELLED: ("This booking is cancelled", "Its time is free again."),
    Status.DECLINED: ("The expert could not take this booking", "It is not kept for you any more."),
    Status.EXPIRED: ("This booking has expired", "It was not confirmed in time and is not kept for you any more."),
    Status.NO_SHOW: ("This session was missed", "You were expected, but you did not meet."),
    Status.HELD: ("This time is being kept for you", "It is not booked yet."),
}  # fmt: skip

# The same for who gives the session.
_SAYS_TO_HOST: Final = {
    Status.PENDING: ("A request for your time", "It is kept until you have answered."),
    Status.CONFIRMED: ("This booking is confirmed", "The customer expects you."),
    Status.COMPLETED: ("This session is over", "It is noted as completed."),
    Status.CANCELLED: ("This booking is cancelled", "Its time is free again."),
    Status.DECLINED: ("This request is declined", "Its time is free again."),
    Status.EXPIRED: ("This request has expired", "It was not answered in time."),
    Status.NO_SHOW: ("This session was missed", "The customer was expected, but you did not meet."),
    Status.HELD: ("This time is being kept for somebody", "It is not booked yet."),
}
_ANSWER: Final = "The expert answers"
_TURNS: Final = {
    Status.HELD: "This time is being kept for you.",
    Status.PENDING: "Your booking waits for the expert's answer.",
    Status.CONFIRMED: "The expert has confirmed your booking.",
    Status.COMPLETED: "This session is over.",
    Status.CANCELLED: "Your booking has been cancelled.",
    Status.DECLINED: "The expert has declined your booking.",
    Status.EXPIRED: "Your booking has expired without an answer.",
    Status.NO_SHOW: "The expert has noted that you did not meet.",
}


def badge(status: Status) -> Markup:
    """The status in a word, a colour and a shape."""
    return _BADGE.format(status=status.value, words=formatting.STATUS[status])


def booking_card(booking: BookingView, zone: ZoneInfo, *, past: bool, mail: str = "") -> Markup:
    """One line of a list; `mail` is what has become of the mail about it."""
    return _CARD.format(past=" past" if past else "", mail=mail, **_facts(booking, zone))


def host_card(booking: BookingView, zone: ZoneInfo) -> Markup:
    """The same for who gives the session: with whom it is."""
    return _HOST_CARD.format(customer=booking.name, **_facts(booking, zone))


def when(starts_at: datetime, ends_at: datetime, zone: ZoneInfo, expert_zone: ZoneInfo) -> Markup:
    """Date and time in the visitor's zone, and in the expert's where that is another one."""
    theirs = _THEIRS.format(
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


def change(before: BookingView, after: BookingView, zone: ZoneInfo, *, by_host: bool = False) -> str:
    """What has happened to a booking in between, in a sentence; empty where it is nothing to speak of."""
    said = []
    if after.starts_at != before.starts_at:
        said.append(rescheduled_to(after.starts_at, zone, by_host=by_host))
    if after.status is not before.status:
        said.append(f"{_SAYS_TO_HOST[after.status][0]}." if by_host else _TURNS[after.status])
    return " ".join(said)


def rescheduled_to(starts_at: datetime, zone: ZoneInfo, *, by_host: bool = False) -> str:
    """That a booking has been moved, and where it is now."""
    return f"{'This' if by_host else 'Your'} booking has been moved to {formatting.moment(starts_at, zone)}."


def whole_booking(booking: BookingView, zone: ZoneInfo, expert_zone: ZoneInfo, *, by_host: bool = False) -> Markup:
    """Everything about one booking, for its customer or a host."""
    title, text = (_SAYS_TO_HOST if by_host else _SAYS)[booking.status]
    answer = booking.leeway().answer(lambda instant: formatting.moment(instant, zone))
    if by_host:
        answer = answer.replace(_ANSWER, "Please answer")
    stands = booking.status in LIVE - {Status.NO_SHOW}
    there = _THERE.format(
        day=formatting.long_day(booking.starts_at, expert_zone),
        time=formatting.time_span(booking.starts_at, booking.ends_at, expert_zone),
        zone=formatting.zone_at(expert_zone, booking.starts_at),
    )
    return _WHOLE.format(
        **_facts(booking, zone),
        off="" if stands else " off",
        mark=_TICK if stands else _CROSS,
        title=title,
        text=f"{text} {answer}" if answer else text,
        theirs=_ROW.format(name="Expert's time", value=there) if expert_zone.key != zone.key else "",
        name=booking.name,
        email=booking.email,
        phone=_ROW.format(name="Phone", value=booking.phone) if booking.phone else "",
        notes=_ROW.format(name="Notes", value=booking.notes) if booking.notes else "",
    )


def _facts(booking: BookingView, zone: ZoneInfo) -> dict[str, object]:
    return {
        "id": booking.id,
        "status": booking.status.value,
        "badge": badge(booking.status),
        "slug": booking.expert_slug,
        "expert": booking.expert_name,
        "session": booking.session_title,
        "day": formatting.long_day(booking.starts_at, zone),
        "time": formatting.time_span(booking.starts_at, booking.ends_at, zone),
        "zone": formatting.zone_at(zone, booking.starts_at),
    }
