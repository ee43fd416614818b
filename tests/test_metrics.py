"""What Prometheus can read, and who may read it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from math import isnan
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from expert_booking.api import create_api
from expert_booking.bus import Bus
from expert_booking.db import schema
from expert_booking.db.engine import Database
from expert_booking.db.feed import Feed
from expert_booking.db.feed_lag import FeedLagProbe
from expert_booking.domain.errors import SlotTaken
from expert_booking.metrics import Metrics, watch_queues
from expert_booking.services import Services
from tests.conftest import MONDAY_MORNING, AddExpert, Clock, booking_request
from tests.server import PATIENCE, ServerProcess

TOKEN = "a token for Prometheus"
START = MONDAY_MORNING.replace(day=24)
MetricReader = Callable[..., float]


def read(text: str) -> MetricReader:
    """Parse metrics: `metric("bookings_total", way="api")`."""
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }

    def metric(name: str, **labels: str) -> float:
        return samples[f"expert_booking_{name}", tuple(sorted(labels.items()))]

    return metric


async def read_metrics(metrics: Metrics) -> MetricReader:
    """Read the metrics without a server."""
    return read((await metrics.exposition())[0].decode())


async def wait_until(holds: Callable[[], bool]) -> None:
    """Wait until the condition is true."""
    async with asyncio.timeout(PATIENCE):
        while not holds():  # noqa: ASYNC110 - metrics can only be polled
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("token", "address", "headers", "status"),
    [
        (None, "127.0.0.1", {}, 200),
        (None, "::1", {"Host": "[::1]:8080"}, 200),
        (None, "10.0.0.7", {}, 404),
        (None, "127.0.0.1", {"X-Forwarded-For": "10.0.0.7"}, 404),
        (None, "127.0.0.1", {"Host": "booking.example.com"}, 404),
        (None, "10.0.0.7", {"Authorization": "Bearer "}, 404),
        (TOKEN, "10.0.0.7", {"Authorization": f"Bearer {TOKEN}"}, 200),
        (TOKEN, "10.0.0.7", {"Authorization": f"Bearer {TOKEN}x"}, 404),
        (TOKEN, "10.0.0.7", {"Authorization": f"Basic {TOKEN}"}, 404),
        (TOKEN, "127.0.0.1", {}, 404),
    ],
)
async def test_metrics_are_readable_from_this_machine_or_with_the_token(
    services: Services, token: str | None, address: str, headers: dict[str, str], status: int
) -> None:
    app = create_api(services, secret="of no use here", metrics=Metrics(), metrics_token=token)
    transport = httpx.ASGITransport(app, client=(address, 1234))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8080") as client:
        answer = await client.get("/metrics", headers=headers)
        nowhere = await client.get("/holds/a/b")
    assert answer.status_code == status
    if status == 404:
        assert answer.json() == nowhere.json()
    else:
        assert answer.headers["content-type"].startswith("text/plain; version=")


async def test_bookings_and_refusals_are_counted_by_source_and_reason(
    database: Database, clock: Clock, add_expert: AddExpert
) -> None:
    metrics = Metrics()
    services = Services(database, clock=clock, counts=metrics)
    expert = await add_expert()
    await services.bookings.book(booking_request(expert, START), visitor=b"a browser")
    for _ in range(2):
        with suppress(SlotTaken):
            await services.bookings.book(booking_request(expert, START.replace(hour=10)))
    metric = await read_metrics(metrics)
    assert metric("bookings_total", way="page") == metric("bookings_total", way="api") == 1
    assert metric("refusals_total", asked="book", code="slot_taken") == 1


async def test_two_apps_in_one_process_count_separately() -> None:
    one, other = Metrics(), Metrics()
    one.booked("api")
    assert (await read_metrics(one))("bookings_total", way="api") == 1
    assert (await read_metrics(other))("bookings_total", way="api") == 0


@asynccontextmanager
async def measured_app(url: str, **more: Any) -> AsyncIterator[tuple[Metrics, Database, Services]]:
    """The parts that `create_app` builds and measures, without the server."""
    metrics, bus = Metrics(), Bus()
    database = Database(url, on_checkout=metrics.checked_out, **more)
    services, feed, pulse = Services(database, bus), Feed(url, bus.publish), FeedLagProbe(database)
    bus.listen_for_lag_probes(pulse.hear)
    watch_queues(metrics, services, database, pulse)
    listening = asyncio.create_task(feed.run())
    beating: asyncio.Task[Any] | None = None
    try:
        if "nobody" not in url:
            await wait_until(lambda: bus.connected)
            beating = asyncio.create_task(pulse.run())
            await wait_until(lambda: pulse.lag() > 0)
        yield metrics, database, services
    finally:
        for task in (listening, beating):
            if task is not None:
                task.cancel()
        await database.close()


async def test_queue_sizes_are_reported(database_url: str, sql: psycopg.Connection[tuple[Any, ...]]) -> None:
    sql.execute("DELETE FROM expert_changed")
    sql.execute(
        """
        INSERT INTO message (kind, booking_id, due_at, sent_at, failed_at, withheld, created_at)
        SELECT 'received', gen_random_uuid(), due, sent, failed, why, now() - interval '1 hour' * row_number() OVER ()
          FROM (VALUES (null::timestamptz, null::timestamptz, null::timestamptz, null), (null, null, null, null),
                       (now(), null, null, null), (null, null, now(), null), (null, now(), null, null),
                       (null, now(), null, null), (null, null, now(), 'silenced'), (null, null, now(), 'refused'))
            AS mails (due, sent, failed, why)
        """
    )
    sql.execute("INSERT INTO expert_changed (expert_id) VALUES (gen_random_uuid())")
    async with measured_app(database_url) as (metrics, _, _):
        metric = await read_metrics(metrics)
    assert metric("outbox_messages", state="waiting") == 2
    assert metric("outbox_messages", state="retrying") == 1
    assert metric("outbox_messages", state="given_up") == 1
    assert metric("outbox_messages", state="withheld") == 2
    assert 3 * 3600 <= metric("outbox_oldest_seconds") < 3 * 3600 + PATIENCE
    assert metric("next_available_queue") == 1
    assert metric("database_answers") == metric("feed_listening") == 1
    assert 0 < metric("feed_lag_seconds") < PATIENCE


async def test_other_metrics_are_reported_without_a_database() -> None:
    async with measured_app("postgresql+psycopg://nobody@127.0.0.1:1/nothing") as (metrics, _, _):
        metric = await read_metrics(metrics)
    assert metric("database_answers") == metric("feed_listening") == 0
    assert isnan(metric("outbox_messages", state="waiting"))
    assert isnan(metric("worker_round_timestamp_seconds", worker="outbox"))


async def test_requests_waiting_for_the_pool_are_counted(database_url: str) -> None:
    async with measured_app(database_url, pool_size=1) as (metrics, database, _):
        async with database.statements():
            waiting = asyncio.create_task(database.answers())
            await wait_until(lambda: database.waiting == 1)
            # Values that need the database time out and are reported as unknown.
            metric = await read_metrics(metrics)
        assert await waiting
        assert metric("pool_connections", state="size") == metric("pool_connections", state="in_use") == 1
        assert metric("pool_connections", state="waiting") >= 1
        assert metric("database_answers") == 0
        assert database.waiting == database.in_use == 0


async def test_feed_lag_grows_while_notifications_do_not_arrive(database: Database) -> None:
    pulse = FeedLagProbe(database)
    await pulse.send()
    await wait_until(lambda: pulse.lag() > 0.1)
    pulse.hear("of another process")
    assert pulse.lag() > 0.1


def test_server_reports_routes_without_their_parameters(serve: Callable[..., ServerProcess], jana: UUID) -> None:
    server = serve()
    for path in (f"/experts/{jana}", "/experts/ada-lovelace", "/expert/jana-muller", "/nowhere/at/all", "/"):
        httpx.get(server.url + path)
    httpx.request("PROPFIND", f"{server.url}/experts")
    text = httpx.get(f"{server.url}/metrics").text
    metric = read(text)
    assert metric("http_requests_total", method="GET", route="/experts/{expert}", status="2xx") == 1
    assert metric("http_requests_total", method="GET", route="/experts/{expert}", status="4xx") == 1
    assert metric("http_request_seconds_count", method="GET", route="/experts/{expert}") == 2
    assert metric("http_requests_total", method="GET", route="(no route)", status="4xx") == 1
    assert metric("http_requests_total", method="other", route="/experts", status="4xx") == 1
    assert metric("pages", state="not_connected") == 2
    assert metric("build_info", version="0.1.0", revision=schema.head()) == 1
    assert metric("feed_listening") == 1
    assert "process_cpu_seconds_total" in text
    assert "python_gc_collections_total" in text
    assert not [word for word in (str(jana), "jana", "lovelace", "nowhere", "PROPFIND") if word in text]


@pytest.fixture
async def jana(add_expert: AddExpert) -> UUID:
    """An expert with the slug `jana-muller`."""
    return await add_expert()
