"""The composition root: database, services, pages, API, and the server around them."""

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

from expert_booking import api, http_methods, server, web
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

# The answer to `OPTIONS *`.
_ALLOWED_METHODS: Final = b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"

# Seconds that workers have to finish their current step at shutdown.
_WORKER_TIMEOUT: Final = 12.0

# Seconds that the start waits for the first comparison of the clocks.
_CLOCK_TIMEOUT: Final = 5.0

# Close a connection whose client has accepted no data for this many seconds, even if its machine still responds.
SEND_TIMEOUT: Final = 30.0


class NotReady(Exception):
    """The product cannot start; the message says what to do."""


class DatabaseLost(Exception):
    """The embedded database stopped and could not be restarted; the message says why."""


@dataclass(frozen=True)
class DatabaseLocation:
    """Where the database is: its URL, a description for people without the password, and the embedded server if any.

    Behind a pooler, `url` leads to the pooler, and `session_url` to PostgreSQL itself, for everything that needs a
    session: notifications, migrations and commands.
    """

    url: str
    where: str
    session_url: str
    server: EmbeddedPostgres | None = None


@contextmanager
def database_at(settings: Settings, say: Say) -> Iterator[DatabaseLocation]:
    """The configured database, or the embedded one, which runs inside this block. Raises EmbeddedRefusal."""
    if settings.database_url is not None:
        where = make_url(settings.database_url).render_as_string(hide_password=True)
        yield DatabaseLocation(settings.database_url, where, settings.listen_database_url or settings.database_url)
        return
    server = EmbeddedPostgres.start(settings.data_dir, say=say)
    try:
        url = server.url.replace("postgresql://", "postgresql+psycopg://", 1)
        yield DatabaseLocation(url, str(server.data_path), url, server)
    finally:
        server.stop()


@contextmanager
def supervised(place: DatabaseLocation) -> Iterator[None]:
    """Restart the embedded server whenever it stops inside this block.

    If a restart fails, the process sends itself SIGTERM, shuts down in order, and DatabaseLost is raised.
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


def ensure_schema(settings: Settings, place: DatabaseLocation) -> None:
    """Migrate the embedded database; a configured one must be at head already. Raises NotReady and SchemaTooNew."""
    if settings.embedded:
        migrate(settings, place)
        return
    revision, head = schema_level(settings, place)
    schema.refuse_newer(revision)
    if revision != head:
        raise NotReady(
            f"The database's schema is at {revision or 'nothing'} but must be at {head}. "
            "Run `expert-booking migrate` first."
        )


def schema_level(settings: Settings, place: DatabaseLocation) -> tuple[str | None, str]:
    """The schema's revision and the head of this program. Raises NotReady."""
    with _database_problems(settings):
        return schema.level(place.session_url)


def migrate(settings: Settings, place: DatabaseLocation) -> None:
    """Migrate the schema to head. Raises NotReady and SchemaTooNew."""
    with _database_problems(settings):
        schema.migrate(place.session_url)


def check_pooler(settings: Settings, place: DatabaseLocation) -> None:
    """Check the pooler in front of the database, if one is configured. Raises NotReady if it cannot be reached."""
    if settings.listen_database_url is None:
        return
    try:
        if not schema.has_timeout(place.url):
            log.warning("statements through the pooler have no time limit; docs/operations.md says how to set one")
    except schema.DatabaseUnreachable as error:
        raise NotReady(f"The pooler at EXPERT_BOOKING_DATABASE_URL cannot be reached: {error}.") from error


@contextmanager
def _database_problems(settings: Settings) -> Iterator[None]:
    """Raise NotReady, with the name of the setting, if the database cannot be reached or a pooler is in front of it."""
    has_pooler = settings.listen_database_url is not None
    name = "EXPERT_BOOKING_LISTEN_DATABASE_URL" if has_pooler else "EXPERT_BOOKING_DATABASE_URL"
    try:
        yield
    except schema.DatabaseUnreachable as error:
        where = "in the data folder" if settings.embedded else f"at {name}"
        raise NotReady(f"The database {where} cannot be reached: {error}.") from error
    except schema.PoolerFound as error:
        raise NotReady(
            f"{name} leads to a connection pooler such as pgbouncer, where notifications and migrations do not work: "
            "set EXPERT_BOOKING_LISTEN_DATABASE_URL to the address of PostgreSQL itself."
        ) from error


class PathRouter:
    """Routes API paths to the API and everything else to the pages."""

    def __init__(self, pages: ASGIApp, api_app: ASGIApp) -> None:
        self.app = pages  # NiceGUI finds its own application by following attributes of this name
        self._api = api_app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Route one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
        elif not scope["path"].startswith("/"):
            await _answer_without_path(scope, send)
        else:
            first = scope["path"].split("/", 2)[1]
            await http_methods.serve(self._api if first in api.PATHS else self.app, scope, receive, send)


async def _answer_without_path(scope: Scope, send: Send) -> None:
    """Answer `OPTIONS *` (RFC 9110, 9.3.7) with the allowed methods, and any other request without a path with 400."""
    if scope["method"] == "OPTIONS" and scope["path"] == "*":
        await send({"type": "http.response.start", "status": 204, "headers": [(b"allow", _ALLOWED_METHODS)]})
        await send({"type": "http.response.body"})
        return
    body = json.dumps(problem_body(400, "bad_request", "The request target must be a path.")).encode()
    headers = [(b"content-type", PROBLEM_JSON.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 400, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def create_app(
    settings: Settings, url: str, *, data_path: Path | None = None, on_ready: Callable[[], None] = lambda: None
) -> ASGIApp:
    """The whole product on the database at `url`. `on_ready` is called just before it accepts requests.

    `data_path` is the folder of the embedded database. Raises NotReady and SettingsError.
    """
    metrics, proxies = Metrics(), ProxyDetector(public=settings.is_public)
    has_pooler = settings.listen_database_url is not None
    database = Database(url, pool_size=settings.pool_size, pooler=has_pooler, on_checkout=metrics.checked_out)
    bus = Bus()
    transport = _transport(settings, database, bus)
    clock = DatabaseClock(database)
    services = Services(
        database,
        bus,
        clock=clock,
        clock_agrees=clock.agrees,
        holds=settings.hold_rules,
        limits=settings.booking_limits,
        site=settings.site,
        transport=transport,
        counts=metrics,
        free_space=None if data_path is None else partial(free_space, data_path),
        seconds_since_request=metrics.seconds_since_answer,
    )
    source, probe = _source(settings, settings.listen_database_url or url, bus), FeedLagProbe(database, clock.offset)
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
            await asyncio.wait_for(clock.measure(), _CLOCK_TIMEOUT)
        workers = (source.run(), services.next_available.run(), services.deadlines.run(), services.outbox.run())
        running = [asyncio.create_task(worker) for worker in workers]
        measuring = [asyncio.create_task(measure) for measure in (clock.run(), probe.run(), metrics.run())]
        server.tune_garbage_collection()
        on_ready()
        yield
        for measure in measuring:
            measure.cancel()
        services.stop()
        await _wait_for(running[1:])
        running[0].cancel()
        await asyncio.gather(*measuring, *running, return_exceptions=True)
        await database.close()

    https = settings.public_url.startswith("https://")
    pages = web.create_web(
        services,
        lifespan=lifespan,
        secret=settings.secret(),
        https=https,
        phone_required=settings.phone_required,
        default_region=settings.default_region,
        metrics=metrics,
        base_url=settings.base_url,
        sockets_per_network=settings.sockets_per_network,
        unconnected_pages_per_network=settings.unconnected_pages_per_network,
        privacy_text=settings.privacy_text(),
    )
    api_app = api.create_api(
        services,
        phone_required=settings.phone_required,
        default_region=settings.default_region,
        secret=settings.secret(),
        metrics=metrics,
        metrics_token=settings.metrics_token,
        proxies=proxies,
    )
    return HttpSecurity(RequestLogMiddleware(PathRouter(pages, api_app), metrics, proxies), https=https)


async def _wait_for(workers: Sequence[asyncio.Task[None]]) -> None:
    """Wait for workers that were asked to stop; cancel those that take too long."""
    _, late = await asyncio.wait(workers, timeout=_WORKER_TIMEOUT)
    for worker in late:
        worker.cancel()


def _source(settings: Settings, url: str, bus: Bus) -> EventSource:
    """The source of events: the database itself, or Redis. Raises NotReady."""
    if settings.redis_url is None:
        return Feed(url, bus.publish)
    try:
        from expert_booking.redis_feed import RedisFeed  # an optional dependency
    except ModuleNotFoundError as error:
        raise NotReady(
            "EXPERT_BOOKING_REDIS_URL needs another library: pip install 'expert-booking[redis]'."
        ) from error
    # Several sites may share one Redis, so the channel is derived from the secret, without revealing it.
    channel = "expert-booking:" + hmac.digest(settings.secret().encode(), b"news", "sha256").hex()[:16]
    return RedisFeed(settings.redis_url, channel, bus.publish, lambda publish: Feed(url, publish))


def email_destination(settings: Settings) -> str:
    """One sentence for the operator, printed at the start."""
    if settings.smtp is not None:
        return f"Emails are sent through {settings.smtp.host}:{settings.smtp.port}."
    if settings.mailbox:
        # No full stop, so that terminals and people copy the whole address.
        return f"Read the emails at {settings.public_url}/mailbox?token={SignedKeys(settings.secret()).mailbox()}"
    return "No emails are sent: set EXPERT_BOOKING_SMTP_URL."


def _transport(settings: Settings, database: Database, bus: Bus) -> EmailTransport | None:
    if settings.smtp is not None:
        return SmtpTransport(settings.smtp)
    return Mailbox(database, bus) if settings.mailbox else None


def bind(host: str, port: int) -> socket.socket:
    """Bind the address before anything else is started. Raises NotReady if it is in use."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise NotReady(
            f"Cannot listen on {host}:{port} ({os.strerror(error.errno or 0)}). "
            "Stop the other program, or choose another port with EXPERT_BOOKING_PORT."
        ) from error
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(1000 * SEND_TIMEOUT))
    return listener


def run(app: ASGIApp, listener: socket.socket) -> None:
    """Serve until SIGINT or SIGTERM, then finish running requests, close open pages and return."""
    server.serve(app, listener)
