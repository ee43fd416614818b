"""How long a chosen slot is held while its form is filled in, and how many holds one network has."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class HoldRules:
    """The site's rules: `minutes` after the last input, `longest_minutes` in all.

    One network has at most `per_origin` holds at once, and starts at most `per_minute` holds in any minute.
    """

    minutes: float = 5
    longest_minutes: float = 20
    per_origin: int = 20
    per_minute: int = 60

    def until(self, held_at: datetime, now: datetime) -> datetime:
        """Until when a hold that was taken at `held_at` lasts, with input now. All UTC."""
        return min(now + timedelta(minutes=self.minutes), held_at + timedelta(minutes=self.longest_minutes))
