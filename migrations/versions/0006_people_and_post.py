"""People without accounts, the outbox of mail, and calendars to subscribe to.

Why: an address is proven by a mailed link; mail is put into an outbox by the database itself, together with the change
that it tells of, so neither is ever without the other; calendar entries need a number that grows with each move. Of
bookings that are there already nobody is mailed about the past, but reminders do go out for those that are confirmed.
The new columns cost nothing by themselves; one index reads the bookings once, and for as long as that takes nobody
books (1 s for a million on a quiet machine). Addresses of experts are put into the form they sign in by.
"""

import sqlalchemy as sa
from alembic import context, op

from expert_booking.domain.addresses import customer_key

revision = "0006"
down_revision = "0005"

FUNCTIONS = (
    """
CREATE FUNCTION count_booking_sequence() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.sequence := OLD.sequence + 1;
  RETURN NEW;
END $$
""",
    """
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
           WHEN w.to_status IN ('pending', 'confirmed') AND w.from_starts_at <> w.to_starts_at THEN 'moved' END
         ) told (kind)
   CROSS JOIN unnest(ARRAY['customer', 'expert']) AS audience
   WHERE told.kind IS NOT NULL AND w.actor <> 'database'
     AND current_setting('expert_booking.silent', true) IS DISTINCT FROM 'on'
   ORDER BY w.id, audience;
  RETURN NULL;
END $$
""",
)
TRIGGERS = (
    (
        "CREATE TRIGGER booking_sequence BEFORE UPDATE ON booking FOR EACH ROW WHEN (OLD.starts_at <> NEW.starts_at "
        "OR OLD.ends_at <> NEW.ends_at OR OLD.status <> NEW.status AND NEW.status IN ('cancelled', 'declined', "
        "'expired')) EXECUTE FUNCTION count_booking_sequence()"
    ),
    (
        "CREATE TRIGGER booking_change_mail AFTER INSERT ON booking_change REFERENCING NEW TABLE AS written "
        "FOR EACH STATEMENT EXECUTE FUNCTION put_messages()"
    ),
)


def upgrade() -> None:
    op.add_column("expert", sa.Column("email_key", sa.Text(), server_default="", nullable=False))
    _fill_email_keys()
    op.create_index("ix_expert_email_key", "expert", ["email_key"])
    op.add_column(
        "booking", sa.Column("changed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False)
    )
    op.add_column("booking", sa.Column("sequence", sa.Integer(), server_default="0", nullable=False))
    op.create_index(
        "ix_booking_confirmed_starts_at", "booking", ["starts_at"], postgresql_where=sa.text("status = 'confirmed'")
    )
    _create_tables()
    op.execute("INSERT INTO installation DEFAULT VALUES")
    for statement in (*FUNCTIONS, *TRIGGERS):
        op.execute(statement)


def downgrade() -> None:
    op.execute("DROP TRIGGER booking_change_mail ON booking_change")
    op.execute("DROP TRIGGER booking_sequence ON booking")
    for function in ("put_messages", "count_booking_sequence"):
        op.execute(f"DROP FUNCTION {function}()")
    for table in ("mailbox_mail", "message", "feed", "access_proof", "access_request", "installation"):
        op.drop_table(table)
    op.drop_index("ix_booking_confirmed_starts_at", table_name="booking")
    op.drop_column("booking", "sequence")
    op.drop_column("booking", "changed_at")
    op.drop_index("ix_expert_email_key", table_name="expert")
    op.drop_column("expert", "email_key")


def _fill_email_keys() -> None:
    # Plain addresses are folded by the database; of others (IDNA, letters that merely look alike) Python knows more.
    # The experts' own news are not told: nothing that anybody sees has changed.
    op.execute("ALTER TABLE expert DISABLE TRIGGER USER")
    plain = "email ~ '^[!-~]+$'"
    op.execute(f"UPDATE expert SET email_key = lower(email) WHERE {plain}")  # noqa: S608 - words of ours
    if not context.is_offline_mode():
        _fill_those_that_python_folds(plain)
    op.execute("ALTER TABLE expert ENABLE TRIGGER USER")


def _fill_those_that_python_folds(plain: str) -> None:
    connection = op.get_bind()
    for key, email in connection.execute(sa.text(f"SELECT id, email FROM expert WHERE NOT {plain}")).all():  # noqa: S608
        try:
            known_by = customer_key(email)
        except ValueError:
            continue
        connection.execute(
            sa.text("UPDATE expert SET email_key = :known_by WHERE id = :id"), {"known_by": known_by, "id": key}
        )


def _create_tables() -> None:
    op.create_table(
        "installation",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("one_row", sa.Boolean(), server_default=sa.text("true"), nullable=False),
        sa.CheckConstraint("one_row", name=op.f("ck_installation_one_row")),
        sa.PrimaryKeyConstraint("one_row", name=op.f("pk_installation")),
    )
    op.create_table(
        "access_request",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("customer_key", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("next_path", sa.Text(), server_default="", nullable=False),
        sa.Column("browser", sa.LargeBinary()),
        sa.Column("origin", sa.LargeBinary()),
        sa.Column("wrong_codes", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("spent_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_request")),
    )
    op.create_index("ix_access_request_created_at", "access_request", ["created_at"])
    op.create_index("ix_access_request_customer_key_created_at", "access_request", ["customer_key", "created_at"])
    op.create_index("ix_access_request_origin_created_at", "access_request", ["origin", "created_at"])
    op.create_table(
        "access_proof",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("customer_key", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("bearer", sa.Text(), nullable=False),
        sa.Column("secret_hash", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.CheckConstraint("bearer IN ('browser', 'program')", name=op.f("ck_access_proof_bearer")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_access_proof")),
        sa.UniqueConstraint("secret_hash", name=op.f("uq_access_proof_secret_hash")),
    )
    op.create_index("ix_access_proof_customer_key", "access_proof", ["customer_key"])
    op.create_index("ix_access_proof_expires_at", "access_proof", ["expires_at"])
    op.create_table(
        "feed",
        sa.Column("id", sa.Uuid(), server_default=sa.text("gen_random_uuid()"), nullable=False),
        sa.Column("customer_key", sa.Text()),
        sa.Column("expert_id", sa.Uuid()),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("(customer_key IS NULL) <> (expert_id IS NULL)", name=op.f("ck_feed_owner")),
        sa.ForeignKeyConstraint(["expert_id"], ["expert.id"], name=op.f("fk_feed_expert_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_feed")),
        sa.UniqueConstraint("customer_key", name=op.f("uq_feed_customer_key")),
        sa.UniqueConstraint("expert_id", name=op.f("uq_feed_expert_id")),
    )
    op.create_table(
        "message",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("audience", sa.Text(), server_default="customer", nullable=False),
        sa.Column("booking_id", sa.Uuid()),
        sa.Column("change_id", sa.BigInteger()),
        sa.Column("status", sa.Text()),
        sa.Column("starts_at", sa.DateTime(timezone=True)),
        sa.Column("ends_at", sa.DateTime(timezone=True)),
        sa.Column("sequence", sa.Integer()),
        sa.Column("minutes_before", sa.Integer()),
        sa.Column("access_request_id", sa.Uuid()),
        sa.Column("tries", sa.SmallInteger(), server_default="0", nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True)),
        sa.Column("claimed_until", sa.DateTime(timezone=True)),
        sa.Column("sent_at", sa.DateTime(timezone=True)),
        sa.Column("failed_at", sa.DateTime(timezone=True)),
        sa.Column("error", sa.Text(), server_default="", nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.CheckConstraint("audience IN ('customer', 'expert')", name=op.f("ck_message_audience")),
        sa.CheckConstraint(
            "(booking_id IS NULL) <> (access_request_id IS NULL)", name=op.f("ck_message_about_something")
        ),
        sa.ForeignKeyConstraint(
            ["access_request_id"], ["access_request.id"], name=op.f("fk_message_access_request_id"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_message")),
    )
    op.create_index("ix_message_access_request_id", "message", ["access_request_id"])
    op.create_index("ix_message_booking_id_id", "message", ["booking_id", "id"])
    op.create_index("ix_message_created_at", "message", ["created_at"])
    op.create_index(
        "ix_message_waiting", "message", ["id"], postgresql_where=sa.text("sent_at IS NULL AND failed_at IS NULL")
    )
    op.create_index("uq_message_change", "message", ["change_id", "audience"], unique=True)
    op.create_index(
        "uq_message_reminder",
        "message",
        ["booking_id", "audience", "starts_at", "minutes_before"],
        unique=True,
        postgresql_where=sa.text("kind = 'reminder'"),
    )
    op.create_table(
        "mailbox_mail",
        sa.Column("id", sa.BigInteger(), sa.Identity(always=True), nullable=False),
        sa.Column("recipient", sa.Text(), nullable=False),
        sa.Column("raw", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mailbox_mail")),
    )
