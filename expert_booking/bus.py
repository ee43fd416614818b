"""Who wants which news, inside one process."""

import logging
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol
from uuid import UUID

from expert_booking.domain.events import Beat, ExpertChanged, MailChanged, News, NewsLost, NewsMissed, SlotFreed

log = logging.getLogger(__name__)

Follower = Callable[[], None]


class NewsSource(Protocol):
    """Where news come from: publishes them through the callback that it was made with, in the order of the commits.

    First and after every interruption it says `NewsMissed`, as soon as it hears; where it hears no more, `NewsLost`.
    """

    async def run(self) -> None:
        """Publish until cancelled, whatever happens to the way there."""


class Bus:
    """Hands news of an expert, or of a booking's mail, to whoever follows it, and of lost news to everybody."""

    def __init__(self) -> None:
        self._followers: defaultdict[UUID, dict[object, Follower]] = defaultdict(dict)
        self._listeners: list[Follower] = []
        self._posting: list[Follower] = []
        self._waiting: list[Callable[[SlotFreed], None]] = []
        self._measuring: list[Callable[[str], None]] = []
        self._keeping: list[Callable[[UUID | None], None]] = []
        # Whether news are heard right now, as far as can be known: what was read since the last `NewsMissed`, and of
        # which no news came, is still true. Set before the followers are told to look again.
        self.hears = False

    def follow(self, subject: UUID, follower: Follower) -> Callable[[], None]:
        """Call `follower` at news of this expert or booking, until the returned function is called.

        It may be called more than once.
        """
        subscription = object()  # one follower may follow twice
        self._followers[subject][subscription] = follower

        def unfollow() -> None:
            followers = self._followers.get(subject, {})
            followers.pop(subscription, None)
            if not followers:
                self._followers.pop(subject, None)

        return unfollow

    def listen(self, listener: Follower) -> None:
        """Call `listener` at all news of experts, for as long as the bus lives."""
        self._listeners.append(listener)

    def listen_with_names(self, listener: Callable[[UUID | None], None]) -> None:
        """The same, with the id of the expert; with None when the news of any expert may have been missed."""
        self._keeping.append(listener)

    def listen_for_mail(self, listener: Follower) -> None:
        """Call `listener` whenever there may be mail to send, for as long as the bus lives."""
        self._posting.append(listener)

    def listen_for_freed(self, listener: Callable[[SlotFreed], None]) -> None:
        """Call `listener` with every time that is set free, for as long as the bus lives."""
        self._waiting.append(listener)

    def listen_for_beats(self, listener: Callable[[str], None]) -> None:
        """Call `listener` with the name of every beat of a pulse, for as long as the bus lives."""
        self._measuring.append(listener)

    def publish(self, news: News) -> None:
        """Tell the followers. A broken follower must never keep the news from the others."""
        if isinstance(news, NewsLost):
            self.hears = False
            return
        if isinstance(news, NewsMissed):
            self.hears = True
        followers: Sequence[Follower]
        if isinstance(news, SlotFreed):
            followers = [partial(listener, news) for listener in self._waiting]
        elif isinstance(news, MailChanged):
            followers = self._posting if news.booking_id is None else self._following(news.booking_id)
        elif isinstance(news, Beat):
            followers = [partial(listener, news.name) for listener in self._measuring]
        else:
            # Who keeps readings first lets go of them: a follower that reads again must not be given the old ones.
            about = news.expert_id if isinstance(news, ExpertChanged) else None
            keepers = [partial(keeper, about) for keeper in self._keeping]
            followers = [*keepers, *self._listeners, *self._interested(news)]
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
            return self._following(news.expert_id)
        return [follower for followers in self._followers.values() for follower in followers.values()]

    def _following(self, subject: UUID) -> list[Follower]:
        return list(self._followers.get(subject, {}).values())
