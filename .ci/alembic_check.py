"""Run `alembic upgrade head`, `check` and `downgrade base` as a developer would, on a temporary database."""

import os
import subprocess
import tempfile
from pathlib import Path

from expert_booking.db.embedded import EmbeddedPostgres

with tempfile.TemporaryDirectory() as folder:
    Path(folder).chmod(0o755)
    server = EmbeddedPostgres.start(Path(folder), fsync=False)
    try:
        for command in ("upgrade head", "check", "downgrade base", "upgrade head"):
            subprocess.run(
                ["alembic", *command.split()], check=True, env={**os.environ, "EXPERT_BOOKING_DATABASE_URL": server.url}
            )
    finally:
        server.stop()
