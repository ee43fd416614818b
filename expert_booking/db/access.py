"""Statements about requests to prove an email address, and about the proofs."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import (
    Boolean,
    DateTime,
    LargeBinary,
    Text,
    Uuid,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    null,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from expert_booking.db.engine import AnyRow
from expert_booking.db.tables import MAIL_CHANNEL, access_proof, access_request, assistant, booking, expert, message
from expert_booking.domain.email_schedule import MessageKind

# Requests are deleted after this. Until then they count against the limits.
REQUESTS_KEPT: Final = timedelta(days=1)

_r, _p = access_request.c, access_proof.c
_now = bindparam("now", type_=DateTime(timezone=True))
# Lock the address, then the network, always in that order, to avoid deadlocks.
_LOCK_REQUESTS: Final = text(
    """
    SELECT pg_advisory_xact_lock(hashtextextended('access of ' || :customer_key, 0)),
           pg_advisory_xact_lock(hashtextextended('access from ' || encode(:origin, 'hex'), 0))
    """
).bindparams(bindparam("origin", type_=LargeBinary))
_for_address = _r.customer_key == bindparam("customer_key")
_from_origin = _r.origin == bindparam("origin", type_=LargeBinary)
# Browsers that have proven the address before have limits of their own, so strangers cannot use theirs up.
_same_standing = _r.proven_before == bindparam("proven_before", type_=Boolean)
_from_both = and_(_for_address, _from_origin, _same_standing)
_from_strangers = and_(_from_origin, _r.proven_before.is_(False))
# Only emails whose link still works: a used or revoked link does not count.
_mailed_lately = and_(
    _for_address, _same_standing, _r.suppressed.is_(False), _r.spent_at.is_(None), _r.created_at > bindparam("lately")
)
# Requests of the command line have no network and do not count.
_COUNT_REQUESTS: Final = select(
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
# Count the attempt before comparing the code, so that parallel attempts cannot exceed the limit.
_COUNT_ATTEMPT: Final = (
    update(access_request)
    .where(
        _r.id == bindparam("request_id"), _r.spent_at.is_(None), _r.expires_at > _now,
        _r.browser.is_not_distinct_from(bindparam("asked_from", type_=LargeBinary)),
        _r.wrong_codes < bindparam("max_attempts"),
    )
    .values(wrong_codes=_r.wrong_codes + 1)
    .returning(_r.wrong_codes, _r.earlier)
)  # fmt: skip
# A hold keeps its browser under the new id, so that an open form still works.
_RENAME_BROWSER: Final = (
    update(booking)
    .where(booking.c.visitor == bindparam("before", type_=LargeBinary))
    .values(visitor=case((booking.c.status == "held", bindparam("after", type_=LargeBinary)),
                         else_=bindparam("booked", type_=LargeBinary)))
)  # fmt: skip
# Per booking and day, so that nobody with a link can flood the customer's mailbox.
MAX_NEW_LINKS: Final = 5
_END_LINKS: Final = text(
    f"""
    WITH ended AS (
      UPDATE booking SET key_version = key_version + 1
       WHERE id = :booking_id AND {MAX_NEW_LINKS} > (
             SELECT count(*) FROM message WHERE message.booking_id = :booking_id AND kind = 'new_link'
                AND created_at > now() - interval '1 day')
      RETURNING id, status, starts_at, ends_at, sequence
    ), put AS (
      INSERT INTO message (kind, audience, booking_id, status, starts_at, ends_at, sequence)
      SELECT 'new_link', 'customer', id, status, starts_at, ends_at, sequence FROM ended RETURNING id
    )
    SELECT id, pg_notify('{MAIL_CHANNEL}', ''), pg_notify('{MAIL_CHANNEL}', CAST(:booking_id AS text)) FROM put
    """  # noqa: S608 - only our own names
).bindparams(bindparam("booking_id", type_=Uuid))
_PROOF: Final = select(_p.id, _p.email, _p.customer_key).where(
    _p.secret_hash == bindparam("secret_hash"), _p.bearer == bindparam("bearer"), _p.expires_at > _now
)
_key = bindparam("customer_key", type_=Text)
_OWN: Final = (expert.c.id, expert.c.slug, expert.c.name, expert.c.time_zone)
# Two index scans, one by each kind of address. Experts of one's own come first.
_experts = (
    select(*_OWN, null().cast(Uuid).label("assistant_id"))
    .where(expert.c.email_key == _key, expert.c.email_key != "", expert.c.active)
    .union_all(
        select(*_OWN, assistant.c.id)
        .join_from(assistant, expert, expert.c.id == assistant.c.expert_id)
        .where(assistant.c.email_key == _key, assistant.c.removed_at.is_(None))
        .where(expert.c.active, expert.c.email_key != _key)
    )
    .subquery()
    .c
)
_EXPERTS_WITH_ADDRESS: Final = (
    select(*_experts).order_by(_experts.assistant_id.is_not(None), _experts.name, _experts.id).limit(50)
)


class RequestCounts(NamedTuple):
    """How many recent requests count against each limit, and when the first of them was made (UTC)."""

    # For this address from this network, and from this network for any address.
    here: int
    here_first: datetime | None
    network: int
    network_first: datetime | None
    # For this address: from any network, from other networks, and lately with an email that is still unused.
    earlier: int
    elsewhere: int
    mailed_lately: int


async def lock_requests(connection: AsyncConnection, customer_key: str, origin: bytes) -> None:
    """Lock requests for this address and from this network until the transaction ends. Waits for other transactions."""
    await connection.execute(_LOCK_REQUESTS, {"customer_key": customer_key, "origin": origin})


async def count_requests(
    connection: AsyncConnection,
    customer_key: str,
    origin: bytes,
    *,
    proven_before: bool,
    since: datetime,
    lately: datetime,
) -> RequestCounts:
    """Count the requests after `since` for this address or network, and the emails after `lately`."""
    values = {
        "customer_key": customer_key, "origin": origin, "proven_before": proven_before, "since": since,
        "lately": lately,
    }  # fmt: skip
    return RequestCounts(*(await connection.execute(_COUNT_REQUESTS, values)).one())


async def add_request(connection: AsyncConnection, **values: Any) -> UUID:
    """Insert a request and return its id. `values` are columns of `access_request`."""
    number: UUID = (await connection.execute(insert(access_request).values(**values).returning(_r.id))).scalar_one()
    return number


async def queue_email(
    connection: AsyncConnection, request_id: UUID, kind: MessageKind = MessageKind.ACCESS_LINK
) -> None:
    """Queue the email of a request. Whether the address is known is looked up only when the email is written."""
    await connection.execute(insert(message).values(kind=kind.value, access_request_id=request_id))
    await connection.execute(select(func.pg_notify(MAIL_CHANNEL, "")))


async def valid_request(connection: AsyncConnection, request_id: UUID, now: datetime) -> AnyRow | None:
    """Return a request that is neither used nor expired. Changes nothing."""
    return (await connection.execute(_VALID, {"request_id": request_id, "now": now})).one_or_none()


async def spend(connection: AsyncConnection, request_id: UUID, now: datetime) -> AnyRow | None:
    """Mark a request as used and return it; None if it was already used or has expired."""
    return (await connection.execute(_SPEND, {"request_id": request_id, "now": now})).one_or_none()


async def count_attempt(
    connection: AsyncConnection, request_id: UUID, browser: bytes | None, max_attempts: int, now: datetime
) -> AnyRow | None:
    """Count an attempt to enter the code; return the number of attempts.

    None if the request is used or expired, came from another browser, or has no attempts left of `max_attempts`.
    """
    values = {"request_id": request_id, "asked_from": browser, "max_attempts": max_attempts, "now": now}
    return (await connection.execute(_COUNT_ATTEMPT, values)).one_or_none()


async def add_proof(connection: AsyncConnection, **values: Any) -> None:
    """Insert a proof. `values` are columns of `access_proof`."""
    await connection.execute(insert(access_proof).values(**values))


async def find_proof(connection: AsyncConnection, secret_hash: bytes, bearer: str, now: datetime) -> AnyRow | None:
    """Return the proof of a browser's cookie or a program's token, unless it has expired."""
    values = {"secret_hash": secret_hash, "bearer": bearer, "now": now}
    return (await connection.execute(_PROOF, values)).one_or_none()


async def end_proof(connection: AsyncConnection, secret_hash: bytes) -> None:
    """Delete one proof."""
    await connection.execute(delete(access_proof).where(_p.secret_hash == secret_hash))


async def end_every_proof(connection: AsyncConnection, customer_key: str, now: datetime) -> None:
    """Revoke every proof, pending link and browser binding of this address."""
    # Links first. This waits for links that are being redeemed, so their new proofs are visible to the DELETE.
    await connection.execute(
        update(access_request).where(_r.customer_key == customer_key, _r.spent_at.is_(None)).values(spent_at=now)
    )
    await connection.execute(delete(access_proof).where(_p.customer_key == customer_key))
    # The hold of an open form has no address yet and stays.
    booked = update(booking).where(booking.c.customer_key == customer_key)
    await connection.execute(booked.values(visitor=None, key_version=booking.c.key_version + 1))


async def rename_browser(connection: AsyncConnection, before: bytes, after: bytes, *, with_bookings: bool) -> None:
    """Give a browser's hold to its new id. Its bookings go along, or lose their browser without `with_bookings`."""
    booked = after if with_bookings else None
    await connection.execute(_RENAME_BROWSER, {"before": before, "after": after, "booked": booked})


async def end_links(connection: AsyncConnection, booking_id: UUID) -> bool:
    """Revoke every link and token of a booking and queue an email with a new link.

    False if that was done MAX_NEW_LINKS times within a day.
    """
    return (await connection.execute(_END_LINKS, {"booking_id": booking_id})).one_or_none() is not None


async def experts_of(connection: AsyncConnection, customer_key: str) -> Sequence[AnyRow]:
    """Return the active experts with this address, then those whose assistant it is."""
    return (await connection.execute(_EXPERTS_WITH_ADDRESS, {"customer_key": customer_key})).all()


async def sweep(connection: AsyncConnection, now: datetime) -> None:
    """Delete old requests with their emails, and expired proofs."""
    await connection.execute(delete(access_request).where(_r.created_at < now - REQUESTS_KEPT))
    await connection.execute(delete(access_proof).where(_p.expires_at < now))
