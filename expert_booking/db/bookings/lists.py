"""Statements that read the lists of hosts: filtered, and page by page along an index."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, literal, select, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection

from expert_booking.db.bookings.reads import IS_BOOKING, VIEW
from expert_booking.db.engine import AnyRow
from expert_booking.db.tables import booking, expert
from expert_booking.schemas import BookingSort, Place

MAX_COUNTED: Final = 10_000
_b = booking.c
_SORT_COLUMNS: Final = {
    BookingSort.EARLIEST_START: _b.starts_at,
    BookingSort.LATEST_START: _b.starts_at,
    BookingSort.FIRST_CREATED: _b.created_at,
    BookingSort.LAST_CREATED: _b.created_at,
}
# A text that hosts search for with only these characters is a phone number.
_PHONE: Final = re.compile(r"[\d\s+()/.-]*\d[\d\s+()/.-]*")
# Written as the index `ix_booking_search` is.
_SEARCH_TEXT: Final = func.booking_search_text(_b.name, _b.email, _b.phone)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which bookings to list, and in which order. `since` and `until` (UTC, half-open) limit their starts.

    `verified_only`: leave out those whose customer never confirmed the email address, although that was needed.
    """

    sort: BookingSort = BookingSort.LATEST_START
    verified_only: bool = False
    customer_key: str | None = None
    expert_id: UUID | None = None
    search: str = ""
    session_type_id: UUID | None = None
    statuses: Sequence[str] = ()
    since: datetime | None = None
    until: datetime | None = None

    def conditions(self) -> list[ColumnElement[bool]]:
        """The conditions of the statements."""
        return [
            *([_b.verify_by.is_(None)] if self.verified_only else ()),
            *([_b.customer_key == self.customer_key] if self.customer_key is not None else ()),
            *([_b.expert_id == self.expert_id] if self.expert_id else ()),
            *([_matches(self.search)] if self.search else ()),
            *([_b.session_type_id == self.session_type_id] if self.session_type_id else ()),
            *([_b.status.in_(self.statuses)] if self.statuses else ()),
            *([_b.starts_at >= self.since] if self.since else ()),
            *([_b.starts_at < self.until] if self.until else ()),
        ]

    def place_of(self, row: AnyRow) -> Place:
        """The position of a row in the order."""
        return [getattr(row, _SORT_COLUMNS[self.sort].name), row.id]


async def page(
    connection: AsyncConnection,
    wanted: Wanted,
    *,
    limit: int,
    offset: int = 0,
    place: Place | None = None,
    before: bool = False,
) -> Sequence[AnyRow]:
    """Return up to `limit` bookings beyond a position: those after it or, with `before`, those before it.

    They begin with the one nearest to the position, so those before it are in the opposite order.
    """
    keys = (_SORT_COLUMNS[wanted.sort], _b.id)
    descending = wanted.sort.descending != before
    statement = VIEW.where(*wanted.conditions())
    if place is not None:
        position = tuple_(*(literal(value, key.type) for value, key in zip(place, keys, strict=True)))
        statement = statement.where(tuple_(*keys) < position if descending else tuple_(*keys) > position)
    order = [key.desc() if descending else key.asc() for key in keys]
    return (await connection.execute(statement.order_by(*order).limit(limit).offset(offset))).all()


async def count(connection: AsyncConnection, wanted: Wanted) -> int:
    """Count the bookings, but stop at MAX_COUNTED + 1."""
    found = select(_b.id).where(IS_BOOKING, *wanted.conditions()).limit(MAX_COUNTED + 1)
    statement = select(func.count()).select_from(found.subquery())
    return await connection.scalar(statement) or 0


async def zone_of(connection: AsyncConnection, expert_id: UUID) -> str | None:
    """Return the time zone of an expert; None if there is no such expert."""
    zone: str | None = await connection.scalar(select(expert.c.time_zone).where(expert.c.id == expert_id))
    return zone


def _matches(search: str) -> ColumnElement[bool]:
    try:
        return _b.id == UUID(search)
    except ValueError:
        pass
    words = [re.sub(r"\D", "", search).lstrip("0")] if _PHONE.fullmatch(search) else search.split()
    # Only bookings with a name are in the index.
    return and_(_b.name != "", *(_SEARCH_TEXT.like(_pattern(word)) for word in words))


def _pattern(word: str) -> ColumnElement[str]:
    """The pattern of LIKE for texts that contain this word. Folding may yield wildcards, so they are escaped after."""
    folded = func.search_folded(word)
    for special in ("\\", "%", "_"):
        folded = func.replace(folded, special, f"\\{special}")
    return literal("%").concat(folded).concat("%")
