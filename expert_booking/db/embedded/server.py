"""The embedded server."""

import fcntl
import os
import shlex
import shutil
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self
from urllib.parse import quote

import psycopg

from expert_booking.db.embedded.files import flush_folder, locked, make_folder, open_lock, read_pid, server_processes
from expert_booking.db.embedded.locations import (
    SOCKET_NAME,
    choose_home,
    clusters_in,
    refuse_other_versions,
    runnable_programs,
    socket_folder,
    system_home,
)
from expert_booking.db.embedded.programs import DATABASE_NAME, Programs, error_line, installed_programs, major_version
from expert_booking.db.embedded.refusal import USE_ANOTHER, EmbeddedRefusal

# Seconds. Crash recovery on a slow disk may take minutes.
_START_TIMEOUT = 300
_SETTINGS = {
    "cluster_name": "expert-booking",
    "listen_addresses": "",
    # Relative to the server's working directory, which is the cluster, so that the path is never too long to bind.
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
    # No personal data in the log: no statements, no parameters and (terse) no "Key (email)=(…) already exists".
    "log_min_messages": "warning",
    "log_statement": "none",
    "log_min_error_statement": "panic",
    "log_parameter_max_length_on_error": "0",
    "log_error_verbosity": "terse",
}


def _to_stderr(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


class EmbeddedPostgres:
    """A running server, possibly shared with other processes. Call `start` first and `stop` at the end."""

    url: str
    """The URL for psycopg. With the scheme `postgresql+psycopg` it works with SQLAlchemy."""
    data_path: Path
    """The folder of the cluster."""

    def __init__(self, programs: Programs, cluster: Path, say: Callable[[str], None], fsync: bool) -> None:
        self._programs = programs
        self._say = say
        self._fsync = fsync
        self._lock: int | None = None
        self.data_path = cluster
        self._socket_folder = socket_folder(cluster)
        host = quote(str(self._socket_folder), safe="/")
        self.url = f"postgresql://{DATABASE_NAME}@/{DATABASE_NAME}?host={host}&port=5432"

    @classmethod
    def start(cls, data_dir: Path, *, say: Callable[[str], None] = _to_stderr, fsync: bool = True) -> Self:
        """Create a cluster for `data_dir` if there is none, and start its server unless it is running.

        `say` gets progress messages. `fsync=False` is for tests only: a power cut then destroys the data.
        Raises EmbeddedRefusal if the folder or the server cannot be used.
        """
        try:
            return cls._start(data_dir.resolve(), say, fsync)
        except OSError as error:
            raise EmbeddedRefusal(f"The database folder {data_dir} cannot be used ({error}); {USE_ANOTHER}.") from error
        except psycopg.Error as error:
            raise EmbeddedRefusal(f"The database in {data_dir} failed: {error_line(str(error))}") from error

    @classmethod
    def _start(cls, data_dir: Path, say: Callable[[str], None], fsync: bool) -> Self:
        make_folder(data_dir)
        installed = installed_programs()
        name = f"pg{major_version(installed)}"
        home, account = choose_home(data_dir, name)
        server = cls(Programs(runnable_programs(installed, account), account), home / name, say, fsync)
        with locked(home / f"{name}.start.lock"):
            try:
                server._lock_shared()
                server._create_cluster()
                server._ensure_started()
                server._create_database()
            except BaseException:
                server.stop()
                raise
        return server

    @classmethod
    def find(cls, data_dir: Path) -> Path | None:
        """Return the folder of the cluster that belongs to `data_dir`, or None. Changes nothing."""
        homes = (data_dir.resolve(), system_home(data_dir.resolve()))
        return next((cluster for home in homes for cluster in clusters_in(home)), None)

    def stop(self) -> None:
        """Release the server, and stop it unless another process is using it. A second call does nothing."""
        if self._lock is None:
            return
        lock, self._lock = self._lock, None
        try:
            with suppress(BlockingIOError):  # another process holds it, too; the last one stops the server
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                self._stop_server(lock)
        finally:
            fcntl.flock(lock, fcntl.LOCK_UN)
            os.close(lock)

    def is_listening(self) -> bool:
        """Return whether the server's socket accepts connections. False as soon as its main process has ended."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(1)
            try:
                client.connect(str(self._socket_folder / SOCKET_NAME))
            except (FileNotFoundError, ConnectionRefusedError):
                return False
            except OSError:  # listening, but busy
                return True
        return True

    def start_again(self) -> bool:
        """Start the server after it has stopped; False if another process already did. Raises EmbeddedRefusal."""
        try:
            if not (self.data_path / "PG_VERSION").exists():
                raise EmbeddedRefusal(f"The database folder {self.data_path} is missing: restore it from a backup.")
            with locked(self.data_path.with_name(f"{self.data_path.name}.start.lock")):
                return self._ensure_started()
        except OSError as error:
            raise EmbeddedRefusal(f"The database folder {self.data_path} cannot be used ({error}).") from error
        except psycopg.Error as error:
            raise EmbeddedRefusal(f"The database in {self.data_path} failed: {error_line(str(error))}") from error

    def restart(self, how: str = "fast") -> None:
        """Restart the server, for tests. With `how="immediate"` it crashes instead of shutting down.

        Raises EmbeddedRefusal if it does not start.
        """
        timeout = ("-w", "-t", str(_START_TIMEOUT))
        done = self._programs.pg_ctl(self.data_path, "restart", "-m", how, *timeout, "-l", "start.log")
        if done.returncode != 0:
            raise EmbeddedRefusal(f"The database in {self.data_path} did not start{self._log_hint()}")

    def _lock_shared(self) -> None:
        self._lock = open_lock(self.data_path.with_name(f"{self.data_path.name}.lock"))
        fcntl.flock(self._lock, fcntl.LOCK_SH)

    def _create_cluster(self) -> None:
        """Create the cluster if there is none, under another name first, so that it appears only when complete."""
        home, name = self.data_path.parent, self.data_path.name
        for leftover in home.glob(f"{name}.new-*"):  # an orphaned initdb may still be writing there
            shutil.rmtree(leftover, ignore_errors=True)
        if (self.data_path / "PG_VERSION").exists():
            return
        refuse_other_versions(home, name)
        self._say(f"Creating the database in {self.data_path} …")
        fresh = Path(tempfile.mkdtemp(prefix=f"{name}.new-", dir=home))
        self._programs.initdb(fresh, self._fsync)
        fresh.rename(self.data_path)
        if self._fsync:
            flush_folder(home)

    def _ensure_started(self) -> bool:
        """Start the server if needed and wait until it answers. True if this call started it."""
        launched = False
        deadline = time.monotonic() + _START_TIMEOUT
        progress = threading.Timer(3, self._say, ["Still starting: the database recovers after a crash …"])
        progress.start()
        try:
            while not self._answers():
                if self._lock is None:
                    raise EmbeddedRefusal("The database is being stopped.")
                if time.monotonic() > deadline:
                    raise EmbeddedRefusal(f"The server in {self.data_path} is up but does not answer{self._log_hint()}")
                if self._is_running():  # starting up, shutting down, or a killed server's last processes
                    time.sleep(0.1)
                else:
                    self._start_server()
                    launched = True
        finally:
            progress.cancel()
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

    def _is_running(self) -> bool:
        return self.is_listening() or bool(server_processes(self.data_path))

    def _start_server(self) -> None:
        # We hold the start lock and no server is running here, so these files are stale, even if their process id
        # now belongs to a zombie or to another program. Left there, they could prevent every start.
        for stale in ("postmaster.pid", f"{SOCKET_NAME}.lock", "start.log"):
            (self.data_path / stale).unlink(missing_ok=True)
        settings = _SETTINGS | {"fsync": "on" if self._fsync else "off"}
        options = shlex.join(word for key, value in settings.items() for word in ("-c", f"{key}={value}"))
        # pg_ctl starts the server in its own session, so Ctrl-C in our terminal does not reach it.
        done = self._programs.pg_ctl(
            self.data_path, "start", "-w", "-t", str(_START_TIMEOUT), "-l", "start.log", "-o", options
        )
        if done.returncode != 0:
            raise EmbeddedRefusal(f"The database in {self.data_path} did not start{self._log_hint()}")

    def _log_hint(self) -> str:
        logs = [self.data_path / "start.log", *(self.data_path / "log").glob("*.log")]
        log = max((log for log in logs if log.exists()), key=lambda log: log.stat().st_mtime, default=None)
        return f": {error_line(log.read_text(errors='replace'))} (log: {log})" if log else ", and left no log."

    def _create_database(self) -> None:
        with psycopg.connect(self.url, dbname="postgres", autocommit=True) as connection:
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE_NAME]).fetchone():
                # template0 has initdb's encoding and locale, UTF-8 and C.UTF-8.
                connection.execute(f"CREATE DATABASE {DATABASE_NAME} TEMPLATE template0")

    def _stop_server(self, lock: int) -> None:
        # pg_ctl trusts postmaster.pid, so call it only if that names a server of this folder.
        pid = read_pid(self.data_path / "postmaster.pid")
        if pid is None or pid not in server_processes(self.data_path):
            return
        # pg_ctl inherits the lock: if we are killed now, the next starter still waits until the server has stopped.
        done = self._programs.pg_ctl(self.data_path, "stop", "-m", "fast", "-w", "-t", "60", keep=lock)
        if done.returncode != 0:
            self._say(f"The database in {self.data_path} did not stop: {error_line(done.stdout)}")
