"""When each expert is next free.

These rows are derived from the calendars and bookings, so that the catalogue can sort and filter by free time without
reading every calendar. A stale row can mis-sort an expert. It can never cause a double booking.
"""

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    SmallInteger,
    Table,
    Uuid,
    text,
)

from expert_booking.db.tables.base import metadata

# Experts whose rows must be recomputed. Rows are only inserted and deleted, so no writer waits for another.
expert_changed = Table(
    "expert_changed",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("expert_id", Uuid, nullable=False),
)

expert_next = Table(
    "expert_next",
    metadata,
    Column("expert_id", ForeignKey("expert.id", ondelete="CASCADE"), primary_key=True),
    # The session length; 0 is any length. Every expert has the row with 0.
    Column("minutes", SmallInteger, primary_key=True),
    # The next free start. NULL: none within the horizon.
    Column("free_at", DateTime(timezone=True)),
    # When the row becomes wrong merely because time passes.
    Column("check_at", DateTime(timezone=True), nullable=False),
    Index("ix_expert_next_minutes_free_at", "minutes", "free_at", "expert_id"),
    Index("ix_expert_next_check_at", "check_at", postgresql_where=text("minutes = 0")),
)

# A half-day of UTC (its number since 1970) in which an expert has free starts, and the first and the last of them.
# Local days are longer than half a day, so a local day that overlaps [first_at, last_at] contains a free start in any
# zone.
expert_free = Table(
    "expert_free",
    metadata,
    Column("expert_id", ForeignKey("expert.id", ondelete="CASCADE"), primary_key=True),
    Column("minutes", SmallInteger, primary_key=True),
    Column("half_day", Integer, primary_key=True),
    Column("first_at", DateTime(timezone=True), nullable=False),
    Column("last_at", DateTime(timezone=True), nullable=False),
    Index(
        "ix_expert_free_half_day",
        "half_day",
        "minutes",
        "expert_id",
        postgresql_include=("first_at", "last_at"),
    ),
)
