"""A booking's session type belongs to the booking's expert.

Why: two references that need not agree are one too many; and to delete a session type, PostgreSQL looked through all
bookings for it, which it can now do by the index that begins with the expert. The new reference is checked while it is
made: for as long as that reads the bookings once, nobody books.
"""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    # The constraint's index begins with the expert, too, and takes the place of the plain one.
    op.create_unique_constraint(op.f("uq_session_type_expert_id"), "session_type", ["expert_id", "id"])
    op.drop_index("ix_session_type_expert_id", table_name="session_type")
    op.drop_constraint("fk_booking_session_type_id", "booking")
    op.create_foreign_key(
        op.f("fk_booking_session_type_id"),
        "booking",
        "session_type",
        ["expert_id", "session_type_id"],
        ["expert_id", "id"],
    )


def downgrade() -> None:
    op.drop_constraint("fk_booking_session_type_id", "booking")
    op.create_foreign_key(op.f("fk_booking_session_type_id"), "booking", "session_type", ["session_type_id"], ["id"])
    op.create_index("ix_session_type_expert_id", "session_type", ["expert_id"])
    op.drop_constraint("uq_session_type_expert_id", "session_type")
