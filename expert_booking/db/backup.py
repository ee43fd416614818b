"""Back up and restore the whole database, with PostgreSQL's pg_dump and pg_restore.

A backup of a running site is a consistent snapshot. A restore is one transaction: all or nothing. pg_restore creates
triggers after filling the tables, so no notification, email or history row is written a second time.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import Any, Final

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from expert_booking.db.embedded import installed_programs
from expert_booking.db.engine import driver_url

# From this version on, newer programs can restore into an older server.
_RESTORES_INTO_OLDER: Final = 17
_HAS_TABLES: Final = """
    SELECT EXISTS (SELECT FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
                    WHERE relkind IN ('r', 'p', 'v', 'm') AND nspname <> 'information_schema' AND nspname !~ '^pg_')
"""


class BackupError(Exception):
    """The backup or restore failed. The message is one sentence that says what to do."""


def save(url: str, path: Path) -> None:
    """Write a backup to this file, readable only by its owner.

    Raises BackupError, and then leaves an existing file unchanged.
    """
    program = _program("pg_dump", _major_of(url), restores=False)
    try:
        with _replacing(path) as file:
            _run(program, url, ["--format=custom", "--no-owner", "--no-privileges"], output=file)
    except OSError as error:
        raise BackupError(f"{path} cannot be written ({os.strerror(error.errno or 0)}).") from error


@contextmanager
def _replacing(path: Path) -> Iterator[int]:
    """Yield the descriptor of a new file that replaces `path` if the block ends without an exception.

    Other users may be able to write to the folder (such as /tmp). So the file has an unguessable name, is never opened
    by its name again, and is readable only by its owner.
    """
    part = path.with_name(f".{path.name}.{token_hex(8)}")
    file = os.open(part, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY, 0o600)
    try:
        yield file
        os.fsync(file)
        part.replace(path)
    finally:
        os.close(file)
        with suppress(OSError):
            part.unlink(missing_ok=True)


def restore(url: str, path: Path) -> None:
    """Restore this file into an empty database, all or nothing. Raises BackupError."""
    program = _program("pg_restore", _major_of(url), restores=True)
    if not os.access(path, os.R_OK):
        raise BackupError(f"{path} does not exist or cannot be read.")
    if _is_in_use(url):
        raise BackupError(
            "The database is not empty, and a restore never overwrites data: set EXPERT_BOOKING_DATABASE_URL to an "
            "empty database, or EXPERT_BOOKING_DATA_DIR to a new folder."
        )
    whole = ["--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges", "--no-comments"]
    _run(program, url, [*whole, str(path)])
    with psycopg.connect(driver_url(url), autocommit=True) as connection:
        connection.execute("ANALYZE")


def _is_in_use(url: str) -> bool:
    with psycopg.connect(driver_url(url)) as connection:
        row = connection.execute(_HAS_TABLES).fetchone()
    return row is not None and bool(row[0])


def _major_of(url: str) -> int:
    try:
        with psycopg.connect(driver_url(url), connect_timeout=5) as connection:
            return connection.info.server_version // 10_000
    except psycopg.OperationalError as error:
        raise BackupError(f"The database cannot be reached: {str(error).strip().splitlines()[0]}.") from error


def _program(name: str, server: int, *, restores: bool) -> Path:
    """Return the program of the server's version, or the oldest newer one that can do it."""
    found = {version: path for path, version in reversed(list(_installed(name, server))) if version >= server}
    if restores and server < _RESTORES_INTO_OLDER:
        found = {version: path for version, path in found.items() if version == server}
    if not found:
        raise BackupError(
            f"This needs {name} of PostgreSQL {server}: install its client programs, postgresql-client-{server}."
        )
    return found[min(found)]


def _installed(name: str, server: int) -> Iterator[tuple[Path, int]]:
    in_path = shutil.which(name)
    for path in (
        Path(f"/usr/lib/postgresql/{server}/bin/{name}"),
        *([] if in_path is None else [Path(in_path)]),
        installed_programs() / name,
    ):
        if path.exists():
            output = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout  # noqa: S603
            version = re.search(r"\(PostgreSQL\) (\d+)", output)
            if version is not None:
                yield path, int(version[1])


def _run(program: Path, url: str, options: Sequence[str], *, output: int = subprocess.DEVNULL) -> None:
    where: dict[str, Any] = conninfo_to_dict(driver_url(url))
    # Every user of this machine can read a command line, so the password goes into the environment.
    password = where.pop("password", None)
    secret = {} if password is None else {"PGPASSWORD": str(password)}
    done = subprocess.run(  # noqa: S603 - PostgreSQL's program, without a shell
        [program, *options, f"--dbname={make_conninfo(**where)}"],
        env={**os.environ, **secret, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode != 0:
        raise BackupError(f"{program.name} of {program.parent} failed: {_first_error(done.stderr)}")


def _first_error(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    return next((line for line in lines if "error" in line.lower()), (lines or ["no reason given"])[0])
