"""Run a calendar: session types, weekly hours, date overrides, days off, and why a time is not free.

All methods that need permission take a `CalendarKey`. Only `Calendars.key` issues one, after checking the caller.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from expert_booking.db import availability as offers
from expert_booking.db import calendars as rows
from expert_booking.db.availability import Offer
from expert_booking.db.documents import location_of
from expert_booking.db.engine import AnyConnection, AnyRow, Database
from expert_booking.db.terms import price_of
from expert_booking.domain.errors import (
    DaysOffNotFound,
    ExpertNotFound,
    FieldsWrong,
    Forbidden,
    NotAuthenticated,
    OverrideNotFound,
    PlanChanged,
    ProfileChanged,
    SessionTypeNotFound,
)
from expert_booking.domain.hours import OverrideKind, Window
from expert_booking.schemas import (
    MAX_DAYS_OFF,
    MAX_OVERRIDES,
    MAX_SESSION_TYPES,
    NAME_LENGTH,
    Caller,
    DaysOffList,
    DaysOffQuery,
    DaysOffRequest,
    DaysOffView,
    DayWindow,
    ExpertChange,
    ExpertRecord,
    ExplainQuery,
    Explanation,
    NewExpert,
    NewSessionType,
    OverrideList,
    OverrideQuery,
    OverrideRequest,
    OverrideView,
    PlacedSessionType,
    Role,
    SessionTypeChange,
    SessionTypeList,
    WeeklyPlan,
    WeeklyWindow,
    photo_view,
)
from expert_booking.services.address_changes import change_address
from expert_booking.services.availability import next_open
from expert_booking.services.calendar_checks import check_holiday_place, check_limit, check_week, check_windows
from expert_booking.services.experts import Experts, find_by_reference
from expert_booking.services.explanations import explanation
from expert_booking.services.permissions import check_admin

_YEAR: Final = timedelta(days=366)


@dataclass(frozen=True, slots=True)
class CalendarKey:
    """Permission to run this expert's calendar. Only `Calendars.key` issues one."""

    expert_id: UUID
    # Whether the caller is an admin, who may also activate and deactivate the expert.
    admin: bool = False
    # Whether the caller is an assistant, who may not change the expert's address and assistants.
    assistant: bool = False


class Calendars:
    """The use cases of running a calendar. Changes to one calendar are serialised; bookings never wait for them."""

    def __init__(self, database: Database, clock: Callable[[], datetime], experts: Experts) -> None:
        self._database = database
        self._clock = clock
        self._experts = experts

    async def key(self, reference: str, caller: Caller | None) -> CalendarKey:
        """The key to the calendar of an expert (active or not), by id or slug.

        Raises NotAuthenticated without a token, Forbidden if the caller does not run the calendar, and ExpertNotFound.
        """
        if caller is None:
            raise NotAuthenticated
        async with self._database.statements() as connection:
            expert = await find_by_reference(connection, reference, rows.by_id, rows.by_slug)
        if caller.runs(expert.id):
            return CalendarKey(expert.id, admin=caller.role is Role.ADMIN, assistant=caller.assistant)
        raise Forbidden if expert.active else ExpertNotFound

    # --- the expert ---------------------------------------------------------------------------------------------

    async def add_expert(self, new: NewExpert, caller: Caller | None) -> ExpertRecord:
        """Add an expert, as an admin. Raises NotAuthenticated, Forbidden, SlugTaken or FieldsWrong."""
        check_admin(caller)
        check_week(new.windows)
        return await self.expert(CalendarKey(await self._experts.add(new.request())))

    async def expert(self, key: CalendarKey) -> ExpertRecord:
        """The expert, including private fields. Raises ExpertNotFound."""
        async with self._database.statements() as connection:
            return await self._record(connection, key)

    async def change_expert(
        self, key: CalendarKey, change: ExpertChange, versions: Sequence[str] | None = None
    ) -> ExpertRecord:
        """Change the given fields. With `versions`, only if the profile's current version is one of them.

        Another time zone shifts future free slots but no bookings. A new email address takes effect when it is
        confirmed. The old slug leads to the expert, too. Raises ExpertNotFound, SlugTaken, ProfileChanged,
        TooManyAccessRequests, FieldsWrong if the region does not belong to the country, and Forbidden for `active`
        without an admin's key and for `email` with an assistant's.
        """
        changes = change.changes()
        if "active" in changes and not key.admin:
            raise Forbidden("Only an admin can change whether an expert is active.")
        if "email" in changes and key.assistant:
            raise Forbidden("Only the expert and admins can change the expert's email address.")
        email = changes.pop("email", None)
        if "experience" in changes:
            changes["experience_years"] = changes.pop("experience")
        async with self._changing(key) as (connection, expert):
            before = await self._record(connection, key) if versions is not None else None
            if before is not None and before.version not in (versions or ()):
                raise ProfileChanged(before.version)
            check_holiday_place({**expert._mapping, **changes})
            if changes:
                await rows.change_expert(connection, key.expert_id, changes)
            if email is not None:
                await change_address(connection, key.expert_id, email, self._clock())
            if changes.get("time_zone", expert.time_zone) != expert.time_zone:
                await self._number_places(connection, key, changes["time_zone"])
            return await self._record(connection, key)

    # --- session types ------------------------------------------------------------------------------------------

    async def session_types(self, reference: str, caller: Caller | None) -> SessionTypeList:
        """All session types for those who run the calendar; for others, the active ones of an active expert.

        Raises ExpertNotFound.
        """
        async with self._database.statements() as connection:
            expert = await find_by_reference(connection, reference, rows.by_id, rows.by_slug)
            runs = caller is not None and caller.runs(expert.id)
            if not (runs or expert.active):
                raise ExpertNotFound
            found = await rows.session_types(connection, expert.id)
        return SessionTypeList(
            session_types=[_session_type(row, public=not runs) for row in found if runs or row.active]
        )

    async def add_session_type(self, key: CalendarKey, new: NewSessionType) -> PlacedSessionType:
        """Add a session type. Raises ExpertNotFound or TooMany."""
        async with self._changing(key) as (connection, _):
            check_limit(len(await rows.session_types(connection, key.expert_id)), MAX_SESSION_TYPES)
            return _session_type(await rows.add_session_type(connection, key.expert_id, new.model_dump()))

    async def change_session_type(
        self, key: CalendarKey, session_type_id: UUID, change: SessionTypeChange
    ) -> PlacedSessionType:
        """Change the given fields. Bookings stay, and count towards a new cap. Raises SessionTypeNotFound."""
        changes = change.changes()
        async with self._changing(key) as (connection, expert):
            row = await rows.change_session_type(connection, key.expert_id, session_type_id, changes)
            if row is None:
                raise SessionTypeNotFound
            if "daily_cap" in changes:
                await self._number_places(connection, key, expert.time_zone)
            return _session_type(row)

    async def order_session_types(self, key: CalendarKey, ids: Sequence[UUID]) -> SessionTypeList:
        """Put the session types in this order. Raises FieldsWrong unless each of them is named once."""
        async with self._changing(key) as (connection, _):
            known = [row.id for row in await rows.session_types(connection, key.expert_id)]
            if sorted(ids) != sorted(known):
                raise FieldsWrong({"ids": "Please name each session type of this expert once."})
            await rows.order_session_types(connection, key.expert_id, ids)
            found = await rows.session_types(connection, key.expert_id)
        return SessionTypeList(session_types=[_session_type(row) for row in found])

    async def duplicate_session_type(self, key: CalendarKey, session_type_id: UUID) -> PlacedSessionType:
        """Add a copy of a session type, listed last and switched off. Raises SessionTypeNotFound or TooMany."""
        async with self._changing(key) as (connection, _):
            found = await rows.session_types(connection, key.expert_id)
            check_limit(len(found), MAX_SESSION_TYPES)
            original = next((row for row in found if row.id == session_type_id), None)
            if original is None:
                raise SessionTypeNotFound
            copy = {name: value for name, value in original._mapping.items() if name != "id"}
            copy |= {"title": f"Copy of {original.title}"[:NAME_LENGTH], "active": False, "position": None}
            return _session_type(await rows.add_session_type(connection, key.expert_id, copy))

    async def remove_session_type(self, key: CalendarKey, session_type_id: UUID) -> None:
        """Delete a session type without bookings. Raises SessionTypeNotFound or SessionTypeInUse."""
        async with self._changing(key) as (connection, _):
            if not await rows.remove_session_type(connection, key.expert_id, session_type_id):
                raise SessionTypeNotFound

    # --- weekly hours -------------------------------------------------------------------------------------------

    async def plan(self, key: CalendarKey) -> WeeklyPlan:
        """The weekly hours. Raises ExpertNotFound."""
        async with self._database.statements() as connection:
            return await _plan(connection, key)

    async def put_plan(self, key: CalendarKey, plan: WeeklyPlan, versions: Sequence[str] | None = None) -> WeeklyPlan:
        """Replace the weekly hours. With `versions`, only if the current version is one of them.

        Another time zone shifts future free slots but no bookings. Raises ExpertNotFound, FieldsWrong for overlapping
        hours, and PlanChanged.
        """
        check_week(plan.windows)
        async with self._changing(key) as (connection, expert):
            before = await _plan(connection, key)
            if versions is not None and before.version not in versions:
                raise PlanChanged(before.version)
            await rows.replace_rules(connection, key.expert_id, [window.rule for window in plan.windows])
            if plan.time_zone != expert.time_zone:
                await rows.change_expert(connection, key.expert_id, {"time_zone": plan.time_zone})
                await self._number_places(connection, key, plan.time_zone)
            return await _plan(connection, key)

    # --- single dates -------------------------------------------------------------------------------------------

    async def overrides(self, key: CalendarKey, query: OverrideQuery) -> OverrideList:
        """The overrides of a range of dates, by default one year from today. Raises ExpertNotFound."""
        async with self._database.statements() as connection:
            since = query.since or await self._today(connection, key)
            until = query.until or since + _YEAR
            found = await rows.overrides(connection, key.expert_id, since, until)
        return OverrideList(overrides=[_override(row) for row in found])

    async def override(self, key: CalendarKey, day: date) -> OverrideView:
        """The override of one date. Raises OverrideNotFound."""
        async with self._database.statements() as connection:
            for row in await rows.overrides(connection, key.expert_id, day, day):
                return _override(row)
        raise OverrideNotFound

    async def put_override(self, key: CalendarKey, day: date, wanted: OverrideRequest) -> OverrideView:
        """Set the override of one date. Raises ExpertNotFound, FieldsWrong for overlapping hours, and TooMany."""
        windows = [window.window for window in wanted.windows]
        check_windows(wanted.windows)
        async with self._changing(key) as (connection, _):
            check_limit(await rows.count_overrides(connection, key.expert_id, beside=day), MAX_OVERRIDES)
            await rows.put_override(connection, key.expert_id, day, wanted.kind, windows)
        return OverrideView(day=day, kind=wanted.kind, windows=wanted.windows)

    async def remove_override(self, key: CalendarKey, day: date) -> None:
        """Remove the override of a date. Raises OverrideNotFound."""
        async with self._changing(key) as (connection, _):
            if not await rows.remove_override(connection, key.expert_id, day):
                raise OverrideNotFound

    async def days_off(self, key: CalendarKey, query: DaysOffQuery) -> DaysOffList:
        """Days off that end on or after a date, by default today. Raises ExpertNotFound."""
        async with self._database.statements() as connection:
            since = query.since or await self._today(connection, key)
            found = await rows.days_off(connection, key.expert_id, since)
        return DaysOffList(days_off=[DaysOffView.model_validate(row._mapping) for row in found])

    async def add_days_off(self, key: CalendarKey, wanted: DaysOffRequest) -> DaysOffView:
        """Add days off. Existing bookings on them stay. Raises ExpertNotFound or TooMany."""
        fields = wanted.model_dump()
        async with self._changing(key) as (connection, _):
            check_limit(await rows.count_days_off(connection, key.expert_id), MAX_DAYS_OFF)
            added = await rows.add_days_off(connection, key.expert_id, fields)
        return DaysOffView(id=added, **fields)

    async def remove_days_off(self, key: CalendarKey, days_off_id: UUID) -> None:
        """Remove days off. Raises DaysOffNotFound."""
        async with self._changing(key) as (connection, _):
            if not await rows.remove_days_off(connection, key.expert_id, days_off_id):
                raise DaysOffNotFound

    # --- why not ------------------------------------------------------------------------------------------------

    async def explain(self, key: CalendarKey, query: ExplainQuery) -> Explanation:
        """All reasons why an instant cannot be booked under the current rules. Raises SessionTypeNotFound."""
        now, ids = self._clock(), [key.expert_id]
        async with self._database.statements() as connection:
            # For a past instant, expired rules matter too.
            found = await offers.offers(connection, ids, min(now, query.at))
            busy = await offers.busy(connection, ids, query.at, query.at, now)
        offer = _choose(found, query.session_type_id).with_busy(busy.get(key.expert_id, ()))
        return explanation(offer, query.at, now)

    # ------------------------------------------------------------------------------------------------------------

    @asynccontextmanager
    async def _changing(self, key: CalendarKey) -> AsyncIterator[tuple[AnyConnection, AnyRow]]:
        """A transaction that locks this calendar against other changes, and the expert's row. Raises ExpertNotFound."""
        async with self._database.transaction() as connection:
            expert = await rows.lock(connection, key.expert_id)
            if expert is None:
                raise ExpertNotFound
            yield connection, expert

    async def _record(self, connection: AnyConnection, key: CalendarKey) -> ExpertRecord:
        row, now = await rows.record(connection, key.expert_id), self._clock()
        if row is None:
            raise ExpertNotFound
        found = await offers.offers(connection, [key.expert_id], now)
        free = await next_open(connection, found, now)
        types = [_session_type(type_) for type_ in await rows.session_types(connection, key.expert_id)]
        facts = {**row._mapping, "photo": photo_view(row.photo)}
        return ExpertRecord(**facts, session_types=types, next_available=free.get(key.expert_id))

    async def _number_places(self, connection: AnyConnection, key: CalendarKey, zone: str) -> None:
        await rows.number_places(connection, key.expert_id, ZoneInfo(zone), self._clock())

    async def _today(self, connection: AnyConnection, key: CalendarKey) -> date:
        return self._clock().astimezone(ZoneInfo((await _plan(connection, key)).time_zone)).date()


async def _plan(connection: AnyConnection, key: CalendarKey) -> WeeklyPlan:
    found = await rows.plan(connection, key.expert_id)
    if found is None:
        raise ExpertNotFound
    zone, rules = found
    return WeeklyPlan(time_zone=zone, windows=[WeeklyWindow.from_rule(rule) for rule in rules])


def _choose(offers: Sequence[Offer], session_type_id: UUID | None) -> Offer:
    """The requested session type, or the first active one, or else the first."""
    candidates = [offer for offer in offers if session_type_id in (None, offer.session_type_id)]
    if not candidates:
        raise SessionTypeNotFound
    return next((offer for offer in candidates if offer.calendar.active), candidates[0])


def _session_type(row: AnyRow, *, public: bool = False) -> PlacedSessionType:
    locations = [location_of(document) for document in row.locations]
    if public:
        locations = [location.public() for location in locations]
    return PlacedSessionType.model_validate({**row._mapping, "price": price_of(row), "locations": locations})


def _override(row: AnyRow) -> OverrideView:
    windows = [DayWindow.from_window(Window(*window)) for window in row.windows]
    return OverrideView(day=row.day, kind=OverrideKind(row.kind), windows=windows)
