"""Statements about the stored responses of requests with an Idempotency-Key."""

from datetime import datetime, timedelta
from typing import Final

from psycopg.errors import LockNotAvailable
from sqlalchemy import ColumnElement, and_, bindparam, delete, null, select, text, tuple_, update
from sqlalchemy.dialects.postgresql import insert as pg_insert
from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from expert_booking.db.engine import AnyRow
from expert_booking.db.tables import kept_answer
from expert_booking.domain.errors import RequestInFlight

KEPT_FOR: Final = timedelta(hours=24)
_BATCH: Final = 1000

_k = kept_answer.c
_SHORT_LOCK_TIMEOUT = text("SET LOCAL lock_timeout = '3s'")
_DEFAULT_LOCK_TIMEOUT = text("SET LOCAL lock_timeout TO DEFAULT")
_new = pg_insert(kept_answer).values(
    {column.name: bindparam(column.name) for column in (_k.caller, _k.key, _k.fingerprint, _k.created_at)}
)
# An outdated row is taken over as if it were new; a current one is locked and left unchanged.
_CLAIM = _new.on_conflict_do_update(
    index_elements=[_k.caller, _k.key],
    set_={"fingerprint": _new.excluded.fingerprint, "created_at": _new.excluded.created_at},
    where=_k.created_at <= bindparam("forgotten"),
).returning(_k.key)


async def claim(connection: AsyncConnection, caller: bytes, key: str, fingerprint: bytes, now: datetime) -> bool:
    """Claim this key for the transaction; False if a response is already stored.

    Waits up to 3 s for another transaction with the same key, then raises RequestInFlight.
    """
    values = {"caller": caller, "key": key, "fingerprint": fingerprint, "created_at": now, "forgotten": now - KEPT_FOR}
    try:
        await connection.execute(_SHORT_LOCK_TIMEOUT)
        first = (await connection.execute(_CLAIM, values)).one_or_none() is not None
        await connection.execute(_DEFAULT_LOCK_TIMEOUT)
    except OperationalError as error:
        if isinstance(error.orig, LockNotAvailable):
            raise RequestInFlight from error
        raise
    return first


async def keep(
    connection: AsyncConnection, caller: bytes, key: str, *, status: int, sealed: bytes, customer: bytes | None
) -> None:
    """Store the response, with headers and body encrypted together. `customer` marks the address in it."""
    values = {"status": status, "headers": null(), "body": sealed, "customer": customer}
    await connection.execute(update(kept_answer).where(_row_of(caller, key)).values(values))


async def give_up(connection: AsyncConnection, caller: bytes, key: str) -> None:
    """Delete the claim: the key is free again when the transaction ends."""
    await connection.execute(delete(kept_answer).where(_row_of(caller, key)))


async def kept(connection: AsyncConnection, caller: bytes, key: str) -> AnyRow:
    """Return the fingerprint of the first request and its response."""
    wanted = select(_k.fingerprint, _k.status, _k.body).where(_row_of(caller, key))
    return (await connection.execute(wanted)).one()


async def forget_old(connection: AsyncConnection, now: datetime) -> None:
    """Delete outdated responses in batches."""
    old = select(_k.caller, _k.key).where(_k.created_at <= now - KEPT_FOR).limit(_BATCH)
    batch = delete(kept_answer).where(tuple_(_k.caller, _k.key).in_(old.with_for_update(skip_locked=True)))
    while (await connection.execute(batch)).rowcount:
        pass


def _row_of(caller: bytes, key: str) -> ColumnElement[bool]:
    return and_(_k.caller == caller, _k.key == key)
