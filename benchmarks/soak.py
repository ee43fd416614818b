"""A long test under failures: every acknowledged booking has to exist at the end.

Two servers use one database. Clients book, hold, reschedule and cancel over REST; viewers watch boards, some of them in
a real Chromium. At the same time, one failure follows the other: PostgreSQL restarts or crashes, its disk is full, the
listening connections are cut, a server is killed or replaced, the mail server is down. After each failure the clients
pause, and every board in the browser must equal the calendar. At the end every acknowledged booking must be stored as
acknowledged, none twice, and no two may overlap. Error responses must have a `code`, and the only 5xx allowed is 503.
"""

import argparse
import asyncio
import random
import re
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count, cycle
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import _bench
import httpx
import psycopg
import websockets
from _bench import expert_id, slug
from live_updates import open_page
from playwright.async_api import Browser, Page, async_playwright

from expert_booking.db import diagnostics
from expert_booking.db.embedded import EmbeddedPostgres
from tests.mail_server import MailServer
from tests.server import ServerProcess

EXPERTS: Final = 12
UNUSED_EXPERT: Final = 1  # no client books this one
CHROMIUM: Final = ("chromium-headless-shell", "/usr/bin/chromium", "chromium", "chromium-browser", "google-chrome")
CHROMIUM_OPTIONS: Final = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync",
                           "--disable-background-networking", "--disable-component-update"]  # fmt: skip
DISK_MB: Final = 768
READY_TIMEOUT: Final = 60.0  # seconds until the servers must be ready again
BOARDS_TIMEOUT: Final = 10.0  # seconds until all boards must then be correct
SHOWN_STATES: Final = "all => Object.fromEntries(all.map(slot => [slot.dataset.slot, slot.dataset.state]))"

EMAIL_STATES: Final = """
    SELECT CASE WHEN failed_at IS NOT NULL THEN 'given up' WHEN sent_at IS NOT NULL THEN 'sent' ELSE 'waiting' END,
           count(*) FROM message GROUP BY 1
"""

Failure = Callable[["Site"], Awaitable[None]]


# --- the site --------------------------------------------------------------------------------------------------


@dataclass
class Site:
    """Two servers, their database on a separate disk, and their mail server."""

    database: EmbeddedPostgres
    disk: Path | None  # None: no small disk could be mounted
    folder: Path
    mail: MailServer
    servers: list[ServerProcess] = field(default_factory=list)
    unused_expert_times: Iterator[datetime] = field(
        default_factory=lambda: (_bench.tomorrow() + timedelta(days=n // 12, hours=8 + n % 12) for n in count())
    )
    # The ports of servers that are being replaced: only there may connections break.
    replaced_ports: set[int] = field(default_factory=set)

    def serve(self, port: int | None = None) -> ServerProcess:
        """Start a server on a new port, or on the port of an earlier one."""
        settings = {
            "SMTP_URL": self.mail.url,
            "MAIL_FROM": "booking@example.com",
            "HOLDS_PER_NETWORK": "10000",
            "HOLDS_PER_MINUTE": "100000",
        }
        address = {"PORT": str(port)} if port else {}
        server = ServerProcess(self.folder, _bench.for_sqlalchemy(self.database.url), **settings, **address)
        if port:
            server.port, server.url = port, f"http://127.0.0.1:{port}"
        return server

    async def replace(self, number: int, end: Callable[[ServerProcess], object]) -> None:
        """Stop a server with `end`, and start another one on its port."""
        old = self.servers[number]
        self.replaced_ports.add(old.port)
        await asyncio.to_thread(end, old)
        await asyncio.sleep(1)
        self.servers[number] = self.serve(old.port)
        await asyncio.to_thread(self.servers[number].wait_until_alive)
        await asyncio.sleep(1)  # let the last broken connections be reported
        self.replaced_ports.discard(old.port)

    def connect(self) -> psycopg.Connection[Any]:
        """Connect to the database as psql does."""
        return psycopg.connect(self.database.url, autocommit=True)


@contextmanager
def small_disk(folder: Path) -> Iterator[Path | None]:
    """Mount a small disk in memory that can be filled. Yields None without permission to mount."""
    disk = folder / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=755", "tmpfs", str(disk)],
        capture_output=True,
        check=False,
    )
    try:
        yield disk if mounted.returncode == 0 else None
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", "-l", str(disk)], check=False)


@contextmanager
def site() -> Iterator[Site]:
    """Start the database, the mail server and two servers, and stop them afterwards."""
    with _bench.scratch() as folder, small_disk(folder) as disk:
        database = EmbeddedPostgres.start(disk or folder, say=lambda _: None)
        mail = MailServer().start()
        ours = Site(database, disk, folder, mail)
        try:
            _bench.schema.migrate(_bench.for_sqlalchemy(database.url))
            _bench.add_experts(database.url, EXPERTS, opens_hour=8, closes_hour=20)
            ours.servers = [ours.serve(), ours.serve()]
            for server in ours.servers:
                server.wait_until_alive()
            yield ours
        finally:
            for server in ours.servers:
                server.kill()
            mail.stop()
            database.stop()


# --- the failures -----------------------------------------------------------------------------------------------


async def postgres_restarted(site: Site) -> None:
    """Restart the database server, as in an upgrade."""
    await asyncio.to_thread(site.database.restart)


async def postgres_crashed(site: Site) -> None:
    """Kill PostgreSQL without a clean shutdown."""
    await asyncio.to_thread(site.database.restart, "immediate")


async def listeners_cut(site: Site) -> None:
    """Cut the listening connections, as a firewall does after a timeout."""
    with site.connect() as connection:
        cut = connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND query ~ '^(LISTEN|SELECT 1$)' AND pid <> pg_backend_pid()"
        ).fetchall()
        assert cut, "no connection listens"
        # No process receives this notification, and no later change of this expert will follow.
        _bench.book_raw(connection, expert_id(UNUSED_EXPERT), next(site.unused_expert_times))


async def server_killed(site: Site) -> None:
    """Kill a server, as the kernel does when memory runs out."""
    await site.replace(0, ServerProcess.kill)


async def server_replaced(site: Site) -> None:
    """Replace a server, as in a deploy."""
    await site.replace(1, ServerProcess.stop)


async def mail_server_down(site: Site) -> None:
    """Stop the mail server for some seconds."""
    await asyncio.to_thread(site.mail.stop)
    await asyncio.sleep(4)
    site.mail.start()


async def disk_full(site: Site) -> None:
    """Fill the disk, free it again, and restart the database if it has stopped."""
    assert site.disk is not None
    ballast = site.disk / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (2**20, 2**12):
            with suppress(OSError):
                while True:
                    file.write(bytes(size))
    await asyncio.sleep(4)
    ballast.unlink()
    try:
        with site.connect() as connection:
            connection.execute("SELECT 1")
    except psycopg.OperationalError:
        await asyncio.to_thread(site.database.restart)


# --- the clients ------------------------------------------------------------------------------------------------


@dataclass
class Acknowledged:
    """A booking as the API has acknowledged it."""

    token: str
    starts_at: str
    status: str = "pending"
    certain: bool = True  # False: the response to the last change was lost


@dataclass
class Ledger:
    """All acknowledged bookings, and all responses."""

    acknowledged: dict[str, Acknowledged] = field(default_factory=dict)
    responses: Counter[str] = field(default_factory=Counter)
    unexpected: list[str] = field(default_factory=list)
    broken: Counter[str] = field(default_factory=Counter)


class Booker:
    """A client that books, and repeats each request until it has a response."""

    def __init__(self, number: int, site: Site, ledger: Ledger, running: asyncio.Event) -> None:
        self._site = site
        self._ledger = ledger
        self._running = running
        self._email = f"booker-{number}@example.com"
        self._random = random.Random(number)
        self._mine: list[str] = []
        self.busy = False

    async def run(self) -> None:
        """Book and change bookings until cancelled."""
        async with httpx.AsyncClient(timeout=30) as self._client:
            while True:
                self.busy = False
                await self._running.wait()
                self.busy = True
                change = self._random.random() < 0.3 and self._mine
                await (self._change(self._random.choice(self._mine)) if change else self._book())
                await asyncio.sleep(self._random.random() * 0.1)

    async def _book(self) -> None:
        expert = expert_id(self._random.randint(UNUSED_EXPERT + 1, EXPERTS))
        first = _bench.tomorrow() + timedelta(days=self._random.randint(0, 12))
        days = {"from": f"{first:%Y-%m-%d}", "to": f"{first:%Y-%m-%d}"}
        page = await self._request("GET", f"/experts/{expert}/slots", params=days)
        free = [slot["startsAt"] for slot in page.get("slots", ()) if slot["state"] == "open"]
        if not free:
            return
        body = {"expertId": str(expert), "startsAt": self._random.choice(free), "name": "Booker",
                "email": self._email, "phone": "+44 20 7946 0000", "notes": uuid4().hex}  # fmt: skip
        if self._random.random() < 0.2:
            hold = await self._post("/holds", {"expertId": body["expertId"], "startsAt": body["startsAt"]})
            body |= {"holdId": hold["id"]} if "id" in hold else {}
        made = await self._post("/bookings", body)
        if "accessToken" in made:
            self._ledger.acknowledged[made["id"]] = Acknowledged(made["accessToken"], made["startsAt"], made["status"])
            self._mine.append(made["id"])

    async def _change(self, booking: str) -> None:
        known = self._ledger.acknowledged[booking]
        if self._random.random() < 0.5:
            path, wanted = f"/bookings/{booking}/status", {"status": "cancelled"}
        else:
            later = _bench.tomorrow() + timedelta(days=self._random.randint(0, 12), hours=self._random.randint(8, 19))
            path, wanted = f"/bookings/{booking}", {"startsAt": f"{later:%Y-%m-%dT%H:%M:%SZ}"}
        known.certain = False
        headers = {"Authorization": f"Bearer {known.token}"}
        await self._request("PATCH", path, json=wanted, headers=headers)
        now = await self._request("GET", f"/bookings/{booking}", headers=headers)
        if now.get("id") == booking:
            known.status, known.starts_at, known.certain = now["status"], now["startsAt"], True
        if known.status == "cancelled":
            self._mine.remove(booking)

    async def _post(self, path: str, body: dict[str, str]) -> dict[str, Any]:
        return await self._request("POST", path, json=body, headers={"Idempotency-Key": uuid4().hex})

    async def _request(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        """Send the request to one of the servers until the response is not "please try again"."""
        while True:
            server = self._random.choice(self._site.servers)
            try:
                response = await self._client.request(method, server.url + path, **more)
            except httpx.TransportError as error:
                self._record_error(server, method, error)
            else:
                body = self._record_response(method, response)
                if body is not None:
                    return body
            if method == "PATCH":
                return {}  # it may have been applied or not: the caller reads the booking
            await asyncio.sleep(0.2)

    def _record_error(self, server: ServerProcess, method: str, error: Exception) -> None:
        self._ledger.broken[type(error).__name__] += 1
        if server.port not in self._site.replaced_ports:
            self._ledger.unexpected.append(
                f"{method}: {type(error).__name__} from a server that was not being replaced"
            )

    def _record_response(self, method: str, response: httpx.Response) -> dict[str, Any] | None:
        try:
            body: dict[str, Any] = response.json()
            code = body["code"] if response.status_code >= 400 else ""
        except (ValueError, KeyError):
            self._ledger.unexpected.append(f"{method}: {response.status_code} {response.text[:200]}")
            return {}
        self._ledger.responses[f"{method} {response.status_code} {code}".strip()] += 1
        if response.status_code >= 500 and response.status_code != 503:
            self._ledger.unexpected.append(f"{method}: {response.status_code} {code}")
        retry = response.status_code == 503 or code == "request_in_flight"
        return None if retry else body


# --- the viewers ------------------------------------------------------------------------------------------------


def expert_of(viewer: int) -> int:
    """Return the number of the expert whose board a viewer watches: the first two watch the unused expert's."""
    return UNUSED_EXPERT if viewer < 2 else 1 + viewer % EXPERTS


async def watch_board(site: Site, number: int, received: Counter[str]) -> None:
    """Watch a board over a websocket, as a browser does, and reconnect when the connection breaks."""
    while True:
        port = site.servers[number % 2].port
        with suppress(OSError, EOFError, AssertionError, websockets.WebSocketException):
            path = await open_page(port, expert_of(number))
            async with websockets.connect(f"ws://127.0.0.1:{port}{path}", compression=None, open_timeout=20) as socket:
                async for message in socket:
                    if message == "2":
                        await socket.send("3")
                    elif message.startswith("0"):
                        await socket.send("40")
                    elif message.startswith('42["slots"'):
                        received["updates"] += 1
        received["reconnects"] += 1
        await asyncio.sleep(0.5)


class Boards:
    """Boards in a real browser."""

    def __init__(self, site: Site, pages: Sequence[tuple[Page, int]]) -> None:
        self._site = site
        self._pages = pages

    @classmethod
    @asynccontextmanager
    async def open(cls, site: Site, number: int) -> AsyncIterator["Boards"]:
        """Open this many boards, distributed over both servers."""
        chromium = next(filter(None, map(shutil.which, CHROMIUM)), None)
        if chromium is None or not number:
            print("Chromium is not installed: boards are not compared with the calendar.")
            yield cls(site, [])
            return
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_OPTIONS)
            pages = [(await cls._page(browser, site, n), expert_of(n)) for n in range(number)]
            yield cls(site, pages)
            await browser.close()

    @staticmethod
    async def _page(browser: Browser, site: Site, number: int) -> Page:
        context = await browser.new_context(timezone_id="UTC")
        page = await context.new_page()
        await page.goto(
            f"{site.servers[number % 2].url}/expert/{slug(expert_of(number))}", timeout=READY_TIMEOUT * 1000
        )
        await page.locator("[data-slot]").first.wait_for(timeout=READY_TIMEOUT * 1000)
        return page

    def __len__(self) -> int:
        return len(self._pages)

    async def wrong(self) -> list[str]:
        """Return a description of each page that differs from the calendar."""
        async with httpx.AsyncClient(timeout=30) as client:
            return [problem for page, number in self._pages if (problem := await self._wrong(client, page, number))]

    async def _wrong(self, client: httpx.AsyncClient, page: Page, number: int) -> str:
        try:
            shown = await page.locator("[data-slot]").evaluate_all(SHOWN_STATES)
        except Exception as error:  # the page is reloading
            return f"expert {number}: {type(error).__name__}"
        if not shown:
            return f"expert {number}: no board"
        days = {"from": min(shown)[:10], "to": max(shown)[:10]}
        response = await client.get(f"{self._site.servers[0].url}/experts/{expert_id(number)}/slots", params=days)
        expected = {slot["startsAt"]: slot["state"] for slot in response.json().get("slots", ())}
        # Slots that have started stay on the board until the next periodic check.
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        different = [start for start in shown if start > now and shown[start] != expected.get(start)]
        return f"expert {number}: {len(different)} of {len(shown)} slots" if different else ""


# --- all together -----------------------------------------------------------------------------------------------


async def wait_until_recovered(site: Site, boards: Boards, what: str) -> str:
    """Wait until both servers are ready and every board is correct. Returns how long that took (seconds).

    Raises AssertionError if it takes too long.
    """
    began = time.monotonic()
    while not await ready(site):
        assert time.monotonic() - began < READY_TIMEOUT, f"{READY_TIMEOUT:g} s after {what} the servers are not ready"
        await asyncio.sleep(0.2)
    ready_at = time.monotonic()
    while wrong := await boards.wrong():
        # The periodic check every 30 s also corrects boards, but that would be too late.
        assert time.monotonic() - ready_at < BOARDS_TIMEOUT, (
            f"{BOARDS_TIMEOUT:g} s after {what} boards are still incorrect: {wrong}"
        )
        await asyncio.sleep(0.2)
    return f"{time.monotonic() - began:.1f}"


async def ready(site: Site) -> bool:
    """Whether /readyz of both servers returns 200."""
    try:
        async with httpx.AsyncClient(timeout=20) as client:
            responses = [await client.get(f"{server.url}/readyz") for server in site.servers]
    except httpx.TransportError:
        return False
    return all(response.status_code == 200 for response in responses)


def check(site: Site, ledger: Ledger) -> dict[str, int]:
    """Check that acknowledged bookings are stored exactly once, and return counts. Raises AssertionError."""
    with site.connect() as connection:
        rows = {str(number): (status, starts_at.strftime("%Y-%m-%dT%H:%M:%SZ")) for number, status, starts_at in
                connection.execute("SELECT id, status, starts_at FROM booking").fetchall()}  # fmt: skip
        overlaps = diagnostics.overlaps(connection)
        (twice,) = connection.execute(
            "SELECT count(*) FROM (SELECT FROM booking WHERE notes <> '' GROUP BY notes HAVING count(*) > 1) doubles"
        ).fetchone()
        (without_history,) = connection.execute(
            "SELECT count(*) FROM booking WHERE email IS NOT NULL"
            " AND NOT EXISTS (SELECT FROM booking_change WHERE booking_id = booking.id)"
        ).fetchone()
        emails = dict(connection.execute(EMAIL_STATES).fetchall())
    lost = [number for number in ledger.acknowledged if number not in rows]
    different = [
        (number, known, rows[number])
        for number, known in ledger.acknowledged.items()
        if number in rows and known.certain and rows[number] != (known.status, known.starts_at)
    ]
    assert not lost, f"{len(lost)} acknowledged bookings are missing: {lost[:5]}"
    assert not different, f"{len(different)} bookings differ from what was acknowledged: {different[:3]}"
    assert (overlaps, twice, without_history) == (0, 0, 0), (
        f"{overlaps} overlap, {twice} twice, {without_history} without history"
    )
    assert not ledger.unexpected, (
        f"{len(ledger.unexpected)} unexpected responses: {Counter(ledger.unexpected).most_common(5)}"
    )
    assert "given up" not in emails, f"{emails['given up']} emails were given up"
    return {"bookings acknowledged": len(ledger.acknowledged), "lost": 0, "twice": 0, "overlapping": 0,
            **{f"emails {state}": count for state, count in sorted(emails.items())}}  # fmt: skip


class Load:
    """All clients and viewers, which can be paused."""

    def __init__(self, site: Site, bookers: int, viewers: int) -> None:
        self.ledger, self.received, self._running = Ledger(), Counter[str](), asyncio.Event()
        self._bookers = [Booker(number, site, self.ledger, self._running) for number in range(bookers)]
        read_only = (watch_board(site, number, self.received) for number in range(viewers))
        self._tasks = [asyncio.create_task(one) for one in (*(booker.run() for booker in self._bookers), *read_only)]
        self.resume()

    def resume(self) -> None:
        """Let the clients continue."""
        self._running.set()

    async def pause(self) -> None:
        """Let the clients finish their current request and pause. Raises the exception of a task that failed."""
        self._running.clear()
        while any(booker.busy for booker in self._bookers):
            await asyncio.sleep(0.05)
            for task in self._tasks:
                if task.done():
                    task.result()

    async def end(self) -> None:
        """Cancel all clients and viewers."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def logged_errors(site: Site) -> Counter[str]:
    """Count the exceptions in the servers' logs."""
    logs = "\n".join(log.read_text(errors="replace") for log in site.folder.glob("server-*.log"))
    return Counter(re.findall(r"^([\w.]*(?:Error|Exception|Refused|Unavailable|Timeout))\b", logs, re.MULTILINE))


async def main(options: argparse.Namespace) -> None:
    """Run the test and print the results."""
    failures: list[Failure] = [postgres_restarted, listeners_cut, server_killed, mail_server_down, server_replaced,
                               postgres_crashed, disk_full]  # fmt: skip
    rows = []
    with site() as ours:
        if ours.disk is None:
            print("No small disk can be mounted: skipping the full disk.")
            failures.remove(disk_full)
        async with Boards.open(ours, options.pages) as boards:
            load, until = Load(ours, options.bookers, options.viewers), time.monotonic() + 60 * options.minutes
            for failure in cycle(failures):
                await asyncio.sleep(options.pause)
                before = len(load.ledger.acknowledged)
                await failure(ours)
                await asyncio.sleep(options.pause / 2)
                await load.pause()
                seconds = await wait_until_recovered(ours, boards, failure.__name__)
                rows.append((failure.__name__.replace("_", " "), len(load.ledger.acknowledged) - before, seconds))
                print(*rows[-1], sep=" · ", flush=True)
                if len(rows) >= len(failures) and time.monotonic() > until:
                    break
                load.resume()
            await load.end()
        counts = check(ours, load.ledger)
        logged = logged_errors(ours)
    _bench.report("soak", ("failure", "bookings during it", "all boards correct after s"), rows)
    viewing = {"boards compared each time": len(boards), "updates received by viewers": load.received["updates"],
              "reconnects of viewers": load.received["reconnects"]}  # fmt: skip
    errors = {f"logged: {name}": count for name, count in logged.items()}
    for name, number in {**counts, **viewing, **load.ledger.responses, **load.ledger.broken, **errors}.items():
        print(f"{number:8,}  {name}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--minutes", type=float, default=10, help="minutes at least; every failure happens once (%(default)s)"
    )
    parser.add_argument("--bookers", type=int, default=8, help="concurrent clients (%(default)s)")
    parser.add_argument("--viewers", type=int, default=60, help="websockets without a browser (%(default)s)")
    parser.add_argument("--pages", type=int, default=8, help="boards in a real browser (%(default)s)")
    parser.add_argument("--pause", type=float, default=8, help="seconds before each failure (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="every failure once, as in CI")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.minutes, arguments.bookers, arguments.viewers, arguments.pages, arguments.pause = 0, 4, 12, 4, 2
    _bench.run(main(arguments))
