"""The two fences: no writer can store two live bookings of one expert at the same time."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg.errors import CheckViolation, ExclusionViolation, ForeignKeyViolation, RaiseException, UniqueViolation

from tests.conftest import AddExpert

Connection = psycopg.Connection[tuple[Any, ...]]
Insert = Callable[..., UUID]
LIVE = ("held", "pending", "confirmed", "completed", "no_show")
ENDED = ("cancelled", "declined", "expired")


@pytest.fixture
def insert(sql: Connection) -> Insert:
    """Insert a booking with SQL: `insert(expert, "09:00", "10:00")`, by default without buffers."""

    def insert(
        expert_id: UUID, since: str, until: str, *, keeps: tuple[str, str] | None = None, **columns: Any
    ) -> UUID:
        busy_since, busy_until = keeps or (since, until)
        row = {
            "expert_id": expert_id,
            "session_type_id": sql.execute("SELECT id FROM session_type WHERE expert_id = %s", [expert_id]).fetchone()[
                0
            ],  # type: ignore[index]
            "starts_at": f"2026-11-24 {since}+00",
            "ends_at": f"2026-11-24 {until}+00",
            "busy": f"[2026-11-24 {busy_since}+00,2026-11-24 {busy_until}+00)",
            "status": "pending",
            "hold_until": "2100-01-01 00:00+00",
            "name": "Ada",
            "email": "ada@example.com",
            "customer_key": "ada@example.com",
            **columns,
        }
        names, binds = ", ".join(row), ", ".join(f"%({name})s" for name in row)
        made = sql.execute(f"INSERT INTO booking ({names}) VALUES ({binds}) RETURNING id", row).fetchone()
        assert made is not None
        return UUID(str(made[0]))

    return insert


def refused_by(error: psycopg.Error) -> str | None:
    """The name of the violated constraint."""
    return error.diag.constraint_name


async def test_unique_index_alone_refuses_two_live_bookings_with_the_same_start(
    add_expert: AddExpert, insert: Insert, sql: Connection
) -> None:
    expert = await add_expert()
    insert(expert, "09:00", "10:00")
    with pytest.raises(ExclusionViolation):
        insert(expert, "09:00", "09:30")
    sql.execute("ALTER TABLE booking DROP CONSTRAINT ex_booking_no_overlap")
    with pytest.raises(UniqueViolation) as refused:
        insert(expert, "09:00", "09:30")
    assert refused_by(refused.value) == "uq_booking_slot"


@pytest.mark.parametrize(
    ("since", "until"), [("09:30", "10:30"), ("08:30", "09:01"), ("09:15", "09:45"), ("08:00", "12:00")]
)
async def test_exclusion_constraint_refuses_overlapping_live_bookings(
    add_expert: AddExpert, insert: Insert, since: str, until: str
) -> None:
    expert = await add_expert()
    insert(expert, "09:00", "10:00")
    with pytest.raises(ExclusionViolation) as refused:
        insert(expert, since, until)
    assert refused_by(refused.value) == "ex_booking_no_overlap"


async def test_adjacent_bookings_and_other_experts_do_not_overlap(add_expert: AddExpert, insert: Insert) -> None:
    jana, omar = await add_expert(), await add_expert(name="Omar")
    for since, until in (("09:00", "10:00"), ("10:00", "11:00"), ("08:00", "09:00")):
        insert(jana, since, until)
        insert(omar, since, until)


async def test_overlapping_buffers_are_refused(add_expert: AddExpert, insert: Insert) -> None:
    expert = await add_expert()
    insert(expert, "09:00", "10:00", keeps=("08:50", "10:10"))
    with pytest.raises(ExclusionViolation):
        insert(expert, "10:15", "11:00", keeps=("10:05", "11:00"))
    insert(expert, "10:15", "11:00", keeps=("10:10", "11:00"))


@pytest.mark.parametrize("status", LIVE)
async def test_every_live_status_is_protected_by_both_fences(
    add_expert: AddExpert, insert: Insert, sql: Connection, status: str
) -> None:
    expert = await add_expert()
    insert(expert, "09:00", "10:00", status=status)
    with pytest.raises(ExclusionViolation):
        insert(expert, "09:30", "10:30")
    sql.execute("ALTER TABLE booking DROP CONSTRAINT ex_booking_no_overlap")
    with pytest.raises(UniqueViolation):
        insert(expert, "09:00", "10:00")


@pytest.mark.parametrize("status", ENDED)
async def test_cancelled_declined_and_expired_bookings_block_nothing(
    add_expert: AddExpert, insert: Insert, status: str
) -> None:
    expert = await add_expert()
    for _ in range(3):
        insert(expert, "09:00", "10:00", status=status)
    insert(expert, "09:00", "10:00")
    insert(expert, "09:30", "10:30", status=status)


async def test_cancelled_booking_cannot_be_revived_into_a_taken_time(
    add_expert: AddExpert, insert: Insert, sql: Connection
) -> None:
    expert = await add_expert()
    cancelled = insert(expert, "09:00", "10:00", status="cancelled")
    insert(expert, "09:30", "10:30")
    with pytest.raises(ExclusionViolation):
        sql.execute("UPDATE booking SET status = 'confirmed' WHERE id = %s", [cancelled])


async def test_booking_cannot_be_updated_onto_another(add_expert: AddExpert, insert: Insert, sql: Connection) -> None:
    expert = await add_expert()
    insert(expert, "09:00", "10:00")
    later = insert(expert, "11:00", "12:00")
    with pytest.raises(ExclusionViolation):
        sql.execute(
            "UPDATE booking SET starts_at = starts_at - interval '90 min', ends_at = ends_at - interval '90 min',"
            " busy = tstzrange(starts_at - interval '90 min', ends_at - interval '90 min') WHERE id = %s",
            [later],
        )


async def test_copy_is_checked_by_both_fences(add_expert: AddExpert, insert: Insert, sql: Connection) -> None:
    expert = await add_expert()
    insert(expert, "09:00", "10:00")
    row = sql.execute(
        "SELECT expert_id, session_type_id, starts_at + interval '30 min', ends_at + interval '30 min',"
        " tstzrange(starts_at + interval '30 min', ends_at + interval '30 min'), name, email, customer_key FROM booking"
    ).fetchone()
    assert row is not None
    names = "expert_id, session_type_id, starts_at, ends_at, busy, name, email, customer_key"
    with pytest.raises(ExclusionViolation), sql.cursor().copy(f"COPY booking ({names}) FROM STDIN") as copy:
        copy.write_row(row)


@pytest.mark.parametrize(
    ("columns", "constraint"),
    [
        ({"status": "maybe"}, "ck_booking_status"),
        ({"status": "held", "hold_until": None}, "ck_booking_hold_ends"),
        ({"email": None}, "ck_booking_customer_known"),
        ({"customer_key": None}, "ck_booking_customer_known"),
        ({"ends_at": "2026-11-24 09:00+00"}, "ck_booking_order"),
        ({"busy": "[2026-11-24 09:10+00,2026-11-24 10:00+00)"}, "ck_booking_busy_covers"),
        ({"busy": "empty"}, "ck_booking_busy_covers"),
    ],
)
async def test_invalid_rows_are_refused(
    add_expert: AddExpert, insert: Insert, columns: dict[str, Any], constraint: str
) -> None:
    with pytest.raises(CheckViolation) as refused:
        insert(await add_expert(), "09:00", "10:00", **columns)
    assert refused_by(refused.value) == constraint


async def test_expert_with_bookings_cannot_be_deleted(add_expert: AddExpert, insert: Insert, sql: Connection) -> None:
    expert = await add_expert()
    insert(expert, "09:00", "10:00")
    with pytest.raises(ForeignKeyViolation):
        sql.execute("DELETE FROM expert WHERE id = %s", [expert])


async def test_browser_has_one_hold_and_any_number_of_bookings(
    add_expert: AddExpert, insert: Insert, sql: Connection
) -> None:
    expert, browser = await add_expert(), b"a" * 32
    insert(expert, "09:00", "10:00", status="held", visitor=browser)
    for hour, status in ((10, "pending"), (11, "confirmed"), (12, "expired")):
        insert(expert, f"{hour}:00", f"{hour + 1}:00", status=status, visitor=browser)
    with pytest.raises(UniqueViolation) as refused:
        insert(expert, "15:00", "16:00", status="held", visitor=browser)
    assert refused_by(refused.value) == "uq_booking_visitor_hold"
    for hour in (16, 17):  # programs have no visitor id
        insert(expert, f"{hour}:00", f"{hour + 1}:00", status="held")
    sql.execute("UPDATE booking SET status = 'expired' WHERE status = 'held'")
    insert(expert, "15:00", "16:00", status="held", visitor=browser)


async def test_place_of_a_capped_day_belongs_to_one_live_booking(add_expert: AddExpert, insert: Insert) -> None:
    expert, place = await add_expert(), {"cap_day": "2026-11-24", "cap_place": 1}
    insert(expert, "09:00", "10:00", status="cancelled", **place)
    insert(expert, "09:00", "10:00", status="held", **place)
    with pytest.raises(UniqueViolation) as refused:
        insert(expert, "10:00", "11:00", **place)
    assert refused_by(refused.value) == "uq_booking_cap_place"
    with pytest.raises(CheckViolation) as refused_without:
        insert(expert, "10:00", "11:00", cap_day="2026-11-24", cap_place=None)
    assert refused_by(refused_without.value) == "ck_booking_cap_place"


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("confirmation = 'maybe'", "ck_session_type_confirmation"),
        ("answer_minutes = 0", "ck_session_type_confirmation"),
        ("cancel_notice_minutes = -1", "ck_session_type_terms"),
        ("reschedule_notice_minutes = -1", "ck_session_type_terms"),
        ("max_reschedules = -1", "ck_session_type_terms"),
    ],
)
async def test_invalid_terms_are_refused(add_expert: AddExpert, sql: Connection, change: str, constraint: str) -> None:
    await add_expert()
    with pytest.raises(CheckViolation) as refused:
        sql.execute(f"UPDATE session_type SET {change}")
    assert refused_by(refused.value) == constraint


@pytest.mark.parametrize("edit", ["UPDATE booking_change SET reason = 'x'", "DELETE FROM booking_change"])
async def test_role_with_write_access_to_all_tables_cannot_edit_history(
    add_expert: AddExpert, insert: Insert, sql: Connection, edit: str
) -> None:
    insert(await add_expert(), "09:00", "10:00")
    with sql.transaction(force_rollback=True):
        sql.execute("CREATE ROLE expert_booking_test_writer")
        sql.execute("GRANT ALL ON ALL TABLES IN SCHEMA public TO expert_booking_test_writer")
        sql.execute("SET LOCAL ROLE expert_booking_test_writer")
        with pytest.raises(RaiseException):
            sql.execute(edit)
