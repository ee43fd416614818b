"""Puts everything together: the database, the services, the pages, the API, and the server around them."""

import asyncio
import hmac
import json
import logging
import os
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from sqlalchemy import make_url
from starlette.types import ASGIApp, Receive, Scope, Send

from expert_booking import api, server, web
from expert_booking.bus import Bus, EventSource
from expert_booking.db import schema
from expert_booking.db.clock import DatabaseClock
from expert_booking.db.embedded import EmbeddedPostgres, EmbeddedRefusal, free_space
from expert_booking.db.engine import Database
from expert_booking.db.feed import Feed
from expert_booking.db.feed_lag import FeedLagProbe
from expert_booking.db.supervisor import Supervisor
from expert_booking.domain.client_network import ProxyDetector
from expert_booking.domain.errors import Unavailable
from expert_booking.domain.signed_keys import SignedKeys
from expert_booking.http_security import HttpSecurity
from expert_booking.mail.send import EmailTransport, SmtpTransport
from expert_booking.metrics import Metrics, watch_clock, watch_queues
from expert_booking.request_log import RequestLogMiddleware
from expert_booking.schemas import PROBLEM_JSON, problem_body
from expert_booking.services import Services
from expert_booking.services.mailbox import Mailbox
from expert_booking.settings import Settings

log = logging.getLogger(__name__)

Say = Callable[[str], None]

# What this server answers at all, to `OPTIONS *`.
_METHODS: Final = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"

# How long workers may take for the step they are at, in seconds, when the process ends.
_LAST_STEP: Final = 12.0

# How long the start waits for the database's time, in seconds.
_FIRST_MEASUREMENT: Final = 5.0


# Whoever takes nothing for so many seconds that was sent to them is hung up on, even if their machine still answers.
TAKES_NOTHING: Final = 30.0


class NotReady(Exception):
    """The product cannot start like this; the sentence says what to do."""


class DatabaseLost(Exception):
    """The embedded database stopped and could not be started again; the sentence says why."""


@dataclass(frozen=True)
class DatabaseLocation:
    """A database: its address for programs, for people where the data lies, and the embedded server if it is that."""

    url: str
    where: str
    server: EmbeddedPostgres | None = None


@contextmanager
def database_at(settings: Settings, say: Say) -> Iterator[DatabaseLocation]:
    """A database that answers: the given one, or the embedded one while this lasts. Raises EmbeddedRefusal."""
    if settings.database_url is not None:
        yield DatabaseLocation(
            settings.database_url, make_url(settings.database_url).render_as_string(hide_password=True)
        )
        return
    server = EmbeddedPostgres.start(settings.data_dir, say=say)
    try:
        yield DatabaseLocation(
            server.url.replace("postgresql://", "postgresql+psycopg://", 1), str(server.data_path), server
        )
    finally:
        server.stop()


@contextmanager
def supervised(place: DatabaseLocation) -> Iterator[None]:
    """Start the embedded server again whenever it stops while this lasts.

    If that does not work, the process gets SIGTERM, so that it ends in order. Raises DatabaseLost at the end then.
    """
    if place.server is None:
        yield
        return
    lost: list[EmbeddedRefusal] = []

    def end(refusal: EmbeddedRefusal) -> None:
        lost.append(refusal)
        os.kill(os.getpid(), signal.SIGTERM)

    supervisor = Supervisor(place.server, end)
    supervisor.start()
    try:
        yield
    finally:
        supervisor.stop()
        if lost:
            raise DatabaseLost(str(lost[0]))


def ensure_schema(settings: Settings, url: str) -> None:
    """Migrate the embedded database; a given one must be at head already. Raises NotReady."""
    if settings.embedded:
        schema.migrate(url)
        return
    revision, head = schema.level(url)
    if revision != head:
        raise NotReady(
            f"The database's schema is at {revision or 'nothing'} and has to be at {head}: "
            "run `expert-booking migrate` first."
        )


class PathRouter:
    """The one there is: paths that belong to programs go to the API, all others to the pages."""

    def __init__(self, pages: ASGIApp, programs: ASGIApp) -> None:
        self.app = pages  # NiceGUI looks for its server along attributes of this name
        self._programs = programs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif not scope["path"].startswith("/"):
            await _answer_without_path(scope, send)
        else:
            first = scope["path"].split("/", 2)[1]
            await (self._programs if first in api.PATHS else self.app)(scope, receive, send)


async def _answer_without_path(scope: Scope, send: Send) -> None:
    """`OPTIONS *` asks what the server can do (RFC 9110, 9.3.7); any other request needs a path."""
    if scope["method"] == "OPTIONS" and scope["path"] == "*":
        await send({"type": "http.response.start", "status": 204, "headers": [(b"allow", _METHODS)]})
        await send({"type": "http.response.body"})
        return
    body = json.dumps(problem_body(400, "bad_request", "The request target has to be a path.")).encode()
    headers = [(b"content-type", PROBLEM_JSON.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 400, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def create_app(
    settings: Settings, url: str, *, data_path: Path | None = None, on_ready: Callable[[], None] = lambda: None
) -> ASGIApp:
    """The whole product over the database at `url`; `on_ready` is called when it is about to answer.

    `data_path` is the folder of the embedded database.
    """
    metrics, proxies = Metrics(), ProxyDetector(public=settings.is_public)
    database = Database(url, pool_size=settings.pool_size, on_checkout=metrics.checked_out)
    bus = Bus()
    transport = _transport(settings, database, bus)
    clock = DatabaseClock(database)
    services = Services(
        database,
        bus,
        clock=clock,
        clock_agrees=clock.agrees,
        holds=settings.hold_rules,
        site=settings.site,
        transport=transport,
        counts=metrics,
        free_space=None if data_path is None else partial(free_space, data_path),
    )
    source, probe = _source(settings, url, bus), FeedLagProbe(database, clock.offset)
    bus.listen_for_lag_probes(probe.hear)
    watch_queues(metrics, services, database, probe)
    watch_clock(metrics, clock)
    bus.listen(services.next_available.wake)
    bus.listen(services.deadlines.wake)
    bus.listen(services.outbox.wake)
    bus.listen_for_mail(services.outbox.wake)

    @asynccontextmanager
    async def lifespan(_: object) -> AsyncIterator[None]:
        with suppress(Unavailable, TimeoutError):
            await asyncio.wait_for(clock.measure(), _FIRST_MEASUREMENT)
        workers = (source.run(), services.next_available.run(), services.deadlines.run(), services.outbox.run())
        running = [asyncio.create_task(worker) for worker in workers]
        measuring = [asyncio.create_task(measure) for measure in (clock.run(), probe.run(), metrics.run())]
        server.collect_less()
        on_ready()
        yield
        for measure in measuring:
            measure.cancel()
        services.stop()
        await _ended(running[1:])
        running[0].cancel()
        await asyncio.gather(*measuring, *running, return_exceptions=True)
        await database.close()

    pages = web.create_web(
        services,
        lifespan=lifespan,
        secret=settings.secret(),
        https=settings.public_url.startswith("https://"),
        phone_required=settings.phone_required,
        metrics=metrics,
        base_url=settings.base_url,
        sockets_per_network=settings.sockets_per_network,
        unconnected_pages_per_network=settings.unconnected_pages_per_network,
    )
    programs = api.create_api(
        services,
        phone_required=settings.phone_required,
        secret=settings.secret(),
        metrics=metrics,
        metrics_token=settings.metrics_token,
        proxies=proxies,
    )
    return HttpSecurity(RequestLogMiddleware(PathRouter(pages, programs), metrics, proxies))


async def _ended(workers: Sequence[asyncio.Task[None]]) -> None:
    """Wait until workers that were told to stop have ended their step; who does not end in time is cut off."""
    _, late = await asyncio.wait(workers, timeout=_LAST_STEP)
    for worker in late:
        worker.cancel()


def _source(settings: Settings, url: str, bus: Bus) -> EventSource:
    """Where news come from: straight from the database, or through Redis. Raises NotReady."""
    if settings.redis_url is None:
        return Feed(url, bus.publish)
    try:
        from expert_booking.redis_feed import RedisFeed  # its library is there for those who want it
    except ModuleNotFoundError as error:
        raise NotReady(
            "EXPERT_BOOKING_REDIS_URL needs one more library: pip install 'expert-booking[redis]'."
        ) from error
    # Several sites may share one Redis: the channel is that of this secret, and does not tell it.
    channel = "expert-booking:" + hmac.digest(settings.secret().encode(), b"news", "sha256").hex()[:16]
    return RedisFeed(settings.redis_url, channel, bus.publish, lambda publish: Feed(url, publish))


def where_mail_goes(settings: Settings) -> str:
    """One sentence for whoever starts it."""
    if settings.smtp is not None:
        return f"Mail goes through {settings.smtp.host}:{settings.smtp.port}."
    if settings.mailbox:
        # Without a full stop, so that it can be copied whole.
        return f"Mail goes to {settings.public_url}/mailbox?token={SignedKeys(settings.secret()).mailbox()}"
    return "No mail is sent: set EXPERT_BOOKING_SMTP_URL."


def _transport(settings: Settings, database: Database, bus: Bus) -> EmailTransport | None:
    if settings.smtp is not None:
        return SmtpTransport(settings.smtp)
    return Mailbox(database, bus) if settings.mailbox else None


def bind(host: str, port: int) -> socket.socket:
    """Take the address before anything else is started. Raises NotReady when somebody else has it."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise NotReady(
            f"Cannot listen on {host}:{port} ({os.strerror(error.errno or 0)}). "
            "Stop what runs there, or choose another port with EXPERT_BOOKING_PORT."
        ) from error
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(1000 * TAKES_NOTHING))
    return listener


def run(app: ASGIApp, listener: socket.socket) -> None:
    """Serve until SIGINT or SIGTERM, then finish what was begun, let go of open pages and return."""
    server.serve(app, listener)
