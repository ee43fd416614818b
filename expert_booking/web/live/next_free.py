"""Keeps the next free times on open listings up to date."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

from expert_booking.services import Services
from expert_booking.web.components.expert_cards import next_free_text
from expert_booking.web.live import rooms
from expert_booking.web.live.throttle import Throttle


class NextFreeKey(NamedTuple):
    """How a listing shows next free times: in which zone, for sessions of how many minutes (None: any)."""

    zone: ZoneInfo
    minutes: int | None = None


class NextFree:
    """The next free times of all experts on open listings, sent to each listing in its zone and for its length."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._keys: dict[UUID, Counter[NextFreeKey]] = {}
        self._unsubscribe: dict[UUID, Callable[[], None]] = {}
        self._sent: dict[str, str] = {}
        # Grows with every message, so that a page can tell which messages its own reading did not include yet.
        self.version = 0
        self._changed: set[UUID] = set()
        self._update = Throttle(self._read_and_send)

    @staticmethod
    def room(expert_id: UUID, key: NextFreeKey) -> str:
        """The room of the pages that show this expert with this key."""
        return f"next:{expert_id}:{key.zone.key}:{key.minutes or ''}"

    def subscribe(self, expert_ids: Sequence[UUID], key: NextFreeKey) -> Callable[[], None]:
        """Follow these experts for one page, until the returned function is called."""
        for expert_id in expert_ids:
            keys = self._keys.setdefault(expert_id, Counter())
            keys[key] += 1
            if expert_id not in self._unsubscribe:
                self._unsubscribe[expert_id] = self._services.bus.subscribe(expert_id, self._on_change(expert_id))
        unsubscribed = False

        def unsubscribe() -> None:
            nonlocal unsubscribed
            if not unsubscribed:
                unsubscribed = True
                for expert_id in expert_ids:
                    self._remove(expert_id, key)

        return unsubscribe

    def __len__(self) -> int:
        return len(self._keys)

    def refresh(self) -> None:
        """Read the next free times of all experts on open listings again."""
        self._changed.update(self._keys)
        self._update()

    def _on_change(self, expert_id: UUID) -> Callable[[], None]:
        def changed() -> None:
            self._changed.add(expert_id)
            self._update()

        return changed

    def _remove(self, expert_id: UUID, key: NextFreeKey) -> None:
        keys = self._keys[expert_id]
        keys[key] -= 1
        if keys[key] <= 0:
            del keys[key]
            self._sent.pop(self.room(expert_id, key), None)
        if not keys:
            del self._keys[expert_id]
            self._unsubscribe.pop(expert_id)()

    async def _read_and_send(self) -> None:
        changed, self._changed = self._changed & self._keys.keys(), set()
        lengths = {key.minutes for expert_id in changed for key in self._keys[expert_id]}
        try:
            found = {
                minutes: await self._services.availability.next_open(list(changed), minutes) for minutes in lengths
            }
        except Exception:
            self._changed |= changed
            raise
        now = self._services.clock()
        for expert_id in changed:
            for key in list(self._keys.get(expert_id, ())):
                if key.minutes in found:
                    text = next_free_text(found[key.minutes].get(expert_id), key.zone, now)
                    await self._send(expert_id, key, text)

    async def _send(self, expert_id: UUID, key: NextFreeKey, text: str) -> None:
        room = self.room(expert_id, key)
        if self._sent.get(room) != text:
            self._sent[room] = text
            self.version += 1
            await rooms.send(room, "next", {"expert": str(expert_id), "version": self.version, "next": text})
