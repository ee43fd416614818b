"""The work that waits for some process to do it, in one statement that indexes answer."""

from typing import Final, NamedTuple

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

# Nobody needs to know more exactly how many there are.
_MOST: Final = 10_000
QUEUE_SIZES: Final = f"""
  WITH unsent AS (
    SELECT due_at, created_at FROM message WHERE sent_at IS NULL AND failed_at IS NULL ORDER BY id LIMIT {_MOST}
  )
  SELECT (SELECT count(*) FROM unsent WHERE due_at IS NULL),
         (SELECT count(*) FROM unsent WHERE due_at IS NOT NULL),
         (SELECT count(*) FROM (SELECT FROM message WHERE failed_at IS NOT NULL LIMIT {_MOST}) AS given_up),
         coalesce(extract(epoch FROM now() - (SELECT min(created_at) FROM unsent))::float, 0),
         coalesce(extract(epoch FROM now() - least(
           (SELECT min(hold_until) FROM booking WHERE status = 'held'),
           (SELECT min(coalesce(answer_by, starts_at)) FROM booking WHERE status = 'pending')))::float, 0),
         (SELECT count(*) FROM (SELECT FROM expert_changed LIMIT {_MOST}) AS noted)
"""  # noqa: S608 - a number of ours


class QueueSizes(NamedTuple):
    """Mails not tried yet, waiting for another try, and given up; the age of the oldest that waits, in seconds.

    `late`: for how many seconds something has been over that nobody has written down. `noted`: changes after which
    next free times are still to be worked out.
    """

    waiting: int
    retrying: int
    given_up: int
    oldest: float
    late: float
    noted: int


def from_row(waiting: int, retrying: int, given_up: int, oldest: float, late: float, noted: int) -> QueueSizes:
    """The backlog as the statement has told it; what is due in the future is not late."""
    return QueueSizes(waiting, retrying, given_up, max(oldest, 0.0), max(late, 0.0), noted)


async def read(connection: AsyncConnection) -> QueueSizes:
    """The backlog at this moment, by the database's clock."""
    return from_row(*(await connection.execute(text(QUEUE_SIZES))).one())
