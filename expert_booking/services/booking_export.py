"""Bookings as CSV."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from expert_booking.domain import csv_text
from expert_booking.schemas import BookingView, utc_text

FILE_NAME: Final = "bookings.csv"
# Instants are UTC; `date`, `start` and `end` are what the expert's clock shows.
COLUMNS: Final = (
    "id", "status", "date", "start", "end", "expertTimeZone", "startsAt", "endsAt", "expertName", "sessionTitle",
    "name", "email", "phone", "notes", "timeZone", "createdAt", "updatedAt",
)  # fmt: skip


async def csv_lines(batches: AsyncIterator[Sequence[BookingView]]) -> AsyncIterator[str]:
    """Yield the file in parts, with a byte order mark and the names of the columns in the first."""
    head = csv_text.BYTE_ORDER_MARK + csv_text.lines([COLUMNS])
    async for bookings in batches:
        yield head + csv_text.lines(map(_cells, bookings))
        head = ""


def _cells(booking: BookingView) -> Sequence[str | None]:
    zone = ZoneInfo(booking.expert_time_zone)
    starts_at, ends_at = (at.astimezone(zone) for at in (booking.starts_at, booking.ends_at))
    return (
        str(booking.id), booking.status.value, f"{starts_at:%Y-%m-%d}", f"{starts_at:%H:%M}", f"{ends_at:%H:%M}",
        zone.key, utc_text(booking.starts_at), utc_text(booking.ends_at), booking.expert_name, booking.session_title,
        booking.name, booking.email, booking.phone, booking.notes, booking.time_zone,
        _seconds(booking.created_at), _seconds(booking.updated_at),
    )  # fmt: skip


def _seconds(instant: datetime) -> str:
    return utc_text(instant.replace(microsecond=0))
