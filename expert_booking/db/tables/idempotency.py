"""The stored responses of requests with an Idempotency-Key."""

from sqlalchemy import Column, DateTime, Index, LargeBinary, SmallInteger, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from expert_booking.db.tables.base import metadata

# Responses to requests with an Idempotency-Key, for repeats of the same request. Written in the transaction of the
# request itself, so neither exists without the other.
kept_answer = Table(
    "kept_answer",
    metadata,
    # The caller: a hash of the token, or of the network address.
    Column("caller", LargeBinary, primary_key=True),
    Column("key", Text, primary_key=True),
    # A hash of the request.
    Column("fingerprint", LargeBinary, nullable=False),
    Column("status", SmallInteger),
    Column("headers", JSONB),
    Column("body", LargeBinary),
    Column("created_at", DateTime(timezone=True), nullable=False),
    # A keyed hash of the email address in the response, to find it when a customer's data is erased. NULL: none.
    Column("customer", LargeBinary),
    Index("ix_kept_answer_created_at", "created_at"),
)
