"""Limits of the shipped nginx configuration for one network; the processes behind it are busy or absent."""

import json
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tests.backing_servers import Nginx, require_program
from tests.server import free_port

# As in the configuration: simultaneous requests, and open pages.
BURST = 500
WEBSOCKETS = 250
OTHER_NETWORK = "127.0.0.2"


@dataclass
class Process:
    """A port on which nothing listens, or which never answers."""

    port: int


@contextmanager
def run_nginx(folder: Path, processes: list[Process], **replaced: str) -> Iterator[Nginx]:
    """Run the shipped nginx configuration in front of these processes."""
    require_program("nginx")
    nginx = Nginx(folder, processes, **replaced).wait_until_alive()
    try:
        yield nginx
    finally:
        nginx.stop()


def test_network_over_the_request_limit_is_refused_and_others_are_not(tmp_path: Path) -> None:
    with run_nginx(tmp_path, [Process(free_port()), Process(free_port())]) as nginx:
        # Every request that nginx passes on results in a 502.
        answers = [answer for _ in range(4) for answer in pipelined(nginx.port, BURST)]
        statuses = Counter(answer.status for answer in answers)
        assert set(statuses) == {502, 429}
        assert statuses[502] >= BURST
        refused = next(answer for answer in answers if answer.status == 429)
        assert json.loads(refused.body)["code"] == "too_many_requests"
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.headers["cache-control"] == "no-store"
        assert int(refused.headers["retry-after"]) > 0
        (elsewhere,) = pipelined(nginx.port, 1, source=OTHER_NETWORK)
        assert elsewhere.status == 502


def test_network_has_250_websockets_and_no_more(tmp_path: Path) -> None:
    with ExitStack() as stack:
        listeners = [stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=512)) for _ in range(2)]
        nginx = stack.enter_context(
            run_nginx(tmp_path, [Process(port_of(listener)) for listener in listeners], proxy_read_timeout="20s")
        )
        opened = [stack.enter_context(websocket(nginx.port)) for _ in range(WEBSOCKETS)]
        one_more = stack.enter_context(websocket(nginx.port))
        assert one_more.recv(100).startswith(b"HTTP/1.1 429 ")
        elsewhere = stack.enter_context(websocket(nginx.port, source=OTHER_NETWORK))
        for waiting in (opened[0], opened[-1], elsewhere):
            waiting.setblocking(False)
            assert not has_response(waiting)


def test_unfinished_request_is_disconnected(tmp_path: Path) -> None:
    timeouts = {"client_header_timeout": "1s", "client_body_timeout": "1s"}
    with run_nginx(tmp_path, [Process(free_port()), Process(free_port())], **timeouts) as nginx:
        for begun in (
            b"",
            b"GET / HTTP/1.1\r\nHost: x\r\nA: a",
            b"POST /holds HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{",
        ):
            with socket.create_connection(("127.0.0.1", nginx.port), timeout=10) as connection:
                connection.sendall(begun)
                with suppress(ConnectionResetError):  # `reset_timedout_connection`
                    assert connection.recv(1000) in (b"", b"HTTP/1.1 408")


@dataclass
class Answer:
    """One of several responses on a connection."""

    status: int
    headers: dict[str, str]
    body: bytes


def pipelined(port: int, count: int, source: str = "127.0.0.1") -> list[Answer]:
    """Send so many requests without waiting, and return the responses."""
    with (
        socket.create_connection(("127.0.0.1", port), timeout=60, source_address=(source, 0)) as connection,
        connection.makefile("rb") as stream,
    ):
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * count)
        return [read_answer(stream) for _ in range(count)]


def read_answer(stream: BinaryIO) -> Answer:
    """Read the next response to its end."""
    status = int(stream.readline().split()[1])
    headers = {}
    while line := stream.readline().strip():
        name, _, value = line.decode().partition(": ")
        headers[name.lower()] = value
    return Answer(status, headers, stream.read(int(headers["content-length"])))


@contextmanager
def websocket(port: int, source: str = "127.0.0.1") -> Iterator[socket.socket]:
    """A connection that has requested a websocket upgrade."""
    with socket.create_connection(("127.0.0.1", port), timeout=20, source_address=(source, 0)) as connection:
        connection.sendall(
            b"GET /_nicegui_ws/socket.io/?transport=websocket HTTP/1.1\r\nHost: localhost\r\n"
            b"Connection: upgrade\r\nUpgrade: websocket\r\n\r\n"
        )
        yield connection


def has_response(connection: socket.socket) -> bool:
    """Check whether anything has arrived, without waiting."""
    try:
        return bool(connection.recv(1))
    except BlockingIOError:
        return False


def port_of(listener: socket.socket) -> int:
    """Return the port of a listener."""
    port: int = listener.getsockname()[1]
    return port
