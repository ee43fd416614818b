"""Send the latest email of a booking again, and give its host the customer's link."""

from collections.abc import Callable
from datetime import datetime
from uuid import UUID

from expert_booking.db import outbox
from expert_booking.db.engine import AnyConnection, AnyRow, Database
from expert_booking.domain.errors import EmailNotPossible, Forbidden, NoManageLink, TooManyEmailsAgain
from expert_booking.domain.lifecycle import HOSTS
from expert_booking.domain.limits import HOUR
from expert_booking.domain.signed_keys import SignedKeys
from expert_booking.domain.site import Site
from expert_booking.schemas import Caller
from expert_booking.services.booking_changes import changeable
from expert_booking.services.booking_views import is_unverified

# How often an email about one booking is sent again within an hour.
MAX_AGAIN = 3


class BookingEmails:
    """What hosts do about the emails of a booking."""

    def __init__(self, database: Database, clock: Callable[[], datetime], site: Site) -> None:
        self._database = database
        self._clock = clock
        self._site = site
        self._keys = SignedKeys(site.secret)

    async def send_again(self, booking_id: UUID, caller: Caller | None) -> None:
        """Send the customer the latest email about the booking once more, as a host.

        If the booking has changed without an email since, the email says how it is now. Raises NotAuthenticated,
        Forbidden, BookingNotFound, EmailNotPossible or TooManyEmailsAgain.
        """
        async with self._database.transaction() as connection:
            row = await self._of_host(connection, booking_id, caller)
            if not row.email:
                raise EmailNotPossible("This booking has no email address.")
            if is_unverified(row):
                raise EmailNotPossible("The customer has not confirmed the email address of this booking yet.")
            if await outbox.count_again(connection, row.id, self._clock() - HOUR) >= MAX_AGAIN:
                raise TooManyEmailsAgain
            if not await outbox.send_again(connection, row.id, self._clock()):
                raise EmailNotPossible

    async def manage_link(self, booking_id: UUID, caller: Caller | None) -> str:
        """The link with which the customer manages the booking, for its host. It revokes no other links.

        Raises NotAuthenticated, Forbidden, BookingNotFound or NoManageLink.
        """
        async with self._database.statements() as connection:
            row = await self._of_host(connection, booking_id, caller)
        if not row.email:
            raise NoManageLink
        return f"{self._site.url}/booking/{row.id}?key={self._keys.booking(row.id, row.key_version)}"

    async def _of_host(self, connection: AnyConnection, booking_id: UUID, caller: Caller | None) -> AnyRow:
        row, by = await changeable(connection, booking_id, caller)
        if by.actor not in HOSTS:
            raise Forbidden
        return row
