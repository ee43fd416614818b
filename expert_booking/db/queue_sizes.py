"""How much work is waiting for a server, read with one statement that uses indexes only."""

from typing import Final, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

# Counts above this are not useful, and counting further is slow.
_MAX_COUNT: Final = 10_000
QUEUE_SIZES: Final = f"""
  WITH unsent AS (
    SELECT due_at, created_at FROM message WHERE sent_at IS NULL AND failed_at IS NULL ORDER BY id LIMIT {_MAX_COUNT}
  )
  SELECT (SELECT count(*) FROM unsent WHERE due_at IS NULL),
         (SELECT count(*) FROM unsent WHERE due_at IS NOT NULL),
         (SELECT count(*) FROM (SELECT FROM message WHERE failed_at IS NOT NULL AND withheld IS NULL
                                LIMIT {_MAX_COUNT}) AS given_up),
         (SELECT count(*) FROM (SELECT FROM message WHERE withheld IS NOT NULL LIMIT {_MAX_COUNT}) AS withheld),
         coalesce(extract(epoch FROM now() - (SELECT min(created_at) FROM unsent))::float, 0),
         coalesce(extract(epoch FROM now() - least(
           (SELECT min(hold_until) FROM booking WHERE status = 'held'),
           (SELECT min(coalesce(verify_by, answer_by, starts_at)) FROM booking WHERE status = 'pending')))::float, 0),
         (SELECT count(*) FROM (SELECT FROM expert_changed LIMIT {_MAX_COUNT}) AS noted)
"""  # noqa: S608 - our own number


class QueueSizes(NamedTuple):
    """Counts of waiting work, each capped at 10,000.

    `waiting`, `retrying`, `given_up`, `withheld`: emails not tried yet, to be retried, given up, and withheld.
    `oldest`: the age in seconds of the oldest that waits. `late`: for how many seconds a deadline has been overdue.
    `noted`: changes after which next free times must be recomputed.
    """

    waiting: int
    retrying: int
    given_up: int
    withheld: int
    oldest: float
    late: float
    noted: int


def from_row(
    waiting: int, retrying: int, given_up: int, withheld: int, oldest: float, late: float, noted: int
) -> QueueSizes:
    """Build QueueSizes from a row of QUEUE_SIZES. A deadline in the future is not late."""
    return QueueSizes(waiting, retrying, given_up, withheld, max(oldest, 0.0), max(late, 0.0), noted)


async def read(connection: AsyncConnection) -> QueueSizes:
    """Return the current queue sizes, by the database's clock."""
    return from_row(*(await connection.execute(text(QUEUE_SIZES))).one())
