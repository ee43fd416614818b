"""What the list of bookings for hosts says: rows, columns, questions and messages."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, get_args
from uuid import UUID
from zoneinfo import ZoneInfo

from markupsafe import Markup

from expert_booking.domain import formatting
from expert_booking.domain.lifecycle import Actor, Status, open_transitions
from expert_booking.schemas import ACTIONS as ACTION_STATUSES
from expert_booking.schemas import ActionName, ActionResults, BookingPage, BookingSort, BookingStatus, BookingView

# The statuses to filter by.
STATUSES: Final[Sequence[Status]] = get_args(BookingStatus)
# The actions with their buttons, for the table.
ACTIONS: Final = (
    {"name": "confirm", "label": "Confirm"},
    {"name": "complete", "label": "Completed"},
    {"name": "no_show", "label": "No-show", "quiet": True},
    {"name": "decline", "label": "Decline", "quiet": True},
    {"name": "cancel", "label": "Cancel", "quiet": True},
)
_NAMES: Final = {status: name for name, status in ACTION_STATUSES.items()}
_EMAILED: Final = "The customers get an email with the reason."
_REFUSED: Final = Markup(
    '<div class="note bad" role="alert"><strong>{number} not changed</strong><ul>{lines}</ul></div>'
)
_LINE: Final = Markup('<li><a href="/booking/{id}">{name}</a>: {why}</li>')


@dataclass(frozen=True)
class Question:
    """What is asked before an action. `title` is its button."""

    title: str
    verb: str
    done: str
    hint: str = ""

    def question(self, count: int) -> str:
        """The question about this number of bookings."""
        return self.verb.format("this booking" if count == 1 else f"these {count} bookings")


QUESTIONS: Final[Mapping[ActionName, Question]] = {
    "confirm": Question("Confirm", "Confirm {}?", "confirmed", _EMAILED),
    "complete": Question("Mark as completed", "Mark {} as completed?", "completed"),
    "no_show": Question("Mark as no-show", "Mark {} as no-show?", "marked as no-show"),
    "decline": Question("Decline", "Decline {}?", "declined", f"{_EMAILED} This cannot be undone."),
    "cancel": Question("Cancel bookings", "Cancel {}?", "cancelled", f"{_EMAILED} This cannot be undone."),
}


def row(booking: BookingView, zone: ZoneInfo, now: datetime, *, is_new: bool) -> dict[str, Any]:
    """One row, with times in `zone`."""
    may = open_transitions(
        booking.status, Actor.EXPERT, ends_at=booking.ends_at, now=now, unverified=booking.awaits_verification
    )
    return {
        "id": str(booking.id),
        "url": f"/booking/{booking.id}",
        "status": booking.status.value,
        "statusText": formatting.STATUS[booking.status],
        "day": _day(booking.starts_at, zone, now),
        "time": formatting.time_span(booking.starts_at, booking.ends_at, zone),
        "name": booking.customer_name,
        "contact": booking.email or booking.phone or "",
        "session": booking.session_title,
        "created": formatting.near_time(booking.created_at, zone, now),
        "isNew": is_new,
        "may": [_NAMES[status] for status in may if status in _NAMES],
    }


def columns(sort: BookingSort, url: Callable[[str], str]) -> list[dict[str, Any]]:
    """The columns. Those to sort by have the address of the other order."""
    orders = {"start": ("start", "-start"), "created": ("created", "-created")}
    shown: list[dict[str, Any]] = []
    for name, title in (("start", "When"), ("customer", "Customer"), ("session", "Session"), ("status", "Status"),
                        ("created", "Booked")):  # fmt: skip
        column: dict[str, Any] = {"name": name, "title": title}
        if name in orders:
            ascending, descending = orders[name]
            other = ascending if sort == descending else descending
            column |= {"url": url(other), "go": {"sort": other}}
            if sort in orders[name]:
                column["order"] = "descending" if sort.descending else "ascending"
        shown.append(column)
    return shown


def summary(found: BookingPage, zone: ZoneInfo) -> str:
    """How many there are, and the zone of the times."""
    number = f"{found.total:,}" + ("+" if found.total_is_capped else "")
    return f"{number} {'booking' if found.total == 1 else 'bookings'} · times in {formatting.zone_name(zone)}"


def empty(*, clear_url: str, public_url: str) -> dict[str, str]:
    """What stands in place of an empty table. `clear_url` is empty if there are no filters to clear."""
    if clear_url:
        return {"title": "No bookings match", "text": "Try other words or dates, or fewer filters.",
                "link": "Clear filters", "url": clear_url}  # fmt: skip
    return {"title": "No bookings yet", "text": "Bookings appear here as soon as they are made.",
            "link": "See your public page", "url": public_url}  # fmt: skip


def done_text(action: ActionName, count: int) -> str:
    """`3 bookings confirmed`."""
    return f"{count} {'booking' if count == 1 else 'bookings'} {QUESTIONS[action].done}"


def name_of(booking: BookingView, zone: ZoneInfo, now: datetime) -> str:
    """The customer and the time."""
    return f"{booking.customer_name}, {formatting.near_time(booking.starts_at, zone, now)}"


def refusals(done: ActionResults, names: Mapping[UUID, str]) -> Markup:
    """The bookings that were not changed, and why."""
    refused = [(result, result.error) for result in done.results if result.error is not None]
    lines = Markup("").join(
        _LINE.format(id=one.id, name=names.get(one.id, "A booking"), why=error.detail) for one, error in refused
    )
    return _REFUSED.format(number=len(refused), lines=lines)


def _day(instant: datetime, zone: ZoneInfo, now: datetime) -> str:
    """`Tue 24 Nov`, with the year if it is another one."""
    day, year = formatting.short_day(instant, zone), instant.astimezone(zone).year
    return day if year == now.astimezone(zone).year else f"{day} {year}"
