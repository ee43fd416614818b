"""Assistants: addresses that run an expert's calendar."""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from expert_booking.db import assistants as rows
from expert_booking.db import calendars, expert_addresses
from expert_booking.db.engine import AnyConnection, Database
from expert_booking.domain.addresses import customer_key
from expert_booking.domain.errors import AssistantNotFound, ExpertNotFound, FieldsWrong, Forbidden, TooMany
from expert_booking.schemas import AssistantList, AssistantView
from expert_booking.services.calendars import CalendarKey

MAX_ASSISTANTS: Final = 10


class Assistants:
    """Who else runs a calendar. Only the expert and admins see and change this; an assistant is Forbidden to.

    An assistant signs in with their own address. Their rights are read from the database for every request, so they end
    with the removal.
    """

    def __init__(self, database: Database, clock: Callable[[], datetime]) -> None:
        self._database = database
        self._clock = clock

    async def list(self, key: CalendarKey) -> AssistantList:
        """The assistants of an expert, the first added first. Raises Forbidden."""
        _check(key)
        async with self._database.statements() as connection:
            return await _list(connection, key)

    async def add(self, key: CalendarKey, email: str) -> AssistantList:
        """Add a valid address, unless it is an assistant already, and return the list.

        Raises Forbidden, ExpertNotFound, TooMany, and FieldsWrong for the expert's own address.
        """
        _check(key)
        address = customer_key(email)
        async with self._database.transaction() as connection:
            if await calendars.lock(connection, key.expert_id) is None:
                raise ExpertNotFound
            if address == (await expert_addresses.current(connection, key.expert_id))[1]:
                raise FieldsWrong({"email": "This is the expert's own address."})
            known = {row.email_key for row in await rows.of_expert(connection, key.expert_id)}
            if address not in known:
                if len(known) >= MAX_ASSISTANTS:
                    raise TooMany(f"An expert can have {MAX_ASSISTANTS} assistants. Please remove one first.")
                await rows.add(connection, key.expert_id, email, address, self._clock())
            return await _list(connection, key)

    async def remove(self, key: CalendarKey, email: str) -> None:
        """End the access of an assistant at once. Raises Forbidden, ExpertNotFound or AssistantNotFound."""
        _check(key)
        async with self._database.transaction() as connection:
            # The event that this lock causes makes the assistant's open pages check their access.
            if await calendars.lock(connection, key.expert_id) is None:
                raise ExpertNotFound
            if not await rows.remove(connection, key.expert_id, customer_key(email), self._clock()):
                raise AssistantNotFound


def _check(key: CalendarKey) -> None:
    if key.assistant:
        raise Forbidden("Only the expert and admins can see and change the assistants.")


async def _list(connection: AnyConnection, key: CalendarKey) -> AssistantList:
    found = await rows.of_expert(connection, key.expert_id)
    return AssistantList(assistants=[AssistantView(email=row.email, added_at=row.added_at) for row in found])
