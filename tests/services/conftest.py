"""What the tests of the services share."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import pytest
from psycopg import AsyncCursor

from expert_booking.db.engine import Database

Counted = Callable[[], AbstractContextManager[list[str]]]


@pytest.fixture
async def counted(database: Database) -> Counted:
    """The statements that the driver sends meanwhile, whoever hands them to it."""
    assert await database.answers()  # a first connection asks the server who it is

    @contextmanager
    def counted() -> Iterator[list[str]]:
        sent: list[str] = []
        execute = AsyncCursor.execute

        async def noted(cursor: AsyncCursor[Any], query: Any, *how: Any, **more: Any) -> AsyncCursor[Any]:
            sent.append(str(query))
            return await execute(cursor, query, *how, **more)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(AsyncCursor, "execute", noted)
            yield sent

    return counted
