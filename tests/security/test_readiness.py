"""With a full disk, a process reports itself as not ready until there is space again."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from expert_booking.db.embedded import LEAST_FREE, EmbeddedPostgres
from expert_booking.db.engine import Database
from expert_booking.doctor import State, server_checks
from expert_booking.domain.errors import Unavailable
from expert_booking.services import NotReady, Services
from tests.server import ServerProcess

MB = 2**20


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A separate disk with room for a database and 100 MB more than the product requires."""
    folder = Path(tempfile.mkdtemp(prefix="small-disk-"))
    size = LEAST_FREE // MB + 300
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}m,mode=755", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False) if os.geteuid() == 0 else None
    if done is None or done.returncode != 0:
        folder.rmdir()
        pytest.skip("only root may mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)
    folder.rmdir()


def test_server_is_not_ready_while_its_database_disk_is_nearly_full(small_disk: Path, tmp_path: Path) -> None:
    data = small_disk / "data"
    with ServerProcess(tmp_path, None, DATA_DIR=str(data), DEMO="false") as server:
        server.wait_until_alive()
        assert readiness(server) == (200, None)
        ballast = small_disk / "ballast"
        with ballast.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(small_disk).free - LEAST_FREE // 2)
        assert readiness(server) == (503, "disk_full")
        assert httpx.get(f"{server.url}/healthz").status_code == 200
        cluster = EmbeddedPostgres.find(data)
        assert cluster is not None
        assert server_checks.space(cluster).state is State.FAIL
        ballast.unlink()
        assert readiness(server) == (200, None)
        assert server.stop() == 0


async def test_process_is_not_ready_for_a_while_after_a_disk_full_error(database: Database, services: Services) -> None:
    assert await services.ready() is None
    with pytest.raises(Unavailable):
        async with database.statements() as connection:
            # As PostgreSQL itself reports it.
            await connection.exec_driver_sql("DO $$ BEGIN RAISE SQLSTATE '53100'; END $$")
    assert await services.ready() == NotReady("disk_full", "The database's disk is full.")


def readiness(server: ServerProcess) -> tuple[int, str | None]:
    """Return the status and code of `/readyz`."""
    answer = httpx.get(f"{server.url}/readyz", timeout=30)
    return answer.status_code, answer.json().get("code")
