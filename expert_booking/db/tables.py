"""The tables, and with them the two fences that make double booking impossible."""

from typing import Final

from sqlalchemy import (
    DDL,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Numeric,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    event,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import TSTZRANGE, ExcludeConstraint

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

# The same five as lifecycle.LIVE, as the text both fences carry.
LIVE_ROWS: Final = "status IN ('held', 'pending', 'confirmed', 'completed', 'no_show')"

expert = Table(
    "expert",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=func.gen_random_uuid()),
    Column("slug", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("category", Text, nullable=False),
    Column("headline", Text, nullable=False, server_default=""),
    Column("bio", Text, nullable=False, server_default=""),
    Column("experience_years", SmallInteger, nullable=False, server_default="0"),
    Column("rating", Numeric(3, 2)),
    Column("rating_count", Integer, nullable=False, server_default="0"),
    Column("time_zone", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("portrait", Text, nullable=False, server_default=""),
    Column("active", Boolean, nullable=False, server_default=text("true")),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    UniqueConstraint("slug"),
    CheckConstraint("slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'", name="slug_shape"),
    CheckConstraint("rating BETWEEN 0 AND 5", name="rating_range"),
    CheckConstraint("rating_count >= 0 AND experience_years >= 0", name="counts_positive"),
)
Index("ix_expert_rating", expert.c.rating.desc().nulls_last(), expert.c.id, postgresql_where=text("active"))
Index("ix_expert_category", expert.c.category, expert.c.id, postgresql_where=text("active"))

session_type = Table(
    "session_type",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=func.gen_random_uuid()),
    Column("expert_id", ForeignKey("expert.id", ondelete="CASCADE"), nullable=False),
    Column("title", Text, nullable=False),
    Column("minutes", SmallInteger, nullable=False),
    Column("step_minutes", SmallInteger, nullable=False),
    Column("before_minutes", SmallInteger, nullable=False, server_default="0"),
    Column("after_minutes", SmallInteger, nullable=False, server_default="0"),
    Column("notice_minutes", Integer, nullable=False, server_default="0"),
    Column("horizon_days", SmallInteger, nullable=False, server_default="60"),
    Column("active", Boolean, nullable=False, server_default=text("true")),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    CheckConstraint("minutes BETWEEN 5 AND 480 AND step_minutes BETWEEN 5 AND 1440", name="length"),
    CheckConstraint(
        "before_minutes >= 0 AND after_minutes >= 0 AND notice_minutes >= 0 AND horizon_days >= 1",
        name="positive",
    ),
    Index("ix_session_type_expert_id", "expert_id"),
)

availability_rule = Table(
    "availability_rule",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=func.gen_random_uuid()),
    Column("expert_id", ForeignKey("expert.id", ondelete="CASCADE"), nullable=False),
    # 1 = Monday … 7 = Sunday; minutes since the midnight of the expert's own clock.
    Column("weekday", SmallInteger, nullable=False),
    Column("opens_minute", SmallInteger, nullable=False),
    Column("closes_minute", SmallInteger, nullable=False),
    UniqueConstraint("expert_id", "weekday", "opens_minute"),
    CheckConstraint("weekday BETWEEN 1 AND 7", name="weekday"),
    CheckConstraint(
        "opens_minute BETWEEN 0 AND 1439 AND closes_minute > opens_minute AND closes_minute <= opens_minute + 1440",
        name="window",
    ),
)

booking = Table(
    "booking",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=func.gen_random_uuid()),
    Column("expert_id", ForeignKey("expert.id"), nullable=False),
    Column("session_type_id", ForeignKey("session_type.id"), nullable=False),
    Column("starts_at", DateTime(timezone=True), nullable=False),
    Column("ends_at", DateTime(timezone=True), nullable=False),
    # The session plus its buffers: what must not overlap.
    Column("busy", TSTZRANGE, nullable=False),
    Column("status", Text, nullable=False, server_default="pending"),
    Column("hold_until", DateTime(timezone=True)),
    Column("name", Text),
    Column("email", Text),
    Column("customer_key", Text),
    Column("phone", Text),
    Column("notes", Text, nullable=False, server_default=""),
    Column("time_zone", Text),
    # The browser it was made in (a hash of what its cookie holds), and the form it was sent with, once.
    Column("visitor", LargeBinary),
    Column("submission", Uuid),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("version", Integer, nullable=False, server_default="1"),
    UniqueConstraint("submission"),
    CheckConstraint(
        "status IN ('held', 'pending', 'confirmed', 'completed', 'cancelled', 'declined', 'expired', 'no_show')",
        name="status",
    ),
    CheckConstraint("ends_at > starts_at", name="order"),
    CheckConstraint("busy @> tstzrange(starts_at, ends_at)", name="busy_covers"),
    CheckConstraint("(status = 'held') <= (hold_until IS NOT NULL)", name="hold_ends"),
    CheckConstraint(
        "status IN ('held', 'expired') OR (name IS NOT NULL AND email IS NOT NULL AND customer_key IS NOT NULL)",
        name="customer_known",
    ),
    # Fence 2: no live booking of an expert overlaps another.
    ExcludeConstraint(
        ("expert_id", "="), ("busy", "&&"), using="gist", where=text(LIVE_ROWS), name="ex_booking_no_overlap"
    ),
)
# Fence 1: no two live bookings of an expert start together. It is also the index that calendars are read by.
Index("uq_booking_slot", booking.c.expert_id, booking.c.starts_at, unique=True, postgresql_where=text(LIVE_ROWS))
Index("ix_booking_expert_id_starts_at", booking.c.expert_id, booking.c.starts_at)
Index("ix_booking_customer_key_starts_at", booking.c.customer_key, booking.c.starts_at)
Index(
    "ix_booking_visitor_starts_at",
    booking.c.visitor,
    booking.c.starts_at,
    postgresql_where=text("visitor IS NOT NULL"),
)

token = Table(
    "token",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=func.gen_random_uuid()),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("expert_id", ForeignKey("expert.id", ondelete="CASCADE")),
    Column("secret_hash", LargeBinary, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("revoked_at", DateTime(timezone=True)),
    UniqueConstraint("name"),
    UniqueConstraint("secret_hash"),
    CheckConstraint("role IN ('admin', 'expert', 'reader')", name="role"),
    CheckConstraint("(role = 'expert') = (expert_id IS NOT NULL)", name="expert_named"),
)

NEWS_CHANNEL: Final = "expert_booking_news"

# The news of a change comes from the database itself, so that no writer (page, API, import, psql) can forget it.
# It carries the expert's id and nothing else: equal messages of one transaction fold into one.
NEWS_FUNCTION: Final = f"""
CREATE FUNCTION tell_expert_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_TABLE_NAME = 'expert' THEN
    PERFORM pg_notify('{NEWS_CHANNEL}', coalesce(NEW.id, OLD.id)::text);
    RETURN NULL;
  END IF;
  IF TG_OP <> 'INSERT' THEN
    PERFORM pg_notify('{NEWS_CHANNEL}', OLD.expert_id::text);
  END IF;
  IF TG_OP <> 'DELETE' THEN
    PERFORM pg_notify('{NEWS_CHANNEL}', NEW.expert_id::text);
  END IF;
  RETURN NULL;
END $$
"""
NEWS_TRIGGERS: Final = tuple(
    f"CREATE TRIGGER {table.name}_news AFTER INSERT OR UPDATE OR DELETE ON {table.name} "
    "FOR EACH ROW EXECUTE FUNCTION tell_expert_changed()"
    for table in (expert, session_type, availability_rule, booking)
)


def _ddl(statement: str) -> DDL:
    return DDL(statement.replace("%", "%%"))  # type: ignore[no-untyped-call]


# Alembic compares neither functions nor triggers; a test compares a migrated database with one made from here.
event.listen(metadata, "before_create", _ddl("CREATE EXTENSION IF NOT EXISTS btree_gist"))
event.listen(metadata, "after_create", _ddl(NEWS_FUNCTION))
for _trigger in NEWS_TRIGGERS:
    event.listen(metadata, "after_create", _ddl(_trigger))
