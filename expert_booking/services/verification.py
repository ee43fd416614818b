"""Confirm the email address of a new booking, with the code or the link in the email sent to it."""

from collections.abc import Callable
from datetime import datetime
from typing import Final
from uuid import UUID

from expert_booking.db import bookings, email_addresses
from expert_booking.db.bookings import verification as rows
from expert_booking.db.engine import AnyConnection, AnyRow, Database
from expert_booking.domain.errors import (
    BookingNotFound,
    CodeWrong,
    Forbidden,
    LinkNotValid,
    TooManyVerificationEmails,
    VerificationTooLate,
    WrongCodesUsedUp,
)
from expert_booking.domain.lifecycle import Actor, Status, status_text
from expert_booking.domain.signed_keys import SignedKeys
from expert_booking.domain.site import Site
from expert_booking.domain.terms import Confirmation, Terms
from expert_booking.schemas import BookingView, Caller
from expert_booking.services.booking_changes import changeable
from expert_booking.services.booking_views import view_of

# After this many wrong codes, a booking expires.
MAX_WRONG_CODES: Final = 5


class Verification:
    """The confirmation of email addresses, for session types that ask for it.

    Until then a booking keeps its time, but its expert does not know of it. The code is useless without access to the
    booking, so that a stranger can neither guess it nor use up the attempts.
    """

    def __init__(self, database: Database, clock: Callable[[], datetime], site: Site) -> None:
        self._database = database
        self._clock = clock
        self._keys = SignedKeys(site.secret)

    async def verify(self, booking_id: UUID, code: str, caller: Caller | None) -> BookingView:
        """Confirm the address of a booking with the code, as its customer. If that is done or not needed, do nothing.

        Raises NotAuthenticated, Forbidden for hosts, BookingNotFound, CodeWrong, WrongCodesUsedUp or
        VerificationTooLate.
        """
        refusal = None
        async with self._database.transaction() as connection:
            await self._check_customer(connection, booking_id, caller)
            row = await rows.lock(connection, booking_id)
            if row.verify_by is not None:
                self._check_waiting(row)
                if self._keys.is_verification_code(booking_id, code):
                    await self._verify(connection, row)
                else:
                    refusal = await self._count_wrong_code(connection, row)
            view = await _view(connection, booking_id)
        # Raised after the commit, so that the attempt counts.
        if refusal is not None:
            raise refusal
        return view

    async def verify_by_link(self, key: str) -> BookingView:
        """Confirm the address of the booking that an emailed link belongs to, like `verify`.

        Raises LinkNotValid or VerificationTooLate.
        """
        booking_id = self._booking_of(key)
        async with self._database.transaction() as connection:
            if await bookings.by_id(connection, booking_id) is None:
                raise LinkNotValid
            row = await rows.lock(connection, booking_id)
            if row.verify_by is not None:
                self._check_waiting(row)
                await self._verify(connection, row)
            return await _view(connection, booking_id)

    async def preview_link(self, key: str) -> tuple[BookingView, str]:
        """The booking that an emailed link belongs to, and the path of its page. Changes nothing. Raises LinkNotValid.

        The path contains the key to the booking, because only readers of the email know the link.
        """
        async with self._database.statements() as connection:
            row = await bookings.by_id(connection, self._booking_of(key))
        if row is None:
            raise LinkNotValid
        return view_of(row), f"/booking/{row.id}?key={self._keys.booking(row.id, row.key_version)}"

    async def send_again(self, booking_id: UUID, caller: Caller | None) -> None:
        """Send the email once more, for the customer. If the address is confirmed, do nothing.

        Raises NotAuthenticated, Forbidden for hosts, BookingNotFound, VerificationTooLate or
        TooManyVerificationEmails.
        """
        async with self._database.transaction() as connection:
            await self._check_customer(connection, booking_id, caller)
            row = await rows.lock(connection, booking_id)
            if row.verify_by is None:
                return
            self._check_waiting(row)
            if not await rows.queue_email(connection, row):
                raise TooManyVerificationEmails

    async def _check_customer(self, connection: AnyConnection, booking_id: UUID, caller: Caller | None) -> None:
        _, by = await changeable(connection, booking_id, caller)
        if by.actor is not Actor.CUSTOMER:
            raise Forbidden("Only the customer can confirm the email address.")

    def _check_waiting(self, row: AnyRow) -> None:
        if row.status != Status.PENDING:
            status = status_text(Status(row.status))
            raise VerificationTooLate(f"It is too late to confirm this booking: it is {status}.")
        if row.verify_by <= self._clock():
            raise VerificationTooLate

    async def _verify(self, connection: AnyConnection, row: AnyRow) -> None:
        confirmation = Confirmation.INSTANT if row.answer_minutes is None else Confirmation.BY_EXPERT
        terms, now = Terms(confirmation, row.answer_minutes or 0), self._clock()
        if not await rows.verify(connection, row.id, terms.initial_state(row.starts_at, now, verify=False), now):
            raise VerificationTooLate
        await email_addresses.prove(connection, row.customer_key, now)

    async def _count_wrong_code(self, connection: AnyConnection, row: AnyRow) -> CodeWrong | WrongCodesUsedUp:
        left = MAX_WRONG_CODES - row.wrong_codes - 1
        if left > 0:
            await rows.count_wrong_code(connection, row.id)
            return CodeWrong(left)
        await rows.give_up(connection, row.id, self._clock())
        return WrongCodesUsedUp()

    def _booking_of(self, key: str) -> UUID:
        booking_id = self._keys.verification_of(key)
        if booking_id is None:
            raise LinkNotValid
        return booking_id


async def _view(connection: AnyConnection, booking_id: UUID) -> BookingView:
    row = await bookings.by_id(connection, booking_id)
    if row is None:
        raise BookingNotFound
    return view_of(row)
