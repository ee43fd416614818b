"""The experts' profiles as pages show them, read once for all visitors until the expert changes."""

from dataclasses import dataclass, field

from expert_booking.schemas import ExpertDetail
from expert_booking.services import Services
from expert_booking.web.live.read_cache import UntilChanged


@dataclass(frozen=True, slots=True)
class Profile:
    """An expert as read from the database, and the HTML that pages have made of it, by name."""

    expert: ExpertDetail
    drawn: dict[str, str] = field(default_factory=dict)


class ProfileCache:
    """Returns profiles, and only reads those that may have changed."""

    def __init__(self, services: Services) -> None:
        self._experts = services.experts
        self._cache: UntilChanged[str, Profile] = UntilChanged(services, lambda profile: profile.expert.id)

    def __len__(self) -> int:
        return len(self._cache)

    async def of(self, reference: str) -> Profile:
        """One active expert by id or slug. Raises ExpertNotFound."""
        profile = self._cache.get(reference)
        if profile is None:
            reading = self._cache.start_reading()
            profile = Profile(await self._experts.profile(reference))
            self._cache.put(reference, profile, reading)
        return profile
