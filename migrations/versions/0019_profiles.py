"""Add photos, former slugs, assistants, and what an expert decides about directory and emails.

Why: experts edit their own profile. A changed slug must not break old links, nor may another expert take it over, so
former slugs are kept by a trigger. Photos are in a table of their own, because lists read `expert`; its column `photo`
is only the version in their URLs. Rows of removed assistants stay, because the history names them.

The new columns have constant defaults, which changes only PostgreSQL's catalogue. The catalogue's indexes are built
again without experts that are not listed, which reads all experts (1 s for 100,000) and blocks changes to them in the
meantime. Downgrading lists hidden experts again, and forgets photos, former slugs and assistants.

Revision ID: 0019
Revises: 0018
"""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision: str = "0019"
down_revision: str | None = "0018"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

EVERY_EMAIL = "'{bookings,changes,reminders}'"
KEEP_FORMER_SLUG = """
CREATE FUNCTION keep_former_slug() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM former_slug WHERE slug = NEW.slug AND expert_id <> NEW.id) THEN
    RAISE unique_violation USING MESSAGE = 'another expert had this slug before', CONSTRAINT = 'uq_expert_slug';
  END IF;
  IF TG_OP = 'UPDATE' AND OLD.slug <> NEW.slug THEN
    DELETE FROM former_slug WHERE slug = NEW.slug;
    INSERT INTO former_slug (slug, expert_id) VALUES (OLD.slug, OLD.id);
  END IF;
  RETURN NULL;
END $$
"""
# The columns of each partial index of the catalogue.
INDEXES = {
    "ix_expert_rating": "(rating_key, rating_count, id)",
    "ix_expert_experience": "(experience_years, rating_key, rating_count, id)",
    "ix_expert_name": "(folded_name, id)",
    "ix_expert_category": "(category, id) INCLUDE (rating_key, languages)",
    "ix_expert_terms": "USING gin (terms)",
}


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    op.add_column("expert", sa.Column("photo", sa.Text(), server_default="", nullable=False))
    op.add_column("expert", sa.Column("listed", sa.Boolean(), server_default=sa.text("true"), nullable=False))
    op.execute(f"ALTER TABLE expert ADD COLUMN wanted_emails text[] NOT NULL DEFAULT {EVERY_EMAIL}")
    op.execute(
        "ALTER TABLE expert ADD CONSTRAINT ck_expert_wanted_emails_known"
        f" CHECK (wanted_emails <@ {EVERY_EMAIL}::text[])"
    )
    op.create_table(
        "former_slug",
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("expert_id", sa.Uuid(), nullable=False),
        sa.ForeignKeyConstraint(["expert_id"], ["expert.id"], ondelete="CASCADE", name="fk_former_slug_expert_id"),
        sa.PrimaryKeyConstraint("slug", name="pk_former_slug"),
    )
    op.create_index("ix_former_slug_expert_id", "former_slug", ["expert_id"])
    op.create_table(
        "expert_photo",
        sa.Column("expert_id", sa.Uuid(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        *(sa.Column(f"pixels_{pixels}", sa.LargeBinary(), nullable=False) for pixels in (160, 320, 640)),
        sa.ForeignKeyConstraint(["expert_id"], ["expert.id"], ondelete="CASCADE", name="fk_expert_photo_expert_id"),
        sa.PrimaryKeyConstraint("expert_id", name="pk_expert_photo"),
    )
    op.create_index("ix_expert_photo_version", "expert_photo", ["version"])
    op.create_table(
        "assistant",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("expert_id", sa.Uuid(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("email_key", sa.Text(), nullable=False),
        sa.Column("added_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("removed_at", sa.DateTime(timezone=True)),
        sa.ForeignKeyConstraint(["expert_id"], ["expert.id"], ondelete="CASCADE", name="fk_assistant_expert_id"),
        sa.PrimaryKeyConstraint("id", name="pk_assistant"),
    )
    current = sa.text("removed_at IS NULL")
    op.create_index(
        "uq_assistant_expert_id_email_key", "assistant", ["expert_id", "email_key"], unique=True,
        postgresql_where=current,
    )  # fmt: skip
    op.create_index("ix_assistant_email_key", "assistant", ["email_key"], postgresql_where=current)
    op.execute(KEEP_FORMER_SLUG)
    op.execute(
        "CREATE TRIGGER expert_former_slug AFTER INSERT OR UPDATE OF slug ON expert"
        " FOR EACH ROW EXECUTE FUNCTION keep_former_slug()"
    )
    _rebuild_indexes("active AND listed")


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '5s'")
    _rebuild_indexes("active")
    op.execute("DROP TRIGGER expert_former_slug ON expert")
    op.execute("DROP FUNCTION keep_former_slug()")
    for table in ("assistant", "expert_photo", "former_slug"):
        op.drop_table(table)
    op.execute("ALTER TABLE expert DROP CONSTRAINT ck_expert_wanted_emails_known")
    for column in ("wanted_emails", "listed", "photo"):
        op.drop_column("expert", column)


def _rebuild_indexes(condition: str) -> None:
    for name, columns in INDEXES.items():
        op.execute(f"DROP INDEX {name}")
        using = columns if columns.startswith("USING") else f"USING btree {columns}"
        op.execute(f"CREATE INDEX {name} ON expert {using} WHERE {condition}")
