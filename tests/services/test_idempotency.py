"""A request is done once; its effects and its answer are committed together or not at all."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DataError

from expert_booking.db.engine import AnyConnection, Database
from expert_booking.domain.errors import AnswerNotReadable, Conflict, IdempotencyKeyReused, Unavailable
from expert_booking.services import Services
from expert_booking.services.idempotency import Answer, Idempotency
from tests.conftest import MONDAY_MORNING, AddExpert, Book, Clock
from tests.services.conftest import Counted

Connection = psycopg.Connection[tuple[Any, ...]]
Way = Callable[[], AbstractAsyncContextManager[AnyConnection]]
ME, YOU = b"me", b"you"
ASKED = b"what was asked"
DONE = Answer(201, {"location": "/somewhere"}, b'{"so": "it is"}')


@pytest.fixture
async def other_process(database_url: str, clock: Clock) -> AsyncIterator[Services]:
    """The services of another process."""
    database = Database(database_url)
    yield Services(database, clock=clock)
    await database.close()


class Work:
    """Inserts one row in a transaction and one in a single statement; may wait in between and may fail."""

    def __init__(self, database: Database, fails: Exception | None = None) -> None:
        self._database = database
        self._fails = fails
        self.begun, self.may_go_on = asyncio.Event(), asyncio.Event()
        self.may_go_on.set()
        self.done = 0

    async def __call__(self) -> Answer:
        """Do the work."""
        async with self._database.transaction() as connection:
            await add(connection, str(uuid4()))
        self.begun.set()
        await self.may_go_on.wait()
        async with self._database.statements() as connection:
            await add(connection, str(uuid4()))
        self.done += 1
        if self._fails:
            raise self._fails
        return DONE


async def add(connection: AnyConnection, word: str) -> None:
    """Insert a row into some table."""
    await connection.execute(text("INSERT INTO search_word VALUES (:word)"), {"word": word})


def count(sql: Connection, table: str) -> int:
    """The number of committed rows."""
    row = sql.execute(f"SELECT count(*) FROM {table}").fetchone()
    assert row is not None
    return int(row[0])


# --- once -----------------------------------------------------------------------------------------------------------


async def test_repeated_work_is_done_once_and_returns_the_first_answer(
    services: Services, database: Database, other_process: Services, sql: Connection
) -> None:
    work = Work(database)
    assert await services.idempotency.once(ME, "key", ASKED, work) == DONE
    for process in (services, other_process):
        again = await process.idempotency.once(ME, "key", ASKED, work)
        assert again == Answer(DONE.status, DONE.headers, DONE.body, replayed=True)
    assert (work.done, count(sql, "search_word")) == (1, 2)


async def test_another_key_or_caller_is_another_request(services: Services, database: Database) -> None:
    work = Work(database)
    for caller, key in ((ME, "key"), (ME, "Key"), (YOU, "key")):
        assert not (await services.idempotency.once(caller, key, ASKED, work)).replayed
    assert work.done == 3


async def test_key_of_a_different_request_is_refused(services: Services, database: Database) -> None:
    work = Work(database)
    await services.idempotency.once(ME, "key", ASKED, work)
    with pytest.raises(IdempotencyKeyReused):
        await services.idempotency.once(ME, "key", b"something else", work)
    assert (await services.idempotency.once(ME, "key", ASKED, work)).replayed
    assert work.done == 1


async def test_unstored_refusal_keeps_its_side_effects(
    services: Services, database: Database, other_process: Services, sql: Connection
) -> None:
    """Effects of a refused request, such as counting a wrong code, are kept."""
    work, refusal = Work(database), Answer(409, {}, b"")

    async def refused() -> Answer:
        await work()
        return refusal

    for process in (services, other_process):
        assert await process.idempotency.once(ME, "key", ASKED, refused, keep_refusals=False) == refusal
    assert (work.done, count(sql, "search_word"), count(sql, "kept_answer")) == (2, 4, 0)
    assert await services.idempotency.once(ME, "key", b"another", work, keep_refusals=False) == DONE
    assert (await other_process.idempotency.once(ME, "key", b"another", work, keep_refusals=False)).replayed


async def test_next_waiter_runs_after_an_unstored_refusal(
    services: Services, database: Database, other_process: Services
) -> None:
    work = Work(database)
    work.may_go_on.clear()

    async def refused() -> Answer:
        await work()
        return Answer(404, {}, b"")

    first = asyncio.create_task(services.idempotency.once(ME, "key", ASKED, refused, keep_refusals=False))
    await work.begun.wait()
    second = asyncio.create_task(other_process.idempotency.once(ME, "key", ASKED, Work(other_process._database)))
    _, waiting = await asyncio.wait([second], timeout=0.2)
    assert waiting
    work.may_go_on.set()
    assert (await first).status == 404
    assert await second == DONE


async def test_effects_and_answer_become_visible_together(
    services: Services, database: Database, sql: Connection
) -> None:
    work = Work(database)
    work.may_go_on.clear()
    asked = asyncio.create_task(services.idempotency.once(ME, "key", ASKED, work))
    await work.begun.wait()
    assert (count(sql, "search_word"), count(sql, "kept_answer")) == (0, 0)
    work.may_go_on.set()
    await asked
    assert (count(sql, "search_word"), count(sql, "kept_answer")) == (2, 1)


@pytest.mark.parametrize("failure", [Unavailable(), ZeroDivisionError(), Conflict()])
async def test_work_that_raises_leaves_no_trace(
    services: Services, database: Database, sql: Connection, failure: Exception
) -> None:
    with pytest.raises(type(failure)):
        await services.idempotency.once(ME, "key", ASKED, Work(database, failure))
    assert (count(sql, "search_word"), count(sql, "kept_answer")) == (0, 0)
    assert not (await services.idempotency.once(ME, "key", b"put right", Work(database))).replayed


async def test_concurrent_repeat_in_another_process_waits_for_the_first_answer(
    services: Services, database: Database, other_process: Services
) -> None:
    work, never = Work(database), Work(database)
    work.may_go_on.clear()
    first = asyncio.create_task(services.idempotency.once(ME, "key", ASKED, work))
    await work.begun.wait()
    second = asyncio.create_task(other_process.idempotency.once(ME, "key", ASKED, never))
    _, waiting = await asyncio.wait([second], timeout=0.3)
    assert waiting
    work.may_go_on.set()
    assert await first == DONE
    assert (await second).replayed
    assert never.done == 0


async def test_next_waiter_runs_after_a_failure(services: Services, database: Database, sql: Connection) -> None:
    work = Work(database, ZeroDivisionError())
    work.may_go_on.clear()
    first = asyncio.create_task(services.idempotency.once(ME, "key", ASKED, work))
    await work.begun.wait()
    second = asyncio.create_task(services.idempotency.once(ME, "key", ASKED, Work(database)))
    await asyncio.wait([second], timeout=0.2)
    work.may_go_on.set()
    with pytest.raises(ZeroDivisionError):
        await first
    assert await second == DONE
    assert count(sql, "search_word") == 2


async def test_one_of_fifty_concurrent_repeats_runs_and_other_requests_are_not_blocked(
    services: Services, database: Database, other_process: Services, sql: Connection
) -> None:
    work = Work(database)
    other_work = Work(other_process._database)
    asked = [services.idempotency.once(ME, "key", ASKED, work) for _ in range(25)]
    asked += [other_process.idempotency.once(ME, "key", ASKED, other_work) for _ in range(25)]
    answers = await asyncio.gather(*asked)
    assert {(answer.status, answer.body) for answer in answers} == {(DONE.status, DONE.body)}
    assert [answer.replayed for answer in answers].count(False) == 1
    assert (work.done + other_work.done, count(sql, "search_word")) == (1, 2)


# --- for a day ------------------------------------------------------------------------------------------------------


async def test_answer_is_kept_for_24_hours_and_then_the_key_is_free(
    services: Services, database: Database, clock: Clock, sql: Connection
) -> None:
    work = Work(database)
    await services.idempotency.once(ME, "key", ASKED, work)
    clock.advance(hours=24, seconds=-1)
    assert (await services.idempotency.once(ME, "key", ASKED, work)).replayed
    clock.advance(seconds=1)
    assert not (await services.idempotency.once(ME, "key", b"another request", work)).replayed
    # The new answer is kept for another 24 hours.
    clock.advance(hours=23)
    assert (await services.idempotency.once(ME, "key", b"another request", work)).replayed
    assert (work.done, count(sql, "kept_answer")) == (2, 1)


async def test_one_of_many_concurrent_requests_with_an_expired_key_runs(
    services: Services, database: Database, clock: Clock
) -> None:
    work = Work(database)
    await services.idempotency.once(ME, "key", ASKED, work)
    clock.advance(hours=25)
    answers = await asyncio.gather(*(services.idempotency.once(ME, "key", ASKED, work) for _ in range(20)))
    assert [answer.replayed for answer in answers].count(False) == 1
    assert work.done == 2


async def test_only_expired_answers_are_deleted(services: Services, database: Database, sql: Connection) -> None:
    await services.idempotency.once(ME, "young", ASKED, Work(database))
    sql.execute(
        "INSERT INTO kept_answer (caller, key, fingerprint, created_at)"
        " SELECT 'me', number, '', %s FROM generate_series(1, 2500) AS number",
        [MONDAY_MORNING - timedelta(hours=24)],
    )
    await services.deadlines.sweep()
    assert sql.execute("SELECT key FROM kept_answer").fetchall() == [("young",)]


# --- shared transactions --------------------------------------------------------------------------------------------


async def test_exception_rolls_back_only_its_own_savepoint(database: Database, sql: Connection) -> None:
    async def raise_refusal(way: Way) -> None:
        async with way() as connection:
            await add(connection, "undone")
            async with database.statements() as inner:
                await add(inner, "undone, too")
            raise Conflict

    async def raise_database_error(way: Way) -> None:
        async with way() as connection:
            await connection.execute(text("SELECT 1 / 0"))

    async with database.shared_transaction() as connection:
        await add(connection, "kept")
        for way in (database.transaction, database.statements):
            with pytest.raises(Conflict):
                await raise_refusal(way)
            with pytest.raises(DataError):
                await raise_database_error(way)
        async with database.statements() as inner:
            await add(inner, "kept, too")
    assert sql.execute("SELECT word FROM search_word ORDER BY word").fetchall() == [("kept",), ("kept, too",)]


async def test_other_and_later_statements_are_outside_the_shared_transaction(
    database: Database, sql: Connection
) -> None:
    other_may_start = asyncio.Event()

    async def other_task() -> None:
        await other_may_start.wait()
        async with database.statements() as connection:
            await add(connection, "meanwhile")

    async def shared_transaction() -> None:
        async with database.shared_transaction() as connection:
            await add(connection, "inside")
            other_may_start.set()
            await waiting
            raise Conflict

    waiting = asyncio.create_task(other_task())
    with pytest.raises(Conflict):
        await shared_transaction()
    async with database.statements() as connection:
        await add(connection, "afterwards")
    assert sql.execute("SELECT word FROM search_word ORDER BY word").fetchall() == [("afterwards",), ("meanwhile",)]


async def test_single_operation_needs_no_additional_statement(
    services: Services, book: Book, add_expert: AddExpert, counted: Counted
) -> None:
    expert: UUID = await add_expert()
    with counted() as sent:
        await book(expert, MONDAY_MORNING + timedelta(days=1))
    assert not [statement for statement in sent if "SAVEPOINT" in statement or "kept_answer" in statement]
    assert len(sent) == 2  # one statement for the offer and one INSERT


# --- encryption -----------------------------------------------------------------------------------------------------


async def test_answer_stored_under_another_secret_is_neither_returned_nor_redone(
    database: Database, clock: Clock, sql: Connection
) -> None:
    before, after = Idempotency(database, clock, "one secret"), Idempotency(database, clock, "another secret")
    first, second = Work(database), Work(database)
    await before.once(ME, "key", ASKED, first)
    for asked in (ASKED, b"something else"):
        with pytest.raises(AnswerNotReadable):
            await after.once(ME, "key", asked, second)
    assert second.done == 0
    assert await before.once(ME, "key", ASKED, second) == Answer(DONE.status, DONE.headers, DONE.body, replayed=True)
    clock.advance(hours=24)
    assert await after.once(ME, "key", ASKED, second) == DONE  # the correct secret still works
    assert second.done == 1


async def test_answer_copied_to_another_row_is_not_readable(
    services: Services, database: Database, sql: Connection
) -> None:
    for caller, key in ((ME, "key"), (ME, "other key"), (YOU, "key")):
        await services.idempotency.once(caller, key, ASKED, Work(database))
    sql.execute("UPDATE kept_answer SET body = (SELECT body FROM kept_answer WHERE caller = 'me' AND key = 'key')")
    assert (await services.idempotency.once(ME, "key", ASKED, Work(database))).replayed
    for caller, key in ((ME, "other key"), (YOU, "key")):
        with pytest.raises(AnswerNotReadable):
            await services.idempotency.once(caller, key, ASKED, Work(database))


async def test_answer_bytes_round_trip(services: Services, database: Database) -> None:
    odd = Answer(201, {"x": "ä\n\u2028"}, bytes(range(256)) + b"\n\n")

    async def work() -> Answer:
        return odd

    await services.idempotency.once(ME, "key", ASKED, work)
    again = await services.idempotency.once(ME, "key", ASKED, work)
    assert (again.status, again.headers, again.body, again.replayed) == (odd.status, odd.headers, odd.body, True)
