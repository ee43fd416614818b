"""People's own data: everything stored about a customer is exported, and nothing of it is left after an erasure."""

import asyncio
import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from email import message_from_bytes, policy
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from icalendar import Calendar

from expert_booking.bus import Bus
from expert_booking.db.customers import ERASED, OF_AN_ADDRESS, REASON
from expert_booking.db.engine import Database
from expert_booking.db.tables import metadata
from expert_booking.domain.email_schedule import Audience
from expert_booking.domain.errors import BookingNotFound, FieldsWrong, RescheduleNotAllowed
from expert_booking.domain.lifecycle import Actor, Status
from expert_booking.domain.limits import NO_LIMITS
from expert_booking.domain.site import Site
from expert_booking.schemas import BookingQuery, BookingView, Caller, CustomerErased, HoldRequest, Role
from expert_booking.services import Services
from expert_booking.services.access import Renamed
from expert_booking.services.feeds import FeedOwner
from expert_booking.services.idempotency import Answer
from expert_booking.services.mailbox import Mailbox
from tests.conftest import MONDAY_MORNING, AddExpert, Book, Clock

Connection = psycopg.Connection[tuple[Any, ...]]
SITE = Site(secret="of the tests alone")
RETENTION = timedelta(days=30)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
TOMORROW = MONDAY_MORNING + DAY
ADMIN = Caller(role=Role.ADMIN)
NOTHING = CustomerErased(erased=0, cancelled=0, kept=0)

# Columns that say nothing about a customer. A test fails for every column that is neither here nor erased: decide which
# it is. Personal data of a booking belongs into ERASED in db/customers.py. Tables with a `customer_key` are emptied.
IMPERSONAL = {
    "booking": {
        "id", "expert_id", "session_type_id", "starts_at", "ends_at", "busy", "status", "held_at", "hold_until",
        "hold_keeper", "answer_by", "reschedules", "title", "cancel_notice_minutes", "reschedule_notice_minutes",
        "max_reschedules", "key_version", "cap_day", "cap_place", "created_at", "updated_at", "version", "changed_by",
        "changed_with", "changed_at", "sequence", "wanted_emails", "verify_by", "verified_at", "answer_minutes",
        "wrong_codes", "series_id", "price_amount", "price_currency", "payment_note",
    },
    # `reason` is cleared.
    "booking_change": {
        "id", "booking_id", "expert_id", "at", "actor", "token_id", "from_status", "to_status", "from_starts_at",
        "to_starts_at", "reason", "freed", "override",
    },
    # Rows about erased bookings and the customer's access requests are deleted, and so are mails and stored responses.
    "message": set(metadata.tables["message"].c.keys()),
    "mailbox_mail": {"id", "recipient", "raw", "created_at"},
    "kept_answer": {"caller", "key", "fingerprint", "status", "headers", "body", "created_at", "customer"},
    # Deleted within minutes; the network is a keyed hash.
    "network_hold": {"id", "origin", "held_at"},
    # The same, and rows about erased bookings are deleted.
    "network_booking": {"origin", "booked_at", "booking_id"},
    "network_change": {"id", "booking_id", "origin", "changed_at"},
}  # fmt: skip
# Tables about experts, calendars and the site.
NOT_ABOUT_CUSTOMERS = {
    "assistant", "availability_rule", "block_series", "day_off", "expert", "expert_changed", "expert_free",
    "expert_next",
    "expert_photo", "former_slug", "installation", "override", "search_word", "session_type", "token",
}  # fmt: skip


@dataclass(frozen=True)
class Person:
    """A customer, and everything by which the database could know them."""

    name: str
    email: str
    phone: str
    notes: str
    reason: str
    zone: str
    browser: bytes
    network: bytes
    submission: UUID

    def traces(self) -> dict[str, str]:
        """What a scan of the database looks for, by name."""
        return {
            "name": self.name, "email": self.email.lower(), "phone": self.phone, "notes": self.notes,
            "reason": self.reason, "zone": self.zone, "browser": self.browser.hex(), "network": self.network.hex(),
            "submission": str(self.submission),
        }  # fmt: skip

    @property
    def caller(self) -> Caller:
        """The customer, who has proven the address."""
        return Caller(role=Role.CUSTOMER, customer_key=self.email.lower())


ADA = Person("Ada Lovelace", "Ada@example.com", "+44 20 7946 0000", "about my difficult boss", "I have caught a cold",
             "Asia/Kathmandu", b"a" * 32, b"\xa1" * 32, uuid4())  # fmt: skip
BOB = Person("Bob Baumann", "bob@example.org", "+49 30 1234567", "about a new flat", "The train is late",
             "Pacific/Chatham", b"b" * 32, b"\xb2" * 32, uuid4())  # fmt: skip


@pytest.fixture
def services(database: Database, clock: Clock) -> Services:
    """The services of a site whose emails go to its mailbox page."""
    bus = Bus()
    return Services(database, bus, clock, site=SITE, transport=Mailbox(database, bus), limits=NO_LIMITS)


@pytest.fixture
def with_retention(database: Database, clock: Clock) -> Services:
    """The services of a site that keeps data for 30 days."""
    return Services(database, clock=clock, site=Site(secret=SITE.secret, retention=RETENTION), limits=NO_LIMITS)


@pytest.fixture
async def expert(add_expert: AddExpert) -> UUID:
    """An expert who confirms bookings."""
    return await add_expert()


async def live_through(
    services: Services, book: Book, clock: Clock, expert: UUID, person: Person, at: datetime
) -> list[BookingView]:
    """Do everything that leaves data about a person. Returns the bookings: past, cancelled, rescheduled, pending."""
    facts = {"name": person.name, "email": person.email, "phone": person.phone, "notes": person.notes,
             "time_zone": person.zone, "visitor": person.browser}  # fmt: skip

    async def change(made: BookingView, to: Status, caller: Caller = ADMIN, reason: str = "") -> None:
        await services.bookings.change_status(made.id, to, caller, reason=reason)

    made = [await book(expert, at, submission=person.submission, **facts)]
    made += [await book(expert, at + days * DAY, **facts) for days in (1, 2, 3)]
    await change(made[0], Status.CONFIRMED)
    await change(made[1], Status.CANCELLED, person.caller, person.reason)
    await change(made[2], Status.CONFIRMED, ADMIN, f"Welcome {person.name}")
    await services.bookings.reschedule(made[2].id, at + 4 * DAY, person.caller, reason=person.reason)
    await services.outbox.drain()
    await services.holds.take(
        HoldRequest(expert_id=expert, starts_at=at + 5 * DAY), visitor=person.browser, origin=person.network
    )
    await services.access.request_access(person.email, origin=person.network, browser=person.browser)
    await services.outbox.drain()
    for bearer in ("browser", "program"):
        await services.access.redeem_link(await services.access.link_for(person.email), bearer)
    await services.feeds.open(FeedOwner(customer_key=person.email.lower()))
    await store_answer(services, person)
    return made


async def store_answer(services: Services, person: Person, text: str = "first") -> Answer:
    """Repeat a request of a program, and return its stored or new response."""

    async def work() -> Answer:
        return Answer(201, {}, json.dumps({"text": text, "name": person.name, "email": person.email}).encode())

    return await services.idempotency.once(person.network, "key", b"the same request", work)


def stored(sql: Connection) -> dict[str, str]:
    """All that is in the database as searchable text, by table and column."""
    columns = sql.execute(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = 'public'"
        " AND table_name <> 'alembic_version' ORDER BY 1, 2"
    ).fetchall()
    texts = {}
    for table, column in columns:
        values = sql.execute(f'SELECT "{column}" FROM "{table}"').fetchall()
        texts[f"{table}.{column}"] = "\n".join(_searchable(value) for (value,) in values)
    return texts


def _searchable(value: Any) -> str:
    if isinstance(value, bytes):
        if value.startswith((b"Subject:", b"From:", b"To:")):
            mail = message_from_bytes(value, policy=policy.default)
            parts = [
                part.get_content() for part in mail.walk() if part.get_content_maintype() in ("text", "application")
            ]
            value = "".join(part if isinstance(part, str) else part.decode() for part in parts) + str(mail["To"])
            return re.sub(r"\r?\n ", "", value)
        return value.hex()
    return str(value)


def traces_of(person: Person, sql: Connection) -> dict[str, list[str]]:
    """Where each trace of a person is found in the database."""
    texts = stored(sql)
    return {
        name: [place for place, text in texts.items() if trace.lower() in text.lower()]
        for name, trace in person.traces().items()
    }


def left_of(person: Person, sql: Connection) -> dict[str, list[str]]:
    """The traces of a person that are left."""
    # The hash of a network says nothing about one of its people, and is deleted within minutes.
    found = {name: set(places) - {"network_hold.origin"} for name, places in traces_of(person, sql).items()}
    return {name: sorted(places) for name, places in found.items() if places}


def row_of(sql: Connection, columns: str, booking_id: UUID) -> tuple[Any, ...]:
    """These columns of a booking."""
    row = sql.execute(f"SELECT {columns} FROM booking WHERE id = %s", [booking_id]).fetchone()
    assert row is not None
    return row


async def erase(services: Services, person: Person = ADA, **how: Any) -> CustomerErased:
    """Erase a person at their own request."""
    return await services.customers.erase(person.email, by=Actor.CUSTOMER, **how)


# --- nothing is forgotten ---------------------------------------------------------------------------------------------


def test_every_column_is_erased_or_says_nothing_about_customers() -> None:
    emptied = {table.name for table in OF_AN_ADDRESS}
    undecided = [
        f"{table.name}.{column}"
        for table in metadata.sorted_tables
        if table.name not in emptied | NOT_ABOUT_CUSTOMERS
        for column in set(table.c.keys()) - IMPERSONAL.get(table.name, set())
        if table.name != "booking" or column not in ERASED
    ]
    assert undecided == [], "add them to ERASED in db/customers.py, or above if they say nothing about a customer"


async def test_erasing_leaves_no_trace_of_the_person_in_any_table(
    services: Services, book: Book, clock: Clock, expert: UUID, sql: Connection
) -> None:
    made = await live_through(services, book, clock, expert, ADA, TOMORROW)
    await live_through(services, book, clock, expert, BOB, TOMORROW + HOUR)
    found = traces_of(ADA, sql)
    assert all(found.values()), "the test itself has to find every trace"
    assert {"booking.name", "mailbox_mail.raw"} <= set(found["name"])
    assert {"booking.email", "booking.customer_key", "feed.customer_key", "access_proof.email",
            "access_request.email", "mailbox_mail.recipient"} <= set(found["email"])  # fmt: skip
    assert "booking_change.reason" in found["reason"]
    clock.now = TOMORROW + 2 * HOUR  # the first session is over
    kept = "id, starts_at, ends_at, busy, title"
    before, others = [row_of(sql, kept, one.id) for one in made], traces_of(BOB, sql)

    assert await erase(services) == CustomerErased(erased=4, cancelled=2, kept=0)
    await services.outbox.drain()
    assert left_of(ADA, sql) == {}
    assert traces_of(BOB, sql) == others
    assert [row_of(sql, kept, one.id) for one in made] == before
    assert [row_of(sql, "status", one.id)[0] for one in made] == ["confirmed", "cancelled", "cancelled", "cancelled"]
    # What happened stays, without a person.
    changes = await services.bookings.history(made[1].id, ADMIN)
    assert [(c.actor, c.to_status, c.reason) for c in changes.changes] == [
        ("customer", "pending", ""), ("customer", "cancelled", ""),
    ]  # fmt: skip
    changes = await services.bookings.history(made[2].id, ADMIN)
    assert [(c.to_status, c.reason) for c in changes.changes] == [
        ("pending", ""), ("confirmed", ""), ("confirmed", ""), ("cancelled", REASON),
    ]  # fmt: skip


async def test_stored_response_with_the_erased_address_is_not_returned_again(services: Services) -> None:
    for person in (ADA, BOB):
        await store_answer(services, person, "first")
    await erase(services)
    answers = [await store_answer(services, person, "second") for person in (ADA, BOB)]
    assert [json.loads(answer.body)["text"] for answer in answers] == ["second", "first"]


async def test_export_contains_every_trace_of_the_person_and_none_of_others(
    services: Services, book: Book, clock: Clock, expert: UUID
) -> None:
    made = await live_through(services, book, clock, expert, ADA, TOMORROW)
    await live_through(services, book, clock, expert, BOB, TOMORROW + HOUR)
    data = await services.customers.data("ADA@example.com")
    text = data.model_dump_json(by_alias=True)
    assert [name for name, trace in ADA.traces().items() if trace.lower() not in text.lower()] == []
    assert [name for name, trace in BOB.traces().items() if trace.lower() in text.lower()] == []
    assert {booking.id for booking in data.bookings} == {one.id for one in made}
    cancelled = next(booking for booking in data.bookings if booking.id == made[1].id)
    assert [change.reason for change in cancelled.history] == ["", ADA.reason]
    assert {(email.kind, email.audience, email.state) for email in cancelled.emails} == {
        (kind, audience, "sent") for kind in ("received", "cancelled") for audience in ("customer", "expert")
    }
    sections = (data.holds, data.calendar_feeds, data.access_requests, data.stored_responses, data.mailbox)
    assert all(sections)
    assert sorted(proof.kind for proof in data.proofs) == ["browser", "program"]
    assert not re.search("secret|hash", text, re.IGNORECASE)


async def test_export_of_an_unknown_address_has_the_same_shape_and_is_empty(services: Services) -> None:
    data = (await services.customers.data("nobody@example.com")).model_dump()
    assert [value for name, value in data.items() if name not in ("email", "exported_at") and value] == []


@pytest.mark.parametrize("wrong", ["", "ada", "ada@", "a\x00@example.com", "@example.com"])
async def test_invalid_address_is_refused(services: Services, wrong: str) -> None:
    for use in (services.customers.data(wrong), services.customers.erase(wrong, by=Actor.ADMIN)):
        with pytest.raises(FieldsWrong) as refused:
            await use
        assert set(refused.value.errors) == {"email"}


# --- upcoming bookings ------------------------------------------------------------------------------------------------


async def test_expert_is_told_of_cancelled_bookings_without_the_person_and_the_customer_is_not(
    services: Services, book: Book, clock: Clock, expert: UUID, sql: Connection
) -> None:
    made = await live_through(services, book, clock, expert, ADA, TOMORROW)
    assert services.mailbox is not None
    sql.execute("DELETE FROM mailbox_mail")
    await erase(services)
    await services.outbox.drain()
    mails = [await services.mailbox.open(mail.id) for mail in await services.mailbox.latest()]
    assert len(mails) == 3
    for mail in mails:
        assert ("jana@example.com" in mail.recipient, mail.kind) == (True, "cancelled")
        assert "The customer has asked for their data to be deleted." in mail.text
        assert mail.subject.endswith("Consultation with Deleted customer")
        assert not any(name in ("Reply-To", "Cc") for name, _ in mail.headers)
        [event] = Calendar.from_ical(mail.calendar or b"").walk("VEVENT")
        assert (str(event["STATUS"]), str(event["SUMMARY"])) == ("CANCELLED", "Consultation with Deleted customer")
    assert {UUID(mail.text.split("/booking/")[1][:36]) for mail in mails} == {made[0].id, made[2].id, made[3].id}
    assert left_of(ADA, sql) == {}


async def test_cancellation_by_an_erasure_ignores_the_terms_and_frees_the_time(
    services: Services, book: Book, clock: Clock, add_expert: AddExpert
) -> None:
    strict = await add_expert(cancel_notice_minutes=7 * 24 * 60)
    await book(strict, TOMORROW, email=ADA.email)
    assert (await erase(services)).cancelled == 1
    await book(strict, TOMORROW, email=BOB.email)


async def test_session_in_progress_is_not_cancelled(
    services: Services, book: Book, clock: Clock, expert: UUID, sql: Connection
) -> None:
    made = await book(expert, TOMORROW, email=ADA.email)
    await services.bookings.change_status(made.id, Status.CONFIRMED, ADMIN)
    clock.now = TOMORROW + HOUR / 2
    assert await erase(services) == CustomerErased(erased=1, cancelled=0, kept=0)
    assert row_of(sql, "status, name, email", made.id) == ("confirmed", "", "")


async def test_kept_bookings_stay_as_they_are_and_are_erased_once_they_are_over(
    services: Services, book: Book, clock: Clock, expert: UUID, sql: Connection
) -> None:
    made = await live_through(services, book, clock, expert, ADA, TOMORROW)
    clock.now = TOMORROW + 2 * HOUR
    columns = "status, name, email, phone, notes, visitor, version, key_version, starts_at"
    before = [row_of(sql, columns, one.id) for one in made]
    emails = sql.execute("SELECT booking_id, count(*) FROM message WHERE booking_id = ANY(%s) GROUP BY 1 ORDER BY 1",
                         [[made[2].id, made[3].id]]).fetchall()  # fmt: skip
    assert await erase(services, keep_upcoming=True) == CustomerErased(erased=2, cancelled=0, kept=2)
    after = [row_of(sql, columns, one.id) for one in made]
    assert after[2:] == before[2:]
    assert [row[1:6] for row in after[:2]] == [("", "", None, "", None)] * 2
    assert sql.execute("SELECT booking_id, count(*) FROM message WHERE booking_id = ANY(%s) GROUP BY 1 ORDER BY 1",
                       [[made[2].id, made[3].id]]).fetchall() == emails  # fmt: skip
    for table in ("access_proof", "access_request", "feed", "kept_answer"):
        assert sql.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table
    # Sign-in and reminders still work for what stays.
    assert (await services.customers.data(ADA.email)).bookings
    await services.bookings.change_status(made[3].id, Status.CANCELLED, ADMIN, reason=ADA.reason)
    assert await erase(services, keep_upcoming=True) == CustomerErased(erased=1, cancelled=0, kept=1)

    clock.now = TOMORROW + 4 * DAY + HOUR / 2
    await services.deadlines.sweep()
    assert left_of(ADA, sql)
    clock.advance(hours=1)
    await services.deadlines.sweep()
    await services.outbox.drain()
    assert left_of(ADA, sql) == {}
    assert row_of(sql, "status, erase_when_over", made[2].id) == ("confirmed", False)


# --- repeated and concurrent ------------------------------------------------------------------------------------------


async def test_second_erasure_changes_nothing(
    services: Services, book: Book, clock: Clock, expert: UUID, sql: Connection
) -> None:
    await live_through(services, book, clock, expert, ADA, TOMORROW)
    await erase(services)
    before = stored(sql)
    assert await erase(services) == NOTHING
    assert await erase(services, keep_upcoming=True) == NOTHING
    assert stored(sql) == before


async def test_booking_at_the_same_time_is_either_erased_and_cancelled_or_untouched(
    services: Services, book: Book, expert: UUID, sql: Connection
) -> None:
    starts = [TOMORROW + days * DAY + hours * HOUR for days in range(5) for hours in range(6)]
    bookings = [book(expert, at, email=ADA.email, name=ADA.name) for at in starts]
    erasures = [erase(services) for _ in range(6)]
    mixed = [job for group in zip(*[iter(bookings)] * 5, erasures, strict=True) for job in group]
    await asyncio.gather(*mixed)
    rows = sql.execute("SELECT status, name, email, customer_key, phone FROM booking").fetchall()
    assert len(rows) == len(starts)
    assert set(rows) <= {
        ("cancelled", "", "", "", None), ("pending", ADA.name, ADA.email, ADA.email.lower(), "+442079460000"),
    }  # fmt: skip
    await erase(services)
    await services.outbox.drain()
    assert left_of(ADA, sql).keys() <= {"phone"}  # of nobody: the default number is not part of this test
    assert sql.execute("SELECT count(*) FROM message WHERE audience = 'customer'").fetchone() == (0,)


async def test_concurrent_change_by_a_host_and_signing_in_leave_no_trace(
    services: Services, book: Book, clock: Clock, expert: UUID, sql: Connection
) -> None:
    made = await live_through(services, book, clock, expert, ADA, TOMORROW)
    links = [await services.access.link_for(ADA.email) for _ in range(4)]
    jobs: list[Any] = [services.access.redeem_link(link, "browser") for link in links]
    jobs += [services.bookings.change_status(one.id, Status.CANCELLED, ADMIN, reason=ADA.reason) for one in made]
    jobs[2:2] = [erase(services), services.access.leave_browser(Renamed(ADA.browser, b"n" * 32))]
    done = await asyncio.gather(*jobs, return_exceptions=True)
    assert [one for one in done if isinstance(one, Exception) and type(one).__name__ not in
            ("LinkNotValid", "StatusChangeNotAllowed")] == []  # fmt: skip
    # A host who was slower than the erasure may have given a reason of their own afterwards, or been refused. A hold of
    # a browser that got a new id in the meantime names nobody, and its network is deleted when it expires.
    left = left_of(ADA, sql)
    assert left.keys() <= {"reason", "email", "network"}, left
    assert left.get("network", []) in ([], ["booking.hold_origin"])
    await erase(services)


# --- afterwards -------------------------------------------------------------------------------------------------------


async def test_hosts_see_an_erased_booking_without_a_name_everywhere(
    services: Services, book: Book, clock: Clock, expert: UUID, sql: Connection
) -> None:
    made = (await live_through(services, book, clock, expert, ADA, TOMORROW))[0]
    clock.now = TOMORROW + 2 * HOUR
    await erase(services)
    seen = await services.bookings.get(made.id, ADMIN)
    assert (seen.name, seen.email, seen.phone, seen.notes, seen.time_zone, seen.mail) == (
        None,
        None,
        None,
        "",
        None,
        None,
    )
    page = await services.booking_lists.find(BookingQuery(expert_id=expert), ADMIN)
    assert made.id in [getattr(one, "id", None) for one in page.bookings]
    url = await services.feeds.open(FeedOwner(expert_id=expert))
    feed = await services.feeds.content(url.rpartition("/")[2].removesuffix(".ics"))
    assert b"Consultation with Deleted customer" in feed.body
    assert b"Deleted customer" in await services.feeds.booking_file(seen, Audience.EXPERT)
    # The expert can still say how it went, and that is recorded.
    done = await services.bookings.change_status(made.id, Status.COMPLETED, ADMIN)
    assert (done.status, done.name) == (Status.COMPLETED, None)
    history = await services.bookings.history(made.id, ADMIN)
    assert [change.to_status for change in history.changes] == ["pending", "confirmed", "completed"]


async def test_erased_booking_cannot_be_rescheduled(services: Services, book: Book, clock: Clock, expert: UUID) -> None:
    made = await book(expert, TOMORROW, email=ADA.email)
    await services.bookings.change_status(made.id, Status.CONFIRMED, ADMIN)
    clock.now = TOMORROW + HOUR / 2
    await erase(services)
    with pytest.raises(RescheduleNotAllowed):
        await services.bookings.reschedule(made.id, TOMORROW + 3 * HOUR, ADMIN)


async def test_links_tokens_browser_and_proofs_of_the_customer_no_longer_open_the_booking(
    services: Services, book: Book, clock: Clock, expert: UUID
) -> None:
    made = (await live_through(services, book, clock, expert, ADA, TOMORROW))[0]
    token = await services.tokens.identify(services.tokens.for_booking(made.id))
    callers = [token, ADA.caller, Caller(role=Role.CUSTOMER, visitor=ADA.browser)]
    for caller in callers:
        assert (await services.bookings.get(made.id, caller)).id == made.id
    await erase(services)
    for caller in (*callers, Caller(role=Role.CUSTOMER, customer_key="")):
        with pytest.raises(BookingNotFound):
            await services.bookings.get(made.id, caller)
    assert await services.bookings.for_customer(ADA.email.lower()) == []
    assert await services.bookings.for_visitor(ADA.browser) == []


async def test_erased_booking_that_has_expired_is_not_deleted_like_a_hold(
    services: Services, book: Book, clock: Clock, expert: UUID, sql: Connection
) -> None:
    made = await book(expert, TOMORROW, email=ADA.email)
    clock.now = TOMORROW
    await services.deadlines.drain()
    await erase(services)
    sql.execute("UPDATE booking SET updated_at = '2020-01-01'")
    await services.deadlines.sweep()
    assert row_of(sql, "status, email", made.id) == ("expired", "")


async def test_new_booking_of_an_erased_address_is_a_new_customer(
    services: Services, book: Book, clock: Clock, expert: UUID
) -> None:
    await live_through(services, book, clock, expert, ADA, TOMORROW)
    await erase(services)
    again = await book(expert, TOMORROW, email=ADA.email, name="Ada Byron")
    assert [one.id for one in await services.bookings.for_customer(ADA.email.lower())] == [again.id]


# --- retention --------------------------------------------------------------------------------------------------------


async def test_sessions_are_erased_after_the_retention_period_and_not_before(
    services: Services, with_retention: Services, book: Book, clock: Clock, expert: UUID, sql: Connection
) -> None:
    made = await live_through(services, book, clock, expert, ADA, TOMORROW)
    await live_through(services, book, clock, expert, BOB, TOMORROW + HOUR)
    latest = await book(expert, TOMORROW + 6 * DAY + 2 * HOUR, email=BOB.email, name=BOB.name, phone=BOB.phone)
    clock.now = latest.ends_at + RETENTION - HOUR
    await services.deadlines.drain()
    await services.deadlines.sweep()
    assert all(row_of(sql, "name", one.id) == (ADA.name,) for one in made)  # a site without a retention period
    await with_retention.deadlines.sweep()
    await services.outbox.sweep()
    await services.outbox.drain()
    assert left_of(ADA, sql) == {}
    assert row_of(sql, "name, email", latest.id) == (BOB.name, BOB.email)
    assert [row_of(sql, "status", one.id)[0] for one in made] == ["confirmed", "cancelled", "confirmed", "expired"]
    assert sql.execute("SELECT customer_key FROM feed").fetchall() == [(BOB.email,)]
    clock.advance(hours=2)
    await with_retention.deadlines.sweep()
    assert row_of(sql, "name, email, changed_by", latest.id) == ("", "", "system")
    assert sql.execute("SELECT count(*) FROM feed").fetchone() == (0,)


async def test_many_old_sessions_are_erased_in_bounded_batches_by_two_processes(
    with_retention: Services, database: Database, clock: Clock, expert: UUID, sql: Connection
) -> None:
    sql.execute(
        "INSERT INTO booking (expert_id, session_type_id, starts_at, ends_at, busy, status, name, email, customer_key)"
        " SELECT expert_id, id, at, at + interval '1 hour', tstzrange(at, at + interval '1 hour'), 'cancelled', 'Ada',"
        " 'ada@example.com', 'ada@example.com' FROM session_type, generate_series(1, 450) AS n,"
        " LATERAL (SELECT timestamptz '2026-01-01' + n * interval '1 hour') AS t (at)"
    )
    other = Services(database, clock=clock, site=Site(retention=RETENTION), limits=NO_LIMITS)
    await asyncio.gather(with_retention.deadlines.sweep(), other.deadlines.sweep())
    assert sql.execute("SELECT DISTINCT name, email, customer_key, version FROM booking").fetchall() == [
        ("", "", "", 2)
    ]


# --- the history ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "edit",
    [
        "UPDATE booking_change SET actor = 'system'",
        "UPDATE booking_change SET reason = '', to_status = 'confirmed'",
        "UPDATE booking_change SET reason = 'x'",
        "DELETE FROM booking_change",
        "TRUNCATE booking_change",
    ],
)
async def test_history_cannot_be_edited_by_a_transaction_that_may_clear_reasons(
    book: Book, expert: UUID, sql: Connection, edit: str
) -> None:
    await book(expert, TOMORROW)
    sql.execute("SET expert_booking.erasing = 'on'")
    with pytest.raises(psycopg.errors.RaiseException, match="not changed afterwards"):
        sql.execute(edit)
    sql.execute("UPDATE booking_change SET reason = ''")
