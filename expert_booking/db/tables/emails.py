"""The outbox, the addresses that it writes to, and the mailbox of a site without a mail server."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    SmallInteger,
    Table,
    Text,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY

from expert_booking.db.tables.base import metadata

# The outbox: emails that are waiting, were accepted by the mail server, were given up, or are withheld. A trigger
# writes those about a booking in the transaction of the change (see `db/sql/put_messages.sql`).
message = Table(
    "message",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("kind", Text, nullable=False),
    Column("audience", Text, nullable=False, server_default="customer"),
    Column("booking_id", Uuid),
    # The change it is about, and the booking as of that change.
    Column("change_id", BigInteger),
    Column("status", Text),
    Column("starts_at", DateTime(timezone=True)),
    Column("ends_at", DateTime(timezone=True)),
    Column("sequence", Integer),
    # Of a reminder: how long before the session.
    Column("minutes_before", Integer),
    Column("access_request_id", ForeignKey("access_request.id", ondelete="CASCADE")),
    Column("tries", SmallInteger, nullable=False, server_default="0"),
    # Send no earlier than due_at (NULL: immediately). A worker is sending it until claimed_until.
    Column("due_at", DateTime(timezone=True)),
    Column("claimed_until", DateTime(timezone=True)),
    Column("sent_at", DateTime(timezone=True)),
    # When it was given up or withheld, and why it is withheld (NULL: it was given up).
    Column("failed_at", DateTime(timezone=True)),
    Column("withheld", Text),
    # The last answer of the mail server, without personal data.
    Column("error", Text, nullable=False, server_default=""),
    # A host has sent it once more.
    Column("again", Boolean, nullable=False, server_default=text("false")),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    CheckConstraint("audience IN ('customer', 'expert')", name="audience"),
    CheckConstraint("withheld IN ('over_limit', 'silenced', 'refused')", name="withheld"),
    CheckConstraint("(booking_id IS NULL) <> (access_request_id IS NULL)", name="about_something"),
    # One email per change and reader, and one reminder per time, however many processes run.
    Index("uq_message_change", "change_id", "audience", unique=True, postgresql_where=text("NOT again")),
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
    Index("ix_message_given_up", "id", postgresql_where=text("failed_at IS NOT NULL AND withheld IS NULL")),
    Index("ix_message_withheld", "failed_at", postgresql_where=text("withheld IS NOT NULL")),
    Index("ix_message_created_at", "created_at"),
)

# What decides whether an address gets emails. A row is deleted when it no longer matters.
email_address = Table(
    "email_address",
    metadata,
    Column("customer_key", Text, primary_key=True),
    # When someone last signed in with it. It has no limit from then on, and this clears the columns below.
    Column("proven_at", DateTime(timezone=True)),
    # When its owner said that they did not book something.
    Column("silenced_at", DateTime(timezone=True)),
    # When a mail server last refused it permanently, and the status codes.
    Column("refused_at", DateTime(timezone=True)),
    Column("refused_reason", Text, nullable=False, server_default=""),
    # The emails about bookings of the last 24 hours: ids of messages, and when each was first tried (`db/outbox.py`).
    Column("emailed", ARRAY(BigInteger), nullable=False, server_default="{}"),
    Column("emailed_at", ARRAY(DateTime(timezone=True)), nullable=False, server_default="{}"),
)

# The emails of a site without a mail server, on its embedded database. `/mailbox` shows them.
mailbox_mail = Table(
    "mailbox_mail",
    metadata,
    Column("id", BigInteger, Identity(always=True), primary_key=True),
    Column("recipient", Text, nullable=False),
    Column("raw", LargeBinary, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)
