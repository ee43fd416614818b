"""Who wants which news, inside one process."""

import logging
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from uuid import UUID

from expert_booking.domain.events import ExpertChanged, News, SlotFreed

log = logging.getLogger(__name__)

Follower = Callable[[], None]


class Bus:
    """Hands news of an expert to whoever follows that expert, and of lost news to everybody."""

    def __init__(self) -> None:
        self._followers: defaultdict[UUID, dict[object, Follower]] = defaultdict(dict)
        self._listeners: list[Follower] = []
        self._waiting: list[Callable[[SlotFreed], None]] = []

    def follow(self, expert_id: UUID, follower: Follower) -> Callable[[], None]:
        """Call `follower` at news of this expert, until the returned function is called (more than once is fine)."""
        subscription = object()  # one follower may follow twice
        self._followers[expert_id][subscription] = follower

        def unfollow() -> None:
            followers = self._followers.get(expert_id, {})
            followers.pop(subscription, None)
            if not followers:
                self._followers.pop(expert_id, None)

        return unfollow

    def listen(self, listener: Follower) -> None:
        """Call `listener` at all news there are, for as long as the bus lives."""
        self._listeners.append(listener)

    def listen_for_freed(self, listener: Callable[[SlotFreed], None]) -> None:
        """Call `listener` with every time that is set free, for as long as the bus lives."""
        self._waiting.append(listener)

    def publish(self, news: News) -> None:
        """Tell the followers. A broken follower must never keep the news from the others."""
        followers: list[Follower]
        if isinstance(news, SlotFreed):
            followers = [partial(listener, news) for listener in self._waiting]
        else:
            followers = [*self._listeners, *self._interested(news)]
        for follower in followers:
            try:
                follower()
            except Exception:
                log.exception("a follower failed")

    def follower_count(self) -> int:
        """How many followers there are, over all experts."""
        return sum(map(len, self._followers.values()))

    def _interested(self, news: News) -> list[Follower]:
        if isinstance(news, ExpertChanged):
            return list(self._followers.get(news.expert_id, {}).values())
        return [follower for followers in self._followers.values() for follower in followers.values()]
