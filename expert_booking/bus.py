"""Who wants which event, inside one process."""

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol
from uuid import UUID

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

Subscriber = Callable[[], None]


class EventSource(Protocol):
    """A source of events: it publishes them through the callback it was made with, in the order of their commits.

    It publishes `FeedConnected` first and after every interruption, and `FeedDisconnected` when the connection is lost.
    """

    async def run(self) -> None:
        """Publish until cancelled, whatever happens to the way there."""


class Bus:
    """Hands news of an expert, or of a booking's mail, to whoever follows it, and of lost news to everybody."""

    def __init__(self) -> None:
        self._subscribers: defaultdict[UUID, dict[object, Subscriber]] = defaultdict(dict)
        self._listeners: list[Subscriber] = []
        self._email_listeners: list[Subscriber] = []
        self._freed_listeners: list[Callable[[SlotFreed], None]] = []
        self._probe_listeners: list[Callable[[str], None]] = []
        self._cache_listeners: list[Callable[[UUID | None], None]] = []
        # Whether news are heard right now, as far as can be known: what was read since the last `FeedConnected`, and of
        # which no news came, is still true. Set before the followers are told to look again.
        self.connected = False

    def subscribe(self, subject: UUID, subscriber: Subscriber) -> Callable[[], None]:
        """Call `subscriber` at news of this expert or booking, until the returned function is called.

        It may be called more than once.
        """
        subscription = object()  # one follower may follow twice
        self._subscribers[subject][subscription] = subscriber

        def unsubscribe() -> None:
            subscribers = self._subscribers.get(subject, {})
            subscribers.pop(subscription, None)
            if not subscribers:
                self._subscribers.pop(subject, None)

        return unsubscribe

    def listen(self, listener: Subscriber) -> None:
        """Call `listener` at all news of experts, for as long as the bus lives."""
        self._listeners.append(listener)

    def listen_to_experts(self, listener: Callable[[UUID | None], None]) -> None:
        """The same, with the id of the expert; with None when the news of any expert may have been missed."""
        self._cache_listeners.append(listener)

    def listen_for_mail(self, listener: Subscriber) -> None:
        """Call `listener` whenever there may be mail to send, for as long as the bus lives."""
        self._email_listeners.append(listener)

    def listen_for_freed(self, listener: Callable[[SlotFreed], None]) -> None:
        """Call `listener` with every time that is set free, for as long as the bus lives."""
        self._freed_listeners.append(listener)

    def listen_for_lag_probes(self, listener: Callable[[str], None]) -> None:
        """Call `listener` with the name of every beat of a pulse, for as long as the bus lives."""
        self._probe_listeners.append(listener)

    def publish(self, event: Event) -> None:
        """Tell the followers. A broken follower must never keep the news from the others."""
        if isinstance(event, FeedDisconnected):
            self.connected = False
            return
        if isinstance(event, FeedConnected):
            self.connected = True
        subscribers: Sequence[Subscriber]
        if isinstance(event, SlotFreed):
            subscribers = [partial(listener, event) for listener in self._freed_listeners]
        elif isinstance(event, MailChanged):
            subscribers = self._email_listeners if event.booking_id is None else self._subscribers_of(event.booking_id)
        elif isinstance(event, LagProbe):
            subscribers = [partial(listener, event.name) for listener in self._probe_listeners]
        else:
            # Who keeps readings first lets go of them: a follower that reads again must not be given the old ones.
            about = event.expert_id if isinstance(event, ExpertChanged) else None
            keepers = [partial(keeper, about) for keeper in self._cache_listeners]
            subscribers = [*keepers, *self._listeners, *self._interested(event)]
        for subscriber in subscribers:
            try:
                subscriber()
            except Exception:
                log.exception("a follower failed")

    def subscriber_count(self) -> int:
        """How many followers there are, over all experts."""
        return sum(map(len, self._subscribers.values()))

    def _interested(self, event: Event) -> list[Subscriber]:
        if isinstance(event, ExpertChanged):
            return self._subscribers_of(event.expert_id)
        return [subscriber for subscribers in self._subscribers.values() for subscriber in subscribers.values()]

    def _subscribers_of(self, subject: UUID) -> list[Subscriber]:
        return list(self._subscribers.get(subject, {}).values())
