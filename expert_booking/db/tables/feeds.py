"""Calendar subscriptions, and the id of this installation."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)

from expert_booking.db.tables.base import metadata

# The id that makes this site's calendar entries (iCalendar UIDs) unique. One row.
installation = Table(
    "installation",
    metadata,
    Column("id", Uuid, nullable=False, server_default=func.gen_random_uuid()),
    Column("one_row", Boolean, primary_key=True, server_default=text("true")),
    CheckConstraint("one_row", name="one_row"),
)

# Calendar subscriptions: one per customer and per expert, until its owner ends it.
feed = Table(
    "feed",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=func.gen_random_uuid()),
    Column("customer_key", Text),
    Column("expert_id", ForeignKey("expert.id", ondelete="CASCADE")),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    UniqueConstraint("customer_key"),
    UniqueConstraint("expert_id"),
    CheckConstraint("(customer_key IS NULL) <> (expert_id IS NULL)", name="owner"),
)
