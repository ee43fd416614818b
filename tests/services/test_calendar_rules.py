"""Trying out and replacing all rules of a calendar at once."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from expert_booking.domain.calendar import SlotState
from expert_booking.domain.calendar_plan import HolidaySetting
from expert_booking.domain.errors import ExpertNotFound, FieldsWrong, PlanChanged, SessionTypeNotFound
from expert_booking.domain.hours import DaysOff, Override, OverrideKind, Window
from expert_booking.domain.seasons import Season
from expert_booking.domain.unavailability import Reason
from expert_booking.schemas import (
    CalendarRules,
    DaysOffRequest,
    DayWindow,
    OverrideRequest,
    PreviewRequest,
    WeeklyPlan,
    WeeklyWindow,
)
from expert_booking.services import Services
from expert_booking.services.calendars import CalendarKey
from tests.conftest import AddExpert, Book, Clock
from tests.services.conftest import Counted

Connection = psycopg.Connection[tuple[Any, ...]]

MONDAY, TUESDAY, WEDNESDAY = date(2026, 11, 23), date(2026, 11, 24), date(2026, 11, 25)
NINE = datetime(2026, 11, 24, 8, tzinfo=UTC)  # 09:00 in Berlin, on Tuesday
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SHORT = Window(600, 720)


@pytest.fixture
async def jana(add_expert: AddExpert) -> CalendarKey:
    """The key to Jana's calendar in Berlin, open daily from 9 to 17."""
    return CalendarKey(await add_expert())


async def change(services: Services, key: CalendarKey, **parts: Any) -> CalendarRules:
    """Replace parts of the plan of a calendar, as the page does."""
    editor = await services.calendar_rules.editor(key)
    wanted = CalendarRules.of_plan(replace(editor.plan, **parts))
    return await services.calendar_rules.put(key, wanted, [editor.rules.version])


async def test_all_rules_are_read_and_replaced_together(services: Services, jana: CalendarKey) -> None:
    editor = await services.calendar_rules.editor(jana)
    weekly = replace(editor.plan.weekly, seasons=(Season(date(2027, 6, 1), date(2027, 8, 31), ((SHORT,),) * 7),))
    parts: dict[str, Any] = {
        "weekly": weekly,
        "overrides": {WEDNESDAY: Override(OverrideKind.HOURS, (SHORT,)), TUESDAY: Override(OverrideKind.NONE)},
        "days_off": (DaysOff(MONDAY - DAY, MONDAY, "Ill"), DaysOff(date(2026, 12, 24), date(2027, 1, 3))),
        "holidays": HolidaySetting("DE", "BY", closed=True),
    }
    saved = await change(services, jana, **parts)
    assert saved == await services.calendar_rules.read(jana)
    plan = saved.plan(MONDAY)
    assert {name: getattr(plan, name) for name in parts} == parts
    # The other calls see the same.
    assert (await services.calendars.override(jana, WEDNESDAY)).windows == [DayWindow(opens="10:00", closes="12:00")]
    assert len((await services.calendars.plan(jana)).windows) == 21
    emptied = await change(services, jana, overrides={}, days_off=())
    assert (emptied.overrides, emptied.days_off, emptied.country) == ([], [], "DE")


async def test_saving_keeps_what_is_over_and_writes_only_what_differs(
    services: Services, jana: CalendarKey, clock: Clock, sql: Connection
) -> None:
    await services.calendars.put_override(jana, MONDAY, OverrideRequest(kind=OverrideKind.NONE))
    await services.calendars.put_override(jana, WEDNESDAY, OverrideRequest(kind=OverrideKind.NONE))
    await services.calendars.add_days_off(jana, DaysOffRequest(first_day=MONDAY, last_day=MONDAY, reason="Ill"))
    clock.advance(days=1)
    await change(services, jana, overrides={}, days_off=(DaysOff(WEDNESDAY, WEDNESDAY),))
    days = sql.execute("SELECT day FROM override").fetchall()
    assert days == [(MONDAY,)]
    assert sql.execute("SELECT reason FROM day_off ORDER BY first_day").fetchall() == [("Ill",), ("",)]
    ids = sql.execute("SELECT id FROM availability_rule ORDER BY id").fetchall()
    await change(services, jana, overrides={WEDNESDAY: Override(OverrideKind.NONE)})
    assert sql.execute("SELECT id FROM availability_rule ORDER BY id").fetchall() == ids


@pytest.mark.parametrize("what", ["weekly", "override", "days_off", "holidays"])
async def test_a_change_made_meanwhile_is_not_overwritten(services: Services, jana: CalendarKey, what: str) -> None:
    editor = await services.calendar_rules.editor(jana)
    if what == "weekly":
        window = WeeklyWindow(weekday=1, opens="09:00", closes="10:00")
        await services.calendars.put_plan(jana, WeeklyPlan(time_zone="Europe/Berlin", windows=[window]))
    elif what == "override":
        await services.calendars.put_override(jana, WEDNESDAY, OverrideRequest(kind=OverrideKind.NONE))
    elif what == "days_off":
        await services.calendars.add_days_off(jana, DaysOffRequest(first_day=MONDAY, last_day=MONDAY))
    else:
        await change(services, jana, holidays=HolidaySetting("DE", None, closed=False))
    theirs = await services.calendar_rules.read(jana)
    wanted = CalendarRules.of_plan(replace(editor.plan, days_off=(DaysOff(TUESDAY, TUESDAY),)))
    with pytest.raises(PlanChanged) as refused:
        await services.calendar_rules.put(jana, wanted, [editor.rules.version])
    assert refused.value.version == theirs.version
    assert await services.calendar_rules.read(jana) == theirs
    await services.calendar_rules.put(jana, wanted, [theirs.version])


async def test_overlapping_hours_are_refused_with_their_place(services: Services, jana: CalendarKey) -> None:
    hours = [{"opens": "09:00", "closes": "12:00"}, {"opens": "11:00", "closes": "13:00"}]
    for body, field in (
        ({"windows": [{"weekday": 1, **window} for window in hours]}, "windows.1.opens"),
        ({"windows": [], "overrides": [{"date": "2026-12-01", "kind": "hours", "windows": hours}]},
         "overrides.0.windows.1.opens"),
    ):  # fmt: skip
        rules = CalendarRules.model_validate({"timeZone": "Europe/Berlin", **body})
        with pytest.raises(FieldsWrong) as refused:
            await services.calendar_rules.put(jana, rules)
        assert list(refused.value.errors) == [field]
        with pytest.raises(FieldsWrong) as refused:
            await services.calendar_rules.preview(jana, PreviewRequest(rules=rules))
        assert list(refused.value.errors) == [f"rules.{field}"]


async def test_the_draft_shows_what_visitors_will_see(services: Services, jana: CalendarKey, book: Book) -> None:
    await book(jana.expert_id, NINE + 2 * HOUR)
    editor = await services.calendar_rules.editor(jana)
    usual = tuple(() if day == 2 else windows for day, windows in enumerate(editor.plan.weekly.usual))
    draft = replace(
        editor.plan,
        weekly=replace(editor.plan.weekly, usual=usual),
        overrides={TUESDAY: Override(OverrideKind.HOURS, (SHORT,))},
    )
    offer = editor.offer(None, draft)
    shown = editor.slots(offer, TUESDAY, WEDNESDAY)
    assert [(slot.starts_at, slot.state) for slot in shown] == [(NINE + HOUR, SlotState.OPEN),
                                                                (NINE + 2 * HOUR, SlotState.BOOKED)]  # fmt: skip
    assert editor.explain(offer, NINE).reason is Reason.OUTSIDE_HOURS
    assert editor.explain(offer, NINE + 2 * HOUR).reason is Reason.BUSY
    assert editor.explain(offer, NINE + HOUR).offered
    # Nothing was saved, and once it is, visitors see the same.
    assert (await services.calendar_rules.editor(jana)).plan == editor.plan
    await services.calendar_rules.put(jana, CalendarRules.of_plan(draft))
    board = await services.availability.board(jana.expert_id)
    until = NINE + DAY - timedelta(hours=8)  # the end of Tuesday
    assert [slot for slot in board.slots if slot.starts_at < until] == editor.slots(offer, MONDAY, TUESDAY)


async def test_only_bookings_that_lose_their_hours_are_listed(
    services: Services, jana: CalendarKey, book: Book, sql: Connection
) -> None:
    lost = await book(jana.expert_id, NINE, name="Grace Hopper")
    kept = await book(jana.expert_id, NINE + HOUR)
    outside = await book(jana.expert_id, NINE + 3 * HOUR)
    sql.execute("UPDATE booking SET starts_at = starts_at + '12 h', ends_at = ends_at + '12 h',"
                " busy = tstzrange(starts_at + '12 h', ends_at + '12 h') WHERE id = %s", [outside.id])  # fmt: skip
    cancelled = await book(jana.expert_id, NINE + 4 * HOUR)
    sql.execute("UPDATE booking SET status = 'cancelled' WHERE id = %s", [cancelled.id])
    editor = await services.calendar_rules.editor(jana)
    draft = replace(editor.plan, overrides={TUESDAY: Override(OverrideKind.HOURS, (SHORT,))})
    assert [(b.id, b.name, b.session_title) for b in editor.affected(draft)] == [
        (lost.id, "Grace Hopper", "Consultation")
    ]
    assert editor.affected(editor.plan) == []
    off = replace(editor.plan, days_off=(DaysOff(TUESDAY, TUESDAY),))
    assert [b.id for b in editor.affected(off)] == [lost.id, kept.id]


async def test_a_draft_is_right_on_days_on_which_the_clocks_change(services: Services, add_expert: AddExpert) -> None:
    key = CalendarKey(await add_expert(horizon_days=366))
    editor = await services.calendar_rules.editor(key)
    night = replace(editor.plan.weekly, usual=((),) * 6 + ((Window(60, 300),),))
    offer = editor.offer(None, replace(editor.plan, weekly=night))
    spring = [slot.starts_at.hour for slot in editor.slots(offer, date(2027, 3, 28), date(2027, 3, 28))]
    autumn = [slot.starts_at.hour for slot in editor.slots(offer, date(2027, 10, 31), date(2027, 10, 31))]
    assert (spring, autumn) == ([0, 1, 2], [23, 0, 1, 2, 3])


async def test_the_number_of_queries_does_not_depend_on_the_calendar(
    services: Services, jana: CalendarKey, book: Book, counted: Counted
) -> None:
    with counted() as first:
        await services.calendar_rules.editor(jana)
    hours = Override(OverrideKind.HOURS, (SHORT,))
    with counted() as saved:
        await change(services, jana, overrides={TUESDAY + n * DAY: hours for n in range(300)})
    for n in range(2):
        await book(jana.expert_id, NINE + (n + 1) * HOUR)
    with counted() as again:
        await services.calendar_rules.editor(jana)
    assert len(first) == len(again) == 4, again
    assert len(saved) <= 10, saved


async def test_without_session_types_there_is_nothing_to_preview(services: Services, add_expert: AddExpert) -> None:
    key = CalendarKey(await add_expert(session_types=[]))
    editor = await services.calendar_rules.editor(key)
    assert editor.affected(replace(editor.plan, overrides={})) == []
    with pytest.raises(SessionTypeNotFound):
        editor.offer(None, editor.plan)
    with pytest.raises(ExpertNotFound):
        await services.calendar_rules.editor(CalendarKey(UUID(int=0)))
    with pytest.raises(SessionTypeNotFound):
        editor.offer(uuid4(), editor.plan)
