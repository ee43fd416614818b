"""Nobody can flood a mailbox, and the owner of an address stops emails with one click. With a real server process."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from email.message import EmailMessage
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest

from expert_booking.domain.signed_keys import SignedKeys
from tests.api.conftest import booking_of
from tests.conftest import AddExpert
from tests.mail_server import MailServer
from tests.server import SECRET_KEY, ServerProcess, command
from tests.test_outbox_processes import free_starts, mail_settings, wait_until

Connection = psycopg.Connection[tuple[Any, ...]]
Serve = Callable[..., ServerProcess]
KEYS = SignedKeys(SECRET_KEY)
BASE_URL = "https://booking.example.net"
VICTIM = "victim@example.com"
# What a browser on another site sends. Mail programs send neither.
FROM_ELSEWHERE = {"Origin": "https://mail.example.org", "Sec-Fetch-Site": "cross-site"}


class Booked(NamedTuple):
    """A booking that a stranger made for the victim."""

    id: UUID
    token: dict[str, str]


class Site:
    """A running server, its mail server and its expert."""

    def __init__(self, server: ServerProcess, mail_server: MailServer, starts: list[str], expert: UUID) -> None:
        self.server, self.mail_server, self.starts, self.expert = server, mail_server, starts, expert
        self.client = httpx.AsyncClient(base_url=server.url, timeout=60)

    async def book(self, **more: Any) -> Booked:
        """Book the next free time for the victim."""
        body = booking_of(self.expert, startsAt=self.starts.pop(0), email=VICTIM, **more)
        answer = await self.client.post("/bookings", json=body)
        assert answer.status_code == 201, answer.text
        made = answer.json()
        return Booked(UUID(made["id"]), {"Authorization": f"Bearer {made['accessToken']}"})

    async def booking(self, booked: Booked) -> dict[str, Any]:
        """The booking as its holder sees it."""
        found: dict[str, Any] = (await self.client.get(f"/bookings/{booked.id}", headers=booked.token)).json()
        return found


@pytest.fixture
async def site(serve: Serve, add_expert: AddExpert, mail_server: MailServer) -> AsyncIterator[Site]:
    """A site that sends at most two emails in 24 hours to an unproven address."""
    expert = await add_expert()
    server = serve(**mail_settings(mail_server), BASE_URL=BASE_URL, EMAILS_PER_ADDRESS="2")
    async with httpx.AsyncClient(timeout=60) as client:
        starts = await free_starts(client, server, expert)
    site = Site(server, mail_server, starts, expert)
    yield site
    await site.client.aclose()


def texts(email: EmailMessage) -> str:
    """The text and the HTML of an email."""
    parts = [email.get_body((kind,)) for kind in ("plain", "html")]
    return "".join(part.get_content() for part in parts if part is not None)


def changes(sql: Connection) -> list[tuple[Any, ...]]:
    """Everything that the links in an email could change."""
    rows = sql.execute("SELECT id, status, version, wanted_emails, updated_at FROM booking ORDER BY id").fetchall()
    return rows + sql.execute("SELECT customer_key, silenced_at FROM email_address ORDER BY 1").fetchall()


# --- the flood --------------------------------------------------------------------------------------------------


async def test_stranger_gets_few_emails_and_page_api_and_admin_see_why(
    site: Site, sql: Connection, database_url: str, tmp_path: Path
) -> None:
    made = [await site.book(name="You have won") for _ in range(4)]
    unsent = "SELECT count(*) FROM message WHERE sent_at IS NULL AND failed_at IS NULL"
    await wait_until(lambda: sql.execute(unsent).fetchone() == (0,))
    assert len(site.mail_server.to(VICTIM)) == 2
    assert len(site.mail_server.to("jana@example.com")) == 4
    assert [(await site.booking(one))["mail"] for one in made] == ["sent"] * 2 + ["over_limit"] * 2
    page = await site.client.get(f"/booking/{made[3].id}", params={"key": KEYS.booking(made[3].id)})
    assert re.search(r"data-mail=\W*over_limit\W.*?because", page.text)
    settings = {"DATABASE_URL": database_url, "SECRET_KEY": SECRET_KEY}
    listed = await asyncio.to_thread(command, "mail", "list", folder=tmp_path, **settings)
    lines = listed.stdout.splitlines()
    assert len(lines) == 2
    assert all("withheld" in line and "too many emails in 24 hours" in line and "@" not in line for line in lines)
    doctor = await asyncio.to_thread(command, "doctor", folder=tmp_path, **settings)
    assert "0 emails are waiting in the outbox; 2 are withheld." in doctor.stdout


async def test_links_in_emails_come_from_the_base_url_never_from_the_host_header(site: Site, sql: Connection) -> None:
    evil = {"Host": "evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "http",
            "Forwarded": "host=evil.example", "Origin": "http://evil.example"}  # fmt: skip
    body = booking_of(site.expert, startsAt=site.starts[0], email=VICTIM)
    assert (await site.client.post("/bookings", json=body, headers=evil)).status_code == 201
    assert (await site.client.post("/access-links", json={"email": VICTIM}, headers=evil)).status_code == 202
    await wait_until(lambda: len(site.mail_server.emails) == 3)
    assert {str(mail["Message-ID"]).split(".")[1] for mail in site.mail_server.emails} == {"received", "access_link"}
    for email in site.mail_server.emails:
        whole = bytes(email).decode() + "".join(
            part.get_content() if isinstance(part.get_content(), str) else part.get_content().decode()
            for part in email.walk() if not part.is_multipart()
        )  # fmt: skip
        assert "evil.example" not in whole
        links = re.findall(r"https?://[^\s\"<>]+", texts(email))
        assert links
        assert all(link == BASE_URL or link.startswith(f"{BASE_URL}/") for link in links)


# --- "Didn't book this?" ----------------------------------------------------------------------------------------


async def test_opening_the_link_changes_nothing_and_its_button_cancels_and_silences(
    site: Site, sql: Connection
) -> None:
    made = await site.book()
    await wait_until(lambda: site.mail_server.to(VICTIM))
    [link] = set(re.findall(rf"{BASE_URL}(/not-booked/[\w-]+)", texts(site.mail_server.to(VICTIM)[0])))
    await wait_until(lambda: len(site.mail_server.emails) == 2)
    before = changes(sql)
    for method in ("GET", "HEAD", "GET", "OPTIONS", "PUT"):
        await site.client.request(method, link)
    page = await site.client.get(link)
    assert page.status_code == 200
    assert page.headers["cache-control"] == "no-store"
    assert '<button class="button" type="submit">Cancel it and stop these emails</button>' in page.text
    assert VICTIM in page.text
    assert "Ada Lovelace" not in page.text  # a name that the stranger chose
    assert changes(sql) == before
    for _ in range(2):
        done = await site.client.post(link)
        assert (done.status_code, "set-cookie" in done.headers) == (200, False)
        assert 'data-not-booked="done"' in done.text
        assert "The booking is cancelled." in done.text
    assert 'data-not-booked="done"' in (await site.client.get(link)).text
    assert (await site.booking(made))["status"] == "cancelled"
    await wait_until(lambda: len(site.mail_server.to("jana@example.com")) == 2)
    other = await site.book()
    unsent = "SELECT count(*) FROM message WHERE sent_at IS NULL AND failed_at IS NULL"
    await wait_until(lambda: sql.execute(unsent).fetchone() == (0,))
    assert len(site.mail_server.to(VICTIM)) == 1
    assert (await site.booking(other))["mail"] == "silenced"


async def test_wrong_keys_get_the_same_404_whatever_they_are(site: Site, sql: Connection) -> None:
    made = await site.book()
    await wait_until(lambda: len(site.mail_server.emails) == 2)
    before = changes(sql)
    wrong = ["x", "A" * 48, "A" * 52, "%00", KEYS.booking(made.id), KEYS.link(made.id), KEYS.feed(made.id),
             SignedKeys("another secret of tests").not_booked(made.id), KEYS.not_booked(uuid4()),
             KEYS.reminders(uuid4())]  # fmt: skip
    answers = set()
    for path, other in (("/not-booked/", KEYS.reminders(made.id)), ("/reminders/", KEYS.not_booked(made.id))):
        for key in [*wrong, other]:
            for method in ("GET", "POST"):
                answer = await site.client.request(method, f"{path}{key}")
                answers.add((answer.status_code, answer.text))
    assert len(answers) == 1
    assert answers.pop()[0] == 404
    assert changes(sql) == before


# --- List-Unsubscribe -------------------------------------------------------------------------------------------


async def test_one_click_unsubscribe_needs_neither_cookie_nor_page(site: Site, sql: Connection) -> None:
    made = await site.book()
    await wait_until(lambda: len(site.mail_server.emails) == 2)
    url, before = f"/reminders/{KEYS.reminders(made.id)}", changes(sql)
    for method in ("GET", "HEAD"):
        assert (await site.client.request(method, url, headers=FROM_ELSEWHERE)).status_code == 200
    assert changes(sql) == before
    # As mail programs send it (RFC 8058), and anything else but our own button.
    for body in (
        {"data": {"List-Unsubscribe": "One-Click"}},
        {"files": {"List-Unsubscribe": (None, "One-Click")}},
        {},
        {"content": b"reminders=on&" + b"x" * 9000},
    ):
        for _ in range(2):
            answer = await site.client.post(url, headers=FROM_ELSEWHERE, **body)
            assert (answer.status_code, "set-cookie" in answer.headers) == (200, False)
            assert 'data-reminders="no_reminders"' in answer.text
        booking = await site.booking(made)
        assert (booking["wantedEmails"], booking["status"]) == ("no_reminders", "pending")
        assert "Turn reminders on" in (await site.client.get(url)).text
        await site.client.post(url, data={"reminders": "on"})
        assert (await site.booking(made))["wantedEmails"] == "all"
