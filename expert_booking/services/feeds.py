"""Calendars: to subscribe to, each at a secret address, and the file of one booking."""

import asyncio
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from expert_booking.db import feeds as rows
from expert_booking.db.engine import AnyRow, Database
from expert_booking.domain.email_schedule import Audience
from expert_booking.domain.errors import BookingNotFound, FeedNotFound
from expert_booking.domain.lifecycle import Status
from expert_booking.domain.signed_keys import SignedKeys
from expert_booking.domain.site import Site
from expert_booking.mail import ics
from expert_booking.mail.headers import name_and_address
from expert_booking.schemas import BookingView

# What is over stays in the calendar for so long.
_PAST: Final = timedelta(days=90)


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedOwner:
    """Whose calendar: a customer's, known by a proven address, or an expert's. One of both."""

    customer_key: str | None = None
    expert_id: UUID | None = None

    def __post_init__(self) -> None:
        if (self.customer_key is None) == (self.expert_id is None):
            raise ValueError("a calendar is a customer's or an expert's")

    def known_by(self) -> dict[str, Any]:
        """The column that tells whose it is, and its value."""
        return {"customer_key": self.customer_key} if self.expert_id is None else {"expert_id": self.expert_id}


@dataclass(frozen=True, slots=True)
class CalendarFile:
    """A calendar, and a tag (in its quotes) that changes only when it does."""

    body: bytes
    etag: str


class Feeds:
    """Calendars that follow the bookings of a customer or an expert, for as long as their address is not given up."""

    def __init__(self, database: Database, clock: Callable[[], datetime], site: Site) -> None:
        self._database = database
        self._clock = clock
        self._site = site
        self._keys = SignedKeys(site.secret)

    async def url(self, owner: FeedOwner) -> str | None:
        """The address of somebody's calendar; None where there is none."""
        async with self._database.statements() as connection:
            number = await rows.of_owner(connection, **owner.known_by())
        return None if number is None else self._address(number)

    async def open(self, owner: FeedOwner) -> str:
        """The address of somebody's calendar, which is there from now on."""
        async with self._database.statements() as connection:
            return self._address(await rows.put(connection, renew=False, **owner.known_by()))

    async def renew(self, owner: FeedOwner) -> str:
        """A new address; the old one, whoever knows it, ends."""
        async with self._database.statements() as connection:
            return self._address(await rows.put(connection, renew=True, **owner.known_by()))

    async def close(self, owner: FeedOwner) -> None:
        """Give up the address, if there is one."""
        async with self._database.statements() as connection:
            await rows.close(connection, **owner.known_by())

    async def content(self, key: str) -> CalendarFile:
        """What the calendar at an address holds: what is ahead, and the last 90 days. Raises FeedNotFound."""
        number = self._keys.feed_of(key)
        async with self._database.statements() as connection:
            feed = None if number is None else await rows.by_id(connection, number)
            if feed is None:
                raise FeedNotFound
            owner = FeedOwner(customer_key=feed.customer_key, expert_id=feed.expert_id)
            found = await rows.entries(connection, self._clock() - _PAST, **owner.known_by())
        audience = Audience.CUSTOMER if owner.expert_id is None else Audience.EXPERT
        # Without the bookings' keys: others fetch it, and keep what they fetch.
        entries = [self._entry(row, audience, manage_url=self._url(row.booking_id)) for row in found]
        # A thousand take a second, in which others want answers.
        body = await asyncio.to_thread(ics.publication, entries, organizer=self._sender(), name=self._name(feed))
        return CalendarFile(body, f'"{hashlib.sha256(body).hexdigest()[:32]}"')

    async def file_of(self, booking: BookingView, audience: Audience = Audience.CUSTOMER) -> bytes:
        """One booking as its customer (or its expert) puts it into a calendar by hand. Raises BookingNotFound.

        The customer's holds the key to the booking, as their mails do.
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
        facts = {**row._mapping, "status": Status(row.status)}
        del facts["key_version"]
        return ics.Entry(**facts, audience=audience, url=self._url(row.booking_id), manage_url=manage_url)

    def _name(self, feed: AnyRow) -> str:
        site = name_and_address(self._site.sender)[0] or "Expert Booking"
        return site if feed.expert_id is None else f"{site}: {feed.expert_name}"

    def _address(self, number: UUID) -> str:
        return f"{self._site.url}/feeds/{self._keys.feed(number)}.ics"

    def _url(self, booking_id: UUID) -> str:
        return f"{self._site.url}/booking/{booking_id}"

    def _sender(self) -> str:
        return name_and_address(self._site.sender)[1]
