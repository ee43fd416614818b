"""Read, try out and replace all rules of a calendar at once: weekly hours, overrides, days off and holidays."""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from expert_booking.db import availability as offer_rows
from expert_booking.db import calendar_rules as rows
from expert_booking.db import calendars as calendar_rows
from expert_booking.db.availability import Offer
from expert_booking.db.engine import AnyConnection, AnyRow, Database
from expert_booking.domain.calendar import DAY, Busy, Slot, local_instant
from expert_booking.domain.calendar_plan import CalendarPlan
from expert_booking.domain.errors import ExpertNotFound, FieldsWrong, PlanChanged, SessionTypeNotFound
from expert_booking.domain.hours import AvailabilityRule, OverrideKind, Window
from expert_booking.schemas import (
    MAX_DAYS_OFF,
    MAX_OVERRIDES,
    AffectedBooking,
    CalendarRules,
    DatedOverride,
    DaysOffRequest,
    DayWindow,
    Explanation,
    PreviewRequest,
    RulesPreview,
    SlotView,
    WeeklyWindow,
)
from expert_booking.schemas.hours import MAX_PLAN_WINDOWS
from expert_booking.services.calendar_checks import check_holiday_place, check_limit, check_week, check_windows
from expert_booking.services.calendars import CalendarKey
from expert_booking.services.explanations import explanation

PREVIEW: Final = timedelta(days=14)


@dataclass(frozen=True, slots=True)
class RulesEditor:
    """A calendar as it was read at `read_at`, on which other rules can be tried without further queries."""

    rules: CalendarRules
    offers: tuple[Offer, ...]
    busy: tuple[Busy, ...]
    bookings: tuple[AffectedBooking, ...]
    read_at: datetime

    @property
    def today(self) -> date:
        """The expert's local date."""
        return _today(self.rules.time_zone, self.read_at)

    @property
    def plan(self) -> CalendarPlan:
        """The saved rules as a plan to edit."""
        return self.rules.plan(self.today)

    def offer(self, session_type_id: UUID | None, plan: CalendarPlan) -> Offer:
        """A session type (default: the first active one) under these rules. Raises SessionTypeNotFound."""
        candidates = [offer for offer in self.offers if session_type_id in (None, offer.session_type_id)]
        if not candidates:
            raise SessionTypeNotFound
        chosen = next((offer for offer in candidates if offer.calendar.active), candidates[0])
        calendar = replace(chosen.calendar, zone=ZoneInfo(plan.time_zone), hours=plan.hours(), busy=self.busy)
        return replace(chosen, calendar=calendar)

    def slots(self, offer: Offer, since: date, until: date) -> list[Slot]:
        """The slots that visitors would see on these local days, both included."""
        zone = offer.calendar.zone
        first, end = local_instant(zone, since, 0), local_instant(zone, until + DAY, 0)
        return offer.calendar.slots(first, end, self.read_at)

    def explain(self, offer: Offer, at: datetime) -> Explanation:
        """Why a session of this type can or cannot start at an instant."""
        return explanation(offer, at, self.read_at)

    def affected(self, plan: CalendarPlan) -> list[AffectedBooking]:
        """The bookings that are within the saved hours but would be outside of these."""
        if not self.bookings or not self.offers:
            return []
        saved = self._openings(self.plan)
        draft = self._openings(plan)
        return [b for b in self.bookings if _contains(saved, b) and not _contains(draft, b)]

    def _openings(self, plan: CalendarPlan) -> list[tuple[datetime, datetime]]:
        calendar = replace(self.offers[0].calendar, zone=ZoneInfo(plan.time_zone), hours=plan.hours())
        return list(calendar.openings(self.bookings[0].starts_at, self.bookings[-1].ends_at))


class CalendarRulesService:
    """The use cases of editing a calendar's rules as one document."""

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    async def read(self, key: CalendarKey) -> CalendarRules:
        """All rules from today on. Raises ExpertNotFound."""
        async with self._database.statements() as connection:
            return await _read(connection, key, self._clock())

    async def editor(self, key: CalendarKey) -> RulesEditor:
        """The rules with what is needed to try others: session types, busy time and upcoming bookings.

        Raises ExpertNotFound.
        """
        now, ids = self._clock(), [key.expert_id]
        async with self._database.statements() as connection:
            rules = await _read(connection, key, now)
            offers = await offer_rows.offers(connection, ids, now)
            until = max((offer.calendar.end(now) for offer in offers), default=now)
            busy = await offer_rows.busy(connection, ids, now, until, now)
            upcoming = await rows.upcoming(connection, key.expert_id, now)
        bookings = tuple(AffectedBooking.model_validate(row._mapping) for row in upcoming)
        return RulesEditor(rules, tuple(offers), tuple(busy.get(key.expert_id, ())), bookings, now)

    async def preview(self, key: CalendarKey, request: PreviewRequest) -> RulesPreview:
        """What visitors would see with these rules, and the bookings outside of them. Nothing is saved.

        Raises ExpertNotFound, SessionTypeNotFound and FieldsWrong.
        """
        try:
            check_rules(request.rules)
        except FieldsWrong as refusal:
            raise FieldsWrong({f"rules.{field}": text for field, text in refusal.errors.items()}) from refusal
        editor = await self.editor(key)
        plan = request.rules.plan(editor.today)
        offer = editor.offer(request.session_type_id, plan)
        since = request.since or _today(plan.time_zone, editor.read_at)
        until = request.until or since + PREVIEW - DAY
        return RulesPreview(
            session_type_id=offer.session_type_id,
            time_zone=plan.time_zone,
            slots=[SlotView(starts_at=s.starts_at, ends_at=s.ends_at, state=s.state)
                   for s in editor.slots(offer, since, until)],
            affected=editor.affected(plan),
            explanation=editor.explain(offer, request.at) if request.at else None,
        )  # fmt: skip

    async def put(
        self, key: CalendarKey, wanted: CalendarRules, versions: Sequence[str] | None = None
    ) -> CalendarRules:
        """Replace all rules from today on. With `versions`, only if the current version is one of them.

        Existing bookings stay. Raises ExpertNotFound, FieldsWrong for overlapping hours, and PlanChanged.
        """
        check_rules(wanted)
        now = self._clock()
        async with self._database.transaction() as connection:
            if await calendar_rows.lock(connection, key.expert_id) is None:
                raise ExpertNotFound
            before = await _read(connection, key, now)
            if versions is not None and before.version not in versions:
                raise PlanChanged(before.version)
            await self._write(connection, key, before, wanted, now)
            return await _read(connection, key, now)

    async def _write(
        self, connection: AnyConnection, key: CalendarKey, before: CalendarRules, wanted: CalendarRules, now: datetime
    ) -> None:
        """Write only what differs, because each change makes open pages read the calendar again."""
        today = _today(wanted.time_zone, now)
        old, new = before.plan(today), wanted.plan(today)
        if before.windows != wanted.windows:
            await calendar_rows.replace_rules(connection, key.expert_id, [window.rule for window in wanted.windows])
        put = {day: one for day, one in new.overrides.items() if day >= today and old.overrides.get(day) != one}
        removed = [day for day in old.overrides if day >= today and day not in new.overrides]
        await rows.change_overrides(connection, key.expert_id, put, removed)
        added_off = [off for off in dict.fromkeys(new.days_off) if off not in old.days_off and off.last_day >= today]
        removed_off = [off for off in dict.fromkeys(old.days_off) if off not in new.days_off]
        await rows.change_days_off(connection, key.expert_id, added_off, removed_off)
        names = ("time_zone", "country", "region", "closed_on_holidays")
        changes = {name: getattr(wanted, name) for name in names if getattr(wanted, name) != getattr(before, name)}
        if changes:
            await calendar_rows.change_expert(connection, key.expert_id, changes)
        if "time_zone" in changes:
            await calendar_rows.number_places(connection, key.expert_id, ZoneInfo(wanted.time_zone), now)


async def _read(connection: AnyConnection, key: CalendarKey, now: datetime) -> CalendarRules:
    # The earliest local date anywhere, because the zone is not known yet.
    row = await rows.read(connection, key.expert_id, now.date() - DAY)
    if row is None:
        raise ExpertNotFound
    return _rules(row, _today(row.time_zone, now))


def _rules(row: AnyRow, today: date) -> CalendarRules:
    weekly = (
        AvailabilityRule(day, opens, closes, _day(first), _day(last))
        for day, opens, closes, first, last in row.rules or ()
    )
    overrides = [
        DatedOverride(day=day, kind=OverrideKind(kind), windows=[DayWindow.from_window(Window(*w)) for w in of_day])
        for day, kind, of_day in sorted(row.overrides or ())
        if date.fromisoformat(day) >= today
    ]
    days_off = [
        DaysOffRequest(first_day=first, last_day=last, reason=reason)
        for first, last, reason in sorted(row.days_off or ())
        if date.fromisoformat(last) >= today
    ]
    # Written values are not validated again: a limit that has changed since must not make a calendar unreadable.
    return CalendarRules.model_construct(
        time_zone=row.time_zone,
        windows=[WeeklyWindow.from_rule(rule) for rule in sorted(weekly, key=_order)],
        overrides=overrides,
        days_off=days_off,
        country=row.country,
        region=row.region,
        closed_on_holidays=row.closed_on_holidays,
    )


def _order(rule: AvailabilityRule) -> tuple[Any, ...]:
    return rule.valid_from or date.min, rule.weekday, rule.opens, rule.valid_until or date.max


def check_rules(rules: CalendarRules) -> None:
    """Raise FieldsWrong, with the paths of the fields, if hours overlap or the country's holidays are unknown.

    Raises TooMany if there are more windows, overrides or days off than a calendar may have.
    """
    for entries, limit in (
        (rules.windows, MAX_PLAN_WINDOWS), (rules.overrides, MAX_OVERRIDES), (rules.days_off, MAX_DAYS_OFF)
    ):  # fmt: skip
        check_limit(len(entries) - 1, limit)
    check_week(rules.windows)
    for index, override in enumerate(rules.overrides):
        check_windows(override.windows, f"overrides.{index}.")
    check_holiday_place(rules.model_dump(include={"country", "region", "closed_on_holidays"}))


def _today(zone: str, now: datetime) -> date:
    return now.astimezone(ZoneInfo(zone)).date()


def _day(text: str | None) -> date | None:
    return date.fromisoformat(text) if text else None


def _contains(openings: Sequence[tuple[datetime, datetime]], booking: AffectedBooking) -> bool:
    index = bisect_right(openings, booking.starts_at, key=lambda opening: opening[0]) - 1
    return index >= 0 and booking.ends_at <= openings[index][1]
