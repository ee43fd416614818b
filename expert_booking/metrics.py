"""Prometheus metrics of this process. Labels have fixed values and contain nothing personal."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from math import nan
from time import monotonic
from typing import Final, NoReturn

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import choose_encoder

from expert_booking import __version__
from expert_booking.db import schema
from expert_booking.db.clock import DatabaseClock
from expert_booking.db.engine import Database
from expert_booking.db.feed_lag import FeedLagProbe
from expert_booking.db.queue_sizes import QueueSizes
from expert_booking.domain.errors import Unavailable
from expert_booking.services import Services
from expert_booking.services.workers.deadlines import Deadlines
from expert_booking.services.workers.next_available import NextAvailable
from expert_booking.services.workers.outbox import Outbox

_PREFIX: Final = "expert_booking_"
_RESPONSE_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_SHORT_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
# Seconds between two measurements of the event loop's delay.
_LOOP_INTERVAL: Final = 0.5
# Seconds for which the queue sizes are cached, and the timeout for reading them.
_QUEUE_SIZES_MAX_AGE: Final = 5.0
_QUEUE_SIZES_TIMEOUT: Final = 2.0

Read = Callable[[], float]

# The creation time of a counter would double the number of series, and Prometheus does not need it.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """Counters, and gauges that are read at each scrape, in their own registry."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._registry)
        self._requests = self._counter("http_requests", "Responses by class of status; 0xx: the client disconnected.",
                                       "method", "route", "status")  # fmt: skip
        self._seconds = self._histogram("http_request_seconds", "From the request to the end of its response.",
                                        _RESPONSE_BUCKETS, "method", "route")  # fmt: skip
        self._answered: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._bookings = self._counter("bookings", "Bookings made, by origin.", "way")
        self._changes = self._counter("booking_changes", "Changes of bookings: the new status, or rescheduled.", "to")
        self._refusals = self._counter("refusals", "Refused use cases, by use case and code.", "asked", "code")
        self._checkouts = self._histogram("pool_checkout_seconds", "Time waited for a connection from the pool.",
                                          _SHORT_BUCKETS)  # fmt: skip
        self._loop = self._histogram("event_loop_lag_seconds", "Delay of the event loop, measured twice a second.",
                                     _SHORT_BUCKETS)  # fmt: skip
        self._malformed = self._counter("malformed_packets", "Malformed or unexpected packets on connections of pages.")
        self._sockets_refused = self._counter("sockets_refused", "Refused connections of pages, by reason.", "reason")
        for reason in ("foreign_origin", "too_many"):
            self._sockets_refused.labels(reason)
        for way in ("page", "api", "host"):
            self._bookings.labels(way)
        self._gauges: dict[str, Gauge] = {}
        self._read_queue_sizes: Callable[[], Awaitable[QueueSizes]] | None = None
        self._queue_sizes: QueueSizes | None = None
        self._queues_read_at = -_QUEUE_SIZES_MAX_AGE
        self._refreshing = asyncio.Lock()

    # --- counters ---------------------------------------------------------------------------------------------------

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a response. `route` is the template; `status` is 0 if the client disconnected before it."""
        key = method, route, status // 100
        found = self._answered.get(key)
        if found is None:
            count = self._requests.labels(method, route, f"{status // 100}xx")
            found = self._answered[key] = count, self._seconds.labels(method, route)
        found[0].inc()
        found[1].observe(seconds)

    def booked(self, way: str) -> None:
        """Count a booking; `way` is `page`, `api` or `host`."""
        self._bookings.labels(way).inc()

    def changed(self, to: str) -> None:
        """Count a change of a booking: the new status, or `rescheduled`."""
        self._changes.labels(to).inc()

    def refused(self, asked: str, code: str) -> None:
        """Count a refusal of the use case `asked`, by its code."""
        self._refusals.labels(asked, code).inc()

    def malformed_packet(self) -> None:
        """Count a packet that no page of this product sends."""
        self._malformed.inc()

    def socket_refused(self, reason: str) -> None:
        """Count a refused connection of a page; `reason` is `foreign_origin` or `too_many`."""
        self._sockets_refused.labels(reason).inc()

    def checked_out(self, seconds: float) -> None:
        """Record how long a caller waited for a connection from the pool."""
        self._checkouts.observe(seconds)

    # --- gauges -----------------------------------------------------------------------------------------------------

    def watch(self, name: str, help_: str, read: Read, **labels: str) -> None:
        """Add a gauge that calls `read` at each scrape. Call once for each name and labels."""
        gauge = self._gauges.get(name)
        if gauge is None:
            gauge = self._gauges[name] = Gauge(_PREFIX + name, help_, tuple(labels), registry=self._registry)
        (gauge.labels(**labels) if labels else gauge).set_function(read)

    def watch_queue_sizes(self, read_queue_sizes: Callable[[], Awaitable[QueueSizes]]) -> None:
        """Add gauges of the queues in the database, which are read every 5 s at most, however often it is scraped."""
        self._read_queue_sizes = read_queue_sizes

        def watch(name: str, help_: str, read: Callable[[QueueSizes], float], **labels: str) -> None:
            self.watch(name, help_, lambda: nan if self._queue_sizes is None else read(self._queue_sizes), **labels)

        self.watch("database_answers", "Whether the database answered during this scrape, or one at most 5 s ago.",
                   lambda: float(self._queue_sizes is not None))  # fmt: skip
        emails = "Emails in the outbox: not tried, to be retried, given up, withheld; of all processes, up to 10000."
        watch("outbox_messages", emails, lambda sizes: sizes.waiting, state="waiting")
        watch("outbox_messages", emails, lambda sizes: sizes.retrying, state="retrying")
        watch("outbox_messages", emails, lambda sizes: sizes.given_up, state="given_up")
        watch("outbox_messages", emails, lambda sizes: sizes.withheld, state="withheld")
        watch("outbox_oldest_seconds", "Age of the oldest unsent email; 0: none.", lambda sizes: sizes.oldest)
        watch("deadlines_late_seconds", "How long the oldest unprocessed deadline is overdue.",
              lambda sizes: sizes.late)  # fmt: skip
        watch("next_available_queue", "Changes whose next free times are still to be recomputed, up to 10000.",
              lambda sizes: sizes.noted)  # fmt: skip

    async def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """All metrics as text in the format that the `Accept` header asks for, and its media type."""
        await self._refresh()
        encode, kind = choose_encoder(accept)
        return encode(self._registry), kind

    async def run(self) -> NoReturn:
        """Measure the delay of the event loop until cancelled."""
        time = asyncio.get_running_loop().time
        while True:
            due = time() + _LOOP_INTERVAL
            await asyncio.sleep(_LOOP_INTERVAL)
            self._loop.observe(max(time() - due, 0))

    async def _refresh(self) -> None:
        async with self._refreshing:
            if self._read_queue_sizes is None or monotonic() - self._queues_read_at < _QUEUE_SIZES_MAX_AGE:
                return
            self._queue_sizes = None
            with suppress(Unavailable, TimeoutError):
                async with asyncio.timeout(_QUEUE_SIZES_TIMEOUT):
                    self._queue_sizes = await self._read_queue_sizes()
            self._queues_read_at = monotonic()

    def _counter(self, name: str, help_: str, *labels: str) -> Counter:
        return Counter(_PREFIX + name, help_, labels, registry=self._registry)

    def _histogram(self, name: str, help_: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(_PREFIX + name, help_, labels, buckets=buckets, registry=self._registry)


def watch_queues(metrics: Metrics, services: Services, database: Database, probe: FeedLagProbe) -> None:
    """Add the gauges of every process: connection pool, feed, subscriptions, workers and queues."""
    metrics.watch("build_info", "Version and schema revision.", lambda: 1, version=__version__, revision=schema.head())
    connections = "Connections of the pool: its size, in use, and callers waiting for one."
    metrics.watch("pool_connections", connections, lambda: database.pool_size, state="size")
    metrics.watch("pool_connections", connections, lambda: database.in_use, state="in_use")
    metrics.watch("pool_connections", connections, lambda: database.waiting, state="waiting")
    metrics.watch(
        "feed_listening", "Whether the database's notifications are received right now.", lambda: services.bus.connected
    )
    metrics.watch("feed_lag_seconds",
                  "Time from before a commit until this process published its event, measured by a probe every 10 s; "
                  "while a probe takes longer than that, the time since it was sent.",
                  probe.lag)  # fmt: skip
    metrics.watch("subscribers", "Subscriptions to events of experts and bookings.", services.bus.subscriber_count)
    rounds = "When a worker last completed a round without an error; each does so at least every 20 s."
    for name, worker in (
        ("next_available", services.next_available), ("deadlines", services.deadlines), ("outbox", services.outbox),
    ):  # fmt: skip
        metrics.watch("worker_round_timestamp_seconds", rounds, partial(_last_round, worker), worker=name)
    metrics.watch_queue_sizes(services.queue_sizes)


def watch_clock(metrics: Metrics, clock: DatabaseClock) -> None:
    """Add the gauge of this machine's clock compared to the database's."""
    metrics.watch("clock_offset_seconds",
                  "Seconds that this machine's clock is ahead of the database's; above 60, deadlines and reminders are "
                  "on hold.", clock.offset)  # fmt: skip


def _last_round(worker: NextAvailable | Deadlines | Outbox) -> float:
    return nan if worker.round_at is None else worker.round_at.timestamp()
