"""Statements about the answers that are kept for requests with an Idempotency-Key."""

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
_AT_ONCE: Final = 1000

_k = kept_answer.c
_WAIT_BRIEFLY = text("SET LOCAL lock_timeout = '3s'")
_WAIT_AS_EVER = text("SET LOCAL lock_timeout TO DEFAULT")
_new = pg_insert(kept_answer).values(
    {column.name: bindparam(column.name) for column in (_k.caller, _k.key, _k.fingerprint, _k.created_at)}
)
# A row that is too old is taken over as if it were not there; a younger one is locked and left as it is.
_CLAIM = _new.on_conflict_do_update(
    index_elements=[_k.caller, _k.key],
    set_={"fingerprint": _new.excluded.fingerprint, "created_at": _new.excluded.created_at},
    where=_k.created_at <= bindparam("forgotten"),
).returning(_k.key)


async def claim(connection: AsyncConnection, caller: bytes, key: str, fingerprint: bytes, now: datetime) -> bool:
    """Be the first with this key, until the transaction ends; False when somebody was, whose answer is there.

    Others wait for the first one's transaction, but not for long: raises RequestInFlight.
    """
    values = {"caller": caller, "key": key, "fingerprint": fingerprint, "created_at": now, "forgotten": now - KEPT_FOR}
    try:
        await connection.execute(_WAIT_BRIEFLY)
        first = (await connection.execute(_CLAIM, values)).one_or_none() is not None
        await connection.execute(_WAIT_AS_EVER)
    except OperationalError as error:
        if isinstance(error.orig, LockNotAvailable):
            raise RequestInFlight from error
        raise
    return first


async def keep(connection: AsyncConnection, caller: bytes, key: str, *, status: int, sealed: bytes) -> None:
    """Write down what was answered to the first, headers and body sealed in one."""
    values = {"status": status, "headers": null(), "body": sealed}
    await connection.execute(update(kept_answer).where(_this(caller, key)).values(values))


async def give_up(connection: AsyncConnection, caller: bytes, key: str) -> None:
    """Keep nothing of this request: the key is free again when the transaction ends."""
    await connection.execute(delete(kept_answer).where(_this(caller, key)))


async def kept(connection: AsyncConnection, caller: bytes, key: str) -> AnyRow:
    """What the first asked (its fingerprint) and was answered."""
    wanted = select(_k.fingerprint, _k.status, _k.body).where(_this(caller, key))
    return (await connection.execute(wanted)).one()


async def forget_old(connection: AsyncConnection, now: datetime) -> None:
    """Delete the answers that are too old, some in each statement."""
    old = select(_k.caller, _k.key).where(_k.created_at <= now - KEPT_FOR).limit(_AT_ONCE)
    some = delete(kept_answer).where(tuple_(_k.caller, _k.key).in_(old.with_for_update(skip_locked=True)))
    while (await connection.execute(some)).rowcount:
        pass


def _this(caller: bytes, key: str) -> ColumnElement[bool]:
    return and_(_k.caller == caller, _k.key == key)
