"""Session types in full, seasons, overrides, days off, holidays, daily caps, and when each expert is free next.

Why: experts have more rules than weekly hours. The cap is kept by a unique index, like a slot: a booking takes a
numbered place on its local day or is not made. `expert_changed`, `expert_next` and `expert_free` are derived, so that
the catalogue can be sorted by free time. The news triggers now see whole statements: they tell of each expert once.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"


LIVE_ROWS = "status IN ('held', 'pending', 'confirmed', 'completed', 'no_show')"
BEFORE = ("expert", "session_type", "availability_rule", "booking")
TABLES_WITH_NEWS = ("expert", "session_type", "availability_rule", "override", "day_off", "booking")
SEEN = {
    "INSERT": "NEW TABLE AS changed",
    "UPDATE": "OLD TABLE AS changed_before NEW TABLE AS changed",
    "DELETE": "OLD TABLE AS changed",
}
NEWS_FUNCTION = """
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
  IF ids <> '{}' THEN
    INSERT INTO expert_changed (expert_id) SELECT unnest(ids);
    PERFORM pg_notify('expert_booking_news', told::text) FROM unnest(ids) AS told;
  END IF;
  RETURN NULL;
END $$
"""
NEWS_FUNCTION_BEFORE = """
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
    op.add_column(
        "expert", sa.Column("languages", postgresql.ARRAY(sa.Text()), server_default=sa.text("'{}'"), nullable=False)
    )
    op.add_column("expert", sa.Column("country", sa.Text(), nullable=True))
    op.add_column("expert", sa.Column("region", sa.Text(), nullable=True))
    op.add_column(
        "expert", sa.Column("closed_on_holidays", sa.Boolean(), server_default=sa.text("false"), nullable=False)
    )
    op.create_check_constraint(
        op.f("ck_expert_holidays_of_some_country"),
        "expert",
        "country IS NOT NULL OR (region IS NULL AND NOT closed_on_holidays)",
    )
    op.add_column("session_type", sa.Column("position", sa.SmallInteger(), server_default="1", nullable=False))
    op.add_column("session_type", sa.Column("description", sa.Text(), server_default="", nullable=False))
    op.add_column("session_type", sa.Column("daily_cap", sa.SmallInteger(), nullable=True))
    op.create_check_constraint(op.f("ck_session_type_daily_cap"), "session_type", "daily_cap BETWEEN 1 AND 100")
    _change_rules()
    _create_overrides()
    _create_caps()
    _create_derived()
    for table in BEFORE:
        op.execute(f"DROP TRIGGER {table}_news ON {table}")
    op.execute("DROP FUNCTION tell_expert_changed()")
    op.execute(NEWS_FUNCTION)
    for table in TABLES_WITH_NEWS:
        for event, seen in SEEN.items():
            op.execute(
                f"CREATE TRIGGER {table}_news_{event.lower()} AFTER {event} ON {table} REFERENCING {seen} "
                "FOR EACH STATEMENT EXECUTE FUNCTION tell_experts_changed()"
            )
    op.execute("INSERT INTO expert_changed (expert_id) SELECT id FROM expert")


def downgrade() -> None:
    for table in TABLES_WITH_NEWS:
        for event in SEEN:
            op.execute(f"DROP TRIGGER {table}_news_{event.lower()} ON {table}")
    op.execute("DROP FUNCTION tell_experts_changed()")
    for table in ("expert_free", "expert_next", "expert_changed"):
        op.drop_table(table)
    op.execute(NEWS_FUNCTION_BEFORE)
    for table in BEFORE:
        op.execute(
            f"CREATE TRIGGER {table}_news AFTER INSERT OR UPDATE OR DELETE ON {table} "
            "FOR EACH ROW EXECUTE FUNCTION tell_expert_changed()"
        )
    op.drop_index("uq_booking_cap_place", table_name="booking")
    op.drop_constraint("ck_booking_cap_place", "booking")
    op.drop_column("booking", "cap_place")
    op.drop_column("booking", "cap_day")
    op.drop_table("day_off")
    op.drop_table("override")
    # Seasons were not known: what is not always valid goes, so that no other hours open than before.
    op.execute("DELETE FROM availability_rule WHERE valid_from IS NOT NULL OR valid_until IS NOT NULL")
    op.drop_constraint("ex_availability_rule_no_overlap", "availability_rule")
    op.drop_column("availability_rule", "valid_until")
    op.drop_column("availability_rule", "valid_from")
    op.create_unique_constraint(
        "uq_availability_rule_expert_id", "availability_rule", ["expert_id", "weekday", "opens_minute"]
    )
    op.drop_column("session_type", "daily_cap")
    op.drop_column("session_type", "description")
    op.drop_column("session_type", "position")
    op.drop_column("expert", "closed_on_holidays")
    op.drop_column("expert", "region")
    op.drop_column("expert", "country")
    op.drop_column("expert", "languages")


def _change_rules() -> None:
    op.drop_constraint("uq_availability_rule_expert_id", "availability_rule")
    op.add_column("availability_rule", sa.Column("valid_from", sa.Date(), nullable=True))
    op.add_column("availability_rule", sa.Column("valid_until", sa.Date(), nullable=True))
    op.create_check_constraint(op.f("ck_availability_rule_validity"), "availability_rule", "valid_from <= valid_until")
    # Hours that overlap were allowed as long as they did not open together; they are joined, which opens the same time.
    op.execute(
        """
        WITH joined AS (
          SELECT expert_id, weekday, unnest(range_agg(int4range(opens_minute, closes_minute))) AS hours
            FROM availability_rule GROUP BY expert_id, weekday
        ), overlapping AS (
          SELECT DISTINCT a.expert_id, a.weekday FROM availability_rule a JOIN availability_rule b
              ON b.expert_id = a.expert_id AND b.weekday = a.weekday AND b.id <> a.id
             AND int4range(a.opens_minute, a.closes_minute) && int4range(b.opens_minute, b.closes_minute)
        ), gone AS (
          DELETE FROM availability_rule a USING overlapping o
           WHERE a.expert_id = o.expert_id AND a.weekday = o.weekday
        )
        INSERT INTO availability_rule (expert_id, weekday, opens_minute, closes_minute)
        SELECT expert_id, weekday, lower(hours), least(upper(hours), lower(hours) + 1440)
          FROM joined JOIN overlapping USING (expert_id, weekday)
        """
    )
    op.create_exclude_constraint(
        "ex_availability_rule_no_overlap",
        "availability_rule",
        ("expert_id", "="),
        ("weekday", "="),
        (sa.literal_column("int4range(opens_minute, closes_minute)"), "&&"),
        (sa.literal_column("daterange(valid_from, valid_until, '[]')"), "&&"),
        using="gist",
    )


def _create_overrides() -> None:
    op.create_table(
        "override",
        sa.Column("expert_id", sa.Uuid(), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("windows", postgresql.JSONB(), server_default=sa.text("'[]'"), nullable=False),
        sa.CheckConstraint("kind IN ('hours', 'extra', 'none')", name=op.f("ck_override_kind")),
        sa.CheckConstraint(
            "jsonb_typeof(windows) = 'array' AND (kind = 'none') = (windows = '[]')", name=op.f("ck_override_windows")
        ),
        sa.ForeignKeyConstraint(["expert_id"], ["expert.id"], name=op.f("fk_override_expert_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("expert_id", "day", name=op.f("pk_override")),
    )
    op.create_table(
        "day_off",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("expert_id", sa.Uuid(), nullable=False),
        sa.Column("first_day", sa.Date(), nullable=False),
        sa.Column("last_day", sa.Date(), nullable=False),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.CheckConstraint("first_day <= last_day", name=op.f("ck_day_off_order")),
        sa.ForeignKeyConstraint(["expert_id"], ["expert.id"], name=op.f("fk_day_off_expert_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_day_off")),
    )
    op.create_index("ix_day_off_expert_id_last_day", "day_off", ["expert_id", "last_day"])


def _create_caps() -> None:
    op.add_column("booking", sa.Column("cap_day", sa.Date(), nullable=True))
    op.add_column("booking", sa.Column("cap_place", sa.SmallInteger(), nullable=True))
    op.create_check_constraint(
        op.f("ck_booking_cap_place"), "booking", "(cap_day IS NULL) = (cap_place IS NULL) AND cap_place >= 1"
    )
    op.create_index(
        "uq_booking_cap_place",
        "booking",
        ["session_type_id", "cap_day", "cap_place"],
        unique=True,
        postgresql_where=sa.text(f"cap_place IS NOT NULL AND {LIVE_ROWS}"),
    )


def _create_derived() -> None:
    op.create_table(
        "expert_changed",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("expert_id", sa.Uuid(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_expert_changed")),
    )
    op.create_table(
        "expert_next",
        sa.Column("expert_id", sa.Uuid(), nullable=False),
        sa.Column("minutes", sa.SmallInteger(), nullable=False),
        sa.Column("free_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("check_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["expert_id"], ["expert.id"], name=op.f("fk_expert_next_expert_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("expert_id", "minutes", name=op.f("pk_expert_next")),
    )
    op.create_index("ix_expert_next_minutes_free_at", "expert_next", ["minutes", "free_at", "expert_id"])
    op.create_index("ix_expert_next_check_at", "expert_next", ["check_at"], postgresql_where=sa.text("minutes = 0"))
    op.create_table(
        "expert_free",
        sa.Column("expert_id", sa.Uuid(), nullable=False),
        sa.Column("minutes", sa.SmallInteger(), nullable=False),
        sa.Column("half_day", sa.Integer(), nullable=False),
        sa.Column("first_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["expert_id"], ["expert.id"], name=op.f("fk_expert_free_expert_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("expert_id", "minutes", "half_day", name=op.f("pk_expert_free")),
    )
    op.create_index(
        "ix_expert_free_half_day",
        "expert_free",
        ["half_day", "minutes", "expert_id"],
        postgresql_include=["first_at", "last_at"],
    )
