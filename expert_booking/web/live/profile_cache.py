"""The experts' profiles as pages show them: read once for everybody, until something about the expert changes."""

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from uuid import UUID

from expert_booking.schemas import ExpertDetail
from expert_booking.services import Services
from expert_booking.web.live.slot_boards import is_fresh

# So many are kept, those asked for last.
MOST_KEPT: Final = 256


@dataclass(frozen=True, slots=True)
class Profile:
    """An expert, as read at one moment, and what pages have drawn of it, by what it is."""

    expert: ExpertDetail
    read_at: datetime
    drawn: dict[str, str] = field(default_factory=dict)


class ProfileCache:
    """Gives a profile without asking the database when it is known that nothing has happened since it was read."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._kept: OrderedDict[str, Profile] = OrderedDict()
        # Whose news came in while somebody reads; before an answer is there, nobody knows whose profile it will be.
        self._heard: dict[object, set[UUID | None]] = {}
        services.bus.listen_to_experts(self._let_go)

    async def of(self, reference: str) -> Profile:
        """One active expert by id or slug. Raises ExpertNotFound."""
        profile = self._kept.get(reference)
        if profile is not None and is_fresh(self._services, profile.read_at):
            self._kept.move_to_end(reference)
            return profile
        return await self._read(reference)

    def __len__(self) -> int:
        return len(self._kept)

    async def _read(self, reference: str) -> Profile:
        reading, now = object(), self._services.clock()
        heard = self._heard[reading] = set()
        try:
            expert = await self._services.experts.profile(reference)
        finally:
            del self._heard[reading]
        profile = Profile(expert, now)
        if not heard & {expert.id, None}:
            self._kept[reference] = profile
            self._kept.move_to_end(reference)
            while len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return profile

    def _let_go(self, expert_id: UUID | None) -> None:
        for heard in self._heard.values():
            heard.add(expert_id)
        for reference in [key for key, kept in self._kept.items() if expert_id in (None, kept.expert.id)]:
            del self._kept[reference]
