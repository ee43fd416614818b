"""Large catalogues: the same kind of world, some ten thousand rows at a time, made by several processes."""

import asyncio
import multiprocessing
import os
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from datetime import datetime
from typing import Any, Final, NoReturn, TypeVar
from uuid import UUID

from tqdm import tqdm

from expert_booking.db import availability as calendars
from expert_booking.db import experts
from expert_booking.db.availability import Offer
from expert_booking.db.engine import Database
from expert_booking.schemas import ExpertRequest
from expert_booking.seed.lines import lines_of
from expert_booking.services import Services

Part = TypeVar("Part")
Result = TypeVar("Result")

_EXPERTS: Final = 1_000  # in one batch; with a session type and weekly hours they are some ten thousand rows
_CALENDARS: Final = 400
_AT_ONCE: Final = 20  # calendars in one transaction
_BOOKINGS: Final = 10_000
_MANY: Final = 200_000  # rows for which it is worth to start processes


async def add_experts(services: Services, requests: Sequence[ExpertRequest]) -> None:
    """Add all these experts; those already there stay as they are."""
    with _progress("experts", len(requests)) as bar:
        for batch in _parts(requests, _EXPERTS):
            await services.experts.add_many(batch)
            bar.update(len(batch))


async def add_bookings(
    database: Database,
    services: Services,
    requests: Sequence[ExpertRequest],
    counts: Sequence[int],
    number: int,
    today: datetime,
) -> None:
    """Add `counts` bookings of each of these experts.

    Where there is no booking yet, all go in together or not at all. Otherwise one expert's do, so that a run after an
    interrupted one finds whole diaries missing.
    """
    wanted = {str(request.slug): count for request, count in zip(requests, counts, strict=True)}
    # Read before the table of the bookings is closed, and the experts with it.
    offers = await _offers(database, list(wanted), today)
    with _progress("bookings", sum(counts)) as bar, _crew(sum(counts)) as crew:
        shares = list(_shares(offers, wanted))
        made = _made(crew, lines_of, shares, number, today)
        await services.bookings.import_lines(_counted(made, [sum(n for _, n in share) for share in shares], bar))


async def work_off(database: Database, services: Services) -> None:
    """Work out when everybody is free next, as far as that is still to be done."""

    async def work_out_all(ids: Sequence[UUID]) -> None:
        with _progress("calendars", len(ids)) as bar, _crew(200 * len(ids)) as crew:
            parts = list(_parts(ids, _CALENDARS))
            async for _ in _counted(_made(crew, _work_out, parts, database.url), [len(part) for part in parts], bar):
                pass

    await services.next_available.work_off_with(work_out_all)
    await services.next_available.work_off()


def _progress(what: str, total: int) -> "tqdm[NoReturn]":
    # None: no bar where nobody sees it, in a file or a pipe.
    return tqdm(total=total, desc=what, unit=f" {what}", unit_scale=True, disable=None)


async def _counted(made: AsyncIterator[Result], counts: Sequence[int], bar: "tqdm[NoReturn]") -> AsyncIterator[Result]:
    counted = iter(counts)
    async for result in made:
        yield result
        bar.update(next(counted))


def _crew(rows: int) -> Executor:
    """Who makes so many rows: processes, where that is more work than starting them."""
    if rows < _MANY:
        return ThreadPoolExecutor(1)
    return ProcessPoolExecutor(os.cpu_count(), mp_context=multiprocessing.get_context("spawn"))


async def _made(
    crew: Executor, make: Callable[..., Result], parts: Sequence[Any], *more: object
) -> AsyncIterator[Result]:
    """What the crew makes of each part, in order, a little ahead of whoever takes it."""
    waiting: deque[asyncio.Future[Result]] = deque()
    for part in parts:
        waiting.append(asyncio.get_running_loop().run_in_executor(crew, make, part, *more))
        if len(waiting) > 2 * (os.cpu_count() or 1):
            yield await waiting.popleft()
    while waiting:
        yield await waiting.popleft()


def _work_out(ids: Sequence[UUID], url: str) -> None:
    """In a process of its own."""

    async def work_out() -> None:
        database = Database(url)
        try:
            for part in _parts(ids, _AT_ONCE):
                await Services(database).next_available.work_out(part)
        finally:
            await database.close()

    asyncio.run(work_out())


def _parts(whole: Sequence[Part], size: int) -> Iterator[Sequence[Part]]:
    return (whole[first : first + size] for first in range(0, len(whole), size))


async def _offers(database: Database, slugs: Sequence[str], today: datetime) -> list[Offer]:
    """The first session type of each of these experts."""
    offers: list[Offer] = []
    async with database.statements() as connection:
        ids = list((await experts.ids(connection, slugs)).values())
        for part in _parts(ids, _EXPERTS):
            found = await calendars.offers(connection, part, today)
            offers += {offer.slug: offer for offer in reversed(found)}.values()
    return offers


def _shares(offers: Sequence[Offer], counts: dict[str, int]) -> Iterator[list[tuple[Offer, int]]]:
    """Whole experts, as many as make up one batch of bookings."""
    batch: list[tuple[Offer, int]] = []
    rows = 0
    for offer in offers:
        batch.append((offer, counts[offer.slug]))
        rows += counts[offer.slug]
        if rows >= _BOOKINGS:
            yield batch
            batch, rows = [], 0
    if rows:
        yield batch
