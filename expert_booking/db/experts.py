"""Statements about experts."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    Select,
    Text,
    any_,
    bindparam,
    delete,
    insert,
    literal_column,
    select,
    text,
)
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.ext.asyncio import AsyncConnection

from expert_booking.db.engine import AnyRow, DriverStatement
from expert_booking.db.tables import availability_rule, expert, former_slug, session_type
from expert_booking.db.terms import price_columns
from expert_booking.domain.addresses import customer_key
from expert_booking.schemas import ExpertRequest

_e = expert.c
_CARD = (_e.id, _e.slug, _e.name, _e.category, _e.experience_years, _e.rating, _e.rating_count, _e.headline,
         _e.languages, _e.time_zone, _e.portrait, _e.photo)  # fmt: skip
_DETAIL = select(*_CARD, _e.bio, _e.active, _e.listed).where(_e.active)
_BY_SLUG = DriverStatement(_DETAIL.where(_e.slug == bindparam("slug")))
_BY_ID = DriverStatement(_DETAIL.where(_e.id == bindparam("expert_id")))
_ANY_EXPERT: Select[Any] = select(literal_column("1")).select_from(expert).limit(1)
_SLUGS = select(_e.slug)
_FORMER = select(former_slug.c.expert_id)
_IDS = select(_e.slug, _e.id).where(_e.slug == any_(bindparam("slugs", type_=ARRAY(Text))))


async def by_slug(connection: AsyncConnection, slug: str) -> AnyRow | None:
    """Return the active expert with this slug, or the one that had it before."""
    row = await _BY_SLUG.one_or_none(connection, {"slug": slug})
    if row is None and (expert_id := await with_former_slug(connection, slug)) is not None:
        row = await by_id(connection, expert_id)
    return row


async def with_former_slug(connection: AsyncConnection, slug: str) -> UUID | None:
    """Return the id of the expert that had this slug before."""
    expert_id: UUID | None = await connection.scalar(_FORMER.where(former_slug.c.slug == slug))
    return expert_id


async def by_id(connection: AsyncConnection, expert_id: UUID) -> AnyRow | None:
    """Return the active expert with this id."""
    return await _BY_ID.one_or_none(connection, {"expert_id": expert_id})


async def time_zone(connection: AsyncConnection, expert_id: UUID) -> str:
    """Return the time zone of an existing expert."""
    zone: str = (await connection.execute(select(_e.time_zone).where(_e.id == expert_id))).scalar_one()
    return zone


async def time_zone_if_any(connection: AsyncConnection, expert_id: UUID) -> str | None:
    """Return the time zone of an expert; None if there is no such expert."""
    zone: str | None = await connection.scalar(select(_e.time_zone).where(_e.id == expert_id))
    return zone


async def any_exist(connection: AsyncConnection) -> bool:
    """Return whether there are any experts."""
    return await connection.scalar(_ANY_EXPERT) is not None


async def slugs(connection: AsyncConnection) -> set[str]:
    """Return all slugs in use."""
    return set(await connection.scalars(_SLUGS))


async def add(connection: AsyncConnection, request: ExpertRequest, slug: str) -> UUID | None:
    """Insert an expert with session types and weekly hours and return the id; None if the slug is taken."""
    if await with_former_slug(connection, slug) is not None:
        return None
    statement = pg_insert(expert).values(**_columns(request), slug=slug).on_conflict_do_nothing().returning(_e.id)
    expert_id: UUID | None = await connection.scalar(statement)
    if expert_id is None:
        return None
    await _add_calendars(connection, [(expert_id, request)])
    return expert_id


async def add_many(connection: AsyncConnection, requests: Sequence[ExpertRequest]) -> int:
    """Insert experts that have slugs, with session types and hours. Skips existing slugs and returns the count."""
    slugs = [request.slug for request in requests]
    former = set(await connection.scalars(select(former_slug.c.slug).where(former_slug.c.slug.in_(slugs))))
    wanted = [{**_columns(request), "slug": request.slug} for request in requests if request.slug not in former]
    if not wanted:
        return 0
    statement = pg_insert(expert).on_conflict_do_nothing().returning(_e.id, _e.slug)
    new = {row.slug: row.id for row in await connection.execute(statement, wanted)}
    added = [(new[request.slug], request) for request in requests if request.slug in new]
    await _add_calendars(connection, added)
    return len(added)


async def ids(connection: AsyncConnection, slugs: Sequence[str]) -> dict[str, UUID]:
    """Return the ids of the experts with these slugs."""
    return {row.slug: row.id for row in await connection.execute(_IDS, {"slugs": list(slugs)})}


async def remove_everything(connection: AsyncConnection) -> None:
    """Delete all bookings, emails and experts. Deleting an expert notifies the open pages."""
    await connection.execute(text("SET LOCAL statement_timeout = 0"))
    # TRUNCATE of `expert` would cascade to the tokens of admins.
    await connection.execute(text("TRUNCATE booking, message, mailbox_mail"))
    await connection.execute(delete(expert))


def _columns(request: ExpertRequest) -> dict[str, Any]:
    values = request.model_dump(exclude={"session_types", "rules", "slug", "experience"})
    return {**values, "experience_years": request.experience, "email_key": customer_key(request.email)}


async def _add_calendars(connection: AsyncConnection, added: Sequence[tuple[UUID, ExpertRequest]]) -> None:
    types = [
        {"expert_id": key, "position": place, **price_columns(wanted.model_dump())}
        for key, request in added
        for place, wanted in enumerate(request.session_types, 1)
    ]
    rules = [row for key, request in added for row in _hours(key, request)]
    if types:
        await connection.execute(insert(session_type), types)
    if rules:
        await connection.execute(insert(availability_rule), rules)


def _hours(expert_id: UUID, request: ExpertRequest) -> list[dict[str, Any]]:
    return [
        {
            "expert_id": expert_id,
            "weekday": r.weekday,
            "opens_minute": r.opens,
            "closes_minute": r.closes,
            "valid_from": r.valid_from,
            "valid_until": r.valid_until,
        }
        for r in request.rules
    ]
