"""News after the commit. A message is only a reason to look, never the truth, so it says no more than where."""

from dataclasses import dataclass
from uuid import UUID


@dataclass(frozen=True, slots=True)
class ExpertChanged:
    """Something about this expert is different: a booking, the hours, the profile."""

    expert_id: UUID


@dataclass(frozen=True, slots=True)
class NewsMissed:
    """The connection to the database was away for a while: whoever follows anything should look again."""


News = ExpertChanged | NewsMissed
