"""A note on why a time cannot be booked, with the nearest times that can."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import quote
from uuid import UUID
from zoneinfo import ZoneInfo

from markupsafe import Markup

from expert_booking.domain import formatting
from expert_booking.domain.errors import Refusal, SlotNotOffered, SlotTaken, TooManyBookings, TooManyInAnHour
from expert_booking.domain.unavailability import Reason

_NOTICE: Final = Markup(
    """<div class="note warn" role="alert" data-refusal="{code}"{reason}><strong>{title}</strong>{text}{alternatives}
</div>"""
)
_REASON: Final = Markup(' data-reason="{}"')
_ALTERNATIVE: Final = Markup(
    '<a href="/book/{slug}?at={at}{session}" data-alternative="{at}">{time}<small>{day}</small></a>'
)
_INPUT_KEPT: Final = Markup("Nothing you typed is lost. ")
_MAY_BE_FREE: Final = Markup("It may be free again in a few minutes; this page will tell you. ")
_OTHER_SESSIONS: Final = Markup('<a href="/expert/{slug}">See what else {name} offers.</a>')
_ALREADY_YOURS: Final = Markup(
    """<div class="note" role="alert" data-refusal="yours"><strong>You have already booked this time.</strong>
<a href="/booking/{id}">View your booking</a></div>"""
)
_SIGN_IN_FIRST: Final = Markup(
    'You can also <a href="/sign-in?next={next}">sign in</a> with this email address and book now.'
)
_CANCEL_FIRST: Final = Markup('To book this one, cancel one of them first. <a href="/my-bookings">My bookings</a>')
_INTERNAL_ERROR: Final = Markup(
    """<div class="note bad" role="alert"><strong>Something went wrong on our side.</strong>Please try again in a
moment. Nothing you typed is lost, and you won't book twice.{reference}</div>"""
)


def refusal_note(refusal: Refusal, before: str, text: Markup, alternatives: Markup) -> Markup:
    """Show the refusal. `before` is a sentence in front of its title, `text` follows it."""
    reason = reason_of(refusal)
    return _NOTICE.format(
        code=refusal.code,
        reason=_REASON.format(reason) if reason else "",
        title=before + str(refusal),
        text=text,
        alternatives=alternatives,
    )


def limit_note(limit: Refusal, zone: ZoneInfo, *, own_path: str, mails: bool) -> Markup:
    """Say which limit a booking exceeded, and when or how the visitor can book.

    `own_path` is the path of the page, to which signing in returns. `mails`: the site sends emails, so visitors can
    sign in.
    """
    if not isinstance(limit, TooManyBookings):
        return refusal_note(limit, "", _INPUT_KEPT + _CANCEL_FIRST, Markup(""))
    sign_in = _SIGN_IN_FIRST.format(next=quote(own_path, safe="")) if mails else Markup("")
    return refusal_note(limit, "", Markup("{} ").format(_wait(limit, zone)) + _INPUT_KEPT + sign_in, Markup(""))


def refusal_text(refusal: Refusal, zone: ZoneInfo) -> str:
    """Return the refusal as text, with the time from which the visitor can try again if it is a limit per hour."""
    return f"{refusal} {_wait(refusal, zone)}" if isinstance(refusal, TooManyInAnHour) else str(refusal)


def reason_of(refusal: Refusal | None) -> Reason | None:
    """Return why the calendar refuses; None if something else refuses."""
    return refusal.blocker.reason if isinstance(refusal, SlotTaken | SlotNotOffered) else None


def what_now(reason: Reason | None, zone: str | None, *, slug: str, name: str) -> Markup:
    """Say what the visitor can do. `zone` names the zone of the free times that follow; None if there are none."""
    # These reasons can come up while the visitor types; the others exist from the start.
    text = _INPUT_KEPT if reason in (Reason.BUSY, Reason.HELD, Reason.DAY_FULL, Reason.INACTIVE) else Markup("")
    text += _MAY_BE_FREE if reason is Reason.HELD else Markup("")
    if zone is not None:
        return text + Markup("The nearest free times, in {}:").format(zone)
    if reason in (Reason.INACTIVE, None):
        return text + _OTHER_SESSIONS.format(slug=slug, name=name)
    return text + "No other time is free at the moment."


def alternatives(free: Sequence[datetime], zone: ZoneInfo, *, slug: str, session: str) -> Markup:
    """Link to the forms of other times (UTC). `session` is the URL parameter of the session type, or empty."""
    links = (_link(start, zone, slug, session) for start in free)
    return Markup('<div class="alternatives">{}</div>').format(Markup("").join(links)) if free else Markup("")


def input_kept() -> Markup:
    """Say that the input is not lost."""
    return _INPUT_KEPT


def already_yours(booking_id: UUID) -> Markup:
    """Say that this visitor has booked the time, and link to the booking."""
    return _ALREADY_YOURS.format(id=booking_id)


def internal_error(reference: str) -> Markup:
    """Say that the server failed. `reference` follows the text."""
    return _INTERNAL_ERROR.format(reference=reference)


def _wait(refusal: TooManyInAnHour, zone: ZoneInfo) -> str:
    # Clocks show whole minutes, so name the first one that is not too early.
    at = refusal.again_at + timedelta(seconds=59, microseconds=999_999)
    return f"You can try again at {formatting.clock_time(at, zone)}, {formatting.zone_at(zone, at)}."


def _link(start: datetime, zone: ZoneInfo, slug: str, session: str) -> Markup:
    return _ALTERNATIVE.format(
        slug=slug,
        at=formatting.iso(start),
        session=session,
        time=formatting.clock_time(start, zone),
        day=formatting.short_day(start, zone),
    )
