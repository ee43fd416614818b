"""The servers around the product: the real nginx with the shipped configuration, and a real Redis."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, Self

import pytest

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
