"""The servers around the product: the real nginx with the shipped configuration, a real Redis and a real pgbouncer."""

import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, Self

import pytest
from sqlalchemy import make_url

from tests.server import PATIENCE, ROOT, ServerProcess, free_port, is_port_open

SHIPPED = ROOT / "deploy" / "nginx.conf"


def require_program(program: str) -> str:
    """The path of this program. Without it, skip the test, or fail it in CI."""
    path = shutil.which(program) or shutil.which(program, path="/usr/sbin:/sbin:/usr/bin")
    if path is None:
        reason = f"{program} is not installed"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return path


class HasPort(Protocol):
    """Anything with a port."""

    port: int


class RedisServer:
    """A `redis-server` without persistence."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}"
        self.start()

    def start(self) -> None:
        """Start, also again after `kill`, on the same port."""
        command = [require_program("redis-server"), "--port", str(self.port), "--bind", "127.0.0.1", "--save", ""]
        self._process = subprocess.Popen(command, cwd=self._folder, stdout=subprocess.DEVNULL)
        until = time.monotonic() + PATIENCE
        while not is_port_open(self.port):
            assert time.monotonic() < until, "Redis did not start"
            time.sleep(0.01)

    def kill(self) -> None:
        """Kill the process, as after a crash."""
        self._process.kill()
        self._process.wait()


class PgBouncer:
    """A `pgbouncer` in transaction mode in front of the server that has this database."""

    def __init__(self, database_url: str, *, port: int | None = None, **settings: str) -> None:
        """`settings` are lines of its configuration; `connect_query` runs in each new connection to the server."""
        self._target = make_url(database_url)
        self.port = port or free_port()
        self.url = f"postgresql://{self._target.username}@127.0.0.1:{self.port}/{self._target.database}"
        # Its account must be able to read the file.
        self._folder = Path(tempfile.mkdtemp(prefix="expert-booking-pgbouncer-"))
        self._folder.chmod(0o755)
        file = self._folder / "pgbouncer.ini"
        file.write_text(self._configuration(settings))
        with (self._folder / "log").open("w") as log:
            # It refuses to run as root, and only the owner of the embedded server's folder may open its socket.
            self._process = subprocess.Popen(
                [require_program("pgbouncer"), str(file)],
                stdout=log,
                stderr=subprocess.STDOUT,
                **({"user": self._owner(), "group": 65_534, "extra_groups": []} if os.geteuid() == 0 else {}),
            )
        until = time.monotonic() + PATIENCE
        while not self._answers():
            assert self._process.poll() is None, self.log_text()
            assert time.monotonic() < until, self.log_text()
            time.sleep(0.01)

    def _host(self) -> str:
        return os.path.realpath(str(self._target.query["host"])) if "host" in self._target.query else self._target.host

    def _owner(self) -> int:
        host = Path(self._host())
        return host.stat().st_uid if host.is_absolute() else 65_534

    def _configuration(self, settings: Mapping[str, str]) -> str:
        query = settings.get("connect_query")
        wanted = {
            "listen_addr": "127.0.0.1", "listen_port": self.port, "unix_socket_dir": "", "auth_type": "any",
            "pool_mode": "transaction", "default_pool_size": 4, "max_client_conn": 200,
            **{name: value for name, value in settings.items() if name != "connect_query"},
        }  # fmt: skip
        target = {
            "host": self._host(),
            "port": self._target.query.get("port", self._target.port or 5432),
            "user": self._target.username,
            **({"password": self._target.password} if self._target.password else {}),
            **({"connect_query": f"'{query}'"} if query else {}),
        }
        lines = ["[databases]", "* = " + " ".join(f"{name}={value}" for name, value in target.items()), "[pgbouncer]"]
        return "\n".join([*lines, *(f"{name} = {value}" for name, value in wanted.items()), ""])

    def _answers(self) -> bool:
        with socket.socket() as connection:
            return connection.connect_ex(("127.0.0.1", self.port)) == 0

    def log_text(self) -> str:
        """Its whole output."""
        return (self._folder / "log").read_text()

    def stop(self) -> None:
        """Stop immediately, and remove its files."""
        self._process.terminate()
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)


class Nginx:
    """nginx with the shipped configuration in front of two processes. Only ports and paths differ."""

    def __init__(self, folder: Path, servers: Sequence[HasPort], **replaced: str) -> None:
        """`replaced` overrides values of directives."""
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "error.log"
        self._file = folder / "nginx.conf"
        self._file.write_text(self._shipped(folder, servers, replaced))
        command = [require_program("nginx"), "-c", str(self._file), "-g", "daemon off;"]
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def _shipped(self, folder: Path, servers: Sequence[HasPort], replaced: Mapping[str, str]) -> str:
        text = SHIPPED.read_text()
        first, second = servers
        for old, new in {
            "user www-data;": "user root;" if os.getuid() == 0 else "",
            "worker_processes auto;": "worker_processes 1;",
            "listen 80 default_server;": f"listen 127.0.0.1:{self.port} default_server;",
            "/run/nginx.pid": f"{folder}/nginx.pid",
            "/var/log/nginx": str(folder),
            "/var/lib/nginx": str(folder),
            ":8081": f":{first.port}",
            ":8082": f":{second.port}",
            "sendfile on;": f"sendfile on; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;",
        }.items():
            assert old in text, f"the shipped file no longer contains {old!r}"
            text = text.replace(old, new)
        for name, value in replaced.items():
            text, found = re.subn(rf"\b{name} [^;]+;", f"{name} {value};", text)
            assert found, name
        return text

    def wait_until_alive(self) -> Self:
        """Wait until nginx answers."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            assert self.process.poll() is None, f"nginx ended:\n{self.log.read_text()}"
            if is_port_open(self.port):
                return self
            time.sleep(0.02)
        raise AssertionError(f"nginx did not answer in {PATIENCE} s")

    def cached(self) -> list[Path]:
        """The files of cached responses."""
        return [file for file in (self._file.parent / "expert-booking").rglob("*") if file.is_file()]

    def stop(self) -> None:
        """Stop immediately."""
        self.process.terminate()
        self.process.wait()


def restart(server: ServerProcess, folder: Path, database_url: str, **settings: str) -> ServerProcess:
    """Stop a server with SIGTERM and start another one on its port."""
    assert server.stop() == 0, server.log_text()
    assert "Traceback" not in server.log_text()
    new = ServerProcess(folder, database_url, **{**settings, "PORT": str(server.port)})
    new.port, new.url = server.port, server.url
    return new.wait_until_alive()
