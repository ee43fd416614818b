"""Experts, their hours, bookings with both fences, and tokens.

Why: the whole spine at once. The exclusion constraint has to be here: PostgreSQL can add one to a grown table only
under a lock that lasts as long as the building of its index. btree_gist gives it `=` on a uuid.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None


TABLES_WITH_NEWS = ("expert", "session_type", "availability_rule", "booking")
NEWS_FUNCTION = """
CREATE FUNCTION tell_expert_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_TABLE_NAME = 'expert' THEN
    PERFORM pg_notify('expert_booking_news', coalesce(NEW.id, OLD.id)::text);
    RETURN NULL;
  END IF;
  IF TG_OP <> 'INSERT' THEN
    PERFORM pg_notify('expert_booking_news', OLD.expert_id::text);
  END IF;
  IF TG_OP <> 'DELETE' THEN
    PERFORM pg_notify('expert_booking_news', NEW.expert_id::text);
  END IF;
  RETURN NULL;
END $$
"""


def upgrade() -> None:
    op.execute("CREATE EXTENSION IF NOT EXISTS btree_gist")
    op.create_table(
        "expert",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("category", sa.Text(), nullable=False),
        sa.Column("headline", sa.Text(), server_default="", nullable=False),
        sa.Column("bio", sa.Text(), server_default="", nullable=False),
        sa.Column("experience_years", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("rating", sa.Numeric(precision=3, scale=2), nullable=True),
        sa.Column("rating_count", sa.Integer(), server_default="0", nullable=False),
        sa.Column("time_zone", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("portrait", sa.Text(), server_default="", nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'", name=op.f("ck_expert_slug_shape")),
        sa.CheckConstraint("rating BETWEEN 0 AND 5", name=op.f("ck_expert_rating_range")),
        sa.CheckConstraint("rating_count >= 0 AND experience_years >= 0", name=op.f("ck_expert_counts_positive")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_expert")),
        sa.UniqueConstraint("slug", name=op.f("uq_expert_slug")),
    )
    op.create_index(
        "ix_expert_category", "expert", ["category", "id"], unique=False, postgresql_where=sa.text("active")
    )
    op.create_index(
        "ix_expert_rating",
        "expert",
        [sa.literal_column("rating DESC NULLS LAST"), "id"],
        unique=False,
        postgresql_where=sa.text("active"),
    )
    op.create_table(
        "availability_rule",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("expert_id", sa.Uuid(), nullable=False),
        sa.Column("weekday", sa.SmallInteger(), nullable=False),
        sa.Column("opens_minute", sa.SmallInteger(), nullable=False),
        sa.Column("closes_minute", sa.SmallInteger(), nullable=False),
        sa.CheckConstraint(
            "opens_minute BETWEEN 0 AND 1439 AND closes_minute > opens_minute AND closes_minute <= opens_minute + 1440",
            name=op.f("ck_availability_rule_window"),
        ),
        sa.CheckConstraint("weekday BETWEEN 1 AND 7", name=op.f("ck_availability_rule_weekday")),
        sa.ForeignKeyConstraint(
            ["expert_id"], ["expert.id"], name=op.f("fk_availability_rule_expert_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_availability_rule")),
        sa.UniqueConstraint("expert_id", "weekday", "opens_minute", name=op.f("uq_availability_rule_expert_id")),
    )
    op.create_table(
        "session_type",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("expert_id", sa.Uuid(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("minutes", sa.SmallInteger(), nullable=False),
        sa.Column("step_minutes", sa.SmallInteger(), nullable=False),
        sa.Column("before_minutes", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("after_minutes", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("notice_minutes", sa.Integer(), server_default="0", nullable=False),
        sa.Column("horizon_days", sa.SmallInteger(), server_default="60", nullable=False),
        sa.Column("active", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint(
            "before_minutes >= 0 AND after_minutes >= 0 AND notice_minutes >= 0 AND horizon_days >= 1",
            name=op.f("ck_session_type_positive"),
        ),
        sa.CheckConstraint(
            "minutes BETWEEN 5 AND 480 AND step_minutes BETWEEN 5 AND 1440",
            name=op.f("ck_session_type_length"),
        ),
        sa.ForeignKeyConstraint(
            ["expert_id"], ["expert.id"], name=op.f("fk_session_type_expert_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_session_type")),
    )
    op.create_index("ix_session_type_expert_id", "session_type", ["expert_id"], unique=False)
    op.create_table(
        "token",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("expert_id", sa.Uuid(), nullable=True),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("revoked_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("(role = 'expert') = (expert_id IS NOT NULL)", name=op.f("ck_token_expert_named")),
        sa.CheckConstraint("role IN ('admin', 'expert', 'reader')", name=op.f("ck_token_role")),
        sa.ForeignKeyConstraint(["expert_id"], ["expert.id"], name=op.f("fk_token_expert_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_token")),
        sa.UniqueConstraint("name", name=op.f("uq_token_name")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_token_secret_hash")),
    )
    op.create_table(
        "booking",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("expert_id", sa.Uuid(), nullable=False),
        sa.Column("session_type_id", sa.Uuid(), nullable=False),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("busy", postgresql.TSTZRANGE(), nullable=False),
        sa.Column("status", sa.Text(), server_default="pending", nullable=False),
        sa.Column("hold_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("customer_key", sa.Text(), nullable=True),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("notes", sa.Text(), server_default="", nullable=False),
        sa.Column("time_zone", sa.Text(), nullable=True),
        sa.Column("visitor", sa.LargeBinary(), nullable=True),
        sa.Column("submission", sa.Uuid(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("version", sa.Integer(), server_default="1", nullable=False),
        postgresql.ExcludeConstraint(
            (sa.column("expert_id"), "="),
            (sa.column("busy"), "&&"),
            where=sa.text("status IN ('held', 'pending', 'confirmed', 'completed', 'no_show')"),
            using="gist",
            name="ex_booking_no_overlap",
        ),
        sa.CheckConstraint("(status = 'held') <= (hold_until IS NOT NULL)", name=op.f("ck_booking_hold_ends")),
        sa.CheckConstraint(
            "status IN ('held', 'expired') OR (name IS NOT NULL AND email IS NOT NULL AND customer_key IS NOT NULL)",
            name=op.f("ck_booking_customer_known"),
        ),
        sa.CheckConstraint(
            "status IN ('held', 'pending', 'confirmed', 'completed', 'cancelled', 'declined', 'expired', 'no_show')",
            name=op.f("ck_booking_status"),
        ),
        sa.CheckConstraint("busy @> tstzrange(starts_at, ends_at)", name=op.f("ck_booking_busy_covers")),
        sa.CheckConstraint("ends_at > starts_at", name=op.f("ck_booking_order")),
        sa.ForeignKeyConstraint(["expert_id"], ["expert.id"], name=op.f("fk_booking_expert_id")),
        sa.ForeignKeyConstraint(["session_type_id"], ["session_type.id"], name=op.f("fk_booking_session_type_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_booking")),
        sa.UniqueConstraint("submission", name=op.f("uq_booking_submission")),
    )
    op.create_index("ix_booking_customer_key_starts_at", "booking", ["customer_key", "starts_at"], unique=False)
    op.create_index("ix_booking_expert_id_starts_at", "booking", ["expert_id", "starts_at"], unique=False)
    op.create_index(
        "ix_booking_visitor_starts_at",
        "booking",
        ["visitor", "starts_at"],
        unique=False,
        postgresql_where=sa.text("visitor IS NOT NULL"),
    )
    op.create_index(
        "uq_booking_slot",
        "booking",
        ["expert_id", "starts_at"],
        unique=True,
        postgresql_where=sa.text("status IN ('held', 'pending', 'confirmed', 'completed', 'no_show')"),
    )
    op.execute(NEWS_FUNCTION)
    for table in TABLES_WITH_NEWS:
        op.execute(
            f"CREATE TRIGGER {table}_news AFTER INSERT OR UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION tell_expert_changed()"
        )


def downgrade() -> None:
    op.drop_index(
        "uq_booking_slot",
        table_name="booking",
        postgresql_where=sa.text("status IN ('held', 'pending', 'confirmed', 'completed', 'no_show')"),
    )
    op.drop_index("ix_booking_visitor_starts_at", table_name="booking", postgresql_where=sa.text("visitor IS NOT NULL"))
    op.drop_index("ix_booking_expert_id_starts_at", table_name="booking")
    op.drop_index("ix_booking_customer_key_starts_at", table_name="booking")
    op.drop_table("booking")
    op.drop_table("token")
    op.drop_index("ix_session_type_expert_id", table_name="session_type")
    op.drop_table("session_type")
    op.drop_table("availability_rule")
    op.drop_index("ix_expert_rating", table_name="expert", postgresql_where=sa.text("active"))
    op.drop_index("ix_expert_category", table_name="expert", postgresql_where=sa.text("active"))
    op.drop_table("expert")
    op.execute("DROP FUNCTION tell_expert_changed()")
    # btree_gist stays: it may have been there before us, or serve somebody else.
