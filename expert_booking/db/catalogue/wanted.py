"""What the catalogue is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from expert_booking.db.catalogue.words import Word
from expert_booking.schemas import ExpertQuery


class Span(NamedTuple):
    """A span in which free starts are wanted: [since, until), UTC."""

    since: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Wanted:
    """The query, with its search resolved to words of the catalogue and its days to instants (UTC)."""

    query: ExpertQuery
    now: datetime
    words: Sequence[Word] | None = None  # None: no search
    free_on: Span | None = None
    free_before: datetime | None = None
