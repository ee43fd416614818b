"""News through Redis, for sites of many processes: one of them listens to the database, and all hear it from Redis.

Whoever has the database's lock forwards its notifications, in the order of commits, each with a number; every process,
that one too, hears what comes back. A number that is missing, another forwarder, or words of another version are a
reason to look at everything again, and silence is as good as a lost connection.
"""

import asyncio
import json
import logging
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
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
    SlotFreed,
)

log = logging.getLogger(__name__)

VERSION: Final = 1
# Seconds: the forwarder says at least so often that it is there; who has heard nothing for so long takes over; and who
# has still heard nothing connects anew.
_BEAT: Final = 0.5
_SILENCE: Final = 1.5
_GIVEN_UP: Final = 6.0
_PAUSE: Final = 0.3
_AFTER_A_FAILURE: Final = 0.5


class Forwarded(Protocol):
    """The database's event, heard by one process at a time."""

    async def listen_alone(self) -> None:
        """Publish event while the connection lasts; return when it is over, or at once where somebody else listens."""


class RedisFeed:
    """Publishes what comes through Redis, and forwards the database's event when nobody else does."""

    def __init__(
        self,
        url: str,
        channel: str,
        publish: Callable[[Event], None],
        forwarded: Callable[[Callable[[Event], None]], Forwarded],
    ) -> None:
        """`forwarded` makes the source that the forwarder listens to, given where it publishes."""
        # What to do after a failure is decided here, not by the library.
        at_once = Retry(NoBackoff(), 0)
        self._redis = Redis.from_url(
            url, socket_connect_timeout=2, socket_timeout=_GIVEN_UP, decode_responses=True, retry=at_once
        )
        self._channel = channel
        self._publish = publish
        self._forwarded = forwarded
        self._subscribed = False
        self._hears = False
        self._last: tuple[str, int] | None = None

    async def run(self) -> None:
        """Hear, and forward where that is our turn, until cancelled; reconnects for ever."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._again_and_again(self._hear, "hearing"))
                tasks.create_task(self._again_and_again(self._stand_by, "forwarding"))
        finally:
            self._lose()
            await self._redis.aclose()

    async def _again_and_again(self, work: Callable[[], Any], what: str) -> None:
        while True:
            try:
                await work()
            except (RedisError, OSError, TimeoutError) as error:
                log.warning("%s event through Redis was interrupted (%s)", what, type(error).__name__)
                await asyncio.sleep(_AFTER_A_FAILURE)
            await asyncio.sleep(_PAUSE)

    # --- every process hears ----------------------------------------------------------------------------------------

    async def _hear(self) -> None:
        now = asyncio.get_running_loop().time
        try:
            async with self._redis.pubsub(ignore_subscribe_messages=True) as ears:
                await ears.subscribe(self._channel)
                self._subscribed = True
                heard_at = now()
                while now() < heard_at + _GIVEN_UP:
                    message = await ears.get_message(timeout=_BEAT)
                    if message is not None:
                        heard_at = now()
                        self._take(message["data"])
                    elif now() > heard_at + _SILENCE:
                        self._lose()
        finally:
            self._subscribed = False
            self._lose()

    def _take(self, words: str) -> None:
        try:
            forwarder, number, event = read(words)
        except (ValueError, KeyError, TypeError):
            log.warning("event that is not ours was left unheard")
            return
        before, self._last = self._last, (forwarder, number)
        in_order = self._hears and before in {(forwarder, number if event is None else number - 1)}
        self._hears = True
        if not in_order:
            self._publish(FeedConnected())
        if event is not None and not (isinstance(event, FeedConnected) and not in_order):
            self._publish(event)

    def _lose(self) -> None:
        if self._hears:
            self._hears = False
            self._publish(FeedDisconnected())

    # --- one process forwards ---------------------------------------------------------------------------------------

    async def _stand_by(self) -> None:
        # Only who reaches Redis may try: a forwarder that nobody hears would keep the others from it.
        if self._subscribed and not self._hears:
            waiting: asyncio.Queue[Event] = asyncio.Queue()

            def forward(event: Event) -> None:
                # That we hear no more, the others notice by our silence.
                if not isinstance(event, FeedDisconnected):
                    waiting.put_nowait(event)

            sending = asyncio.create_task(self._send(waiting))
            listening = asyncio.create_task(self._forwarded(forward).listen_alone())
            both = (sending, listening)
            try:
                await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
                if sending.done():
                    sending.result()  # raises what has happened to Redis
            finally:
                for task in both:
                    task.cancel()
                await asyncio.gather(*both, return_exceptions=True)

    async def _send(self, waiting: "asyncio.Queue[Event]") -> None:
        forwarder, number = secrets.token_hex(4), 0
        batch = [await waiting.get()]
        while True:
            while not waiting.empty():
                batch.append(waiting.get_nowait())
            async with self._redis.pipeline(transaction=False) as line:
                for number, event in enumerate(batch, number + 1):  # noqa: B020 - counts on
                    line.publish(self._channel, write(forwarder, number, event))
                if not batch:
                    line.publish(self._channel, write(forwarder, number, None))
                await line.execute()
            batch = []
            with suppress(TimeoutError):
                batch = [await asyncio.wait_for(waiting.get(), _BEAT)]


def news_take(url: str, patience: float = 5.0) -> float:
    """Seconds that words take through this Redis. Raises RedisError or OSError: it does not let us in or through."""
    channel = f"expert-booking:{secrets.token_hex(8)}"
    at_last = {"socket_connect_timeout": patience, "socket_timeout": patience}
    with Blocking.from_url(url, **at_last) as redis, redis.pubsub(ignore_subscribe_messages=True) as ears:
        ears.subscribe(channel)
        ears.get_message(timeout=patience)  # that we are heard from now on
        began = time.monotonic()
        redis.publish(channel, "")
        if ears.get_message(timeout=patience) is None:
            raise RedisTimeout("what is published does not arrive")
        return time.monotonic() - began


def write(forwarder: str, number: int, event: Event | None) -> str:
    """News as it travels: ids and times alone, nothing personal. None says that the forwarder is there."""
    said: dict[str, Any] = {"v": VERSION, "by": forwarder, "n": number}
    if isinstance(event, ExpertChanged):
        said["expert"] = str(event.expert_id)
    elif isinstance(event, SlotFreed):
        said["freed"] = [str(event.expert_id), event.since.isoformat(), event.until.isoformat()]
    elif isinstance(event, MailChanged):
        said["mail"] = "" if event.booking_id is None else str(event.booking_id)
    elif isinstance(event, LagProbe):
        said["beat"] = event.name
    elif event is not None:
        said["missed"] = True
    return json.dumps(said, separators=(",", ":"))


def read(words: str) -> tuple[str, int, Event | None]:
    """Who forwarded it, the how manieth it was, and the event. Raises ValueError, KeyError or TypeError."""
    said = json.loads(words)
    forwarder, number = str(said["by"]), int(said["n"])
    if said["v"] != VERSION:
        return forwarder, number, FeedConnected()  # of another version of us, while one replaces the other
    if "expert" in said:
        return forwarder, number, ExpertChanged(UUID(said["expert"]))
    if "freed" in said:
        expert, since, until = said["freed"]
        ends = (datetime.fromisoformat(end).astimezone(UTC) for end in (since, until))
        return forwarder, number, SlotFreed(UUID(expert), *ends)
    if "mail" in said:
        return forwarder, number, MailChanged(UUID(said["mail"]) if said["mail"] else None)
    if "beat" in said:
        return forwarder, number, LagProbe(str(said["beat"]))
    return forwarder, number, FeedConnected() if said.get("missed") else None
