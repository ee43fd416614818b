"""Event feed over Redis, for sites with many processes: one process listens to the database and forwards to Redis.

The process that holds the database's lock is the forwarder. It publishes the database's notifications in commit order,
each with a sequence number, and every process (including the forwarder) receives them from Redis. After a gap in the
numbers, a change of forwarder or a message of another version, subscribers re-read everything. Silence counts as a lost
connection.
"""

import asyncio
import json
import logging
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final, Protocol
from uuid import UUID

from redis import Redis as Blocking
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeout

from expert_booking.domain.events import (
    Event,
    ExpertChanged,
    FeedConnected,
    FeedDisconnected,
    LagProbe,
    MailChanged,
)

log = logging.getLogger(__name__)

VERSION: Final = 1
# Seconds.
_HEARTBEAT_INTERVAL: Final = 0.5  # the forwarder publishes at least this often
_TAKEOVER_TIMEOUT: Final = 1.5  # after this silence, another process tries to become the forwarder
_RECONNECT_TIMEOUT: Final = 6.0  # after this silence, the subscription is renewed
_LOOP_DELAY: Final = 0.3
_RETRY_DELAY: Final = 0.5


class Forwarded(Protocol):
    """The database's feed, which one process at a time listens to."""

    async def listen_alone(self) -> None:
        """Publish events until the connection ends. Returns immediately if another process is listening."""


class RedisFeed:
    """Publishes the events that arrive through Redis, and forwards the database's events if no other process does."""

    def __init__(
        self,
        url: str,
        channel: str,
        publish: Callable[[Event], None],
        forwarded: Callable[[Callable[[Event], None]], Forwarded],
    ) -> None:
        """`forwarded` creates the database's feed for the forwarder, given a publish callback."""
        # This class handles failures itself, so the library must not retry.
        no_retry = Retry(NoBackoff(), 0)
        self._redis = Redis.from_url(
            url, socket_connect_timeout=2, socket_timeout=_RECONNECT_TIMEOUT, decode_responses=True, retry=no_retry
        )
        self._channel = channel
        self._publish = publish
        self._forwarded = forwarded
        self._subscribed = False
        self._connected = False
        self._last: tuple[str, int] | None = None

    async def run(self) -> None:
        """Receive events, and forward them if it is this process's turn, until cancelled. Reconnects forever."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._repeat(self._receive, "receiving"))
                tasks.create_task(self._repeat(self._try_to_forward, "forwarding"))
        finally:
            self._disconnect()
            await self._redis.aclose()

    async def _repeat(self, work: Callable[[], Any], what: str) -> None:
        while True:
            try:
                await work()
            except (RedisError, OSError, TimeoutError) as error:
                log.warning("%s events through Redis was interrupted (%s)", what, type(error).__name__)
                await asyncio.sleep(_RETRY_DELAY)
            await asyncio.sleep(_LOOP_DELAY)

    # --- every process receives -------------------------------------------------------------------------------------

    async def _receive(self) -> None:
        now = asyncio.get_running_loop().time
        try:
            async with self._redis.pubsub(ignore_subscribe_messages=True) as subscription:
                await subscription.subscribe(self._channel)
                self._subscribed = True
                received_at = now()
                while now() < received_at + _RECONNECT_TIMEOUT:
                    message = await subscription.get_message(timeout=_HEARTBEAT_INTERVAL)
                    if message is not None:
                        received_at = now()
                        self._handle(message["data"])
                    elif now() > received_at + _TAKEOVER_TIMEOUT:
                        self._disconnect()
        finally:
            self._subscribed = False
            self._disconnect()

    def _handle(self, message: str) -> None:
        try:
            forwarder, number, event = read(message)
        except (ValueError, KeyError, TypeError):
            log.warning("ignored a Redis message that cannot be parsed")
            return
        before, self._last = self._last, (forwarder, number)
        in_order = self._connected and before in {(forwarder, number if event is None else number - 1)}
        self._connected = True
        if not in_order:
            self._publish(FeedConnected())
        if event is not None and not (isinstance(event, FeedConnected) and not in_order):
            self._publish(event)

    def _disconnect(self) -> None:
        if self._connected:
            self._connected = False
            self._publish(FeedDisconnected())

    # --- one process forwards ---------------------------------------------------------------------------------------

    async def _try_to_forward(self) -> None:
        # Only a process that reaches Redis may try, because a forwarder without Redis would block the others.
        if self._subscribed and not self._connected:
            queue: asyncio.Queue[Event] = asyncio.Queue()

            def forward(event: Event) -> None:
                # The other processes detect a lost connection by the silence.
                if not isinstance(event, FeedDisconnected):
                    queue.put_nowait(event)

            sending = asyncio.create_task(self._send(queue))
            listening = asyncio.create_task(self._forwarded(forward).listen_alone())
            both = (sending, listening)
            try:
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
                if sending.done():
                    sending.result()  # raises the Redis error
            finally:
                for task in both:
                    task.cancel()
                await asyncio.gather(*both, return_exceptions=True)

    async def _send(self, queue: "asyncio.Queue[Event]") -> None:
        forwarder, number = secrets.token_hex(4), 0
        batch = [await queue.get()]
        while True:
            while not queue.empty():
                batch.append(queue.get_nowait())
            async with self._redis.pipeline(transaction=False) as pipeline:
                for number, event in enumerate(batch, number + 1):  # noqa: B020 - continues the sequence
                    pipeline.publish(self._channel, write(forwarder, number, event))
                if not batch:
                    pipeline.publish(self._channel, write(forwarder, number, None))
                await pipeline.execute()
            batch = []
            with suppress(TimeoutError):
                batch = [await asyncio.wait_for(queue.get(), _HEARTBEAT_INTERVAL)]


def delivery_time(url: str, timeout: float = 5.0) -> float:
    """Measure how many seconds a message takes through this Redis.

    Raises RedisError or OSError if Redis cannot be reached or does not deliver within `timeout` seconds.
    """
    channel = f"expert-booking:{secrets.token_hex(8)}"
    timeouts = {"socket_connect_timeout": timeout, "socket_timeout": timeout}
    with Blocking.from_url(url, **timeouts) as redis, redis.pubsub(ignore_subscribe_messages=True) as subscription:
        subscription.subscribe(channel)
        subscription.get_message(timeout=timeout)  # confirms the subscription
        started = time.monotonic()
        redis.publish(channel, "")
        if subscription.get_message(timeout=timeout) is None:
            raise RedisTimeout("a published message was not delivered")
        return time.monotonic() - started


def write(forwarder: str, number: int, event: Event | None) -> str:
    """Encode an event as a Redis message: only ids and times, no personal data. None is a heartbeat."""
    message: dict[str, Any] = {"v": VERSION, "by": forwarder, "n": number}
    if isinstance(event, ExpertChanged):
        message["expert"] = str(event.expert_id)
    elif isinstance(event, MailChanged):
        message["mail"] = "" if event.booking_id is None else str(event.booking_id)
    elif isinstance(event, LagProbe):
        message["beat"] = event.name
    elif event is not None:
        message["missed"] = True
    return json.dumps(message, separators=(",", ":"))


def read(text: str) -> tuple[str, int, Event | None]:
    """Decode a Redis message: the forwarder, its sequence number and the event (None for a heartbeat).

    Raises ValueError, KeyError or TypeError if it cannot be parsed.
    """
    message = json.loads(text)
    forwarder, number = str(message["by"]), int(message["n"])
    if message["v"] != VERSION:
        return forwarder, number, FeedConnected()  # sent by another version of the product during an upgrade
    if "expert" in message:
        return forwarder, number, ExpertChanged(UUID(message["expert"]))
    if "mail" in message:
        return forwarder, number, MailChanged(UUID(message["mail"]) if message["mail"] else None)
    if "beat" in message:
        return forwarder, number, LagProbe(str(message["beat"]))
    return forwarder, number, FeedConnected() if message.get("missed") else None
