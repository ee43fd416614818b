"""Check that response times do not reveal whether an email address is known.

Sends `POST /access-links` for known and unknown addresses, in a new order each round. The floor is unknown addresses; a
second set of unknown addresses shows how much the ratio varies by chance. The responses that follow are timed, too,
because the same process composes the email to a known address.
"""

import argparse
import random
import time
from collections import defaultdict
from collections.abc import Sequence
from datetime import timedelta
from statistics import median
from typing import Final

import _bench
import psycopg
from _bench import Http, expert_id, network

UNKNOWN, CONTROL, CUSTOMER, EXPERT = "unknown", "unknown, second set", "a customer", "an expert"
NAMES: Final = {UNKNOWN: "other", CONTROL: "third", CUSTOMER: "known", EXPERT: "coach"}  # of the same length
# Below the limit of five requests an hour for one address.
REQUESTS_PER_ADDRESS: Final = 4
FOLLOWING: Final = 20  # timed responses after each request


def address(variant: str, number: int) -> str:
    """Return the address of this variant in this round."""
    return f"{NAMES[variant]}-{number // REQUESTS_PER_ADDRESS:04}@example.com"


async def make_known(url: str, visitor: Http, count: int) -> None:
    """Make bookings for this many customers, and set the addresses of this many experts."""
    for n in range(count):
        starts_at = _bench.tomorrow() + timedelta(days=3 + n % 40, hours=9)
        booking = {
            "expertId": str(expert_id(1 + n // 40)), "startsAt": f"{starts_at:%Y-%m-%dT%H:%M:%SZ}",
            "name": "Ada Lovelace", "email": address(CUSTOMER, n * REQUESTS_PER_ADDRESS), "phone": "+44 20 7946 0000",
        }  # fmt: skip
        status, body = await visitor.post("/bookings", booking, network(n))
        assert status == 201, body
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        for n in range(count):
            email = address(EXPERT, n * REQUESTS_PER_ADDRESS)
            cursor.execute(
                "UPDATE expert SET email = %s, email_key = %s WHERE id = %s", [email, email, expert_id(1 + n)]
            )


async def ask(visitor: Http, email: str, header: str) -> tuple[float, float]:
    """Return how long the response takes, and the following ones together, in ms."""
    began = time.perf_counter()
    status, body = await visitor.post("/access-links", {"email": email}, header)
    took = 1000 * (time.perf_counter() - began)
    assert status == 202, body
    return took, sum([await _bench.timed(visitor, "/healthz") for _ in range(FOLLOWING)])


async def main(options: argparse.Namespace) -> None:
    """Measure and print."""
    took: dict[str, list[float]] = defaultdict(list)
    afterwards: dict[str, list[float]] = defaultdict(list)
    variants, order, requests = list(NAMES), random.Random(5), 0
    count = -(-(options.rounds + options.warm_up) // REQUESTS_PER_ADDRESS)
    with _bench.database() as server, _bench.mail_server() as port:
        _bench.add_experts(server.url, count, opens_hour=9, closes_hour=17)
        mail = {"SMTP_URL": f"smtp://127.0.0.1:{port}", "MAIL_FROM": "booking@example.com"}
        with _bench.product(server.url, **mail) as site:
            visitor = await Http.open(site.port)
            await make_known(server.url, visitor, count)
            for number in range(options.rounds + options.warm_up):
                order.shuffle(variants)
                for variant in variants:
                    requests += 1
                    answer, following = await ask(visitor, address(variant, number), network(requests))
                    if number >= options.warm_up:
                        took[variant].append(answer)
                        afterwards[variant].append(following)
        with psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT count(*) FROM access_request").fetchone() == (requests,)
    head = ("access link for", "p50 ms", "p95 ms", "of unknown", f"next {FOLLOWING} p50 ms", "of unknown")
    _bench.report("access", head, [line(name, took, afterwards) for name in NAMES])


def line(name: str, took: dict[str, list[float]], afterwards: dict[str, list[float]]) -> Sequence[object]:
    """Return one row of the table."""
    p95 = _bench.percentile(took[name], 95)
    ratios = [_bench.pair_ratio(figures[name], figures[UNKNOWN]) for figures in (took, afterwards)]
    return (
        name, f"{median(took[name]):.2f}", f"{p95:.1f}", f"{ratios[0]:.3f}", f"{median(afterwards[name]):.1f}",
        f"{ratios[1]:.3f}",
    )  # fmt: skip


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=300, help="rounds of all kinds of addresses (%(default)s)")
    parser.add_argument("--warm-up", type=int, default=20, help="rounds that are not measured (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="a smoke run of some seconds")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.warm_up = 10, 2
    _bench.run(main(arguments))
