"""The demo: the sample data that a new installation starts with. These tests only read it, so they share one copy."""

from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta

import pytest

from expert_booking.db.engine import Database
from expert_booking.domain.calendar import SlotState
from expert_booking.domain.lifecycle import TRANSITIONS, Actor, Status
from expert_booking.seed import Plan, load
from expert_booking.services import Services
from expert_booking.web.portraits import draw_portrait
from tests.conftest import MONDAY_MORNING, fresh_database
from tests.seed.test_seed import OVERLAPS, Sql, all_experts, rows


@dataclass(frozen=True)
class Demo:
    """A database with the demo, and what loading it reported."""

    url: str
    message: str


@pytest.fixture(scope="module")
async def demo(server_url: str, template: str) -> AsyncIterator[Demo]:
    """The demo, loaded once."""
    with fresh_database(server_url, template) as url:
        database = Database(url)
        message = await load(database, Plan(), now=MONDAY_MORNING)
        await database.close()
        yield Demo(url, message)


@pytest.fixture(scope="module")
def database_url(demo: Demo) -> str:
    """The demo's database."""
    return demo.url


async def test_demo_has_many_experts_categories_and_zones(demo: Demo, services: Services) -> None:
    experts = (await all_experts(services)).experts
    assert demo.message == "30 experts and 480 bookings are there (30 and 480 new)."
    assert len(experts) == 30
    assert len({expert.category for expert in experts}) >= 8
    assert len({expert.time_zone for expert in experts}) >= 8
    assert all(expert.headline and expert.experience for expert in experts)
    assert len({draw_portrait(await services.experts.portrait_key(expert.slug)) for expert in experts}) == 30


async def test_past_bookings_have_final_statuses_and_future_ones_are_open(sql: Sql) -> None:
    past = {status for (status,) in rows(sql, "SELECT status FROM booking WHERE starts_at < '2026-11-23'")}
    to_come = {status for (status,) in rows(sql, "SELECT status FROM booking WHERE starts_at >= '2026-11-23'")}
    assert past == {Status.COMPLETED, Status.CANCELLED, Status.DECLINED, Status.EXPIRED, Status.NO_SHOW}
    assert to_come == {Status.PENDING, Status.CONFIRMED, Status.CANCELLED}


async def test_booking_histories_are_possible(sql: Sql) -> None:
    transitions = rows(
        sql, "SELECT DISTINCT from_status, to_status, actor FROM booking_change WHERE from_status IS NOT NULL"
    )
    for before, after, actor in transitions:
        assert Actor(actor) in TRANSITIONS[Status(before), Status(after)].by
    assert {(after, actor) for _, after, actor in transitions} == {
        ("confirmed", "expert"), ("declined", "expert"), ("completed", "expert"), ("no_show", "expert"),
        ("expired", "system"), ("cancelled", "expert"), ("cancelled", "customer"),
    }  # fmt: skip
    begun = """
        SELECT DISTINCT t.confirmation, c.to_status, c.actor FROM booking_change c JOIN booking b ON b.id = booking_id
        JOIN session_type t ON t.id = session_type_id WHERE from_status IS NULL
    """
    assert set(rows(sql, begun)) == {
        ("at_once", "confirmed", "customer"), ("by_expert", "pending", "customer"),
    }  # fmt: skip
    kept = "SELECT bool_and(ends_at <= '2026-11-23') FROM booking WHERE status IN ('completed', 'no_show')"
    assert rows(sql, kept) == [(True,)]
    for after in ("cancelled", "declined"):
        message = f"SELECT DISTINCT reason <> '' FROM booking_change WHERE to_status = '{after}'"
        assert len(rows(sql, message)) == 2, after


async def test_pending_requests_stay_within_their_deadline_today(sql: Sql) -> None:
    waiting = "SELECT count(*) > 20, bool_and(answer_by = starts_at OR answer_by > '2026-11-24 06:00Z') FROM booking"
    assert rows(sql, f"{waiting} WHERE status = 'pending'") == [(True, True)]


async def test_experts_have_different_terms(sql: Sql) -> None:
    for what, at_least in (("confirmation", 2), ("cancel_notice_minutes", 5), ("reschedule_notice_minutes", 5),
                           ("coalesce(max_reschedules, -1)", 5), ("answer_minutes", 2)):  # fmt: skip
        assert rows(sql, f"SELECT count(DISTINCT {what}) >= {at_least} FROM session_type") == [(True,)], what


async def test_most_boards_of_the_next_two_weeks_have_open_and_booked_times(
    services: Services,
) -> None:
    lively = 0
    for expert in (await all_experts(services)).experts:
        board = await services.availability.board(expert.id)
        soon = Counter(slot.state for slot in board.slots if slot.starts_at < MONDAY_MORNING + timedelta(days=14))
        lively += soon[SlotState.OPEN] >= 5 and soon[SlotState.BOOKED] >= 2
    assert lively >= 24


async def test_every_booking_lies_within_its_experts_hours(sql: Sql) -> None:
    outside = """
        SELECT e.slug, b.starts_at FROM booking b JOIN expert e ON e.id = b.expert_id WHERE NOT EXISTS (
          SELECT FROM generate_series(-1, 0) back
          CROSS JOIN LATERAL (SELECT date_trunc('day', b.starts_at AT TIME ZONE e.time_zone) + back * '1 day'::interval)
            AS local (midnight)
          CROSS JOIN LATERAL (
            SELECT r.opens_minute, r.closes_minute FROM availability_rule r
             WHERE r.expert_id = e.id AND r.weekday = extract(isodow FROM local.midnight)
               AND daterange(r.valid_from, r.valid_until, '[]') @> local.midnight::date
            UNION ALL
            SELECT (w->>0)::int, (w->>1)::int FROM override o, jsonb_array_elements(o.windows) w
             WHERE o.expert_id = e.id AND o.day = local.midnight::date
          ) AS hours (opens, closes)
          WHERE b.starts_at AT TIME ZONE e.time_zone >= local.midnight + opens * '1 minute'::interval
            AND b.ends_at AT TIME ZONE e.time_zone <= local.midnight + closes * '1 minute'::interval)
    """
    assert rows(sql, outside) == []
    assert rows(sql, OVERLAPS) == [(0,)]


async def test_demo_shows_every_calendar_feature(services: Services, sql: Sql) -> None:
    details = [await services.experts.get(expert.slug) for expert in (await all_experts(services)).experts]
    assert {types.minutes for d in details for types in d.session_types} == {30, 60, 90, 120}
    assert {len(d.session_types) for d in details} == {1, 2, 3}
    assert any(types.daily_cap for d in details for types in d.session_types)
    assert all(types.description for d in details for types in d.session_types)
    assert all(d.languages for d in details)
    assert len({language for d in details for language in d.languages}) > 15
    for at_least, what in (
        (15, "expert WHERE closed_on_holidays"),
        (4, "override WHERE kind = 'none'"),
        (3, "override WHERE kind = 'extra'"),
        (3, "day_off WHERE reason <> ''"),
        (2, "(SELECT DISTINCT expert_id FROM availability_rule WHERE valid_from IS NOT NULL) AS seasonal"),
    ):
        assert rows(sql, f"SELECT count(*) >= {at_least} FROM {what}") == [(True,)], what
