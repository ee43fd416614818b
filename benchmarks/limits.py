"""What the limits on bookings cost: the same bookings with the default limits and with all of them set to 0.

Two servers on one database take turns; while one is measured, the other is stopped (SIGSTOP). Each booking has another
customer from another network, so that the limits are checked and never reached. They are checked in the statement that
inserts, mostly at PostgreSQL's cost: with 16 clients both cores are busy, and the rate shows the CPU time of all.
"""

import argparse
from collections import defaultdict
from statistics import median

import _bench
import psycopg
from bookings import DISTINCT, EXPERTS, check_and_clear, through_http

ALLOWED = 0.05  # a booking may cost so much more with limits
SETTINGS = ("BOOKINGS_PER_NETWORK", "LIVE_BOOKINGS_PER_EXPERT", "LIVE_BOOKINGS_PER_CUSTOMER", "CHANGES_PER_HOUR")
WITH, WITHOUT = "default limits", "no limits"


async def main(options: argparse.Namespace) -> None:
    """Measure and print."""
    none = dict.fromkeys(SETTINGS, "0")
    with (
        _bench.database() as server,
        _bench.product(server.url) as limited,
        _bench.product(server.url, **none) as unlimited,
        psycopg.connect(server.url, autocommit=True) as connection,
    ):
        _bench.add_experts(server.url, EXPERTS, opens_hour=0, closes_hour=24)
        sites = {WITH: limited, WITHOUT: unlimited}

        async def rate(name: str, clients: int, seconds: float) -> float:
            with sites[WITHOUT if name == WITH else WITH].paused():
                run = await through_http(sites[name].port, clients, DISTINCT, seconds)
            check_and_clear(connection, run, DISTINCT)
            return run.rate

        rows, goals = [], []
        for name in sites:  # warm-up: fill pools, prepare statements
            await rate(name, 16, min(1, options.seconds))
        for clients in options.clients:
            rates = defaultdict(list)
            for number in range(options.rounds):
                for name in _bench.alternated(list(sites), number):
                    rates[name].append(await rate(name, clients, options.seconds))
            ratio = _bench.pair_ratio(rates[WITH], rates[WITHOUT])
            rows += [(name, clients, f"{median(rates[name]):,.0f}") for name in sites]
            what = f"bookings with limits, {clients} clients, of the same without"
            goals.append(_bench.Goal(what, ratio, 1 - ALLOWED))
    head = ("limits", "clients", "bookings per second")
    _bench.report("limits", head, rows, goals)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2, help="seconds of each run (%(default)s)")
    parser.add_argument("--rounds", type=int, default=20, help="rounds of both (%(default)s)")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 16], help="concurrent clients (1 16)")
    parser.add_argument("--quick", action="store_true", help="a smoke run of some seconds")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.seconds, arguments.rounds, arguments.clients = 1, 1, [16]
    _bench.run(main(arguments))
