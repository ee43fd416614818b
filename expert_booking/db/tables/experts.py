"""Experts, with the columns and indexes of the catalogue; their former slugs, photos and assistants."""

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Numeric,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, TSVECTOR

from expert_booking.db.tables.base import metadata

EVERY_EXPERT_EMAIL = "'{bookings,changes,reminders}'"

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
    # ISO 639: the languages of the sessions.
    Column("languages", ARRAY(Text), nullable=False, server_default=text("'{}'")),
    # The country and region whose public holidays apply, and whether the expert is closed on them.
    Column("country", Text),
    Column("region", Text),
    Column("closed_on_holidays", Boolean, nullable=False, server_default=text("false")),
    Column("email", Text, nullable=False),
    # The normalised address, as for customers (addresses.customer_key). Signing in compares this.
    Column("email_key", Text, nullable=False, server_default=""),
    # A new address that has not been confirmed yet.
    Column("pending_email", Text),
    Column("portrait", Text, nullable=False, server_default=""),
    # The version of the photo in `expert_photo`, which is part of its URL; empty without a photo.
    Column("photo", Text, nullable=False, server_default=""),
    Column("active", Boolean, nullable=False, server_default=text("true")),
    # Whether the catalogue shows the expert. An expert that is not listed is still reachable by link.
    Column("listed", Boolean, nullable=False, server_default=text("true")),
    # The emails about bookings that the expert wants; see `ExpertEmails`.
    Column("wanted_emails", ARRAY(Text), nullable=False, server_default=text(EVERY_EXPERT_EMAIL)),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    # What the catalogue searches, filters and sorts by; see `db/sql/search_*.sql`.
    Column("terms", TSVECTOR, Computed("search_terms(name, category, headline, bio, languages)", persisted=True)),
    Column("folded_name", Text(collation="C"), Computed('"left"(search_folded(name), 100)', persisted=True)),
    # Experts without a rating sort last.
    Column("rating_key", Numeric(3, 2), Computed("coalesce(rating, '-1')", persisted=True)),
    UniqueConstraint("slug"),
    CheckConstraint("slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'", name="slug_shape"),
    CheckConstraint("rating BETWEEN 0 AND 5", name="rating_range"),
    CheckConstraint("rating_count >= 0 AND experience_years >= 0", name="counts_positive"),
    CheckConstraint(
        "country IS NOT NULL OR (region IS NULL AND NOT closed_on_holidays)", name="holidays_of_some_country"
    ),
    CheckConstraint(f"wanted_emails <@ {EVERY_EXPERT_EMAIL}::text[]", name="wanted_emails_known"),
)
# One index for each sort order of the catalogue, with the id as the tie-breaker. All but the name are read backwards.
Index(
    "ix_expert_rating",
    expert.c.rating_key,
    expert.c.rating_count,
    expert.c.id,
    postgresql_where=text("active AND listed"),
)
Index(
    "ix_expert_experience",
    expert.c.experience_years,
    expert.c.rating_key,
    expert.c.rating_count,
    expert.c.id,
    postgresql_where=text("active AND listed"),
)
Index("ix_expert_name", expert.c.folded_name, expert.c.id, postgresql_where=text("active AND listed"))
# The counts by category, language and rating are index-only scans of this.
Index(
    "ix_expert_category",
    expert.c.category,
    expert.c.id,
    postgresql_include=["rating_key", "languages"],
    postgresql_where=text("active AND listed"),
)
Index("ix_expert_terms", expert.c.terms, postgresql_using="gin", postgresql_where=text("active AND listed"))

Index("ix_expert_email_key", expert.c.email_key)

# Slugs that experts had before. They lead to the expert's page and are never given to another expert: a trigger on
# `expert` keeps them and refuses others (see `db/sql/keep_former_slug.sql`).
former_slug = Table(
    "former_slug",
    metadata,
    Column("slug", Text, primary_key=True),
    Column("expert_id", ForeignKey("expert.id", ondelete="CASCADE"), nullable=False),
    Index("ix_former_slug_expert_id", "expert_id"),
)

# Photos as WebP in three sizes, in pixels. `expert.photo` is the version of the current one.
expert_photo = Table(
    "expert_photo",
    metadata,
    Column("expert_id", ForeignKey("expert.id", ondelete="CASCADE"), primary_key=True),
    Column("version", Text, nullable=False),
    Column("pixels_160", LargeBinary, nullable=False),
    Column("pixels_320", LargeBinary, nullable=False),
    Column("pixels_640", LargeBinary, nullable=False),
    Index("ix_expert_photo_version", "version"),
)

# Addresses that run an expert's calendar. The rows of removed assistants stay, because the history of bookings names
# them: `booking_change.token_id` is the id of the assistant who made a change.
assistant = Table(
    "assistant",
    metadata,
    Column("id", Uuid, primary_key=True, server_default=func.gen_random_uuid()),
    Column("expert_id", ForeignKey("expert.id", ondelete="CASCADE"), nullable=False),
    Column("email", Text, nullable=False),
    # The normalised address. Signing in compares this.
    Column("email_key", Text, nullable=False),
    Column("added_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("removed_at", DateTime(timezone=True)),
    Index(
        "uq_assistant_expert_id_email_key",
        "expert_id",
        "email_key",
        unique=True,
        postgresql_where=text("removed_at IS NULL"),
    ),
    Index("ix_assistant_email_key", "email_key", postgresql_where=text("removed_at IS NULL")),
)
