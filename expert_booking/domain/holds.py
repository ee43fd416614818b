"""How long a slot is held while the booking form is filled in, and how many holds one network may have."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class HoldRules:
    """The site's rules for holds.

    A hold lasts `minutes` after the last input, but at most `longest_minutes` in total. One network may have at most
    `per_origin` holds at the same time and start at most `per_minute` holds in any minute.
    """

    minutes: float = 5
    longest_minutes: float = 20
    per_origin: int = 20
    per_minute: int = 60

    def until(self, held_at: datetime, now: datetime) -> datetime:
        """When a hold taken at `held_at` expires, given input at `now`. All instants are UTC."""
        return min(now + timedelta(minutes=self.minutes), held_at + timedelta(minutes=self.longest_minutes))
