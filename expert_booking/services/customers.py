"""What is stored about a customer: export it, and erase it on request or some time after the session."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from pydantic.alias_generators import to_camel

from expert_booking.db import access, deadlines, idempotency, outbox
from expert_booking.db import bookings as booking_rows
from expert_booking.db import customers as rows
from expert_booking.db.engine import AnyConnection, AnyRow, Database, retry_on_deadlock
from expert_booking.domain.addresses import customer_key
from expert_booking.domain.email_schedule import Delivery
from expert_booking.domain.errors import FieldsWrong
from expert_booking.domain.lifecycle import RESCHEDULABLE, Actor, Status
from expert_booking.domain.site import AccessRules, Site
from expert_booking.schemas import (
    BookingView,
    Caller,
    ChangeView,
    CustomerData,
    CustomerErased,
    CustomerMatch,
    HoldView,
    StoragePeriods,
    StoredAccessRequest,
    StoredBooking,
    StoredEmail,
    StoredFeed,
    StoredProof,
    StoredResponse,
    utc_text,
)
from expert_booking.services.answer_encryption import customer_mark
from expert_booking.services.booking_views import view_of
from expert_booking.services.mailbox import mails_about, stored_mail
from expert_booking.services.permissions import check_runs

# Bookings erased in one transaction after their retention period.
_BATCH: Final = 100
# The most customers that a search returns.
_MATCHES: Final = 10
_DAY: Final = timedelta(days=1)
# Personal data of a booking that its view does not show.
_IDENTIFIERS: Final = tuple(name for name in rows.ERASED if name not in BookingView.model_fields)
# Tables that an export describes field by field. Others of an address are exported as they are.
_DESCRIBED: Final = frozenset({"access_proof", "access_request", "feed"})
_NOT_EXPORTED: Final = frozenset({"secret_hash"})


class Customers:
    """People's own data. A customer is an email address; see `customer_key`."""

    def __init__(self, database: Database, clock: Callable[[], datetime], site: Site) -> None:
        self._database = database
        self._clock = clock
        self._site = site

    async def data(self, email: str, *, browser: bytes | None = None) -> CustomerData:
        """Everything that is stored about this address. `browser` adds the holds of a browser that has proven it.

        Raises FieldsWrong if the address is not valid.
        """
        key = _key(email)
        async with self._database.transaction() as connection:
            bookings = await self._bookings(connection, key)
            ids = [booking.id for booking in bookings]
            browsers = await self._browsers(connection, key, browser)
            marks = await self._marks(connection, key, email)
            tables = {table.name: await rows.rows_of_address(connection, table, key) for table in rows.OF_AN_ADDRESS}
            for table in rows.OF_BOOKINGS:
                tables[table.name] = await rows.rows_of_bookings(connection, table, ids)
            return CustomerData(
                email=email,
                exported_at=self._clock(),
                bookings=bookings,
                holds=[HoldView.model_validate(row._mapping) for row in await rows.holds_of(connection, browsers)],
                calendar_feeds=[StoredFeed(created_at=row.created_at) for row in tables["feed"]],
                proofs=[_proof(row) for row in tables["access_proof"]],
                access_requests=[_access_request(row) for row in tables["access_request"]],
                stored_responses=[StoredResponse(created_at=at) for at in await rows.answers_with(connection, marks)],
                mailbox=[stored_mail(row) for row in mails_about(await rows.mails(connection), [key], ids)],
                other={to_camel(name): [_as_json(row) for row in found] for name, found in tables.items()
                       if found and name not in _DESCRIBED},
            )  # fmt: skip

    async def search(self, expert_id: UUID, wanted: str, caller: Caller | None) -> Sequence[CustomerMatch]:
        """The customers of this expert whose name or address contains this text: at most 10, latest booking first.

        For those who run the calendar. Raises NotAuthenticated or Forbidden.
        """
        check_runs(caller, expert_id)
        if not wanted.strip():
            return []
        async with self._database.statements() as connection:
            found = await rows.matching(connection, expert_id, wanted.strip(), _MATCHES)
        return [CustomerMatch.model_validate(row._mapping) for row in found]

    async def erase(
        self,
        email: str,
        *,
        by: Actor,
        token_id: UUID | None = None,
        keep_upcoming: bool = False,
        browser: bytes | None = None,
    ) -> CustomerErased:
        """Erase the customer with this address: what happened stays, without a person. Safe to repeat.

        Upcoming bookings are cancelled, and their experts get an email, whatever the terms say. A session that has
        begun is not cancelled. With `keep_upcoming`, pending and confirmed bookings that are not over stay as they are,
        with their emails and links, and are erased when they are over. `browser` names a browser of the customer whose
        holds are deleted. Raises FieldsWrong if the address is not valid.
        """
        key = _key(email)

        async def attempt() -> CustomerErased:
            async with self._database.transaction() as connection:
                return await self._erase(
                    connection, key, email, by=by, token=token_id, keep_upcoming=keep_upcoming, browser=browser
                )

        return await retry_on_deadlock(attempt)

    async def erase_ended(self) -> None:
        """Erase the customers of sessions that ended before the retention period, or that were kept until now."""
        while await self._erase_some_ended():
            pass

    def periods(self) -> StoragePeriods:
        """For how long data is stored, under the settings in force."""
        retention = self._site.retention
        return StoragePeriods(
            bookings=None if retention is None else retention / _DAY,
            emails=outbox.SENT_KEPT / _DAY,
            proofs=AccessRules().proof_days,
            access_requests=access.REQUESTS_KEPT / _DAY,
            holds=deadlines.EXPIRED_HOLDS_KEPT / _DAY,
            responses=idempotency.KEPT_FOR / _DAY,
        )

    async def _erase(
        self,
        connection: AnyConnection,
        key: str,
        email: str,
        *,
        by: Actor,
        token: UUID | None,
        keep_upcoming: bool,
        browser: bytes | None,
    ) -> CustomerErased:
        now = self._clock()
        # Bookings made from now on are not locked: they belong to a customer who has come back.
        found = await rows.lock_of_customer(connection, key)
        kept = [row.id for row in found if keep_upcoming and _is_upcoming(row, now)]
        erased = [row for row in found if row.id not in kept]
        cancelled = [row.id for row in erased if _is_to_cancel(row, now)]
        marks = await self._marks(connection, key, email)
        ids = [row.id for row in erased]
        await rows.erase_bookings(connection, ids, cancelled, by=by.value, token=token, at=now)
        await rows.erase_when_over(connection, kept)
        browsers = {row.visitor for row in erased} | {browser}
        await rows.delete_holds(connection, [one for one in browsers if one is not None])
        await _delete_address(connection, [key], ids, besides=kept)
        await rows.delete_answers(connection, marks)
        return CustomerErased(erased=len(erased), cancelled=len(cancelled), kept=len(kept))

    async def _erase_some_ended(self) -> bool:
        now, retention = self._clock(), self._site.retention
        async with self._database.transaction() as connection:
            found = await rows.lock_ended(connection, None if retention is None else now - retention, now, _BATCH)
            if not found:
                return False
            ids = [row.id for row in found]
            await rows.erase_bookings(connection, ids, (), by=Actor.SYSTEM.value, token=None, at=now)
            # Nothing else stays about an address that has no bookings left.
            keys = {row.customer_key for row in found if row.customer_key}
            await _delete_address(connection, keys.difference(await rows.with_bookings(connection, keys)), ids)
        return True

    async def _bookings(self, connection: AnyConnection, key: str) -> Sequence[StoredBooking]:
        found = [view_of(row, sensitive=True) for row in await booking_rows.of_customer(connection, key, limit=None)]
        ids = [booking.id for booking in found]
        history = _by_booking(await rows.changes_of(connection, ids))
        emails = _by_booking(await rows.messages_of(connection, ids))
        identifiers = {row.id: row for row in await rows.identifiers(connection, key, _IDENTIFIERS)}
        return [
            StoredBooking(
                **dict(booking),
                history=[ChangeView.model_validate(row._mapping) for row in history[booking.id]],
                emails=[_email(row) for row in emails[booking.id]],
                identifiers={name: value for name, value in _as_json(identifiers[booking.id]).items() if name != "id"},
            )
            for booking in found
        ]

    async def _browsers(self, connection: AnyConnection, key: str, browser: bytes | None) -> Collection[bytes]:
        """The browsers in which the customer booked."""
        known = (row.visitor for row in await rows.identifiers(connection, key, ("visitor",)))
        return {one for one in (browser, *known) if one is not None}

    async def _marks(self, connection: AnyConnection, key: str, email: str) -> Collection[bytes]:
        """The marks of the address in stored responses, in every spelling that was used."""
        spellings = {key, email, *await rows.spellings(connection, key)}
        return [customer_mark(self._site.secret, spelling) for spelling in spellings]


async def _delete_address(
    connection: AnyConnection, keys: Collection[str], booking_ids: Collection[UUID], besides: Collection[UUID] = ()
) -> None:
    """Delete what else is stored about these addresses, and the mailbox's emails about these bookings."""
    await rows.delete_addresses(connection, keys)
    about = mails_about(await rows.mails(connection), keys, booking_ids, besides=besides)
    await rows.delete_mails(connection, [row.id for row in about])


def _key(email: str) -> str:
    try:
        return customer_key(email)
    except ValueError as error:
        raise FieldsWrong({"email": "Please enter an email address such as name@example.com."}) from error


def _is_upcoming(row: AnyRow, now: datetime) -> bool:
    return Status(row.status) in RESCHEDULABLE and bool(row.ends_at > now)


def _is_to_cancel(row: AnyRow, now: datetime) -> bool:
    status = Status(row.status)
    return status is Status.PENDING or (status is Status.CONFIRMED and bool(row.starts_at > now))


def _by_booking(found: Iterable[AnyRow]) -> dict[UUID, list[AnyRow]]:
    grouped = defaultdict(list)
    for row in found:
        grouped[row.booking_id].append(row)
    return grouped


def _email(row: AnyRow) -> StoredEmail:
    state = Delivery.SENT if row.sent_at else Delivery.FAILED if row.failed_at else Delivery.WAITING
    return StoredEmail.model_validate({**row._mapping, "state": state})


def _proof(row: AnyRow) -> StoredProof:
    return StoredProof.model_validate({**row._mapping, "kind": row.bearer})


def _access_request(row: AnyRow) -> StoredAccessRequest:
    return StoredAccessRequest(
        email=row.email,
        created_at=row.created_at,
        expires_at=row.expires_at,
        used_at=row.spent_at,
        next_page=row.next_path,
        wrong_codes=row.wrong_codes,
        browser=row.browser and row.browser.hex(),
        network=row.origin and row.origin.hex(),
    )


def _as_json(row: AnyRow) -> dict[str, Any]:
    """The columns of a row that are not empty, by their names in camelCase, with values that JSON can contain."""
    return {
        to_camel(name): _json_value(value)
        for name, value in row._mapping.items()
        if name not in _NOT_EXPORTED and value not in (None, "", False)
    }


def _json_value(value: Any) -> Any:
    if isinstance(value, bytes | memoryview):
        return bytes(value).hex()
    if isinstance(value, datetime):
        return utc_text(value)
    if isinstance(value, list):
        return [_json_value(each) for each in value]
    return value if isinstance(value, int | float | str) else str(value)
