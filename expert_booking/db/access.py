"""Statements about people without accounts: requests to prove an address, and what was proven."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import (
    Boolean,
    DateTime,
    LargeBinary,
    Uuid,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from expert_booking.db.engine import AnyRow
from expert_booking.db.tables import MAIL_CHANNEL, access_proof, access_request, booking, expert, message
from expert_booking.domain.email_schedule import MessageKind

# What is over is of no use to anybody after this; requests still count for how often somebody asks.
_KEPT: Final = timedelta(days=1)

_r, _p = access_request.c, access_proof.c
_now = bindparam("now", type_=DateTime(timezone=True))
# One after another, first those of an address and then those of a network: nobody waits in a circle.
_IN_TURN: Final = text(
    """
    SELECT pg_advisory_xact_lock(hashtextextended('access of ' || :customer_key, 0)),
           pg_advisory_xact_lock(hashtextextended('access from ' || encode(:origin, 'hex'), 0))
    """
).bindparams(bindparam("origin", type_=LargeBinary))
_for_address = _r.customer_key == bindparam("customer_key")
_from_origin = _r.origin == bindparam("origin", type_=LargeBinary)
# Browsers that have proven the address before, and everybody else: nobody uses up what the others may.
_alike = _r.proven_before == bindparam("proven_before", type_=Boolean)
_from_both = and_(_for_address, _from_origin, _alike)
_from_strangers = and_(_from_origin, _r.proven_before.is_(False))
# With a link that still works: what its owner has used or ended does not count.
_mailed_lately = and_(
    _for_address, _alike, _r.suppressed.is_(False), _r.spent_at.is_(None), _r.created_at > bindparam("lately")
)
# Those of the command line, which come from nowhere, are in nobody's way.
_ASKED: Final = select(
    func.count().filter(_from_both), func.min(_r.created_at).filter(_from_both),
    func.count().filter(_from_strangers), func.min(_r.created_at).filter(_from_strangers),
    func.count().filter(_for_address), func.count().filter(_for_address, ~_from_origin),
    func.count().filter(_mailed_lately),
).where(or_(_for_address, _from_origin), _r.origin.is_not(None), _r.created_at > bindparam("since"))  # fmt: skip
_VALID: Final = (
    select(_r.id, _r.email, _r.customer_key, _r.next_path, _r.browser, expert.c.name.label("expert_name"))
    .join_from(access_request, expert, expert.c.id == _r.expert_id, isouter=True)
    .where(_r.id == bindparam("request_id"), _r.spent_at.is_(None), _r.expires_at > _now)
)
_SPEND: Final = (
    update(access_request)
    .where(_r.id == bindparam("request_id"), _r.spent_at.is_(None), _r.expires_at > _now)
    .values(spent_at=_now)
    .returning(_r.email, _r.customer_key, _r.next_path, _r.expert_id)
)
# Counted before it is compared: of codes that come together none is tried for nothing.
_COUNT_TRY: Final = (
    update(access_request)
    .where(
        _r.id == bindparam("request_id"), _r.spent_at.is_(None), _r.expires_at > _now,
        _r.browser.is_not_distinct_from(bindparam("asked_from", type_=LargeBinary)),
        _r.wrong_codes < bindparam("most"),
    )
    .values(wrong_codes=_r.wrong_codes + 1)
    .returning(_r.wrong_codes, _r.earlier)
)  # fmt: skip
# The hold of a form that is being filled in goes along.
_RENAME_BROWSER: Final = (
    update(booking)
    .where(booking.c.visitor == bindparam("before", type_=LargeBinary))
    .values(visitor=case((booking.c.status == "held", bindparam("after", type_=LargeBinary)),
                         else_=bindparam("booked", type_=LargeBinary)))
)  # fmt: skip
# Of one booking, within a day: whoever may end its links cannot flood its customer's mailbox.
MOST_NEW_LINKS: Final = 5
_END_LINKS: Final = text(
    f"""
    WITH ended AS (
      UPDATE booking SET key_version = key_version + 1
       WHERE id = :booking_id AND {MOST_NEW_LINKS} > (
             SELECT count(*) FROM message WHERE message.booking_id = :booking_id AND kind = 'new_link'
                AND created_at > now() - interval '1 day')
      RETURNING id, status, starts_at, ends_at, sequence
    ), put AS (
      INSERT INTO message (kind, audience, booking_id, status, starts_at, ends_at, sequence)
      SELECT 'new_link', 'customer', id, status, starts_at, ends_at, sequence FROM ended RETURNING id
    )
    SELECT id, pg_notify('{MAIL_CHANNEL}', ''), pg_notify('{MAIL_CHANNEL}', CAST(:booking_id AS text)) FROM put
    """  # noqa: S608 - names of ours
).bindparams(bindparam("booking_id", type_=Uuid))
_PROVEN: Final = select(_p.id, _p.email, _p.customer_key).where(
    _p.secret_hash == bindparam("secret_hash"), _p.bearer == bindparam("bearer"), _p.expires_at > _now
)
_EXPERTS: Final = (
    select(expert.c.id, expert.c.slug, expert.c.name, expert.c.time_zone)
    .where(expert.c.email_key == bindparam("customer_key"), expert.c.email_key != "", expert.c.active)
    .order_by(expert.c.name, expert.c.id)
    .limit(50)
)


class ListingKey(NamedTuple):
    """Requests of the last hour: how many count against a limit, and when the first of these was made (UTC)."""

    # For this address from this network; and from this network for whatever address.
    here: int
    here_first: datetime | None
    network: int
    network_first: datetime | None
    # For this address: from anywhere, from other networks than this one, and lately, with an email not yet used.
    earlier: int
    elsewhere: int
    mailed_lately: int


async def ask_in_turn(connection: AsyncConnection, customer_key: str, origin: bytes) -> None:
    """Wait until nobody else asks for this address or from this network; it is our turn until the transaction ends."""
    await connection.execute(_IN_TURN, {"customer_key": customer_key, "origin": origin})


async def asked_since(
    connection: AsyncConnection,
    customer_key: str,
    origin: bytes,
    *,
    proven_before: bool,
    since: datetime,
    lately: datetime,
) -> ListingKey:
    """The requests since then that concern this one. `lately`: since when emails are counted."""
    values = {
        "customer_key": customer_key, "origin": origin, "proven_before": proven_before, "since": since,
        "lately": lately,
    }  # fmt: skip
    return ListingKey(*(await connection.execute(_ASKED, values)).one())


async def add_request(connection: AsyncConnection, **values: Any) -> UUID:
    """Write down a request; its columns are those of `access_request`."""
    number: UUID = (await connection.execute(insert(access_request).values(**values).returning(_r.id))).scalar_one()
    return number


async def put_mail(connection: AsyncConnection, request_id: UUID, kind: MessageKind = MessageKind.ACCESS_LINK) -> None:
    """Have its mail sent. Whether the address is known at all is looked up when it is written, not before."""
    await connection.execute(insert(message).values(kind=kind.value, access_request_id=request_id))
    await connection.execute(select(func.pg_notify(MAIL_CHANNEL, "")))


async def valid_request(connection: AsyncConnection, request_id: UUID, now: datetime) -> AnyRow | None:
    """A request that is neither spent nor over. Changes nothing."""
    return (await connection.execute(_VALID, {"request_id": request_id, "now": now})).one_or_none()


async def spend(connection: AsyncConnection, request_id: UUID, now: datetime) -> AnyRow | None:
    """Use up a request, once; None when that was done before, or its time is over."""
    return (await connection.execute(_SPEND, {"request_id": request_id, "now": now})).one_or_none()


async def count_try(
    connection: AsyncConnection, request_id: UUID, browser: bytes | None, most: int, now: datetime
) -> AnyRow | None:
    """One more code is tried in the browser that asked: how many there were with it. None: no more are."""
    values = {"request_id": request_id, "asked_from": browser, "most": most, "now": now}
    return (await connection.execute(_COUNT_TRY, values)).one_or_none()


async def add_proof(connection: AsyncConnection, **values: Any) -> None:
    """Write down that an address was proven; its columns are those of `access_proof`."""
    await connection.execute(insert(access_proof).values(**values))


async def proven(connection: AsyncConnection, secret_hash: bytes, bearer: str, now: datetime) -> AnyRow | None:
    """The address that a browser's cookie or a program's token proves."""
    values = {"secret_hash": secret_hash, "bearer": bearer, "now": now}
    return (await connection.execute(_PROVEN, values)).one_or_none()


async def end_proof(connection: AsyncConnection, secret_hash: bytes) -> None:
    """One proof counts no more."""
    await connection.execute(delete(access_proof).where(_p.secret_hash == secret_hash))


async def end_every_proof(connection: AsyncConnection, customer_key: str, now: datetime) -> None:
    """No proof of this address counts any more, no link, of whatever kind, and no browser as the one that booked."""
    # The links first: of one that is being redeemed meanwhile the proof is there when it has been waited for.
    await connection.execute(
        update(access_request).where(_r.customer_key == customer_key, _r.spent_at.is_(None)).values(spent_at=now)
    )
    await connection.execute(delete(access_proof).where(_p.customer_key == customer_key))
    # The hold of a form that is just being filled in has no address yet, and stays.
    booked = update(booking).where(booking.c.customer_key == customer_key)
    await connection.execute(booked.values(visitor=None, key_version=booking.c.key_version + 1))


async def rename_browser(connection: AsyncConnection, before: bytes, after: bytes, *, with_bookings: bool) -> None:
    """What a browser holds is held by its new id. Its bookings go along too, or are no browser's any more."""
    booked = after if with_bookings else None
    await connection.execute(_RENAME_BROWSER, {"before": before, "after": after, "booked": booked})


async def end_links(connection: AsyncConnection, booking_id: UUID) -> bool:
    """End every link and token of a booking, and have a new link emailed; False when that was done too often."""
    return (await connection.execute(_END_LINKS, {"booking_id": booking_id})).one_or_none() is not None


async def experts_of(connection: AsyncConnection, customer_key: str) -> Sequence[AnyRow]:
    """The active experts whose address this is."""
    return (await connection.execute(_EXPERTS, {"customer_key": customer_key})).all()


async def sweep(connection: AsyncConnection, now: datetime) -> None:
    """Delete what has long been over, and with the requests their mails."""
    await connection.execute(delete(access_request).where(_r.created_at < now - _KEPT))
    await connection.execute(delete(access_proof).where(_p.expires_at < now))
