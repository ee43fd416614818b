"""What the recipient of an email about a booking decides with the links in it, without signing in."""

from collections.abc import Callable
from datetime import datetime
from typing import Final
from uuid import UUID

from expert_booking.db import bookings as rows
from expert_booking.db import email_addresses
from expert_booking.db.engine import AnyConnection, AnyRow, Database
from expert_booking.domain.email_schedule import WantedEmails
from expert_booking.domain.errors import EmailLinkNotValid
from expert_booking.domain.lifecycle import RESCHEDULABLE, Actor, Status
from expert_booking.domain.signed_keys import SignedKeys
from expert_booking.domain.site import Site
from expert_booking.schemas import BookingView, NotBookedView
from expert_booking.services.booking_changes import ActingAs, change_of
from expert_booking.services.booking_views import view_of
from expert_booking.services.instrumented import BookingMetrics

# The expert reads this in the email about the cancellation and in the history.
_REASON: Final = "The owner of this email address says that they did not book this session."


class EmailChoices:
    """The links "Didn't book this?" and "Turn them off". A key is permission for this, and for one booking only."""

    def __init__(
        self, database: Database, clock: Callable[[], datetime], site: Site, counts: BookingMetrics | None = None
    ) -> None:
        self._database = database
        self._clock = clock
        self._keys = SignedKeys(site.secret)
        self._counts = counts

    async def not_booked(self, key: str) -> NotBookedView:
        """What `say_not_booked` would do. Changes nothing. Raises EmailLinkNotValid."""
        async with self._database.statements() as connection:
            return await self._not_booked(connection, key)

    async def say_not_booked(self, key: str) -> NotBookedView:
        """Cancel the booking, even if its terms no longer allow it, and stop the emails about it.

        If nobody has proven the address, it gets no more emails about any booking. A booking that has ended stays as it
        is, and so does one whose links were revoked after the email. A second time changes nothing. Raises
        EmailLinkNotValid.
        """
        booking_id = self._booking_of(key)
        async with self._database.transaction() as connection:
            # First, because it locks the booking: what is read next stays as it is.
            await email_addresses.want(connection, booking_id, WantedEmails.NONE)
            row = await _found(connection, booking_id)
            cancels = self._may_cancel(row, key)
            if cancels:
                change = change_of(row, ActingAs(Actor.CUSTOMER), _REASON, self._clock())
                await rows.change_status(connection, change, Status.CANCELLED.value)
            await email_addresses.silence(connection, row.customer_key, self._clock())
            view = await self._not_booked(connection, key)
        if cancels and self._counts is not None:
            self._counts.changed(Status.CANCELLED.value)
        return view

    def reminders_path(self, booking_id: UUID) -> str:
        """The path of the page that turns the booking's reminders off and on, for those who may see the booking."""
        return f"/reminders/{self._keys.reminders(booking_id)}"

    async def booking_of_reminders(self, key: str) -> BookingView:
        """The booking that a link to turn off reminders belongs to. Raises EmailLinkNotValid."""
        async with self._database.statements() as connection:
            return view_of(await _found(connection, self._booking_of_reminders(key)))

    async def want_reminders(self, key: str, *, wanted: bool) -> BookingView:
        """Turn the reminders of a booking off or on. Raises EmailLinkNotValid."""
        booking_id = self._booking_of_reminders(key)
        async with self._database.transaction() as connection:
            await email_addresses.want(
                connection, booking_id, WantedEmails.ALL if wanted else WantedEmails.NO_REMINDERS
            )
            return view_of(await _found(connection, booking_id))

    async def _not_booked(self, connection: AnyConnection, key: str) -> NotBookedView:
        row = await _found(connection, self._booking_of(key))
        return NotBookedView(
            booking=view_of(row),
            may_cancel=self._may_cancel(row, key),
            outdated=self._is_live(row) and not self._is_current(row, key),
            proven=await email_addresses.is_proven(connection, row.customer_key),
        )

    def _may_cancel(self, row: AnyRow, key: str) -> bool:
        return self._is_live(row) and self._is_current(row, key)

    def _is_live(self, row: AnyRow) -> bool:
        return row.status in RESCHEDULABLE and self._clock() < row.ends_at

    def _is_current(self, row: AnyRow, key: str) -> bool:
        return bool(self._keys.version_of(key) == row.key_version)

    def _booking_of(self, key: str) -> UUID:
        booking_id = self._keys.not_booked_of(key)
        if booking_id is None:
            raise EmailLinkNotValid
        return booking_id

    def _booking_of_reminders(self, key: str) -> UUID:
        booking_id = self._keys.reminders_of(key)
        if booking_id is None:
            raise EmailLinkNotValid
        return booking_id


async def _found(connection: AnyConnection, booking_id: UUID) -> AnyRow:
    row = await rows.by_id(connection, booking_id)
    if row is None:
        raise EmailLinkNotValid
    return row
