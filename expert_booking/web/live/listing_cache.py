"""Results of recent searches, returned to visitors who search for the same until any expert changes."""

from dataclasses import dataclass
from typing import NamedTuple
from uuid import UUID

from expert_booking.schemas import ExpertQuery, ExpertSort
from expert_booking.services import Services
from expert_booking.web.live.read_cache import Reading, UntilChanged


class ListingKey(NamedTuple):
    """What a visitor searches for, and the zone in which they see times."""

    query: ExpertQuery
    zone: str


@dataclass(frozen=True, slots=True)
class CachedListing:
    """A result as JSON. `version` is that of `NextFree` before the next free times were read."""

    ids: list[UUID]
    version: int
    result: str


class ListingCache:
    """Keeps results, except those based on derived rows, which lag behind the events."""

    def __init__(self, services: Services) -> None:
        self._cache: UntilChanged[ListingKey, CachedListing] = UntilChanged(services, lambda _: None)

    def __len__(self) -> int:
        return len(self._cache)

    def get(self, key: ListingKey, version: int) -> CachedListing | None:
        """The result, if it is still valid at this version of the next free times."""
        listing = self._cache.get(key)
        return listing if listing is not None and listing.version == version else None

    def start_reading(self) -> Reading:
        """Call before reading a result, and pass it to `put`."""
        return self._cache.start_reading()

    def put(self, key: ListingKey, listing: CachedListing, reading: Reading) -> None:
        """Keep a result, unless an expert has changed since the reading began."""
        if not _uses_derived_rows(key.query):
            self._cache.put(key, listing, reading)


def _uses_derived_rows(query: ExpertQuery) -> bool:
    return bool(query.free_on or query.free_before or query.sort is ExpertSort.SOONEST)
