"""The sample data: plausible, reproducible and loaded only once."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from expert_booking.db.engine import Database
from expert_booking.domain.calendar import SlotState
from expert_booking.schemas import ExpertPage, ExpertQuery, Role, TokenRequest
from expert_booking.seed import Plan, load
from expert_booking.services import Services
from tests.conftest import MONDAY_MORNING, AddExpert, Book, fresh_database

Sql = psycopg.Connection[tuple[Any, ...]]

SMALL_PLAN = Plan(experts=8, bookings=120)
TOMORROW = MONDAY_MORNING + timedelta(days=1)
OVERLAPS = """
    SELECT count(*) FROM booking a JOIN booking b ON a.expert_id = b.expert_id AND a.busy && b.busy AND a.id < b.id
    WHERE a.status IN ('held', 'pending', 'confirmed', 'completed', 'no_show')
      AND b.status IN ('held', 'pending', 'confirmed', 'completed', 'no_show')
"""
DATA = """
    SELECT e.slug, e.name, e.category, e.rating, e.time_zone, b.starts_at, b.ends_at, b.status, b.email, b.notes
    FROM expert e LEFT JOIN booking b ON b.expert_id = e.id ORDER BY e.slug, b.starts_at, b.email
"""


@pytest.fixture
async def another_database(server_url: str, template: str) -> AsyncIterator[Database]:
    """A second migrated database."""
    with fresh_database(server_url, template) as url:
        database = Database(url)
        yield database
        await database.close()


async def all_experts(services: Services) -> ExpertPage:
    return await services.experts.find(ExpertQuery(limit=100))


def rows(sql: Sql, query: Any) -> list[tuple[Any, ...]]:
    return sql.execute(query).fetchall()


async def data_of(database: Database) -> list[tuple[Any, ...]]:
    """The data without random ids."""
    async with database.statements() as connection:
        return [tuple(row) for row in await connection.execute(text(DATA))]


async def test_second_seed_run_changes_nothing(database: Database, sql: Sql) -> None:
    await load(database, SMALL_PLAN, now=MONDAY_MORNING)
    before = rows(sql, "SELECT id, version FROM booking ORDER BY id")
    assert await load(database, SMALL_PLAN, now=MONDAY_MORNING) == "8 experts and 120 bookings are there (0 and 0 new)."
    assert rows(sql, "SELECT id, version FROM booking ORDER BY id") == before


async def test_seed_run_on_the_next_day_changes_nothing(database: Database, sql: Sql) -> None:
    await load(database, SMALL_PLAN, now=MONDAY_MORNING)
    before = rows(sql, "SELECT id, version FROM booking ORDER BY id")
    assert await load(database, SMALL_PLAN, now=TOMORROW) == "8 experts and 120 bookings are there (0 and 0 new)."
    assert rows(sql, "SELECT id, version FROM booking ORDER BY id") == before


async def test_second_seed_run_completes_an_interrupted_one(database: Database, sql: Sql) -> None:
    await load(database, SMALL_PLAN, now=MONDAY_MORNING)
    sql.execute("DELETE FROM booking WHERE expert_id IN (SELECT id FROM expert ORDER BY slug LIMIT 4)")
    sql.execute("DELETE FROM expert WHERE id IN (SELECT id FROM expert ORDER BY slug LIMIT 2)")
    sql.execute("DELETE FROM booking WHERE id IN (SELECT id FROM booking ORDER BY submission LIMIT 20)")
    sql.execute("UPDATE booking SET status = 'pending' WHERE status = 'completed'")
    message = await load(database, SMALL_PLAN, now=TOMORROW)
    assert message.startswith("8 experts and 120 bookings are there (2 and ")
    assert rows(sql, "SELECT count(*) FROM booking WHERE status = 'pending' AND starts_at < '2026-11-23'") == [(0,)]


async def test_seed_keeps_manual_changes(database: Database, services: Services, book: Book, sql: Sql) -> None:
    await load(database, SMALL_PLAN, now=MONDAY_MORNING)
    sql.execute("UPDATE booking SET status = 'cancelled' WHERE status IN ('pending', 'confirmed')")
    expert = (await all_experts(services)).experts[0]
    board = await services.availability.board(expert.id)
    free = next(slot for slot in board.slots if slot.state is SlotState.OPEN)
    booked = await book(expert.id, free.starts_at)
    message = await load(database, SMALL_PLAN, now=TOMORROW)
    assert message == "8 experts and 121 bookings are there (0 and 0 new)."
    assert rows(sql, "SELECT id FROM booking WHERE status IN ('pending', 'confirmed')") == [(booked.id,)]


async def test_deactivated_expert_gets_no_more_bookings(database: Database, sql: Sql) -> None:
    await load(database, replace(SMALL_PLAN, bookings=0), now=MONDAY_MORNING)
    sql.execute("UPDATE expert SET active = false WHERE id = (SELECT id FROM expert ORDER BY slug LIMIT 1)")
    await load(database, SMALL_PLAN, now=MONDAY_MORNING)
    assert rows(sql, "SELECT count(*) FROM booking JOIN expert e ON e.id = expert_id WHERE NOT e.active") == [(0,)]


@pytest.mark.parametrize("plan", [SMALL_PLAN, Plan(experts=40, bookings=400)])
async def test_same_seed_number_gives_the_same_data_and_another_gives_other_data(
    database: Database, another_database: Database, plan: Plan
) -> None:
    await load(database, plan, now=MONDAY_MORNING)
    await load(another_database, plan, now=MONDAY_MORNING + timedelta(hours=9))
    assert await data_of(database) == await data_of(another_database)
    await load(another_database, replace(plan, number=2, reset=True), now=MONDAY_MORNING)
    assert await data_of(database) != await data_of(another_database)


async def test_large_plan_is_loaded_completely_and_once(database: Database, sql: Sql) -> None:
    plan = Plan(experts=60, bookings=6_000)
    message = await load(database, plan, now=MONDAY_MORNING)
    assert message == "60 experts and 6,000 bookings are there (60 and 6,000 new)."
    assert rows(sql, OVERLAPS) == [(0,)]
    assert len(rows(sql, "SELECT DISTINCT status FROM booking")) == 7
    at_once = "FROM booking JOIN session_type t ON t.id = session_type_id WHERE confirmation = 'at_once'"
    assert {status for (status,) in rows(sql, f"SELECT DISTINCT status {at_once}")} == {
        "confirmed", "completed", "cancelled", "no_show",
    }  # fmt: skip
    over = "status IN ('completed', 'no_show', 'declined', 'expired')"
    assert rows(
        sql, f"SELECT bool_and({over} = (ends_at <= '2026-11-23')) FROM booking WHERE status <> 'cancelled'"
    ) == [(True,)]
    assert rows(sql, "SELECT count(*) BETWEEN 2900 AND 3600 FROM booking WHERE starts_at < '2026-11-23'") == [(True,)]
    assert await load(database, plan, now=TOMORROW) == "60 experts and 6,000 bookings are there (0 and 0 new)."


async def test_single_inserts_find_room_for_all_bookings(database: Database) -> None:
    message = await load(database, Plan(experts=4, bookings=200), now=MONDAY_MORNING)
    assert message == "4 experts and 200 bookings are there (4 and 200 new)."


async def test_few_experts_with_many_bookings_reach_further_back(database: Database, sql: Sql) -> None:
    message = await load(database, Plan(experts=2, bookings=2_000), now=MONDAY_MORNING)
    assert message == "2 experts and 2,000 bookings are there (2 and 2,000 new)."
    assert rows(sql, OVERLAPS) == [(0,)]


async def test_large_plan_completes_the_demo(database: Database) -> None:
    await load(database, SMALL_PLAN, now=MONDAY_MORNING)
    message = await load(database, Plan(experts=100, bookings=1_000), now=MONDAY_MORNING)
    assert message.startswith("100 experts and 1,")
    assert "(92 and " in message


@pytest.mark.parametrize("plan", [Plan(experts=0), Plan(experts=0, bookings=0), Plan(experts=3, bookings=1)])
async def test_very_small_plans_work(database: Database, plan: Plan) -> None:
    expected = f"{plan.experts} experts and {plan.bookings if plan.experts else 0} bookings are there"
    assert (await load(database, plan, now=MONDAY_MORNING)).startswith(expected)


async def test_reset_replaces_the_data_and_keeps_admin_tokens(
    database: Database, services: Services, add_expert: AddExpert, book: Book, sql: Sql
) -> None:
    stranger = await add_expert(slug="stranger")
    await book(stranger, MONDAY_MORNING + timedelta(hours=2))
    await services.tokens.create(TokenRequest(name="crm", role=Role.ADMIN))
    await services.tokens.create(TokenRequest(name="theirs", role=Role.EXPERT, expert="stranger"))
    message = await load(database, replace(SMALL_PLAN, reset=True), now=MONDAY_MORNING)
    assert message == "8 experts and 120 bookings are there (8 and 120 new)."
    assert "stranger" not in await services.experts.slugs()
    assert [token.name for token in await services.tokens.list_all()] == ["crm"]


async def test_reset_notifies_every_open_board(
    database: Database, services: Services, add_expert: AddExpert, sql: Sql
) -> None:
    expert_id = await add_expert()
    sql.execute("LISTEN expert_booking_news")
    await services.experts.remove_everything()
    payloads = [notification.payload for notification in sql.notifies(timeout=5, stop_after=1)]
    assert payloads == [str(expert_id)]


async def test_every_expert_has_a_complete_profile(database: Database, services: Services) -> None:
    await load(database, Plan(experts=60, bookings=0), now=MONDAY_MORNING)
    for expert in (await all_experts(services)).experts:
        detail = await services.experts.get(expert.slug)
        assert detail.bio
        assert detail.session_types[0].minutes == 60
        assert detail.next_available is not None


async def test_seed_computes_the_next_available_times(database: Database, sql: Sql) -> None:
    for plan in (SMALL_PLAN, Plan(experts=60, bookings=6_000)):
        await load(database, plan)
        assert rows(sql, "SELECT count(*) FROM expert_changed") == [(0,)]
        assert rows(sql, "SELECT count(*) FROM expert_next WHERE minutes = 0") == [(plan.experts,)]
        assert rows(sql, "SELECT count(*) > 0 FROM expert_next WHERE free_at IS NOT NULL") == [(True,)]
    assert rows(sql, "SELECT count(DISTINCT minutes) FROM expert_next") == [(5,)]


async def test_generated_experts_vary_in_lengths_and_languages(database: Database, sql: Sql) -> None:
    await load(database, Plan(experts=200, bookings=0), now=MONDAY_MORNING)
    assert rows(sql, "SELECT count(DISTINCT languages) > 10 FROM expert") == [(True,)]
    many = "SELECT count(*) BETWEEN 40 AND 120 FROM session_type WHERE position = 2"
    assert rows(sql, many) == [(True,)]


async def test_several_processes_generate_the_same_data_as_one(
    database: Database, another_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = Plan(experts=60, bookings=3_000)
    await load(database, plan, now=MONDAY_MORNING)
    monkeypatch.setattr("expert_booking.seed.bulk._MIN_ROWS_FOR_PROCESSES", 1)
    await load(another_database, plan, now=MONDAY_MORNING)
    assert await data_of(database) == await data_of(another_database)
