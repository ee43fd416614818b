"""Caches of what was read from the database, kept until an event says that it has changed.

Two other caches work differently and are not built on `UntilChanged`. Idle boards (`slot_boards`) check for themselves
whether they are current, and leave their cache while a page shows them. The counts of search filters
(`services.experts`) are served for some minutes although they may be out of date.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Generic, TypeVar
from uuid import UUID
from weakref import WeakSet

from expert_booking.services import Services

# Entries per cache; the least recently used ones are dropped.
MAX_ENTRIES: Final = 256
# Seconds between periodic refreshes. Nothing is shown longer than this without being read again.
REFRESH_INTERVAL: Final = 30.0

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


def is_fresh(services: Services, read_at: datetime) -> bool:
    """Whether data read at this instant is still valid, provided that no event about it has arrived since.

    Events only arrive while the feed is connected. Time alone changes boards at whole minutes, when a slot begins, is
    too near for its notice, or comes within the horizon. The expiry of a hold is an event.
    """
    now = services.clock()
    same_minute = now.replace(second=0, microsecond=0) <= read_at <= now
    return services.bus.connected and same_minute and now - read_at < timedelta(seconds=REFRESH_INTERVAL)


@dataclass(eq=False)
class Reading:
    """A reading that has begun, and the experts that have changed since (None: possibly all)."""

    began_at: datetime
    changed: set[UUID | None] = field(default_factory=set)


class UntilChanged(Generic[K, V]):
    """Keeps values until an event of their expert, or of any expert, and at most as long as `is_fresh` allows."""

    def __init__(self, services: Services, expert_of: Callable[[V], UUID | None]) -> None:
        """`expert_of` returns the expert that a value is about, or None if it is about all of them."""
        self._services = services
        self._expert_of = expert_of
        self._entries: OrderedDict[K, tuple[V, datetime]] = OrderedDict()
        self._readings: WeakSet[Reading] = WeakSet()
        services.bus.listen_to_experts(self._on_change)

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: K) -> V | None:
        """The value of this key if it is still valid."""
        value, read_at = self._entries.get(key, (None, None))
        if read_at is None or not is_fresh(self._services, read_at):
            return None
        self._entries.move_to_end(key)
        return value

    def start_reading(self) -> Reading:
        """Call before reading a value from the database, and pass the result to `put`."""
        reading = Reading(self._services.clock())
        self._readings.add(reading)
        return reading

    def put(self, key: K, value: V, reading: Reading) -> None:
        """Keep a value, unless an event about it has arrived since the reading began."""
        if _concerns(reading.changed, self._expert_of(value)):
            return
        self._entries[key] = value, reading.began_at
        self._entries.move_to_end(key)
        while len(self._entries) > MAX_ENTRIES:
            self._entries.popitem(last=False)

    def _on_change(self, expert_id: UUID | None) -> None:
        for reading in self._readings:
            reading.changed.add(expert_id)
        changed = {expert_id}
        for key in [key for key, (value, _) in self._entries.items() if _concerns(changed, self._expert_of(value))]:
            del self._entries[key]


def _concerns(changed: set[UUID | None], expert_id: UUID | None) -> bool:
    """Whether changes of these experts (None: possibly all) concern a value about this expert (None: about all)."""
    return bool(changed) if expert_id is None else bool(changed & {expert_id, None})
