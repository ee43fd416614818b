"""How long a chosen slot is held while its form is filled in, and how many at once."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class HoldRules:
    """The house's rules: `minutes` after the last input, `longest_minutes` in all, `per_origin` from one network."""

    minutes: float = 5
    longest_minutes: float = 20
    per_origin: int = 20

    def until(self, held_at: datetime, now: datetime) -> datetime:
        """Until when a hold that was taken at `held_at` lasts, with input now. All UTC."""
        return min(now + timedelta(minutes=self.minutes), held_at + timedelta(minutes=self.longest_minutes))
