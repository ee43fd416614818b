"""Fixtures shared by the tests of the services."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from psycopg import AsyncCursor

from expert_booking.db.engine import Database

Counted = Callable[[], AbstractContextManager[list[str]]]


@pytest.fixture
async def counted(database: Database) -> Counted:
    """Record all statements that the driver sends inside a `with` block."""
    assert await database.answers()  # the first connection queries the server's version

    @contextmanager
    def counted() -> Iterator[list[str]]:
        sent: list[str] = []
        execute = AsyncCursor.execute

        async def record(cursor: AsyncCursor[Any], query: Any, *how: Any, **more: Any) -> AsyncCursor[Any]:
            sent.append(str(query))
            return await execute(cursor, query, *how, **more)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(AsyncCursor, "execute", record)
            yield sent

    return counted
