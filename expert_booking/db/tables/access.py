"""Tokens, requests to prove an email address, and proofs.

No secret is stored. Links and codes are derived from a signed key (see `domain/signed_keys.py`); of random secrets only
hashes are stored.
"""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
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

from expert_booking.db.tables.base import metadata

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
    # With a precision of one hour.
    Column("last_used_at", DateTime(timezone=True)),
    Column("revoked_at", DateTime(timezone=True)),
    UniqueConstraint("name"),
    UniqueConstraint("secret_hash"),
    CheckConstraint("role IN ('admin', 'expert', 'reader')", name="role"),
    CheckConstraint("(role = 'expert') = (expert_id IS NOT NULL)", name="expert_named"),
)

# A request to prove an email address: with the emailed link, once, or with its code in the browser that asked.
access_request = Table(
    "access_request",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=func.gen_random_uuid()),
    Column("customer_key", Text, nullable=False),
    Column("email", Text, nullable=False),
    # The page to open next.
    Column("next_path", Text, nullable=False, server_default=""),
    # Hashes of the browser and the network it came from. A program has no browser, the command line has neither.
    Column("browser", LargeBinary),
    Column("origin", LargeBinary),
    Column("wrong_codes", SmallInteger, nullable=False, server_default="0"),
    # Requests for the same address in the hour before, and how many of them came from other networks. From the second
    # request within an hour on, the code is eight letters and digits.
    Column("earlier", Integer, nullable=False, server_default="0"),
    Column("earlier_elsewhere", Integer, nullable=False, server_default="0"),
    # Whether the browser that asked has proven this address before.
    Column("proven_before", Boolean, nullable=False, server_default=text("false")),
    # No email is sent, because this address has just got enough of them.
    Column("suppressed", Boolean, nullable=False, server_default=text("false")),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("expires_at", DateTime(timezone=True), nullable=False),
    Column("spent_at", DateTime(timezone=True)),
    # The expert whose new address this will be.
    Column("expert_id", Uuid),
    Index("ix_access_request_customer_key_created_at", "customer_key", "created_at"),
    Index("ix_access_request_origin_created_at", "origin", "created_at"),
    Index("ix_access_request_created_at", "created_at"),
)

# A proven email address. The proof is a browser's cookie or a program's bearer token.
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
