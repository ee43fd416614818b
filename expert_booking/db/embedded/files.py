"""Folders, lock files and the processes of a cluster."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from expert_booking.db.embedded.refusal import USE_ANOTHER, EmbeddedRefusal

# For what root cannot put into the data folder.
SYSTEM_FOLDER = Path("/var/lib/expert-booking")
# Bytes. With less free space PostgreSQL may stop at any moment, because it cannot write its WAL.
LEAST_FREE = 200 * 2**20


def free_space(cluster: Path) -> int:
    """Return how many bytes are free on the cluster's disk."""
    return shutil.disk_usage(cluster).free


def make_folder(folder: Path) -> None:
    """Create a folder with its parents. Raises EmbeddedRefusal if a file is in the way."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise EmbeddedRefusal(f"{folder} cannot be a folder, a file is in its place; {USE_ANOTHER}.") from None


def make_public_folder(folder: Path) -> None:
    """Create a folder that every user may enter, whatever the umask. Existing folders stay unchanged."""
    if not folder.exists():
        make_public_folder(folder.parent)
        with suppress(FileExistsError):  # by another process
            folder.mkdir()
            folder.chmod(0o755)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on this file. Waits for other processes."""
    lock = open_lock(path)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def open_lock(path: Path) -> int:
    """Open a lock file and return its descriptor."""
    # Python closes the descriptor in child processes. A lock inherited by the server would never be released.
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)


def server_processes(cluster: Path) -> set[int]:
    """Return the ids of the postgres processes whose working directory is this folder. Zombies have none."""
    here = cluster.stat()
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended, or belongs to another user
            program = (process / "exe").readlink().name
            if program.startswith("postgres") and os.path.samestat((process / "cwd").stat(), here):
                found.add(int(process.name))
    return found


def read_pid(file: Path) -> int | None:
    """Return the process id in the first line of a file, or None."""
    try:
        return int(file.read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return None


def flush_folder(folder: Path) -> None:
    """Flush a folder to disk, so that a rename in it survives a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
