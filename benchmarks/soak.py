"""Hours of use while things go wrong, and whether everything that was promised is there at the end.

Two servers over one database; bookers book, hold, move and cancel over REST, viewers look at boards, some of them in a
real Chromium. Meanwhile, one after another: PostgreSQL is restarted and crashes, its disk is full, the connections that
listen are cut, a server is killed, one is replaced politely, the mail server is away. After each of these everybody
stops for a moment, and every board in the browser must equal the calendar. At the end every booking that was
acknowledged is there as it was acknowledged, none twice, no two overlap, and nobody was told anything but clear words.
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
from news import open_page
from playwright.async_api import Browser, Page, async_playwright

from expert_booking.db import diagnostics
from expert_booking.db.embedded import EmbeddedPostgres
from tests.mail_server import MailServer
from tests.server import ServerProcess

EXPERTS: Final = 12
CALM: Final = 1  # nobody but us books this one
CHROMIUM: Final = ("/usr/bin/chromium", "chromium", "chromium-browser", "google-chrome")
QUIET: Final = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
                "--disable-component-update", "--disable-sync"]  # fmt: skip
DISK: Final = 768  # MB, where a small disk can be had
PATIENCE: Final = 60.0  # seconds until the servers must be ready again, and until everybody must have an answer
RIGHT: Final = 10.0  # seconds until boards must then be right
SHOWN: Final = "all => Object.fromEntries(all.map(slot => [slot.dataset.slot, slot.dataset.state]))"

MAILS: Final = """
    SELECT CASE WHEN failed_at IS NOT NULL THEN 'given up' WHEN sent_at IS NOT NULL THEN 'sent' ELSE 'waiting' END,
           count(*) FROM message GROUP BY 1
"""

Trouble = Callable[["Site"], Awaitable[None]]


# --- the site --------------------------------------------------------------------------------------------------


@dataclass
class Site:
    """Two servers, their database on a disk of its own, and their mail server."""

    database: EmbeddedPostgres
    disk: Path | None  # None: no small disk was to be had here
    folder: Path
    mail: MailServer
    servers: list[ServerProcess] = field(default_factory=list)
    calm_times: Iterator[datetime] = field(
        default_factory=lambda: (_bench.tomorrow() + timedelta(days=n // 12, hours=8 + n % 12) for n in count())
    )
    # Which servers somebody has just taken away: there connections break, and nowhere else.
    away: set[int] = field(default_factory=set)

    def serve(self, port: int | None = None) -> ServerProcess:
        """Start a server, at a port that another one had before or at a new one."""
        more = {
            "SMTP_URL": self.mail.url,
            "MAIL_FROM": "booking@example.com",
            "HOLDS_PER_NETWORK": "10000",
            "HOLDS_PER_MINUTE": "100000",
        }
        address = {"PORT": str(port)} if port else {}
        server = ServerProcess(self.folder, _bench.for_sqlalchemy(self.database.url), **more, **address)
        if port:
            server.port, server.url = port, f"http://127.0.0.1:{port}"
        return server

    async def replace(self, number: int, end: Callable[[ServerProcess], object]) -> None:
        """Take a server away, and start another one at its address."""
        old = self.servers[number]
        self.away.add(old.port)
        await asyncio.to_thread(end, old)
        await asyncio.sleep(1)
        self.servers[number] = self.serve(old.port)
        await asyncio.to_thread(self.servers[number].wait_until_alive)
        await asyncio.sleep(1)  # what broke at the last moment is told by now
        self.away.discard(old.port)

    def connect(self) -> psycopg.Connection[Any]:
        """As psql."""
        return psycopg.connect(self.database.url, autocommit=True)


@contextmanager
def small_disk(folder: Path) -> Iterator[Path | None]:
    """A disk in memory that can be made full, where we are allowed to have one."""
    disk = folder / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK}m,mode=755", "tmpfs", str(disk)], capture_output=True, check=False
    )
    try:
        yield disk if mounted.returncode == 0 else None
    finally:
        if mounted.returncode == 0:
            subprocess.run(["umount", "-l", str(disk)], check=False)


@contextmanager
def site() -> Iterator[Site]:
    """All of it; gone afterwards."""
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


# --- the troubles -----------------------------------------------------------------------------------------------


async def postgres_restarted(site: Site) -> None:
    """An upgrade of the database server."""
    await asyncio.to_thread(site.database.restart)


async def postgres_crashed(site: Site) -> None:
    """Its processes are gone from one moment to the next."""
    await asyncio.to_thread(site.database.restart, "immediate")


async def listeners_cut(site: Site) -> None:
    """A firewall has forgotten the connections that hear the news."""
    with site.connect() as connection:
        cut = connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND query ~ '^(LISTEN|SELECT 1$)' AND pid <> pg_backend_pid()"
        ).fetchall()
        assert cut, "nobody listens"
        # What nobody hears now, and no other news of this expert will tell.
        _bench.book_raw(connection, expert_id(CALM), next(site.calm_times))


async def server_killed(site: Site) -> None:
    """As the kernel does it when memory is short."""
    await site.replace(0, ServerProcess.kill)


async def server_replaced(site: Site) -> None:
    """A deploy."""
    await site.replace(1, ServerProcess.stop)


async def mail_away(site: Site) -> None:
    """The mail server is down."""
    await asyncio.to_thread(site.mail.stop)
    await asyncio.sleep(4)
    site.mail.start()


async def disk_full(site: Site) -> None:
    """Not one byte more; then somebody makes room, and starts the database again if it has given up."""
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


# --- the bookers ------------------------------------------------------------------------------------------------


@dataclass
class Promise:
    """What somebody was told of a booking."""

    token: str
    starts_at: str
    status: str = "pending"
    sure: bool = True  # False: the answer to the last change never came


@dataclass
class Ledger:
    """All that was promised, and all that was said."""

    promises: dict[str, Promise] = field(default_factory=dict)
    answers: Counter[str] = field(default_factory=Counter)
    unclear: list[str] = field(default_factory=list)
    broken: Counter[str] = field(default_factory=Counter)


class Booker:
    """Somebody who books, and asks again until there is an answer."""

    def __init__(self, number: int, site: Site, ledger: Ledger, going_on: asyncio.Event) -> None:
        self._site = site
        self._ledger = ledger
        self._going_on = going_on
        self._email = f"booker-{number}@example.com"
        self._random = random.Random(number)
        self._mine: list[str] = []
        self.busy = False

    async def run(self) -> None:
        """Until cancelled."""
        async with httpx.AsyncClient(timeout=30) as self._client:
            while True:
                self.busy = False
                await self._going_on.wait()
                self.busy = True
                change = self._random.random() < 0.3 and self._mine
                await (self._change(self._random.choice(self._mine)) if change else self._book())
                await asyncio.sleep(self._random.random() * 0.1)

    async def _book(self) -> None:
        expert = expert_id(self._random.randint(CALM + 1, EXPERTS))
        first = _bench.tomorrow() + timedelta(days=self._random.randint(0, 12))
        days = {"from": f"{first:%Y-%m-%d}", "to": f"{first:%Y-%m-%d}"}
        page = await self._ask("GET", f"/experts/{expert}/slots", params=days)
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
            self._ledger.promises[made["id"]] = Promise(made["accessToken"], made["startsAt"], made["status"])
            self._mine.append(made["id"])

    async def _change(self, booking: str) -> None:
        promise = self._ledger.promises[booking]
        if self._random.random() < 0.5:
            path, wanted = f"/bookings/{booking}/status", {"status": "cancelled"}
        else:
            later = _bench.tomorrow() + timedelta(days=self._random.randint(0, 12), hours=self._random.randint(8, 19))
            path, wanted = f"/bookings/{booking}", {"startsAt": f"{later:%Y-%m-%dT%H:%M:%SZ}"}
        promise.sure = False
        headers = {"Authorization": f"Bearer {promise.token}"}
        await self._ask("PATCH", path, json=wanted, headers=headers)
        now = await self._ask("GET", f"/bookings/{booking}", headers=headers)
        if now.get("id") == booking:
            promise.status, promise.starts_at, promise.sure = now["status"], now["startsAt"], True
        if promise.status == "cancelled":
            self._mine.remove(booking)

    async def _post(self, path: str, body: dict[str, str]) -> dict[str, Any]:
        return await self._ask("POST", path, json=body, headers={"Idempotency-Key": uuid4().hex})

    async def _ask(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        """Ask one server or the other until one has an answer that is not "please try again"."""
        while True:
            server = self._random.choice(self._site.servers)
            try:
                answer = await self._client.request(method, server.url + path, **more)
            except httpx.TransportError as error:
                self._note_broken(server, method, error)
            else:
                told = self._note(method, answer)
                if told is not None:
                    return told
            if method == "PATCH":
                return {}  # it may have happened, or not: what is true now is asked for
            await asyncio.sleep(0.2)

    def _note_broken(self, server: ServerProcess, method: str, error: Exception) -> None:
        self._ledger.broken[type(error).__name__] += 1
        if server.port not in self._site.away:
            self._ledger.unclear.append(f"{method}: {type(error).__name__} from a server that nobody had taken away")

    def _note(self, method: str, answer: httpx.Response) -> dict[str, Any] | None:
        try:
            told: dict[str, Any] = answer.json()
            code = told["code"] if answer.status_code >= 400 else ""
        except (ValueError, KeyError):
            self._ledger.unclear.append(f"{method}: {answer.status_code} {answer.text[:200]}")
            return {}
        self._ledger.answers[f"{method} {answer.status_code} {code}".strip()] += 1
        if answer.status_code >= 500 and answer.status_code != 503:
            self._ledger.unclear.append(f"{method}: {answer.status_code} {code}")
        again = answer.status_code == 503 or code == "request_in_flight"
        return None if again else told


# --- the viewers ------------------------------------------------------------------------------------------------


def shown(viewer: int) -> int:
    """Whose board somebody looks at: the first two, one on each server, at that of the calm one."""
    return CALM if viewer < 2 else 1 + viewer % EXPERTS


async def look(site: Site, number: int, heard: Counter[str]) -> None:
    """Look at boards for ever, as a browser's websocket does it, on one server or the other."""
    while True:
        port = site.servers[number % 2].port
        with suppress(OSError, EOFError, AssertionError, websockets.WebSocketException):
            path = await open_page(port, shown(number))
            async with websockets.connect(f"ws://127.0.0.1:{port}{path}", compression=None, open_timeout=20) as socket:
                async for message in socket:
                    if message == "2":
                        await socket.send("3")
                    elif message.startswith("0"):
                        await socket.send("40")
                    elif message.startswith('42["slots"'):
                        heard["news"] += 1
        heard["came back"] += 1
        await asyncio.sleep(0.5)


class Boards:
    """Pages in a real browser."""

    def __init__(self, site: Site, pages: Sequence[tuple[Page, int]]) -> None:
        self._site = site
        self._pages = pages

    @classmethod
    @asynccontextmanager
    async def open(cls, site: Site, number: int) -> AsyncIterator["Boards"]:
        """Some boards, on both servers."""
        chromium = next(filter(None, map(shutil.which, CHROMIUM)), None)
        if chromium is None or not number:
            print("There is no Chromium here: no board is compared with the calendar.")
            yield cls(site, [])
            return
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=chromium, args=QUIET)
            pages = [(await cls._page(browser, site, n), shown(n)) for n in range(number)]
            yield cls(site, pages)
            await browser.close()

    @staticmethod
    async def _page(browser: Browser, site: Site, number: int) -> Page:
        context = await browser.new_context(timezone_id="UTC")
        page = await context.new_page()
        await page.goto(f"{site.servers[number % 2].url}/expert/{slug(shown(number))}", timeout=PATIENCE * 1000)
        await page.locator("[data-slot]").first.wait_for(timeout=PATIENCE * 1000)
        return page

    def __len__(self) -> int:
        return len(self._pages)

    async def wrong(self) -> list[str]:
        """Which pages do not show what the calendar says."""
        async with httpx.AsyncClient(timeout=30) as client:
            return [words for page, number in self._pages if (words := await self._wrong(client, page, number))]

    async def _wrong(self, client: httpx.AsyncClient, page: Page, number: int) -> str:
        try:
            shown = await page.locator("[data-slot]").evaluate_all(SHOWN)
        except Exception as error:  # it is just being loaded anew
            return f"expert {number}: {type(error).__name__}"
        if not shown:
            return f"expert {number}: no board"
        days = {"from": min(shown)[:10], "to": max(shown)[:10]}
        answer = await client.get(f"{self._site.servers[0].url}/experts/{expert_id(number)}/slots", params=days)
        true = {slot["startsAt"]: slot["state"] for slot in answer.json().get("slots", ())}
        # What has begun in the meantime is on the board until the next tick.
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        different = [start for start in shown if start > now and shown[start] != true.get(start)]
        return f"expert {number}: {len(different)} of {len(shown)} slots" if different else ""


# --- all together -----------------------------------------------------------------------------------------------


async def all_is_well(site: Site, boards: Boards, what: str) -> str:
    """Wait until both servers are ready, and then until every board is right; how long that took (seconds).

    Raises AssertionError where it takes too long.
    """
    began = time.monotonic()
    while not await ready(site):
        assert time.monotonic() - began < PATIENCE, f"{PATIENCE:g} s after {what} the servers are not ready"
        await asyncio.sleep(0.2)
    begun_to_look = time.monotonic()
    while wrong := await boards.wrong():
        # The tick of 30 s, which mends what was missed, would be too late.
        assert time.monotonic() - begun_to_look < RIGHT, f"{RIGHT:g} s after {what} boards are still wrong: {wrong}"
        await asyncio.sleep(0.2)
    return f"{time.monotonic() - began:.1f}"


async def ready(site: Site) -> bool:
    """Whether both servers say so."""
    try:
        async with httpx.AsyncClient(timeout=20) as client:
            answers = [await client.get(f"{server.url}/readyz") for server in site.servers]
    except httpx.TransportError:
        return False
    return all(answer.status_code == 200 for answer in answers)


def check(site: Site, ledger: Ledger) -> dict[str, int]:
    """Everything that was acknowledged is there, nothing twice; the counts of what was found. Raises AssertionError."""
    with site.connect() as connection:
        rows = {str(number): (status, starts_at.strftime("%Y-%m-%dT%H:%M:%SZ")) for number, status, starts_at in
                connection.execute("SELECT id, status, starts_at FROM booking").fetchall()}  # fmt: skip
        overlaps = diagnostics.overlaps(connection)
        (twice,) = connection.execute(
            "SELECT count(*) FROM (SELECT FROM booking WHERE notes <> '' GROUP BY notes HAVING count(*) > 1) doubles"
        ).fetchone()
        (silent,) = connection.execute(
            "SELECT count(*) FROM booking WHERE email IS NOT NULL"
            " AND NOT EXISTS (SELECT FROM booking_change WHERE booking_id = booking.id)"
        ).fetchone()
        mails = dict(connection.execute(MAILS).fetchall())
    lost = [number for number in ledger.promises if number not in rows]
    other = [(number, promise, rows[number]) for number, promise in ledger.promises.items()
             if number in rows and promise.sure and rows[number] != (promise.status, promise.starts_at)]  # fmt: skip
    assert not lost, f"{len(lost)} acknowledged bookings are not there: {lost[:5]}"
    assert not other, f"{len(other)} bookings are not as they were acknowledged: {other[:3]}"
    assert (overlaps, twice, silent) == (0, 0, 0), f"{overlaps} overlap, {twice} twice, {silent} without history"
    assert not ledger.unclear, f"{len(ledger.unclear)} unclear answers: {Counter(ledger.unclear).most_common(5)}"
    assert "given up" not in mails, f"{mails['given up']} mails were given up"
    return {"bookings acknowledged": len(ledger.promises), "lost": 0, "twice": 0, "overlapping": 0,
            **{f"mail {state}": count for state, count in sorted(mails.items())}}  # fmt: skip


class Crowd:
    """Everybody at work at once, who can be asked to stop for a moment."""

    def __init__(self, site: Site, bookers: int, viewers: int) -> None:
        self.ledger, self.heard, self._going_on = Ledger(), Counter[str](), asyncio.Event()
        self._bookers = [Booker(number, site, self.ledger, self._going_on) for number in range(bookers)]
        read_only = (look(site, number, self.heard) for number in range(viewers))
        self._tasks = [asyncio.create_task(one) for one in (*(booker.run() for booker in self._bookers), *read_only)]
        self.go_on()

    def go_on(self) -> None:
        """Work."""
        self._going_on.set()

    async def pause(self) -> None:
        """Have everybody finish what they are at; raises what one of them has died of."""
        self._going_on.clear()
        while any(booker.busy for booker in self._bookers):
            await asyncio.sleep(0.05)
            for task in self._tasks:
                if task.done():
                    task.result()

    async def end(self) -> None:
        """Send everybody home."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


def field_errors(site: Site) -> Counter[str]:
    """The last lines of tracebacks in the servers' logs."""
    logs = "\n".join(log.read_text(errors="replace") for log in site.folder.glob("server-*.log"))
    return Counter(re.findall(r"^([\w.]*(?:Error|Exception|Refused|Unavailable|Timeout))\b", logs, re.MULTILINE))


async def main(options: argparse.Namespace) -> None:
    """Let it run, and print what came of it."""
    troubles: list[Trouble] = [postgres_restarted, listeners_cut, server_killed, mail_away, server_replaced,
                               postgres_crashed, disk_full]  # fmt: skip
    rows = []
    with site() as ours:
        if ours.disk is None:
            print("No small disk may be mounted here: none is made full.")
            troubles.remove(disk_full)
        async with Boards.open(ours, options.pages) as boards:
            crowd, until = Crowd(ours, options.bookers, options.viewers), time.monotonic() + 60 * options.minutes
            for trouble in cycle(troubles):
                await asyncio.sleep(options.pause)
                before = len(crowd.ledger.promises)
                await trouble(ours)
                await asyncio.sleep(options.pause / 2)
                await crowd.pause()
                well = await all_is_well(ours, boards, trouble.__name__)
                rows.append((trouble.__name__.replace("_", " "), len(crowd.ledger.promises) - before, well))
                print(*rows[-1], sep=" · ", flush=True)
                if len(rows) >= len(troubles) and time.monotonic() > until:
                    break
                crowd.go_on()
            await crowd.end()
        counts = check(ours, crowd.ledger)
        logged = field_errors(ours)
    _bench.report("soak", ("trouble", "bookings meanwhile", "all boards right after s"), rows)
    looked = {"boards compared each time": len(boards), "news heard by viewers": crowd.heard["news"],
              "times a viewer came back": crowd.heard["came back"]}  # fmt: skip
    told = {f"logged: {name}": count for name, count in logged.items()}
    for name, number in {**counts, **looked, **crowd.ledger.answers, **crowd.ledger.broken, **told}.items():
        print(f"{number:8,}  {name}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="at least; every trouble comes once (%(default)s)")
    parser.add_argument("--bookers", type=int, default=8, help="at once (%(default)s)")
    parser.add_argument("--viewers", type=int, default=60, help="websockets without a browser (%(default)s)")
    parser.add_argument("--pages", type=int, default=8, help="in a real browser (%(default)s)")
    parser.add_argument("--pause", type=float, default=8, help="seconds before each trouble (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="every trouble once, as CI does it")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.minutes, arguments.bookers, arguments.viewers, arguments.pages, arguments.pause = 0, 4, 12, 4, 2
    _bench.run(main(arguments))
