"""What is counted and measured in this process, as Prometheus reads it: numbers and names of ours, nothing personal."""

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
_OF_ANSWERS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_OF_MOMENTS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
# Seconds between two looks at how late the event loop is.
_LOOK: Final = 0.5
# Seconds for which what the database has said is said again, and after which it is not waited for any longer.
_FRESH: Final = 5.0
_PATIENCE: Final = 2.0

Read = Callable[[], float]

# When a counter began is no figure of its own: Prometheus sees it, and each would be one more series.
disable_created_metrics()  # type: ignore[no-untyped-call]


class Metrics:
    """Counters, and gauges that are read when somebody asks, in a registry of their own."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._registry)
        self._requests = self._counter("http_requests", "Answers, by class of status; 0xx: the client left.",
                                       "method", "route", "status")  # fmt: skip
        self._seconds = self._histogram("http_request_seconds", "From the request to the end of its answer.",
                                        _OF_ANSWERS, "method", "route")  # fmt: skip
        self._answered: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._bookings = self._counter("bookings", "Bookings made, by where.", "way")
        self._changes = self._counter("booking_changes", "Bookings that people moved, or to what status.", "to")
        self._refusals = self._counter("refusals", "What people were refused, by its code.", "asked", "code")
        self._checkouts = self._histogram("pool_checkout_seconds", "How long a connection of the pool was waited for.",
                                          _OF_MOMENTS)  # fmt: skip
        self._loop = self._histogram("event_loop_lag_seconds", "How late the event loop was, looked at twice a second.",
                                     _OF_MOMENTS)  # fmt: skip
        self._malformed = self._counter("malformed_packets", "Packets of open pages' connections that no page sends.")
        self._sockets_refused = self._counter("sockets_refused", "Connections of pages that were refused.", "reason")
        for reason in ("foreign_origin", "too_many"):
            self._sockets_refused.labels(reason)
        for way in ("page", "api"):
            self._bookings.labels(way)
        self._gauges: dict[str, Gauge] = {}
        self._ask: Callable[[], Awaitable[QueueSizes]] | None = None
        self._backlog: QueueSizes | None = None
        self._asked_at = -_FRESH
        self._asking = asyncio.Lock()

    # --- what has happened ------------------------------------------------------------------------------------------

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """A request has its answer. `route` is the template; `status` 0: nobody waited for it."""
        key = method, route, status // 100
        found = self._answered.get(key)
        if found is None:
            count = self._requests.labels(method, route, f"{status // 100}xx")
            found = self._answered[key] = count, self._seconds.labels(method, route)
        found[0].inc()
        found[1].observe(seconds)

    def booked(self, way: str) -> None:
        """A booking was made, on a page or through the API."""
        self._bookings.labels(way).inc()

    def changed(self, to: str) -> None:
        """A booking has another status, or was `moved`."""
        self._changes.labels(to).inc()

    def refused(self, asked: str, code: str) -> None:
        """Somebody asked for this, and it could not be."""
        self._refusals.labels(asked, code).inc()

    def malformed_packet(self) -> None:
        """A page's connection has sent something that no page of ours sends."""
        self._malformed.inc()

    def socket_refused(self, reason: str) -> None:
        """A page's connection was refused: `foreign_origin` or `too_many`."""
        self._sockets_refused.labels(reason).inc()

    def checked_out(self, seconds: float) -> None:
        """A connection of the pool was had after so long."""
        self._checkouts.observe(seconds)

    # --- what is --------------------------------------------------------------------------------------------------

    def watch(self, name: str, help_: str, read: Read, **labels: str) -> None:
        """Have this figure read whenever somebody asks. Once for each name and labels."""
        gauge = self._gauges.get(name)
        if gauge is None:
            gauge = self._gauges[name] = Gauge(_PREFIX + name, help_, tuple(labels), registry=self._registry)
        (gauge.labels(**labels) if labels else gauge).set_function(read)

    def watch_queue_sizes(self, ask: Callable[[], Awaitable[QueueSizes]]) -> None:
        """The same for what only the database knows: it is asked at most every few seconds, however many scrape."""
        self._ask = ask

        def watch(name: str, help_: str, read: Callable[[QueueSizes], float], **labels: str) -> None:
            self.watch(name, help_, lambda: nan if self._backlog is None else read(self._backlog), **labels)

        self.watch("database_answers", "Whether the database has answered this scrape (or one just before).",
                   lambda: float(self._backlog is not None))  # fmt: skip
        mails = "Mail in the outbox: not tried yet, waiting for another try, given up; of all processes, to 10000."
        watch("outbox_messages", mails, lambda told: told.waiting, state="waiting")
        watch("outbox_messages", mails, lambda told: told.retrying, state="retrying")
        watch("outbox_messages", mails, lambda told: told.given_up, state="given_up")
        watch("outbox_oldest_seconds", "How long the oldest mail has waited; 0: none waits.", lambda told: told.oldest)
        watch("deadlines_late_seconds", "For how long something has been over that nobody has written down.",
              lambda told: told.late)  # fmt: skip
        watch("next_available_queue", "Changes after which next free times are still to be worked out, to 10000.",
              lambda told: told.noted)  # fmt: skip

    async def exposition(self, accept: str = "") -> tuple[bytes, str]:
        """All of it as text, in the format that is asked for, and that format's media type."""
        await self._refresh()
        encode, kind = choose_encoder(accept)
        return encode(self._registry), kind

    async def run(self) -> NoReturn:
        """Look again and again how late the event loop is, until cancelled."""
        time = asyncio.get_running_loop().time
        while True:
            due = time() + _LOOK
            await asyncio.sleep(_LOOK)
            self._loop.observe(max(time() - due, 0))

    async def _refresh(self) -> None:
        async with self._asking:
            if self._ask is None or monotonic() - self._asked_at < _FRESH:
                return
            self._backlog = None
            with suppress(Unavailable, TimeoutError):
                async with asyncio.timeout(_PATIENCE):
                    self._backlog = await self._ask()
            self._asked_at = monotonic()

    def _counter(self, name: str, help_: str, *labels: str) -> Counter:
        return Counter(_PREFIX + name, help_, labels, registry=self._registry)

    def _histogram(self, name: str, help_: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(_PREFIX + name, help_, labels, buckets=buckets, registry=self._registry)


def watch_queues(metrics: Metrics, services: Services, database: Database, pulse: FeedLagProbe) -> None:
    """Watch what every process has: its pool, its ear at the database, its workers, and who follows what."""
    metrics.watch("build_info", "What runs here.", lambda: 1, version=__version__, revision=schema.head())
    connections = "Connections of the pool: how many there may be, are in use, and are waited for."
    metrics.watch("pool_connections", connections, lambda: database.pool_size, state="size")
    metrics.watch("pool_connections", connections, lambda: database.in_use, state="in_use")
    metrics.watch("pool_connections", connections, lambda: database.waiting, state="waiting")
    metrics.watch("feed_listening", "Whether news of the database are heard right now.", lambda: services.bus.connected)
    metrics.watch("feed_lag_seconds",
                  "How long news took from before its commit until this process published it, by one that it sends "
                  "itself every 10 s; while one is on its way for longer, for how long it has been.",
                  pulse.lag)  # fmt: skip
    metrics.watch("subscribers", "Subscriptions to news of experts and bookings.", services.bus.subscriber_count)
    rounds = "When a worker has last done its round without a failure; each does one at least every 20 s."
    for name, worker in (
        ("soonest", services.next_available), ("deadlines", services.deadlines), ("outbox", services.outbox),
    ):  # fmt: skip
        metrics.watch("worker_round_timestamp_seconds", rounds, partial(_last_round, worker), worker=name)
    metrics.watch_queue_sizes(services.queue_sizes)


def watch_clock(metrics: Metrics, clock: DatabaseClock) -> None:
    """Watch how far this machine's clock is from the database's."""
    metrics.watch("clock_offset_seconds",
                  "By how many seconds this machine's clock is ahead of the database's; deadlines and reminders wait "
                  "while it is over 60.", clock.offset)  # fmt: skip


def _last_round(worker: NextAvailable | Deadlines | Outbox) -> float:
    return nan if worker.round_at is None else worker.round_at.timestamp()
