"""Bookings and holds, their history, and the fences that make double booking impossible."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TSTZRANGE, ExcludeConstraint

from expert_booking.db.tables.base import LIVE_ROWS, PRICE_IS_WHOLE, metadata

# The columns of the terms of which a booking keeps a copy. `db.terms` turns them into `Terms` and back.
AGREED_TERMS: Final = (
    "cancel_notice_minutes", "reschedule_notice_minutes", "max_reschedules", "price_amount", "price_currency",
    "payment_note",
)  # fmt: skip

booking = Table(
    "booking",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=func.gen_random_uuid()),
    Column("expert_id", ForeignKey("expert.id"), nullable=False),
    # NULL in a block.
    Column("session_type_id", Uuid),
    Column("starts_at", DateTime(timezone=True), nullable=False),
    Column("ends_at", DateTime(timezone=True), nullable=False),
    # The session with its buffers. Live bookings of an expert must not overlap in this.
    Column("busy", TSTZRANGE, nullable=False),
    Column("status", Text, nullable=False, server_default="pending"),
    # Of a hold: start, expiry (typing extends it), a hash of the network, and the process whose pages show it.
    Column("held_at", DateTime(timezone=True)),
    Column("hold_until", DateTime(timezone=True)),
    Column("hold_origin", LargeBinary),
    Column("hold_keeper", Uuid),
    # Of a pending booking: the expert's deadline to answer. NULL: the start of the session.
    Column("answer_by", DateTime(timezone=True)),
    # Until then the customer must confirm the email address. While it is set, a pending booking is no request to the
    # expert yet; it stays set if the booking ends unconfirmed. `answer_minutes` is the expert's time to answer once the
    # address is confirmed; NULL: the booking is then confirmed, too.
    Column("verify_by", DateTime(timezone=True)),
    Column("answer_minutes", Integer),
    Column("verified_at", DateTime(timezone=True)),
    Column("wrong_codes", SmallInteger, nullable=False, server_default="0"),
    # How often the customer has rescheduled it.
    Column("reschedules", SmallInteger, nullable=False, server_default="0"),
    # Name, email and customer key are NULL in a hold and in a block, and empty once the customer's data was erased. The
    # last two are also empty in a booking made by hand without an address.
    Column("name", Text),
    Column("email", Text),
    Column("customer_key", Text),
    Column("phone", Text),
    # The customer's notes; in a block, the private note of its host.
    Column("notes", Text, nullable=False, server_default=""),
    Column("time_zone", Text),
    # The browser that made it (a hash of its cookie), and the form it was sent with, which counts only once.
    Column("visitor", LargeBinary),
    Column("submission", Uuid),
    # The customer wants their data to be erased once the session is over.
    Column("erase_when_over", Boolean, nullable=False, server_default=text("false")),
    # The terms the customer agreed to, copied from the session type on insert (see `db/sql/copy_session_terms.sql`):
    # a later change of the session type changes no booking. max_reschedules NULL: no limit.
    Column("title", Text, nullable=False),
    Column("cancel_notice_minutes", Integer, nullable=False),
    Column("reschedule_notice_minutes", Integer, nullable=False),
    Column("max_reschedules", SmallInteger),
    Column("price_amount", Integer),
    Column("price_currency", Text),
    Column("payment_note", Text, nullable=False, server_default=""),
    # Where it takes place: one of the locations of the session type, or what a host has set. See `domain/locations.py`.
    Column("location", JSONB(none_as_null=True)),
    # The customer's answers, with the wording of the questions. See `domain/questions.py`.
    Column("answers", JSONB, nullable=False, server_default=text("'[]'")),
    # Links and tokens of this booking are valid only with this version. Adding one revokes all earlier ones.
    Column("key_version", Integer, nullable=False, server_default="1"),
    # The emails that its customer wants: all, no_reminders or none.
    Column("wanted_emails", Text, nullable=False, server_default="all"),
    # If its type has a daily cap: the expert's local day on which it counts, and its number on that day.
    Column("cap_day", Date),
    Column("cap_place", SmallInteger),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("version", Integer, nullable=False, server_default="1"),
    # Who made the last change, with which token, and why. A trigger copies this to booking_change. A change that leaves
    # the version as it was (made by hand, say) is recorded there as "database".
    Column("changed_by", Text, nullable=False, server_default="database"),
    Column("changed_with", Uuid),
    Column("change_reason", Text, nullable=False, server_default=""),
    # The time of the last change, by the clock of its writer. Reminders that were due earlier are not sent.
    Column("changed_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    # Of a block that repeats: the series that it belongs to.
    Column("series_id", ForeignKey("block_series.id")),
    # The iCalendar SEQUENCE. A trigger increments it when the time changes and when the booking ends.
    Column("sequence", Integer, nullable=False, server_default="0"),
    # The session type belongs to this expert. Looking up whether a type is booked uses the index by expert.
    ForeignKeyConstraint(
        ["expert_id", "session_type_id"],
        ["session_type.expert_id", "session_type.id"],
        name="fk_booking_session_type_id",
    ),
    UniqueConstraint("submission"),
    CheckConstraint(
        "status IN ('held', 'pending', 'confirmed', 'completed', 'cancelled', 'declined', 'expired', 'no_show', "
        "'blocked')",
        name="status",
    ),
    CheckConstraint("wanted_emails IN ('all', 'no_reminders', 'none')", name="wanted_emails"),
    CheckConstraint("ends_at > starts_at", name="order"),
    CheckConstraint("busy @> tstzrange(starts_at, ends_at)", name="busy_covers"),
    CheckConstraint("(cap_day IS NULL) = (cap_place IS NULL) AND cap_place >= 1", name="cap_place"),
    CheckConstraint("(status = 'held') <= (hold_until IS NOT NULL)", name="hold_ends"),
    CheckConstraint(
        "cancel_notice_minutes >= 0 AND reschedule_notice_minutes >= 0 AND max_reschedules >= 0", name="terms"
    ),
    CheckConstraint(PRICE_IS_WHOLE, name="price"),
    CheckConstraint(
        "verify_by IS NULL OR status IN ('pending', 'cancelled', 'declined', 'expired')", name="verified_first"
    ),
    CheckConstraint(
        "status IN ('held', 'expired', 'blocked') "
        "OR (name IS NOT NULL AND email IS NOT NULL AND customer_key IS NOT NULL)",
        name="customer_known",
    ),
    CheckConstraint("(status = 'blocked') = (session_type_id IS NULL)", name="blocks_have_no_type"),
    CheckConstraint(
        "status <> 'blocked' OR (name IS NULL AND email IS NULL AND customer_key IS NULL AND visitor IS NULL)",
        name="blocks_have_no_customer",
    ),
    CheckConstraint("series_id IS NULL OR status = 'blocked'", name="series"),
    # Fence 2: no live booking of an expert overlaps another.
    ExcludeConstraint(
        ("expert_id", "="), ("busy", "&&"), using="gist", where=text(LIVE_ROWS), name="ex_booking_no_overlap"
    ),
)
# Fence 1: no two live bookings of an expert start at the same time. Reading a calendar uses this index, too.
Index("uq_booking_slot", booking.c.expert_id, booking.c.starts_at, unique=True, postgresql_where=text(LIVE_ROWS))
# Fence 3: no two live bookings have the same number on a day with a cap.
Index(
    "uq_booking_cap_place",
    booking.c.session_type_id,
    booking.c.cap_day,
    booking.c.cap_place,
    unique=True,
    postgresql_where=text(f"cap_place IS NOT NULL AND {LIVE_ROWS}"),
)
# One hold per browser. The indexes below find holds by network, and holds and requests by deadline.
Index(
    "uq_booking_visitor_hold",
    booking.c.visitor,
    unique=True,
    postgresql_where=text("status = 'held' AND visitor IS NOT NULL"),
)
Index("ix_booking_hold_origin", booking.c.hold_origin, postgresql_where=text("status = 'held'"))
Index("ix_booking_hold_until", booking.c.hold_until, postgresql_where=text("status = 'held'"))
Index(
    "ix_booking_pending_until",
    func.coalesce(booking.c.verify_by, booking.c.answer_by, booking.c.starts_at),
    postgresql_where=text("status = 'pending'"),
)
Index(
    "ix_booking_never_booked",
    booking.c.updated_at,
    postgresql_where=text("status = 'expired' AND email IS NULL"),
)
# For completing sessions after their end.
Index("ix_booking_confirmed_ends_at", booking.c.ends_at, postgresql_where=text("status = 'confirmed'"))
# For reminders.
Index("ix_booking_confirmed_starts_at", booking.c.starts_at, postgresql_where=text("status = 'confirmed'"))
Index("ix_booking_expert_id_starts_at", booking.c.expert_id, booking.c.starts_at)
Index("ix_booking_customer_key_starts_at", booking.c.customer_key, booking.c.starts_at)
Index(
    "ix_booking_visitor_starts_at",
    booking.c.visitor,
    booking.c.starts_at,
    postgresql_where=text("visitor IS NOT NULL"),
)

# Lists of hosts: search by customer, and the orders of all bookings and of those of one expert.
Index(
    "ix_booking_search",
    func.booking_search_text(booking.c.name, booking.c.email, booking.c.phone).label("text"),
    postgresql_using="gin",
    postgresql_ops={"text": "gin_trgm_ops"},
    postgresql_with={"gin_pending_list_limit": 256},
    postgresql_where=text("name <> ''"),
)
Index("ix_booking_expert_id_created_at_id", booking.c.expert_id, booking.c.created_at, booking.c.id)
Index("ix_booking_created_at_id", booking.c.created_at, booking.c.id)
Index("ix_booking_starts_at_id", booking.c.starts_at, booking.c.id)

# Bookings with personal data by their end, to erase it some time later, or as soon as the session is over.
Index("ix_booking_ends_at", booking.c.ends_at, postgresql_where=text("name <> ''"))
Index("ix_booking_blocked_ends_at", booking.c.ends_at, postgresql_where=text("status = 'blocked'"))
Index("ix_booking_series_id", booking.c.series_id, postgresql_where=text("series_id IS NOT NULL"))
Index("ix_booking_erase_when_over", booking.c.ends_at, postgresql_where=text("erase_when_over"))

# The blocks of an expert that repeat every week. Their times are the expert's wall-clock time, so that a change of the
# clocks does not move them.
block_series = Table(
    "block_series",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=func.gen_random_uuid()),
    Column("expert_id", ForeignKey("expert.id", ondelete="CASCADE"), nullable=False),
    # The first block, in the expert's time zone.
    Column("starts_local", DateTime(timezone=False), nullable=False),
    Column("ends_local", DateTime(timezone=False), nullable=False),
    # The last local date on which a block may start. NULL: no end.
    Column("repeat_until", Date),
    # The local date of the latest block that was made. The deadlines worker makes later ones.
    Column("made_until", Date, nullable=False),
    Column("note", Text, nullable=False, server_default=""),
    CheckConstraint("ends_local > starts_local", name="order"),
    Index("ix_block_series_expert_id", "expert_id"),
    Index("ix_block_series_made_until", "made_until"),
)

# One row per hold, kept for a few minutes, to count how many holds a network (a hash of its address) has started
# recently. The booking rows cannot tell: booking or releasing a hold clears its network.
network_hold = Table(
    "network_hold",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("origin", LargeBinary, nullable=False),
    Column("held_at", DateTime(timezone=True), nullable=False),
    Index("ix_network_hold_origin_held_at", "origin", "held_at"),
)

# The network (a hash of its address) that made a booking for an address it had not proven. Counts its bookings of the
# last hour, and the upcoming bookings of an address. Deleted as soon as neither needs it. Not a column of `booking`,
# because deleting it would then be a change of the booking, which triggers announce.
network_booking = Table(
    "network_booking",
    metadata,
    Column("origin", LargeBinary, primary_key=True),
    Column("booked_at", DateTime(timezone=True), primary_key=True),
    Column("booking_id", Uuid, primary_key=True),
)

# One row per change by a customer, kept for an hour, to count the changes of a booking and by a network.
network_change = Table(
    "network_change",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("booking_id", Uuid, nullable=False),
    Column("origin", LargeBinary),
    Column("changed_at", DateTime(timezone=True), nullable=False),
    Index("ix_network_change_booking_id_changed_at", "booking_id", "changed_at"),
    Index("ix_network_change_origin_changed_at", "origin", "changed_at"),
)

# The history of each booking, written by a trigger (see `db/sql/write_booking_history.sql`). Append-only; it outlives
# the bookings. Only erasing a customer's data clears the reasons. Holds that never became bookings are not in it.
booking_change = Table(
    "booking_change",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("booking_id", Uuid, nullable=False),
    Column("expert_id", Uuid, nullable=False),
    Column("at", DateTime(timezone=True), nullable=False, server_default=text("clock_timestamp()")),
    Column("actor", Text, nullable=False),
    Column("token_id", Uuid),
    Column("from_status", Text),
    Column("to_status", Text),  # NULL: deleted
    Column("from_starts_at", DateTime(timezone=True)),
    Column("to_starts_at", DateTime(timezone=True)),
    Column("reason", Text, nullable=False, server_default=""),
    # The rules of the calendar that a host set aside, of `domain.rule_overrides.RuleOverride`.
    Column("override", ARRAY(Text), nullable=False, server_default="{}"),
    # The time that this change freed, buffers included.
    Column("freed", TSTZRANGE),
    # Rejects a misspelt booking.changed_by immediately.
    CheckConstraint("actor IN ('customer', 'expert', 'admin', 'system', 'database')", name="actor"),
    Index("ix_booking_change_booking_id_id", "booking_id", "id"),
)
