"""Why a time cannot be booked, and which ones nearby can."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from markupsafe import Markup

from expert_booking.domain import formatting
from expert_booking.domain.errors import Refusal, SlotNotOffered, SlotTaken
from expert_booking.domain.unavailability import Reason
from expert_booking.web.error_pages import found_by

_NOTICE: Final = Markup(
    """<div class="note warn" role="alert" data-refusal="{code}"{reason}><strong>{title}</strong>{text}{alternatives}
</div>"""
)
_REASON: Final = Markup(' data-reason="{}"')
_ALTERNATIVE: Final = Markup(
    '<a href="/book/{slug}?at={at}{session}" data-alternative="{at}">{time}<small>{day}</small></a>'
)
_KEPT: Final = Markup("Nothing you typed is lost. ")
_MAY_BE_FREE: Final = Markup("It may be free again in a few minutes, and then you see it here. ")
_OTHER_SESSIONS: Final = Markup('<a href="/expert/{slug}">See what else {name} offers.</a>')
_YOURS: Final = Markup(
    """<div class="note" role="alert" data-refusal="yours"><strong>You have booked this time.</strong>
<a href="/booking/{id}">Here is your booking.</a></div>"""
)
_OUR_MISTAKE: Final = Markup(
    """<div class="note bad" role="alert"><strong>That did not work.</strong>It is our mistake, not yours. Please try
again in a moment; nothing you typed is lost, and it will not be booked twice.{found_by}</div>"""
)


def refusal_note(refusal: Refusal, before: str, text: Markup, alternatives: Markup) -> Markup:
    """What stands in the way; `before` is what happened before that."""
    reason = reason_of(refusal)
    return _NOTICE.format(
        code=refusal.code,
        reason=_REASON.format(reason) if reason else "",
        title=before + str(refusal),
        text=text,
        alternatives=alternatives,
    )


def reason_of(refusal: Refusal | None) -> Reason | None:
    """What stands in the way, if it is the calendar that refuses."""
    return refusal.blocker.reason if isinstance(refusal, SlotTaken | SlotNotOffered) else None


def what_now(reason: Reason | None, zone: str | None, *, slug: str, name: str) -> Markup:
    """What can be done; `zone` names the one of the free times that follow, None where there are none."""
    # These come up while somebody types; the others are there before the first letter.
    said = _KEPT if reason in (Reason.BUSY, Reason.HELD, Reason.DAY_FULL, Reason.INACTIVE) else Markup("")
    said += _MAY_BE_FREE if reason is Reason.HELD else Markup("")
    if zone is not None:
        return said + Markup("The nearest free times, in {}:").format(zone)
    if reason in (Reason.INACTIVE, None):
        return said + _OTHER_SESSIONS.format(slug=slug, name=name)
    return said + "At the moment no other time is free."


def alternatives(free: Sequence[datetime], zone: ZoneInfo, *, slug: str, session: str) -> Markup:
    """Links to the forms of other times (UTC); `session` is the part of their address that names the session type."""
    links = (_link(start, zone, slug, session) for start in free)
    return Markup('<div class="alternatives">{}</div>').format(Markup("").join(links)) if free else Markup("")


def kept() -> Markup:
    """For those who have typed something."""
    return _KEPT


def yours(booking_id: UUID) -> Markup:
    """The time is taken, but by this very visitor."""
    return _YOURS.format(id=booking_id)


def our_mistake() -> Markup:
    """Something went wrong that nobody thought of."""
    return _OUR_MISTAKE.format(found_by=found_by())


def _link(start: datetime, zone: ZoneInfo, slug: str, session: str) -> Markup:
    return _ALTERNATIVE.format(
        slug=slug,
        at=formatting.iso(start),
        session=session,
        time=formatting.clock_time(start, zone),
        day=formatting.short_day(start, zone),
    )
