"""Session types and what makes up a calendar: weekly hours, date overrides and days off."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Date,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    literal_column,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, ExcludeConstraint

from expert_booking.db.tables.base import PRICE_IS_WHOLE, metadata

session_type = Table(
    "session_type",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=func.gen_random_uuid()),
    Column("expert_id", ForeignKey("expert.id", ondelete="CASCADE"), nullable=False),
    # The display order. The first type is preselected.
    Column("position", SmallInteger, nullable=False, server_default="1"),
    Column("title", Text, nullable=False),
    Column("description", Text, nullable=False, server_default=""),
    Column("minutes", SmallInteger, nullable=False),
    Column("step_minutes", SmallInteger, nullable=False),
    Column("before_minutes", SmallInteger, nullable=False, server_default="0"),
    Column("after_minutes", SmallInteger, nullable=False, server_default="0"),
    Column("notice_minutes", Integer, nullable=False, server_default="0"),
    Column("horizon_days", SmallInteger, nullable=False, server_default="60"),
    # The most sessions of this type on one local day of the expert.
    Column("daily_cap", SmallInteger),
    # Whether bookings are confirmed instantly or by the expert, who must then answer within `answer_minutes`.
    Column("confirmation", Text, nullable=False, server_default="by_expert"),
    Column("answer_minutes", Integer, nullable=False, server_default="2880"),
    # Until how long before the start the customer may cancel or reschedule. max_reschedules NULL: no limit.
    Column("cancel_notice_minutes", Integer, nullable=False, server_default="0"),
    Column("reschedule_notice_minutes", Integer, nullable=False, server_default="0"),
    Column("max_reschedules", SmallInteger),
    # Which bookings are made only once the customer has confirmed the email address.
    Column("email_verification", Text, nullable=False, server_default="never"),
    # In the minor unit of an ISO 4217 currency; 0: free; NULL: no price is stated. The note says how to pay.
    Column("price_amount", Integer),
    Column("price_currency", Text),
    Column("payment_note", Text, nullable=False, server_default=""),
    # The documents of `schemas/locations.py`, in order.
    Column("locations", JSONB, nullable=False, server_default=text("'[]'")),
    # The documents of `schemas/questions.py`, in order.
    Column("questions", JSONB, nullable=False, server_default=text("'[]'")),
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
    CheckConstraint("email_verification IN ('never', 'new_addresses', 'always')", name="email_verification"),
    CheckConstraint(PRICE_IS_WHOLE, name="price"),
    UniqueConstraint("expert_id", "id"),
)
Index("ix_session_type_minutes", session_type.c.minutes, session_type.c.expert_id, postgresql_where=text("active"))

availability_rule = Table(
    "availability_rule",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=func.gen_random_uuid()),
    Column("expert_id", ForeignKey("expert.id", ondelete="CASCADE"), nullable=False),
    # 1 = Monday … 7 = Sunday. Minutes since midnight in the expert's time zone.
    Column("weekday", SmallInteger, nullable=False),
    Column("opens_minute", SmallInteger, nullable=False),
    Column("closes_minute", SmallInteger, nullable=False),
    # The first and the last local date on which these hours apply.
    Column("valid_from", Date),
    Column("valid_until", Date),
    CheckConstraint("weekday BETWEEN 1 AND 7", name="weekday"),
    CheckConstraint("valid_from <= valid_until", name="validity"),
    CheckConstraint(
        "opens_minute BETWEEN 0 AND 1439 AND closes_minute > opens_minute AND closes_minute <= opens_minute + 1440",
        name="window",
    ),
    # Hours of one weekday must not overlap while both are valid.
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
    # [[opens, closes], …] in minutes since local midnight, as in availability_rule.
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
