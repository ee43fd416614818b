"""Bookings and statistics as CSV."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from expert_booking.domain import csv_text
from expert_booking.domain.locations import LABELS
from expert_booking.schemas import BookingFigures, BookingView, Statistics, utc_text

BOOKINGS_FILE: Final = "bookings.csv"
STATISTICS_FILE: Final = "statistics.csv"
# Instants are UTC; `date`, `start` and `end` are what the expert's clock shows.
BOOKING_COLUMNS: Final = (
    "id", "status", "date", "start", "end", "expertTimeZone", "startsAt", "endsAt", "expertName", "sessionTitle",
    "name", "email", "phone", "notes", "timeZone", "location", "price", "currency", "answers", "createdAt",
    "updatedAt",
)  # fmt: skip

_FIGURES: Final = (
    "bookings", "cancelled", "declined", "noShows", "bookedMinutes", "offeredMinutes", "utilisation", "leadMinutes",
)  # fmt: skip
STATISTICS_COLUMNS: Final = ("group", "label", *_FIGURES)
_WEEKDAYS: Final = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


async def bookings_csv(batches: AsyncIterator[Sequence[BookingView]]) -> AsyncIterator[str]:
    """Yield the file in parts, with a byte order mark and the names of the columns in the first."""
    head = csv_text.BYTE_ORDER_MARK + csv_text.lines([BOOKING_COLUMNS])
    async for bookings in batches:
        yield head + csv_text.lines(map(_cells, bookings))
        head = ""


def statistics_csv(statistics: Statistics) -> str:
    """The file: a line for the total, for each week, each session type, and each hour of the week with bookings."""
    hours = (
        ("hour", f"{weekday} {hour:02}:00", bookings)
        for weekday, row in zip(_WEEKDAYS, statistics.hours, strict=True)
        for hour, bookings in enumerate(row)
        if bookings
    )
    rows = [
        STATISTICS_COLUMNS,
        _figures("total", f"{statistics.since} to {statistics.until}", statistics.total),
        *(_figures("week", str(week.week), week) for week in statistics.weeks),
        *(_figures("session type", one.title, one) for one in statistics.session_types),
        *((*hour, *[None] * (len(_FIGURES) - 1)) for hour in hours),
    ]
    return csv_text.BYTE_ORDER_MARK + csv_text.lines(rows)


def _figures(group: str, label: str, figures: BookingFigures) -> Sequence[object]:
    values = figures.model_dump(by_alias=True)
    return (group, label, *(values.get(name) for name in _FIGURES))


def _cells(booking: BookingView) -> Sequence[str | None]:
    zone, place, price = ZoneInfo(booking.expert_time_zone), booking.location, booking.price
    starts_at, ends_at = (at.astimezone(zone) for at in (booking.starts_at, booking.ends_at))
    return (
        str(booking.id), booking.status.value, f"{starts_at:%Y-%m-%d}", f"{starts_at:%H:%M}", f"{ends_at:%H:%M}",
        zone.key, utc_text(booking.starts_at), utc_text(booking.ends_at), booking.expert_name, booking.session_title,
        booking.name, booking.email, booking.phone, booking.notes, booking.time_zone,
        f"{LABELS[place.kind]}: {place.text}".removesuffix(": ") if place else None,
        str(price.value) if price else None, price.currency if price else None,
        "\n".join(f"{answer.question} {answer.text}" for answer in booking.answers if not answer.sensitive),
        _seconds(booking.created_at), _seconds(booking.updated_at),
    )  # fmt: skip


def _seconds(instant: datetime) -> str:
    return utc_text(instant.replace(microsecond=0))
