"""Calendar feeds to subscribe to, each at a secret address, and the calendar file of one booking."""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from expert_booking.db import feeds as rows
from expert_booking.db.documents import answer_of, location_of
from expert_booking.db.engine import AnyRow, Database
from expert_booking.db.terms import price_of
from expert_booking.domain.email_schedule import Audience
from expert_booking.domain.errors import BookingNotFound, FeedNotFound
from expert_booking.domain.lifecycle import Status
from expert_booking.domain.signed_keys import SignedKeys
from expert_booking.domain.site import Site
from expert_booking.mail import ics
from expert_booking.mail.headers import name_and_address
from expert_booking.schemas import BookingView

# How long past sessions stay in a feed.
_RETENTION: Final = timedelta(days=90)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedOwner:
    """The owner of a feed: either a customer, given by the key of a proven address, or an expert."""

    customer_key: str | None = None
    expert_id: UUID | None = None

    def __post_init__(self) -> None:
        if (self.customer_key is None) == (self.expert_id is None):
            raise ValueError("a feed belongs either to a customer or to an expert")

    def column(self) -> dict[str, Any]:
        """The column that identifies the owner, and its value."""
        return {"customer_key": self.customer_key} if self.expert_id is None else {"expert_id": self.expert_id}


@dataclass(frozen=True, slots=True)
class CalendarFile:
    """A calendar file, and its ETag (in quotes), which changes only when the file does."""

    body: bytes
    etag: str


class Feeds:
    """Calendar feeds with the bookings of a customer or an expert, until their address is revoked."""

    def __init__(self, database: Database, clock: Callable[[], datetime], site: Site) -> None:
        self._database = database
        self._clock = clock
        self._site = site
        self._keys = SignedKeys(site.secret)

    async def url(self, owner: FeedOwner) -> str | None:
        """The address of the owner's feed; None if there is none."""
        async with self._database.statements() as connection:
            feed_id = await rows.of_owner(connection, **owner.column())
        return None if feed_id is None else self._address(feed_id)

    async def open(self, owner: FeedOwner) -> str:
        """The address of the owner's feed, which is created if there is none."""
        async with self._database.statements() as connection:
            return self._address(await rows.put(connection, renew=False, **owner.column()))

    async def renew(self, owner: FeedOwner) -> str:
        """Replace the feed's address by a new one. The old address stops working."""
        async with self._database.statements() as connection:
            return self._address(await rows.put(connection, renew=True, **owner.column()))

    async def close(self, owner: FeedOwner) -> None:
        """Revoke the feed's address, if there is one."""
        async with self._database.statements() as connection:
            await rows.close(connection, **owner.column())

    async def content(self, key: str) -> CalendarFile:
        """The feed with this key: future sessions and those of the last 90 days. Raises FeedNotFound."""
        feed_id = self._keys.feed_of(key)
        async with self._database.statements() as connection:
            feed = None if feed_id is None else await rows.by_id(connection, feed_id)
            if feed is None:
                raise FeedNotFound
            owner = FeedOwner(customer_key=feed.customer_key, expert_id=feed.expert_id)
            found = await rows.entries(connection, self._clock() - _RETENTION, **owner.column())
        audience = Audience.CUSTOMER if owner.expert_id is None else Audience.EXPERT
        # No booking keys: third parties fetch and store feeds.
        entries = [self._entry(row, audience, manage_url=self._url(row.booking_id)) for row in found]
        # A thousand entries take a second, which must not block the event loop.
        body = await asyncio.to_thread(ics.publication, entries, organizer=self._sender(), name=self._name(feed))
        return CalendarFile(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')

    async def booking_file(self, booking: BookingView, audience: Audience = Audience.CUSTOMER) -> bytes:
        """The calendar file of one booking, for its customer or its expert. Raises BookingNotFound.

        The customer's file contains the key to the booking, as their emails do.
        """
        async with self._database.statements() as connection:
            row = await rows.entry(connection, booking.id)
        if row is None:
            raise BookingNotFound
        manage_url = self._url(booking.id)
        if audience is Audience.CUSTOMER:
            manage_url += f"?key={self._keys.booking(booking.id, row.key_version)}"
        return ics.publication([self._entry(row, audience, manage_url)], organizer=self._sender())

    def _entry(self, row: AnyRow, audience: Audience, manage_url: str) -> ics.Entry:
        fields = {**row._mapping, "status": Status(row.status), "price": price_of(row)}
        fields["answers"] = [answer_of(document).hidden() for document in row.answers]
        if row.location:
            fields["location"] = location_of(row.location).shown(fields["status"])
        for column in ("key_version", "price_amount", "price_currency"):
            del fields[column]
        return ics.Entry(**fields, audience=audience, url=self._url(row.booking_id), manage_url=manage_url)

    def _name(self, feed: AnyRow) -> str:
        site = name_and_address(self._site.sender)[0] or "Expert Booking"
        return site if feed.expert_id is None else f"{site}: {feed.expert_name}"

    def _address(self, feed_id: UUID) -> str:
        return f"{self._site.url}/feeds/{self._keys.feed(feed_id)}.ics"

    def _url(self, booking_id: UUID) -> str:
        return f"{self._site.url}/booking/{booking_id}"

    def _sender(self) -> str:
        return name_and_address(self._site.sender)[1]
