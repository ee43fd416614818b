"""The cost of observability: CPU of a request with and without request id, metrics and access log.

The floor is the same API without `RequestLogMiddleware`, called within this process: no socket, no server, and the one
request that does nothing else (`/healthz`), so this is the worst case. `python benchmarks/request_log.py [--quick]`
"""

import io
import logging
import sys
import time
from statistics import median

from _bench import Goal, alternated, pair_ratio, report, run
from starlette.types import ASGIApp, Message, Scope

from expert_booking.api import create_api
from expert_booking.db.engine import Database
from expert_booking.logs import JsonLines
from expert_booking.metrics import Metrics
from expert_booking.request_log import RequestLogMiddleware, access
from expert_booking.services import Services

ROUNDS, REQUESTS = (3, 300) if "--quick" in sys.argv else (15, 3000)
UNREACHABLE = "postgresql+psycopg://nobody@127.0.0.1:1/nothing"  # /healthz does not use the database


async def _receive() -> Message:
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send(_: Message) -> None:
    return


def _scope() -> Scope:
    return {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": "/healthz", "raw_path": b"/healthz", "query_string": b"", "root_path": "", "server": ("localhost", 80),
        "client": ("127.0.0.1", 1), "headers": [(b"host", b"localhost"), (b"accept", b"*/*"), (b"user-agent", b"x")],
    }  # fmt: skip


async def cpu_of(app: ASGIApp) -> float:
    """Return the CPU time of one request in µs, as the mean of many."""
    began = time.process_time()
    for _ in range(REQUESTS):
        await app(_scope(), _receive, _send)
    return 1e6 * (time.process_time() - began) / REQUESTS


async def logged(app: ASGIApp) -> float:
    """Return the same, with a line of JSON for each request."""
    access.setLevel(logging.INFO)
    try:
        return await cpu_of(app)
    finally:
        access.setLevel(logging.WARNING)


async def main() -> None:
    """Measure all variants in turn."""
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(JsonLines())
    access.addHandler(handler)
    access.propagate = False
    access.setLevel(logging.WARNING)
    metrics = Metrics()
    bare = create_api(Services(Database(UNREACHABLE)), secret="of no use here")
    observed = RequestLogMiddleware(bare, metrics)
    variants = {"bare": (cpu_of, bare), "id and count": (cpu_of, observed), "and a line in the log": (logged, observed)}
    took: dict[str, list[float]] = {name: [] for name in variants}
    for measure, app in variants.values():
        await measure(app)  # warm
    for round_number in range(ROUNDS):
        for name, (measure, app) in alternated(list(variants.items()), round_number):
            took[name].append(await measure(app))
    scrapes = []
    for _ in range(ROUNDS):
        began = time.process_time()
        text, _kind = await metrics.exposition()
        scrapes.append(1e3 * (time.process_time() - began))
    floor = took["bare"]
    rows = [
        (name, f"{median(figures):.1f}", f"{median(f - b for f, b in zip(figures, floor, strict=True)):.1f}",
         f"{pair_ratio(figures, floor):.2f}")
        for name, figures in took.items()
    ]  # fmt: skip
    report(
        "observability",
        ("one `/healthz`", "CPU, µs", "more, µs", "ratio"),
        rows,
        [
            Goal(
                "CPU of a request with id and count",
                pair_ratio(took["id and count"], floor),
                1.25,
                True,
            )
        ],
    )
    print(f"one scrape of {len(text) / 1024:.0f} kB: {median(scrapes):.1f} ms of CPU")


if __name__ == "__main__":
    run(main())
