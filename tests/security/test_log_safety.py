"""Strangers cannot forge log lines, flood the log, or stop the process by what is logged."""

import io
import json
import logging
import time
from collections.abc import Callable

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from expert_booking.logs import CountedWarning, JsonLines, TextLines
from tests.security.sockets import fetch, metric, open_page
from tests.server import ServerProcess

FORMATTERS = [TextLines("%(levelname)s %(name)s: %(message)s"), JsonLines()]


def written(formatter: logging.Formatter, write: Callable[[logging.Logger], None]) -> str:
    """Return what is written through this formatter."""
    stream, log = io.StringIO(), logging.Logger("stranger")
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    log.addHandler(handler)
    write(log)
    return stream.getvalue()


@pytest.mark.parametrize("formatter", FORMATTERS)
@pytest.mark.parametrize(
    "text",
    ["A" * 10**6 + " @", "a@" * 500_000, "@" * 10**6, "a" * 10**6, "a@" + "b" * 10**6, " @ a" * 250_000, "\n" * 10**6],
    ids=["issue", "a@a@", "@@@@", "aaaa", "long domain", "spaces", "lines"],
)
def test_long_messages_are_written_quickly_and_truncated(formatter: logging.Formatter, text: str) -> None:
    began = time.process_time()
    line = written(formatter, lambda log: log.error(text))
    line += written(formatter, lambda log: log.error("said: %s", text))
    assert time.process_time() - began < 0.05
    assert len(line) < 20_000


def test_email_addresses_are_removed_even_at_the_truncation() -> None:
    long = "x " * 995 + "ada.lovelace@example.com and more"
    for text in (
        "to ada@example.com",
        "<ada@example.com>",
        "ada@ben@example.com",
        "(ada@example.com),ben@example.org",
        long,
    ):
        for formatter in FORMATTERS:
            line = written(formatter, lambda log, text=text: log.error(text))
            assert "ada" not in line
            assert "ben" not in line


@pytest.mark.parametrize(
    "forged",
    ["\nERROR expert_booking: forged", "\r\nforged", "\x1b[2J\x1b]0;title\x07", "\x85forged", "\u2028forged", "\x9b31m",
     "\x7f", "\u202egnp.exe", "\u2066x\u2069", "\u200f", "\x00", "\x0b\x0c"],
)  # fmt: skip
def test_logged_input_stays_on_its_line_and_sends_no_terminal_controls(forged: str) -> None:
    def write(log: logging.Logger) -> None:
        log.error("said %s.", forged)
        try:
            raise AttributeError(f"no {forged}")
        except AttributeError:
            log.exception("failed")

    text = written(TextLines("%(levelname)s %(name)s: %(message)s"), write)
    lines = text.splitlines()
    assert lines[0].startswith("ERROR stranger: said ")
    assert lines[0].endswith(".")
    assert lines[1] == "ERROR stranger: failed"
    assert lines[2] == "Traceback (most recent call last):"
    assert lines[-1].startswith("AttributeError: no ")
    assert not [letter for letter in text if letter != "\n" and letter in forged and not letter.isprintable()]

    objects = written(JsonLines(), write)
    assert [json.loads(line)["message"] for line in objects.splitlines()] == [f"said {forged}.", "failed"]
    assert not [letter for letter in objects if letter != "\n" and not (letter.isprintable() and letter.isascii())]


def test_repeated_traceback_is_written_ten_times_a_minute_but_each_failure_has_a_line() -> None:
    def fail() -> None:
        raise LookupError

    def write(log: logging.Logger) -> None:
        for number in range(100):
            try:
                fail()
            except LookupError:
                log.exception("failure %d", number)

    for formatter in (TextLines("%(message)s"), JsonLines()):
        text = written(formatter, write)
        assert text.count("Traceback") == 10
        assert text.count("failure ") == 100
        assert text.count("LookupError (same traceback") == 90


def test_circular_causes_terminate() -> None:
    error = ValueError()
    group: BaseException = ExceptionGroup("x", [error])
    error.__context__ = group
    for _ in range(2000):
        group = ExceptionGroup("x", [group, ValueError()])
    line = written(FORMATTERS[1], lambda log: log.error("failed", exc_info=group))
    assert 0 < line.count("ExceptionGroup") <= 20
    circle = written(FORMATTERS[1], lambda log: log.error("failed", exc_info=error))
    assert circle.count("ValueError") == 1


async def test_repeated_warnings_are_counted_in_one_line_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    warning = CountedWarning(logging.getLogger("stranger"), "%d strange things")
    for _ in range(1000):
        warning.add()
    assert caplog.messages == ["1 strange things"]


async def test_malformed_packets_cause_one_log_line_and_a_metric(serve: Callable[..., ServerProcess]) -> None:
    server = serve(LOG_FORMAT="json")
    sent = 0
    for _ in range(30):
        page = await fetch(server, "/")
        websocket, _ = await open_page(server, page)
        try:
            for number in range(100):
                await websocket.send(("4{x", "9\nx", "42[", "x\x1b[", "")[number % 5])
                sent += 1
            while True:
                await websocket.recv()
        except ConnectionClosed:
            pass
    assert sent > 90
    assert await metric(server, "malformed_packets_total") == 90
    # Requests that Engine.IO refuses add no lines of another logger either.
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as browser:
        for query in ("EIO=3&client_id=x", "transport=x&client_id=x", "EIO=4&transport=websocket&client_id=x",
                      "EIO=4&transport=polling&sid=x%0Ay", "x" * 3000):  # fmt: skip
            for method in ("GET", "POST", "PATCH"):
                await browser.request(method, f"/_nicegui_ws/socket.io/?{query}")
    server.stop()
    log_text = server.log_text()
    lines = [json.loads(line) for line in log_text.splitlines()]
    assert len([line for line in lines if "malformed" in line["message"]]) == 1
    assert len(log_text) < 4000, log_text


async def test_cookie_full_of_backslashes_delays_no_one(serve: Callable[..., ServerProcess]) -> None:
    server = serve()
    cookie = 'zone=Europe/Berlin; a="' + "\\" * 30_000 + '"; b="' + "\\1" * 5_000 + '"'
    began = time.monotonic()
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as browser:
        for path in ("/", "/experts"):
            assert (await browser.get(path, headers={"Cookie": cookie})).status_code == 200
    assert time.monotonic() - began < 2
