"""The parts of the console's first page that are plain HTML: figures, agenda, what needs attention, and bookings."""

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

from markupsafe import Markup

from expert_booking.domain import formatting, phone_numbers
from expert_booking.domain.lifecycle import Status
from expert_booking.domain.locations import Location
from expert_booking.schemas import BookingView, ClosedDays, ThisWeek, TodayView, UnsentEmail
from expert_booking.web.components.booking_card import badge

# Returns the URL of a console page by its name.
Url = Callable[[str], str]

_FIGURE: Final = Markup("<div><dt>{label}</dt><dd>{value}</dd></div>")
_DAY: Final = Markup("<section><h3>{title} <small>{day}</small></h3>{sessions}</section>")
_SESSION: Final = Markup(
    """<li data-booking="{id}" data-status="{status}"{mark}><b class="nowrap">{time}</b>
<div><p><a href="/booking/{id}">{customer}</a>{chip}</p>
<p class="small soft">{session}{phone}{where}</p>{notes}</div></li>"""
)
_NO_SESSIONS: Final = Markup('<p class="soft">No sessions.</p>')
_CARD: Final = Markup(
    """<h3><a href="/booking/{id}">{when}</a></h3>
<p>{customer} <span class="soft">· {session}{phone}{where}</span></p>{notes}{deadline}"""
)
_PHONE: Final = Markup(' · <a class="nowrap" href="tel:{number}">{text}</a>')
_VIDEO: Final = Markup('<a href="{}" target="_blank" rel="noopener noreferrer">Video call</a>')
_NOTES: Final = Markup('<p class="today-notes">{}</p>')
_CHIP: Final = Markup(' <span class="chip">{}</span>')
_DEADLINE: Final = Markup(
    '<p class="small today-deadline">Answer by: {by} <b role="timer" data-until="{until}">{left}</b></p>'
)
_AROUND: Final = Markup("<h4>{day}</h4><ol>{rows}</ol>")
_AROUND_ROW: Final = Markup('<li{mark}><b class="nowrap">{time}</b> <span>{what}</span> {badge}</li>')
_ATTENTION: Final = Markup('<h2>Needs attention</h2><ul class="today-attention">{}</ul>')
_ITEM: Final = Markup('<li class="note warn"><p>{text}</p><p>{links}</p></li>')
_LINK: Final = Markup('<a href="{}">{}</a>')
_HERE: Final = Markup(' class="here"')
# Bookings that one item of attention links to.
_MAX_LINKS: Final = 3


def figures(week: ThisWeek) -> Markup:
    """Return the four figures of the week."""
    shown = (
        ("Sessions this week", str(week.sessions)),
        ("Hours booked", f"{week.hours:.1f}".removesuffix(".0")),
        ("Requests waiting", str(week.requests)),
        ("Cancelled or missed", str(week.missed)),
    )
    return Markup("").join(_FIGURE.format(label=label, value=value) for label, value in shown)


def agenda(view: TodayView, now: datetime) -> Markup:
    """Return the sessions of today and tomorrow, in the expert's zone. `now` is UTC."""
    zone = ZoneInfo(view.time_zone)
    days = (("Today", 0, view.sessions_today), ("Tomorrow", 1, view.sessions_tomorrow))
    return Markup("").join(
        _DAY.format(
            title=title,
            day=_day(date.fromordinal(view.today.toordinal() + offset)),
            sessions=Markup("<ol>{}</ol>").format(Markup("").join(_session(one, zone, now) for one in sessions))
            if sessions
            else _NO_SESSIONS,
        )
        for title, offset, sessions in days
    )


def card(booking: BookingView, zone: ZoneInfo, now: datetime) -> Markup:
    """Return a request with its deadline, or a session that has ended. `now` is UTC."""
    start = formatting.near_time(booking.starts_at, zone, now)
    end = formatting.time_span(booking.starts_at, booking.ends_at, zone).partition("–")[2]
    by = booking.answer_by or booking.starts_at
    deadline = _DEADLINE.format(
        by=formatting.near_time(by, zone, now), until=formatting.iso(by), left=formatting.time_left(by - now)
    )
    return _CARD.format(
        when=f"{start}–{end}",
        deadline=deadline if booking.status is Status.PENDING else "",
        **_facts(booking),
    )


def day_around(day: date, bookings: Sequence[BookingView], own: BookingView, zone: ZoneInfo) -> Markup:
    """Return the bookings of one date, with the expert's own request marked."""
    rows = (
        _AROUND_ROW.format(
            mark=_HERE if one.id == own.id else "",
            time=formatting.time_span(one.starts_at, one.ends_at, zone),
            what="This request" if one.id == own.id else f"{one.customer_name} · {one.session_title}",
            badge="" if one.id == own.id else badge(one),
        )
        for one in bookings
    )
    return _AROUND.format(day=_day(day), rows=Markup("").join(rows))


def attention(view: TodayView, url: Url) -> Markup:
    """Return what needs attention, each with links to where it is mended; empty if nothing does."""
    zone = ZoneInfo(view.time_zone)
    items = Markup("").join(
        _ITEM.format(text=text, links=Markup(" · ").join(_LINK.format(*link) for link in links))
        for text, links in _items(view, zone, url)
    )
    return _ATTENTION.format(items) if items else Markup("")


Item = tuple[str, list[tuple[str, str]]]


def _items(view: TodayView, zone: ZoneInfo, url: Url) -> Iterator[Item]:
    if view.set_up.is_bookable and not view.set_up.profile:
        yield "Your profile has no headline or no description.", [(url("profile"), "Complete your profile")]
    to_me = [email for email in view.unsent_emails if email.to_expert]
    if to_me:
        about = "a booking" if len(to_me) == 1 else f"{len(to_me)} bookings"
        yield f"We could not deliver emails to you about {about}.", [(url("profile"), "Check your email address")]
    to_customers = [email for email in view.unsent_emails if not email.to_expert]
    if to_customers:
        yield (
            _unsent(to_customers),
            [
                (f"/booking/{email.booking_id}", f"{_name(email)}, {formatting.short_day(email.starts_at, zone)}")
                for email in to_customers[:_MAX_LINKS]
            ],
        )
    for closed in view.closed_days:
        bookings = [(f"/booking/{one.id}", one.customer_name) for one in closed.bookings[:_MAX_LINKS]]
        yield _closed(closed), [(url("availability"), "Change your availability"), *bookings]


def _closed(closed: ClosedDays) -> str:
    number = len(closed.bookings)
    bookings = "1 booking is" if number == 1 else f"{number} bookings are"
    days = _day(closed.first_day)
    if closed.holiday:
        return f"{bookings} on a public holiday: {closed.holiday}, {days}."
    if closed.last_day != closed.first_day:
        days += f" to {_day(closed.last_day)}"
    return f"{bookings} on your days off: {days}{f' ({closed.reason})' if closed.reason else ''}."


def _unsent(emails: Sequence[UnsentEmail]) -> str:
    if len(emails) == 1:
        return "We could not deliver the email to a customer. Please call:"
    return f"We could not deliver the emails to {len(emails)} customers. Please call:"


def _name(email: UnsentEmail) -> str:
    return email.customer_name or formatting.DELETED_CUSTOMER


def _session(booking: BookingView, zone: ZoneInfo, now: datetime) -> Markup:
    is_on = booking.starts_at <= now < booking.ends_at and booking.status is Status.CONFIRMED
    is_marked = booking.status is not Status.CONFIRMED
    return _SESSION.format(
        time=formatting.time_span(booking.starts_at, booking.ends_at, zone),
        mark=_HERE if is_on else "",
        chip=_CHIP.format("Now") if is_on else " " + badge(booking) if is_marked else "",
        **_facts(booking),
    )


def _facts(booking: BookingView) -> dict[str, object]:
    number = booking.phone
    return {
        "id": booking.id,
        "status": booking.status.value,
        "customer": booking.customer_name,
        "session": booking.session_title,
        "phone": _PHONE.format(number=number, text=phone_numbers.international(number)) if number else "",
        "where": _where(booking.location) if booking.location else "",
        "notes": _NOTES.format(booking.notes) if booking.notes else "",
    }


def _where(location: Location) -> Markup:
    text = _VIDEO.format(location.text) if location.is_link else ", ".join(location.lines(for_host=True))
    return Markup(" · {}").format(text)


def _day(day: date) -> str:
    return f"{day:%a} {day.day} {day:%b}"
