"""The tables, and with them the two fences that make double booking impossible."""

from typing import Final

from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    Date,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Identity,
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
    literal_column,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TSTZRANGE, TSVECTOR, ExcludeConstraint

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
    # ISO 639: what is spoken in the sessions.
    Column("languages", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    # Whose public holidays, and whether the expert keeps them.
    Column("country", Text),
    Column("region", Text),
    Column("closed_on_holidays", Boolean, nullable=False, server_default=text("false")),
    Column("email", Text, nullable=False),
    # The form by which the address signs in, as a customer's (addresses.customer_key).
    Column("email_key", Text, nullable=False, server_default=""),
    # A new address that has not been confirmed yet.
    Column("pending_email", Text),
    Column("portrait", Text, nullable=False, server_default=""),
    Column("active", Boolean, nullable=False, server_default=text("true")),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    # What the catalogue is searched and filtered by, and the name as it is sorted by; see SEARCH_FUNCTIONS.
    Column("terms", TSVECTOR, Computed("search_terms(name, category, headline, bio, languages)", persisted=True)),
    Column("folded_name", Text(collation="C"), Computed('"left"(search_folded(name), 100)', persisted=True)),
    # The same for those without any, who come last.
    Column("rating_key", Numeric(3, 2), Computed("coalesce(rating, '-1')", persisted=True)),
    UniqueConstraint("slug"),
    CheckConstraint("slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'", name="slug_shape"),
    CheckConstraint("rating BETWEEN 0 AND 5", name="rating_range"),
    CheckConstraint("rating_count >= 0 AND experience_years >= 0", name="counts_positive"),
    CheckConstraint(
        "country IS NOT NULL OR (region IS NULL AND NOT closed_on_holidays)", name="holidays_of_some_country"
    ),
)
# The orders of the catalogue, each complete with the id; all but the name's are read backwards. No rating comes last.
Index(
    "ix_expert_rating",
    expert.c.rating_key,
    expert.c.rating_count,
    expert.c.id,
    postgresql_where=text("active"),
)
Index(
    "ix_expert_experience",
    expert.c.experience_years,
    expert.c.rating_key,
    expert.c.rating_count,
    expert.c.id,
    postgresql_where=text("active"),
)
Index("ix_expert_name", expert.c.folded_name, expert.c.id, postgresql_where=text("active"))
# Counts by category, language and rating read this index alone.
Index(
    "ix_expert_category",
    expert.c.category,
    expert.c.id,
    postgresql_include=["rating_key", "languages"],
    postgresql_where=text("active"),
)
Index("ix_expert_terms", expert.c.terms, postgresql_using="gin", postgresql_where=text("active"))

Index("ix_expert_email_key", expert.c.email_key)

# Every word that was ever in the catalogue, for what is typed inside of words or with a slip. None has to go again:
# a word that nobody has any more finds nobody.
search_word = Table(
    "search_word",
    metadata,
    Column("word", Text, primary_key=True),
    Column("slips", ARRAY(Text), Computed("search_slips(word)", persisted=True)),
    Index("ix_search_word_word", "word", postgresql_using="gin", postgresql_ops={"word": "gin_trgm_ops"}),
    Index("ix_search_word_slips", "slips", postgresql_using="gin"),
)

session_type = Table(
    "session_type",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=func.gen_random_uuid()),
    Column("expert_id", ForeignKey("expert.id", ondelete="CASCADE"), nullable=False),
    # The order in which they are shown; the first is what visitors see when they choose none.
    Column("position", SmallInteger, nullable=False, server_default="1"),
    Column("title", Text, nullable=False),
    Column("description", Text, nullable=False, server_default=""),
    Column("minutes", SmallInteger, nullable=False),
    Column("step_minutes", SmallInteger, nullable=False),
    Column("before_minutes", SmallInteger, nullable=False, server_default="0"),
    Column("after_minutes", SmallInteger, nullable=False, server_default="0"),
    Column("notice_minutes", Integer, nullable=False, server_default="0"),
    Column("horizon_days", SmallInteger, nullable=False, server_default="60"),
    # How many of these sessions there are at most on one of the expert's local days.
    Column("daily_cap", SmallInteger),
    # Whether a booking is confirmed at once or by the expert, who then has so long to answer.
    Column("confirmation", Text, nullable=False, server_default="by_expert"),
    Column("answer_minutes", Integer, nullable=False, server_default="2880"),
    # What the customer may change, and until how long before the start; no max_reschedules: as often as they like.
    Column("cancel_notice_minutes", Integer, nullable=False, server_default="0"),
    Column("reschedule_notice_minutes", Integer, nullable=False, server_default="0"),
    Column("max_reschedules", SmallInteger),
    Column("active", Boolean, nullable=False, server_default=text("true")),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    CheckConstraint("minutes BETWEEN 5 AND 480 AND step_minutes BETWEEN 5 AND 1440", name="length"),
    CheckConstraint(
        "before_minutes >= 0 AND after_minutes >= 0 AND notice_minutes >= 0 AND horizon_days >= 1",
        name="positive",
    ),
    CheckConstraint("daily_cap BETWEEN 1 AND 100", name="daily_cap"),
    CheckConstraint("confirmation IN ('at_once', 'by_expert') AND answer_minutes >= 1", name="confirmation"),
    CheckConstraint(
        "cancel_notice_minutes >= 0 AND reschedule_notice_minutes >= 0 AND max_reschedules >= 0", name="terms"
    ),
    UniqueConstraint("expert_id", "id"),
)
Index("ix_session_type_minutes", session_type.c.minutes, session_type.c.expert_id, postgresql_where=text("active"))

availability_rule = Table(
    "availability_rule",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=func.gen_random_uuid()),
    Column("expert_id", ForeignKey("expert.id", ondelete="CASCADE"), nullable=False),
    # 1 = Monday … 7 = Sunday; minutes since the midnight of the expert's own clock.
    Column("weekday", SmallInteger, nullable=False),
    Column("opens_minute", SmallInteger, nullable=False),
    Column("closes_minute", SmallInteger, nullable=False),
    # The first and the last local date on which these hours open.
    Column("valid_from", Date),
    Column("valid_until", Date),
    CheckConstraint("weekday BETWEEN 1 AND 7", name="weekday"),
    CheckConstraint("valid_from <= valid_until", name="validity"),
    CheckConstraint(
        "opens_minute BETWEEN 0 AND 1439 AND closes_minute > opens_minute AND closes_minute <= opens_minute + 1440",
        name="window",
    ),
    # The hours of one weekday never overlap, at least not in the same season.
    ExcludeConstraint(
        ("expert_id", "="),
        ("weekday", "="),
        (literal_column("int4range(opens_minute, closes_minute)"), "&&"),
        (literal_column("daterange(valid_from, valid_until, '[]')"), "&&"),
        using="gist",
        name="ex_availability_rule_no_overlap",
    ),
)

override = Table(
    "override",
    metadata,
    Column("expert_id", ForeignKey("expert.id", ondelete="CASCADE"), primary_key=True),
    Column("day", Date, primary_key=True),
    Column("kind", Text, nullable=False),
    # [[opens, closes], …] in minutes since the local midnight, as in availability_rule.
    Column("windows", JSONB, nullable=False, server_default=text("'[]'")),
    CheckConstraint("kind IN ('hours', 'extra', 'none')", name="kind"),
    CheckConstraint("jsonb_typeof(windows) = 'array' AND (kind = 'none') = (windows = '[]')", name="windows"),
)

day_off = Table(
    "day_off",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=func.gen_random_uuid()),
    Column("expert_id", ForeignKey("expert.id", ondelete="CASCADE"), nullable=False),
    Column("first_day", Date, nullable=False),
    Column("last_day", Date, nullable=False),
    Column("reason", Text, nullable=False, server_default=""),
    CheckConstraint("first_day <= last_day", name="order"),
    Index("ix_day_off_expert_id_last_day", "expert_id", "last_day"),
)

booking = Table(
    "booking",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=func.gen_random_uuid()),
    Column("expert_id", ForeignKey("expert.id"), nullable=False),
    Column("session_type_id", Uuid, nullable=False),
    Column("starts_at", DateTime(timezone=True), nullable=False),
    Column("ends_at", DateTime(timezone=True), nullable=False),
    # The session plus its buffers: what must not overlap.
    Column("busy", TSTZRANGE, nullable=False),
    Column("status", Text, nullable=False, server_default="pending"),
    # A hold: since when, until when (typing renews it), from which network address (a hash), for which process's pages.
    Column("held_at", DateTime(timezone=True)),
    Column("hold_until", DateTime(timezone=True)),
    Column("hold_origin", LargeBinary),
    Column("hold_keeper", Uuid),
    # Pending: until when the expert has to answer; without it, until the session begins.
    Column("answer_by", DateTime(timezone=True)),
    # How often the customer has moved it.
    Column("reschedules", SmallInteger, nullable=False, server_default="0"),
    Column("name", Text),
    Column("email", Text),
    Column("customer_key", Text),
    Column("phone", Text),
    Column("notes", Text, nullable=False, server_default=""),
    Column("time_zone", Text),
    # The browser it was made in (a hash of what its cookie holds), and the form it was sent with, once.
    Column("visitor", LargeBinary),
    Column("submission", Uuid),
    # What the customer was promised: copied from the session type when the row is inserted (see TERMS_FUNCTION), so a
    # later change of the session type changes no booking. No max_reschedules: no limit.
    Column("title", Text, nullable=False),
    Column("cancel_notice_minutes", Integer, nullable=False),
    Column("reschedule_notice_minutes", Integer, nullable=False),
    Column("max_reschedules", SmallInteger),
    # Links and tokens of this booking count only while they carry this version: one more ends all earlier ones.
    Column("key_version", Integer, nullable=False, server_default="1"),
    # Where its type has a daily cap: the expert's local day it counts on, and its numbered place there.
    Column("cap_day", Date),
    Column("cap_place", SmallInteger),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("version", Integer, nullable=False, server_default="1"),
    # Who made the last change, with which token, and why: from here it goes into booking_change. Who changes a booking
    # by hand and leaves its version alone is "database" there.
    Column("changed_by", Text, nullable=False, server_default="database"),
    Column("changed_with", Uuid),
    Column("change_reason", Text, nullable=False, server_default=""),
    # The same by the clock of whoever made it: reminders that were due before are not wanted any more.
    Column("changed_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    # How often a calendar that has it must take it anew: counted by the database at every move and at its end.
    Column("sequence", Integer, nullable=False, server_default="0"),
    # The session is one of this very expert's; and whether a type is booked is looked up by the expert's index.
    ForeignKeyConstraint(
        ["expert_id", "session_type_id"],
        ["session_type.expert_id", "session_type.id"],
        name="fk_booking_session_type_id",
    ),
    UniqueConstraint("submission"),
    CheckConstraint(
        "status IN ('held', 'pending', 'confirmed', 'completed', 'cancelled', 'declined', 'expired', 'no_show')",
        name="status",
    ),
    CheckConstraint("ends_at > starts_at", name="order"),
    CheckConstraint("busy @> tstzrange(starts_at, ends_at)", name="busy_covers"),
    CheckConstraint("(cap_day IS NULL) = (cap_place IS NULL) AND cap_place >= 1", name="cap_place"),
    CheckConstraint("(status = 'held') <= (hold_until IS NOT NULL)", name="hold_ends"),
    CheckConstraint(
        "cancel_notice_minutes >= 0 AND reschedule_notice_minutes >= 0 AND max_reschedules >= 0", name="terms"
    ),
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
# Fence 3: no two live bookings have the same place on a day that has a cap.
Index(
    "uq_booking_cap_place",
    booking.c.session_type_id,
    booking.c.cap_day,
    booking.c.cap_place,
    unique=True,
    postgresql_where=text(f"cap_place IS NOT NULL AND {LIVE_ROWS}"),
)
# One hold for each browser; and what is looked up of holds and requests: by address, and by when they are over.
Index(
    "uq_booking_visitor_hold",
    booking.c.visitor,
    unique=True,
    postgresql_where=text("status = 'held' AND visitor IS NOT NULL"),
)
Index("ix_booking_hold_origin", booking.c.hold_origin, postgresql_where=text("status = 'held'"))
Index("ix_booking_hold_until", booking.c.hold_until, postgresql_where=text("status = 'held'"))
Index(
    "ix_booking_answer_by",
    func.coalesce(booking.c.answer_by, booking.c.starts_at),
    postgresql_where=text("status = 'pending'"),
)
Index(
    "ix_booking_never_booked",
    booking.c.updated_at,
    postgresql_where=text("status = 'expired' AND email IS NULL"),
)
# Who is to be reminded.
Index("ix_booking_confirmed_starts_at", booking.c.starts_at, postgresql_where=text("status = 'confirmed'"))
Index("ix_booking_expert_id_starts_at", booking.c.expert_id, booking.c.starts_at)
Index("ix_booking_customer_key_starts_at", booking.c.customer_key, booking.c.starts_at)
Index(
    "ix_booking_visitor_starts_at",
    booking.c.visitor,
    booking.c.starts_at,
    postgresql_where=text("visitor IS NOT NULL"),
)

# One row for each hold, for some minutes: counts how many holds a network (a hash of its address) has started lately.
# The booking rows cannot tell: a hold that was booked or released keeps no network.
network_hold = Table(
    "network_hold",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("origin", LargeBinary, nullable=False),
    Column("held_at", DateTime(timezone=True), nullable=False),
    Index("ix_network_hold_origin_held_at", "origin", "held_at"),
)

# What has happened to each booking, written by the database itself (see HISTORY_FUNCTIONS) and never changed again.
# It outlives the bookings. Holds that never became bookings are not in it.
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
    Column("to_status", Text),  # none: deleted
    Column("from_starts_at", DateTime(timezone=True)),
    Column("to_starts_at", DateTime(timezone=True)),
    Column("reason", Text, nullable=False, server_default=""),
    # The time that this change has set free, buffers included.
    Column("freed", TSTZRANGE),
    # Whoever writes a name of their own into changed_by is told so at once.
    CheckConstraint("actor IN ('customer', 'expert', 'admin', 'system', 'database')", name="actor"),
    Index("ix_booking_change_booking_id_id", "booking_id", "id"),
)

# Answers to requests with an Idempotency-Key, given again to whoever sends the same once more. Written in the
# transaction of what they tell of, so there is none without the other.
kept_answer = Table(
    "kept_answer",
    metadata,
    # Who asked: a hash of the token, or of the network address.
    Column("caller", LargeBinary, primary_key=True),
    Column("key", Text, primary_key=True),
    # A hash of what was asked.
    Column("fingerprint", LargeBinary, nullable=False),
    Column("status", SmallInteger),
    Column("headers", JSONB),
    Column("body", LargeBinary),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Index("ix_kept_answer_created_at", "created_at"),
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
    Column("expires_at", DateTime(timezone=True), nullable=False),
    # To the hour.
    Column("last_used_at", DateTime(timezone=True)),
    Column("revoked_at", DateTime(timezone=True)),
    UniqueConstraint("name"),
    UniqueConstraint("secret_hash"),
    CheckConstraint("role IN ('admin', 'expert', 'reader')", name="role"),
    CheckConstraint("(role = 'expert') = (expert_id IS NOT NULL)", name="expert_named"),
)

# --- people without accounts -------------------------------------------------------------------------------------
# What proves an address or opens something is never in here: see domain/keys.py, and hashes of what is made at random.

# Tells this site's calendar entries from those of every other.
installation = Table(
    "installation",
    metadata,
    Column("id", Uuid, nullable=False, server_default=func.gen_random_uuid()),
    Column("one_row", Boolean, primary_key=True, server_default=text("true")),
    CheckConstraint("one_row", name="one_row"),
)

# Somebody wants to prove an address: by the link in the mail, once, or by its code in the browser that asked.
access_request = Table(
    "access_request",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=func.gen_random_uuid()),
    Column("customer_key", Text, nullable=False),
    Column("email", Text, nullable=False),
    # The page to go on to.
    Column("next_path", Text, nullable=False, server_default=""),
    # The browser and the network it was asked from, both hashes; none for a program, and for the command line.
    Column("browser", LargeBinary),
    Column("origin", LargeBinary),
    Column("wrong_codes", SmallInteger, nullable=False, server_default="0"),
    # Requests for the same address in the hour before, and how many of them came from other networks. From the second
    # request of an hour on, the code is eight letters and digits.
    Column("earlier", Integer, nullable=False, server_default="0"),
    Column("earlier_elsewhere", Integer, nullable=False, server_default="0"),
    # Whether the browser that asked has proven this address before.
    Column("proven_before", Boolean, nullable=False, server_default=text("false")),
    # No email is sent: enough were sent to this address a moment ago.
    Column("suppressed", Boolean, nullable=False, server_default=text("false")),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("spent_at", DateTime(timezone=True)),
    # The expert whose new address this is to be.
    Column("expert_id", Uuid),
    Index("ix_access_request_customer_key_created_at", "customer_key", "created_at"),
    Index("ix_access_request_origin_created_at", "origin", "created_at"),
    Index("ix_access_request_created_at", "created_at"),
)

# An address that has been proven: to a browser by its cookie, or to a program by its bearer token.
access_proof = Table(
    "access_proof",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=func.gen_random_uuid()),
    Column("customer_key", Text, nullable=False),
    Column("email", Text, nullable=False),
    Column("bearer", Text, nullable=False),
    Column("secret_hash", LargeBinary, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("secret_hash"),
    CheckConstraint("bearer IN ('browser', 'program')", name="bearer"),
    Index("ix_access_proof_customer_key", "customer_key"),
    Index("ix_access_proof_expires_at", "expires_at"),
)

# A calendar to subscribe to: one for each customer and each expert, until its address is given up.
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

# The outbox: mail that waits to leave, was taken by the mail server, or was given up. What belongs to a booking is
# written by the database itself, with the change that it tells of (see MESSAGE_FUNCTION).
message = Table(
    "message",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("audience", Text, nullable=False, server_default="customer"),
    Column("booking_id", Uuid),
    # What it tells of, and how the booking was then.
    Column("change_id", BigInteger),
    Column("status", Text),
    Column("starts_at", DateTime(timezone=True)),
    Column("ends_at", DateTime(timezone=True)),
    Column("sequence", Integer),
    # A reminder: how long before the session.
    Column("minutes_before", Integer),
    Column("access_request_id", ForeignKey("access_request.id", ondelete="CASCADE")),
    Column("tries", SmallInteger, nullable=False, server_default="0"),
    # Not before; none: at once. And until when somebody is just at it.
    Column("due_at", DateTime(timezone=True)),
    Column("claimed_until", DateTime(timezone=True)),
    Column("sent_at", DateTime(timezone=True)),
    Column("failed_at", DateTime(timezone=True)),
    # What the mail server said last; nothing personal.
    Column("error", Text, nullable=False, server_default=""),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    CheckConstraint("audience IN ('customer', 'expert')", name="audience"),
    CheckConstraint("(booking_id IS NULL) <> (access_request_id IS NULL)", name="about_something"),
    # One mail for each event, and one reminder of each time, however many processes there are.
    Index("uq_message_change", "change_id", "audience", unique=True),
    Index(
        "uq_message_reminder",
        "booking_id",
        "audience",
        "starts_at",
        "minutes_before",
        unique=True,
        postgresql_where=text("kind = 'reminder'"),
    ),
    Index("ix_message_booking_id_id", "booking_id", "id"),
    Index("ix_message_access_request_id", "access_request_id"),
    Index("ix_message_waiting", "id", postgresql_where=text("sent_at IS NULL AND failed_at IS NULL")),
    Index("ix_message_given_up", "id", postgresql_where=text("failed_at IS NOT NULL")),
    Index("ix_message_created_at", "created_at"),
)

# The mail of a site without a mail server, on its embedded database: what `/mailbox` shows.
mailbox_mail = Table(
    "mailbox_mail",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("recipient", Text, nullable=False),
    Column("raw", LargeBinary, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

# --- derived: when each expert is free next ----------------------------------------------------------------------
# The rules and the bookings are the truth; these rows are worked out from them, so that the catalogue can be sorted and
# filtered by free time without looking into every calendar. A stale row may mis-sort, it can never mis-book.

# Whose rows have to be worked out anew. Only ever appended to and deleted from: nobody waits for anybody.
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
    # Of sessions of this length; 0 is any length, and the one row that everybody has.
    Column("minutes", SmallInteger, primary_key=True),
    # The next start that is free; none within the horizon.
    Column("free_at", DateTime(timezone=True)),
    # When the passing of time alone makes it wrong.
    Column("check_at", DateTime(timezone=True), nullable=False),
    Index("ix_expert_next_minutes_free_at", "minutes", "free_at", "expert_id"),
    Index("ix_expert_next_check_at", "check_at", postgresql_where=text("minutes = 0")),
)

# Half a day of UTC (its number since 1970) in which an expert has free starts, and the first and the last of them. No
# local day is as short as half a day, so one that meets such a span has a free start in it, whatever the zone.
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

EVENT_CHANNEL: Final = "expert_booking_news"

# The news of a change comes from the database itself, so that no writer (page, API, import, psql) can forget it: a note
# for whoever works out when the expert is free next, and a call to all who listen now. Once for each expert, however
# many rows a statement changes; the call carries the expert's id and nothing else.
EVENT_FUNCTION: Final = f"""
CREATE FUNCTION tell_experts_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  ids uuid[];
BEGIN
  IF TG_TABLE_NAME = 'expert' THEN
    ids := ARRAY(SELECT id FROM changed);
  ELSIF TG_OP = 'UPDATE' THEN
    ids := ARRAY(SELECT expert_id FROM changed UNION SELECT expert_id FROM changed_before);
  ELSE
    ids := ARRAY(SELECT DISTINCT expert_id FROM changed);
  END IF;
  IF ids <> '{{}}' THEN
    INSERT INTO expert_changed (expert_id) SELECT unnest(ids);
    PERFORM pg_notify('{EVENT_CHANNEL}', told::text) FROM unnest(ids) AS told;
  END IF;
  RETURN NULL;
END $$
"""  # noqa: S608 - the channel is a name of ours
_SEEN: Final = {
    "INSERT": "NEW TABLE AS changed",
    "UPDATE": "OLD TABLE AS changed_before NEW TABLE AS changed",
    "DELETE": "OLD TABLE AS changed",
}
EVENT_TRIGGERS: Final = tuple(
    f"CREATE TRIGGER {table.name}_news_{event_.lower()} AFTER {event_} ON {table.name} REFERENCING {seen} "
    "FOR EACH STATEMENT EXECUTE FUNCTION tell_experts_changed()"
    for table in (expert, session_type, availability_rule, override, day_off, booking)
    for event_, seen in _SEEN.items()
)


FREED_CHANNEL: Final = "expert_booking_freed"

# The one place that knows what has happened to a booking, whoever wrote, and which time was set free by it: a booking
# that was live is so no more, or keeps another time. A hold has no history, because visitors can start any number of
# holds: the history of a booking begins when the hold becomes a booking. The time that a hold sets free is announced
# all the same.
HISTORY_FUNCTIONS: Final = (
    f"""
CREATE FUNCTION tell_slot_freed(expert_id uuid, freed tstzrange) RETURNS void LANGUAGE sql AS $$
SELECT pg_notify('{FREED_CHANNEL}',
                 json_build_object('expert', expert_id, 'since', lower(freed), 'until', upper(freed))::text)
$$
""",
    f"""
CREATE FUNCTION write_booking_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    INSERT INTO booking_change (booking_id, expert_id, actor, token_id, to_status, to_starts_at, reason)
    SELECT id, expert_id, changed_by, changed_with, status, starts_at, change_reason
      FROM changed WHERE status <> 'held' AND email IS NOT NULL;
  ELSIF TG_OP = 'UPDATE' THEN
    INSERT INTO booking_change
           (booking_id, expert_id, actor, token_id, from_status, to_status, from_starts_at, to_starts_at, reason, freed)
    SELECT n.id, o.expert_id, CASE WHEN told THEN n.changed_by ELSE 'database' END,
           CASE WHEN told THEN n.changed_with END, CASE WHEN was_booked THEN o.status END, n.status,
           CASE WHEN was_booked THEN o.starts_at END, n.starts_at, CASE WHEN told THEN n.change_reason ELSE '' END,
           CASE WHEN o.{LIVE_ROWS} AND NOT (n.{LIVE_ROWS} AND n.expert_id = o.expert_id AND n.busy @> o.busy)
                THEN o.busy END
      FROM changed_before o JOIN changed n USING (id)
     CROSS JOIN LATERAL (SELECT n.version > o.version, o.status <> 'held' AND o.email IS NOT NULL) AS by_us
           (told, was_booked)
     WHERE (o.status, o.starts_at, o.busy, o.expert_id) <> (n.status, n.starts_at, n.busy, n.expert_id)
       AND (was_booked OR n.status <> 'held' AND n.email IS NOT NULL);
    PERFORM tell_slot_freed(o.expert_id, o.busy) FROM changed_before o JOIN changed n USING (id)
     WHERE o.status = 'held' AND (n.status = 'held' OR n.email IS NULL)
       AND NOT (n.{LIVE_ROWS} AND n.expert_id = o.expert_id AND n.busy @> o.busy);
  ELSE
    INSERT INTO booking_change (booking_id, expert_id, actor, from_status, from_starts_at, freed)
    SELECT id, expert_id, 'database', status, starts_at, CASE WHEN {LIVE_ROWS} THEN busy END
      FROM changed WHERE status <> 'held' AND email IS NOT NULL;
    PERFORM tell_slot_freed(expert_id, busy) FROM changed WHERE status = 'held';
  END IF;
  RETURN NULL;
END $$
""",  # noqa: S608 - names of ours
    """
CREATE FUNCTION tell_slots_freed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM tell_slot_freed(expert_id, freed) FROM written WHERE freed IS NOT NULL;
  RETURN NULL;
END $$
""",
    """
CREATE FUNCTION refuse_to_change_history() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'what has happened is not changed afterwards';
END $$
""",
)
HISTORY_TRIGGERS: Final = (
    *(
        f"CREATE TRIGGER booking_history_{event_.lower()} AFTER {event_} ON booking REFERENCING {seen} "
        "FOR EACH STATEMENT EXECUTE FUNCTION write_booking_history()"
        for event_, seen in _SEEN.items()
    ),
    "CREATE TRIGGER booking_change_freed AFTER INSERT ON booking_change REFERENCING NEW TABLE AS written "
    "FOR EACH STATEMENT EXECUTE FUNCTION tell_slots_freed()",
    "CREATE TRIGGER booking_change_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON booking_change "
    "FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_change_history()",
)


# Tells of mail: a booking's id where the fate of its mail has changed, nothing where there is mail to send.
MAIL_CHANNEL: Final = "expert_booking_mail"

# Calendars take a new time, and an end, only with a higher number.
SEQUENCE_FUNCTION: Final = """
CREATE FUNCTION count_booking_sequence() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.sequence := OLD.sequence + 1;
  RETURN NEW;
END $$
"""
SEQUENCE_TRIGGER: Final = (
    "CREATE TRIGGER booking_sequence BEFORE UPDATE ON booking FOR EACH ROW WHEN (OLD.starts_at <> NEW.starts_at "
    "OR OLD.ends_at <> NEW.ends_at OR OLD.status <> NEW.status AND NEW.status IN ('cancelled', 'declined', 'expired')) "
    "EXECUTE FUNCTION count_booking_sequence()"
)
# Copies the terms of the session type into a new booking or hold, for writers that do not say them (imports, psql, and
# processes of the version before). The product itself says them, so the trigger costs it nothing.
TERMS_FUNCTION: Final = """
CREATE FUNCTION copy_session_terms() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  SELECT title, cancel_notice_minutes, reschedule_notice_minutes, max_reschedules
    INTO NEW.title, NEW.cancel_notice_minutes, NEW.reschedule_notice_minutes, NEW.max_reschedules
    FROM session_type WHERE id = NEW.session_type_id;
  RETURN NEW;
END $$
"""
TERMS_TRIGGER: Final = (
    "CREATE TRIGGER booking_terms BEFORE INSERT ON booking FOR EACH ROW WHEN (NEW.title IS NULL) "
    "EXECUTE FUNCTION copy_session_terms()"
)
# People are told what the history says, whoever made the change; of what is done by hand they are not.
MESSAGE_FUNCTION: Final = """
CREATE FUNCTION put_messages() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO message (kind, audience, booking_id, change_id, status, starts_at, ends_at, sequence)
  SELECT told.kind, audience, b.id, w.id, b.status, b.starts_at, b.ends_at, b.sequence
    FROM written w JOIN booking b ON b.id = w.booking_id
   CROSS JOIN LATERAL (SELECT CASE
           WHEN w.to_status IS DISTINCT FROM w.from_status THEN CASE w.to_status
             WHEN 'pending' THEN 'received' WHEN 'confirmed' THEN 'confirmed' WHEN 'declined' THEN 'declined'
             WHEN 'cancelled' THEN 'cancelled'
             WHEN 'expired' THEN CASE w.from_status WHEN 'pending' THEN 'expired' END END
           WHEN w.to_status IN ('pending', 'confirmed') AND w.from_starts_at <> w.to_starts_at THEN 'rescheduled' END
         ) told (kind)
   CROSS JOIN unnest(ARRAY['customer', 'expert']) AS audience
   WHERE told.kind IS NOT NULL AND w.actor <> 'database'
     AND current_setting('expert_booking.silent', true) IS DISTINCT FROM 'on'
   ORDER BY w.id, audience;
  RETURN NULL;
END $$
"""
MESSAGE_TRIGGER: Final = (
    "CREATE TRIGGER booking_change_mail AFTER INSERT ON booking_change REFERENCING NEW TABLE AS written "
    "FOR EACH STATEMENT EXECUTE FUNCTION put_messages()"
)


# How the catalogue is searched. Texts and what is typed are folded alike: no accents, no capitals, words apart from
# signs. A term is a word of the expert, or with a letter and a space before it (which no word has) a word of the name,
# the category as a whole, or a language; so one index knows words and filters together. PostgreSQL calls unaccent()
# merely stable because its rules are a file: who changes that file, or the version of PostgreSQL to one that has other
# rules, has these columns worked out again (UPDATE expert SET name = name).
SEARCH_EXTENSIONS: Final = ("pg_trgm", "unaccent")
SEARCH_FUNCTIONS: Final = (
    """
CREATE FUNCTION search_folded(said text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN lower(unaccent('unaccent'::regdictionary, normalize(said, NFKC)))
""",
    """
CREATE FUNCTION search_words(said text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN ARRAY(
  SELECT DISTINCT "left"(word, 60) FROM regexp_split_to_table(
    regexp_replace(regexp_replace(search_folded(said), '(?<=[[:alnum:]])''(?=[[:alnum:]])', '', 'g'),
                   '([^[:alnum:][:space:]])', ' \\1 ', 'g'), '[[:space:]]+') AS word
  WHERE word <> '')
""",
    """
CREATE FUNCTION search_terms(name text, category text, headline text, bio text, languages text[]) RETURNS tsvector
LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN array_to_tsvector(
  search_words(name || ' ' || category || ' ' || headline || ' ' || bio)
  || ARRAY(SELECT 'n ' || word FROM unnest(search_words(name)) AS word)
  || ('c ' || "left"(category, 200))
  || ARRAY(SELECT 'l ' || language FROM unnest(languages) AS language))
""",
    # A word, and it without any one of its letters: two words that share such a rest are a slip or two apart.
    """
CREATE FUNCTION search_slips(word text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN ARRAY(SELECT word UNION SELECT overlay(word PLACING '' FROM place FOR 1)
               FROM generate_series(1, length(word)) AS place)
""",
)
# In order, so that writers who bring the same new words at once wait for each other in a row and not in a circle.
SEARCH_TRIGGER_FUNCTION: Final = """
CREATE FUNCTION learn_search_words() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO search_word (word)
  SELECT DISTINCT word FROM changed, unnest(tsvector_to_array(terms)) AS term (word)
   WHERE length(word) >= 3 AND position(' ' IN word) = 0
     AND NOT EXISTS (SELECT FROM search_word known WHERE known.word = term.word)
   ORDER BY word
  ON CONFLICT DO NOTHING;
  RETURN NULL;
END $$
"""
SEARCH_TRIGGERS: Final = tuple(
    f"CREATE TRIGGER expert_words_{event_.lower()} AFTER {event_} ON expert REFERENCING NEW TABLE AS changed "
    "FOR EACH STATEMENT EXECUTE FUNCTION learn_search_words()"
    for event_ in ("INSERT", "UPDATE")
)


def _ddl(statement: str) -> DDL:
    return DDL(statement.replace("%", "%%"))  # type: ignore[no-untyped-call]


# Alembic compares neither functions nor triggers; a test compares a migrated database with one made from here.
for _extension in ("btree_gist", *SEARCH_EXTENSIONS):
    event.listen(metadata, "before_create", _ddl(f"CREATE EXTENSION IF NOT EXISTS {_extension}"))
event.listen(installation, "after_create", _ddl("INSERT INTO installation DEFAULT VALUES"))
for _function in SEARCH_FUNCTIONS:
    event.listen(metadata, "before_create", _ddl(_function))
for _statement in (
    EVENT_FUNCTION, *EVENT_TRIGGERS, SEARCH_TRIGGER_FUNCTION, *SEARCH_TRIGGERS, *HISTORY_FUNCTIONS, *HISTORY_TRIGGERS,
    SEQUENCE_FUNCTION, SEQUENCE_TRIGGER, TERMS_FUNCTION, TERMS_TRIGGER, MESSAGE_FUNCTION, MESSAGE_TRIGGER,
):  # fmt: skip
    event.listen(metadata, "after_create", _ddl(_statement))
