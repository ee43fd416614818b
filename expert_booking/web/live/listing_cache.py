"""What listings have shown lately: given again to whoever asks for the same, until there is news of any expert."""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from expert_booking.schemas import ExpertQuery, ExpertSort
from expert_booking.services import Services
from expert_booking.web.live.slot_boards import is_fresh

MOST_KEPT: Final = 256


class ListingKey(NamedTuple):
    """What somebody looks for, and in which zone they are told times."""

    query: ExpertQuery
    zone: str


@dataclass(frozen=True, slots=True)
class CachedListing:
    """What they were shown, as JSON. `version` is that of the next free times before they were read."""

    ids: list[UUID]
    version: int
    result: str
    read_at: datetime


class ListingCache:
    """Keeps answers that nothing but news can make wrong."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._kept: OrderedDict[ListingKey, CachedListing] = OrderedDict()
        # Grows with the news, so that an answer can be told from one that was read before them.
        self.news = 0
        services.bus.listen_to_experts(self._let_go)

    def __len__(self) -> int:
        return len(self._kept)

    def of(self, asked: ListingKey, version: int) -> CachedListing | None:
        """What is known to be right at this version of the next free times, if anything is."""
        shown = self._kept.get(asked)
        if shown is None or shown.version != version or not is_fresh(self._services, shown.read_at):
            return None
        self._kept.move_to_end(asked)
        return shown

    def keep(self, asked: ListingKey, shown: CachedListing, news: int) -> None:
        """Keep this, which was read when there had been so much news."""
        if news != self.news or _on_derived_rows(asked.query):
            return
        self._kept[asked] = shown
        self._kept.move_to_end(asked)
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)

    def _let_go(self, _: UUID | None) -> None:
        self.news += 1
        self._kept.clear()


def _on_derived_rows(query: ExpertQuery) -> bool:
    """Whether the answer rests on rows that are worked out some time after the news."""
    return bool(query.free_on or query.free_before or query.sort is ExpertSort.SOONEST)
