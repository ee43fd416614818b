"""Calendar feeds and the file of one booking have the same entries as the emails."""

import asyncio
from collections.abc import Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from icalendar import Calendar, Event

from expert_booking.db.engine import Database
from expert_booking.domain.email_schedule import Audience, MessageKind
from expert_booking.domain.errors import BookingNotFound, FeedNotFound
from expert_booking.domain.lifecycle import Actor, Status
from expert_booking.domain.signed_keys import SignedKeys
from expert_booking.domain.site import Site
from expert_booking.mail.compose import compose_booking_email
from expert_booking.schemas import BookingView, Caller, Role
from expert_booking.services import Services
from expert_booking.services.feeds import CalendarFile, FeedOwner
from tests.conftest import AddExpert, Book, Clock
from tests.mail.samples import booking_email, parsed, part_of
from tests.services.conftest import Counted

Connection = psycopg.Connection[tuple[Any, ...]]
NINE = datetime(2026, 11, 24, 8, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SITE = Site(secret="s" * 32, url="https://booking.example.com", sender="The Site <booking@site.example>")
ADA = FeedOwner(customer_key="ada@example.com")
ADMIN = Caller(role=Role.ADMIN)


@pytest.fixture
def services(database: Database, clock: Clock) -> Services:
    """The services of a site with its own URL and secret."""
    return Services(database, clock=clock, site=SITE)


async def read(services: Services, url: str) -> CalendarFile:
    """The file that a calendar program gets at this URL."""
    key = url.removeprefix("https://booking.example.com/feeds/").removesuffix(".ics")
    return await services.feeds.content(key)


async def events(services: Services, owner: FeedOwner) -> dict[str, Event]:
    """The events in this owner's feed, by UID."""
    file = await read(services, await services.feeds.open(owner))
    return {str(event["UID"]): event for event in walk(file.body)}


def walk(body: bytes) -> Iterator[Event]:
    """The events of a file."""
    for event in Calendar.from_ical(body).walk("VEVENT"):
        assert isinstance(event, Event)
        yield event


def installation_of(sql: Connection) -> UUID:
    """The installation id of the database."""
    row = sql.execute("SELECT id FROM installation").fetchone()
    assert row is not None
    return UUID(str(row[0]))


async def turns_of_other_tasks(work: Coroutine[Any, Any, object]) -> int:
    """How often another task runs while this work is done."""
    task, turns = asyncio.create_task(work), 0
    while not task.done():
        await asyncio.sleep(0.005)
        turns += 1
    await task
    return turns


# --- feed URLs --------------------------------------------------------------------------------------------------


async def test_feed_is_created_on_first_use_and_stays_the_same(services: Services, add_expert: AddExpert) -> None:
    jana = FeedOwner(expert_id=await add_expert())
    for owner in (ADA, jana):
        assert await services.feeds.url(owner) is None
        opened = await services.feeds.open(owner)
        assert opened.startswith("https://booking.example.com/feeds/")
        assert opened.endswith(".ics")
        assert {await services.feeds.open(owner), await services.feeds.url(owner)} == {opened}
    assert await services.feeds.open(ADA) != await services.feeds.open(jana)


async def test_concurrent_first_uses_get_the_same_feed(services: Services) -> None:
    assert len(set(await asyncio.gather(*(services.feeds.open(ADA) for _ in range(12))))) == 1


async def test_renewing_a_feed_revokes_its_old_address(services: Services) -> None:
    old = await services.feeds.open(ADA)
    new = await services.feeds.renew(ADA)
    assert new != old
    assert await services.feeds.url(ADA) == new
    await read(services, new)
    with pytest.raises(FeedNotFound):
        await read(services, old)


async def test_feed_can_be_renewed_before_it_exists(services: Services) -> None:
    await read(services, await services.feeds.renew(ADA))


async def test_closed_feed_address_never_works_again(services: Services) -> None:
    url = await services.feeds.open(ADA)
    await services.feeds.close(ADA)
    await services.feeds.close(ADA)
    assert await services.feeds.url(ADA) is None
    with pytest.raises(FeedNotFound):
        await read(services, url)
    assert await services.feeds.open(ADA) != url
    with pytest.raises(FeedNotFound):
        await read(services, url)


@pytest.mark.parametrize("wrong", ["", "x", "\x00", "x" * 48, "ü" * 48, "../../etc", "x" * 100_000])
async def test_malformed_address_is_not_found(services: Services, wrong: str) -> None:
    await services.feeds.open(ADA)
    with pytest.raises(FeedNotFound):
        await services.feeds.content(wrong)


async def test_ids_other_keys_and_keys_of_another_site_open_no_feed(
    services: Services, sql: Connection, database: Database, clock: Clock
) -> None:
    url = await services.feeds.open(ADA)
    row = sql.execute("SELECT id, feed::text FROM feed").fetchone()
    assert row is not None
    keys, others = SignedKeys(SITE.secret), SignedKeys("t" * 32)
    assert keys.feed(row[0]) in url
    # The database contains neither the URL nor a part of it.
    assert keys.feed(row[0]) not in row[1]
    for wrong in (
        str(row[0]),
        keys.booking(row[0]),
        keys.link(row[0]),
        others.feed(row[0]),
        keys.feed(uuid4()),
    ):
        with pytest.raises(FeedNotFound):
            await services.feeds.content(wrong)
    copied = Services(database, clock=clock, site=Site(secret="t" * 32))
    with pytest.raises(FeedNotFound):
        await copied.feeds.content(keys.feed(row[0]))


async def test_feed_of_a_deleted_expert_is_not_found(
    services: Services, add_expert: AddExpert, sql: Connection
) -> None:
    url = await services.feeds.open(FeedOwner(expert_id=await add_expert()))
    sql.execute("DELETE FROM expert")
    with pytest.raises(FeedNotFound):
        await read(services, url)


def test_feed_belongs_to_exactly_one_owner() -> None:
    for wrong in ({}, {"customer_key": "ada@example.com", "expert_id": uuid4()}):
        with pytest.raises(ValueError, match="customer"):
            FeedOwner(**wrong)  # type: ignore[arg-type]


# --- content ----------------------------------------------------------------------------------------------------


async def test_customer_feed_contains_only_their_own_bookings(
    services: Services, add_expert: AddExpert, book: Book
) -> None:
    expert = await add_expert()
    own_booking = await book(expert, NINE, email="ADA@Example.com", notes="my notes")
    await book(expert, NINE + HOUR, email="eve@example.com", name="Eve", phone="+1 202 555 0100", notes="her notes")
    [(uid, event)] = (await events(services, ADA)).items()
    assert uid.startswith(f"{own_booking.id}@")
    assert (event["SUMMARY"], event["STATUS"]) == ("Consultation with Jana Müller", "TENTATIVE")
    file = (await read(services, await services.feeds.open(ADA))).body
    for secret in (b"Eve", b"eve@", b"0100", b"her notes", b"jana@example.com", b"?key="):
        assert secret not in file
    assert Calendar.from_ical(file)["X-WR-CALNAME"] == "The Site"
    assert (
        list(walk((await read(services, await services.feeds.open(FeedOwner(customer_key="x@y.example")))).body)) == []
    )


async def test_expert_feed_names_the_customers(services: Services, add_expert: AddExpert, book: Book) -> None:
    expert, other = await add_expert(), await add_expert(name="Omar Haddad", email="omar@example.com")
    await book(expert, NINE, notes="my notes")
    await book(other, NINE, name="Eve")
    owner = FeedOwner(expert_id=expert)
    [event] = (await events(services, owner)).values()
    assert event["SUMMARY"] == "Consultation with Ada Lovelace"
    for fact in ("Ada Lovelace", "ada@example.com", "+44 20 7946 0000", "my notes"):
        assert fact in event["DESCRIPTION"]
    assert "ATTENDEE" not in event
    assert event["ORGANIZER"] == "mailto:booking@site.example"
    body = (await read(services, await services.feeds.open(owner))).body
    assert Calendar.from_ical(body)["X-WR-CALNAME"] == "The Site: Jana Müller"


async def test_entry_keeps_its_uid_and_counts_revisions_until_cancelled(
    services: Services, add_expert: AddExpert, book: Book
) -> None:
    booking = await book(await add_expert(), NINE)
    [(uid, made)] = (await events(services, ADA)).items()
    await services.bookings.change_status(booking.id, Status.CONFIRMED, ADMIN)
    await services.bookings.reschedule(booking.id, NINE + DAY, ADMIN)
    [(uid_then, rescheduled)] = (await events(services, ADA)).items()
    assert uid_then == uid
    assert (made["SEQUENCE"], rescheduled["SEQUENCE"]) == (0, 1)
    assert (made["STATUS"], rescheduled["STATUS"]) == ("TENTATIVE", "CONFIRMED")
    assert rescheduled.decoded("DTSTART") == NINE + DAY
    cancelled = await services.bookings.change_status(booking.id, Status.CANCELLED, ADMIN)
    assert await events(services, ADA) == {}
    [event] = walk(await services.feeds.booking_file(cancelled))
    assert (event["UID"], event["SEQUENCE"], event["STATUS"]) == (uid, 2, "CANCELLED")


async def test_emails_downloads_and_feeds_contain_the_same_entry(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock, sql: Connection
) -> None:
    booking = await book(await add_expert(), NINE, time_zone="Europe/London")
    clock.advance(hours=1)
    rescheduled = await services.bookings.reschedule(booking.id, NINE + DAY, ADMIN)
    row = sql.execute("SELECT sequence, changed_at FROM booking").fetchone()
    assert row is not None
    content = booking_email(
        MessageKind.RESCHEDULED, Audience.CUSTOMER, Actor.ADMIN, status=Status.PENDING, starts_at=rescheduled.starts_at,
        booking_id=rescheduled.id, sequence=row[0], changed_at=row[1], previous_starts_at=NINE,
    )  # fmt: skip
    number = installation_of(sql)
    mail = part_of(
        parsed(compose_booking_email(content, SITE, installation=number, message_id="<1@x.example>", now=clock())),
        "text/calendar",
    )
    assert mail is not None
    [in_mail] = walk(mail.get_content().encode())
    [in_file] = walk(await services.feeds.booking_file(rescheduled))
    [in_feed] = (await events(services, ADA)).values()
    for other in (in_file, in_feed):
        for name in ("UID", "SEQUENCE", "DTSTAMP", "LAST-MODIFIED", "DTSTART", "DTEND", "STATUS", "SUMMARY", "URL",
                     "ORGANIZER"):  # fmt: skip
            assert other[name].to_ical() == in_mail[name].to_ical(), name
    assert in_file["DESCRIPTION"] == in_mail["DESCRIPTION"]
    assert in_mail.decoded("DTSTAMP") == clock()


async def test_another_installation_has_another_uid_for_the_same_booking(
    services: Services, add_expert: AddExpert, book: Book, sql: Connection
) -> None:
    booking = await book(await add_expert(), NINE)
    [event] = walk(await services.feeds.booking_file(booking))
    assert event["UID"] == f"{booking.id}@{installation_of(sql)}"
    sql.execute("UPDATE installation SET id = gen_random_uuid()")
    [elsewhere] = walk(await services.feeds.booking_file(booking))
    assert elsewhere["UID"] != event["UID"]


async def test_declined_expired_and_held_are_excluded_and_past_bookings_stay_for_a_while(
    services: Services, add_expert: AddExpert, book: Book, sql: Connection, clock: Clock
) -> None:
    expert = await add_expert()
    for number, status in enumerate(("declined", "expired", "cancelled", "no_show", "completed", "confirmed")):
        made = await book(expert, NINE + number * HOUR)
        sql.execute("UPDATE booking SET status = %s WHERE id = %s", (status, made.id))
    for owner in (ADA, FeedOwner(expert_id=expert)):
        kept = {event.decoded("DTSTART") for event in (await events(services, owner)).values()}
        assert kept == {NINE + 4 * HOUR, NINE + 5 * HOUR}
    clock.now = NINE + 90 * DAY + 5 * HOUR
    assert [event.decoded("DTSTART") for event in (await events(services, ADA)).values()] == [NINE + 5 * HOUR]


async def test_feed_is_byte_identical_until_something_changes(
    services: Services, add_expert: AddExpert, book: Book, clock: Clock
) -> None:
    expert = await add_expert()
    bookings = [await book(expert, NINE + number * HOUR) for number in range(3)]
    url = await services.feeds.open(ADA)
    first = await read(services, url)
    clock.advance(hours=2)
    assert await read(services, url) == first
    await services.bookings.change_status(bookings[0].id, Status.CONFIRMED, ADMIN)
    changed = await read(services, url)
    assert changed.etag != first.etag
    assert first.etag.startswith('"')
    assert first.etag.endswith('"')


async def test_feed_of_any_size_takes_two_statements_and_is_limited(
    services: Services, add_expert: AddExpert, book: Book, sql: Connection, counted: Counted
) -> None:
    expert = await add_expert()
    await book(expert, NINE)
    url = await services.feeds.open(FeedOwner(expert_id=expert))
    with counted() as few:
        await read(services, url)
    sql.execute(
        """INSERT INTO booking (id, expert_id, session_type_id, starts_at, ends_at, busy, status, name, email,
                                customer_key)
           SELECT gen_random_uuid(), expert_id, session_type_id, at, at + '1 minute', tstzrange(at, at + '1 minute'),
                  'confirmed', 'Ada', 'ada@example.com', 'ada@example.com'
             FROM booking, generate_series(%s::timestamptz, %s::timestamptz, '10 minutes') AS at""",
        (NINE + DAY, NINE + 8 * DAY),
    )
    with counted() as many:
        body = (await read(services, url)).body
    assert len([statement for statement in many if "SELECT" in statement]) == 2
    # Other tasks keep running: a file composed on the event loop would leave them two turns.
    assert await turns_of_other_tasks(read(services, url)) > 8
    assert len(many) == len(few)
    starts = [event.decoded("DTSTART") for event in walk(body)]
    assert len(starts) == 1000
    # The earliest events are left out.
    assert max(starts) == NINE + 8 * DAY


async def test_booking_file_has_the_key_only_for_its_customer(
    services: Services, add_expert: AddExpert, book: Book
) -> None:
    booking = await book(await add_expert(), NINE, notes="my notes")
    own, experts = (
        await services.feeds.booking_file(booking),
        await services.feeds.booking_file(booking, Audience.EXPERT),
    )
    [own_booking], [expert_event] = list(walk(own)), list(walk(experts))
    assert f"/booking/{booking.id}?key={SignedKeys(SITE.secret).booking(booking.id)}" in own_booking["DESCRIPTION"]
    assert "key=" not in expert_event["DESCRIPTION"]
    assert "my notes" in expert_event["DESCRIPTION"]
    assert own_booking["URL"] == expert_event["URL"] == f"https://booking.example.com/booking/{booking.id}"
    assert Calendar.from_ical(own)["METHOD"] == "PUBLISH"


async def test_deleted_booking_has_no_file(
    services: Services, add_expert: AddExpert, book: Book, sql: Connection
) -> None:
    booking: BookingView = await book(await add_expert(), NINE)
    sql.execute("DELETE FROM booking")
    with pytest.raises(BookingNotFound):
        await services.feeds.booking_file(booking)
