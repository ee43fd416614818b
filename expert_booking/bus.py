"""Distribute events inside one process."""

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
)

log = logging.getLogger(__name__)

Subscriber = Callable[[], None]


class EventSource(Protocol):
    """A source of events. It passes them to its publish callback in the order of the commits.

    It publishes `FeedConnected` first and after every interruption, and `FeedDisconnected` when the connection is lost.
    """

    async def run(self) -> None:
        """Publish until cancelled, reconnecting whenever the connection is lost."""


class Bus:
    """Passes events about an expert or a booking's emails to their subscribers, and feed interruptions to all."""

    def __init__(self) -> None:
        self._subscribers: defaultdict[UUID, dict[object, Subscriber]] = defaultdict(dict)
        self._listeners: list[Subscriber] = []
        self._email_listeners: list[Subscriber] = []
        self._probe_listeners: list[Callable[[str], None]] = []
        self._cache_listeners: list[Callable[[UUID | None], None]] = []
        # Whether the feed is connected. While it is, anything read since the last `FeedConnected` is current unless an
        # event has arrived. Set before subscribers are called.
        self.connected = False

    def subscribe(self, subject: UUID, subscriber: Subscriber) -> Callable[[], None]:
        """Call `subscriber` on every event about this expert or booking, until the returned function is called.

        The returned function may be called more than once.
        """
        subscription = object()  # the same subscriber may subscribe twice
        self._subscribers[subject][subscription] = subscriber

        def unsubscribe() -> None:
            subscribers = self._subscribers.get(subject, {})
            subscribers.pop(subscription, None)
            if not subscribers:
                self._subscribers.pop(subject, None)

        return unsubscribe

    def listen(self, listener: Subscriber) -> None:
        """Call `listener` on every event about any expert, for the lifetime of the bus."""
        self._listeners.append(listener)

    def listen_to_experts(self, listener: Callable[[UUID | None], None]) -> None:
        """Call `listener` with the expert's id on every event about an expert, before all other listeners.

        The id is None if events about any expert may have been missed.
        """
        self._cache_listeners.append(listener)

    def listen_for_mail(self, listener: Subscriber) -> None:
        """Call `listener` whenever there may be emails to send, for the lifetime of the bus."""
        self._email_listeners.append(listener)

    def listen_for_lag_probes(self, listener: Callable[[str], None]) -> None:
        """Call `listener` with the name of every lag probe, for the lifetime of the bus."""
        self._probe_listeners.append(listener)

    def publish(self, event: Event) -> None:
        """Call the subscribers of this event. An exception in one does not affect the others."""
        if isinstance(event, FeedDisconnected):
            self.connected = False
            return
        if isinstance(event, FeedConnected):
            self.connected = True
        subscribers: Sequence[Subscriber]
        if isinstance(event, MailChanged):
            subscribers = self._email_listeners if event.booking_id is None else self._subscribers_of(event.booking_id)
        elif isinstance(event, LagProbe):
            subscribers = [partial(listener, event.name) for listener in self._probe_listeners]
        else:
            # Caches drop their entries first, so that subscribers do not re-read an old one.
            expert_id = event.expert_id if isinstance(event, ExpertChanged) else None
            caches = [partial(listener, expert_id) for listener in self._cache_listeners]
            subscribers = [*caches, *self._listeners, *self._subscribers_to(event)]
        for subscriber in subscribers:
            try:
                subscriber()
            except Exception:
                log.exception("bus subscriber raised an exception")

    def subscriber_count(self) -> int:
        """The number of subscriptions to experts and bookings."""
        return sum(map(len, self._subscribers.values()))

    def _subscribers_to(self, event: Event) -> list[Subscriber]:
        if isinstance(event, ExpertChanged):
            return self._subscribers_of(event.expert_id)
        return [subscriber for subscribers in self._subscribers.values() for subscriber in subscribers.values()]

    def _subscribers_of(self, subject: UUID) -> list[Subscriber]:
        return list(self._subscribers.get(subject, {}).values())
