"""What an expert decides about the profile: slug, directory, emails and photo; and lost updates."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any
from uuid import UUID

import psycopg
import pytest
from PIL import Image

from expert_booking.db.engine import Database
from expert_booking.domain.errors import (
    ExpertNotFound,
    FieldsWrong,
    PhotoNotFound,
    ProfileChanged,
    SlugTaken,
)
from expert_booking.domain.lifecycle import Status
from expert_booking.domain.site import Site
from expert_booking.schemas import Caller, ExpertChange, ExpertQuery, ExpertSort, PhotoView, Role, TokenRequest
from expert_booking.services import Services
from expert_booking.services.calendars import CalendarKey
from tests.conftest import AddExpert, Book, Clock, booking_request, expert_request
from tests.mail_server import MailServer
from tests.pictures import picture
from tests.services.conftest import Counted

Connection = psycopg.Connection[tuple[Any, ...]]
ADMIN = Caller(role=Role.ADMIN)
NINE = datetime(2026, 11, 24, 8, tzinfo=UTC)  # 09:00 in Berlin
HOUR = timedelta(hours=1)


@pytest.fixture
async def jana(add_expert: AddExpert) -> UUID:
    """An expert with the slug `jana-muller`."""
    return await add_expert()


@pytest.fixture
async def sending(database_url: str, clock: Clock, mail_server: MailServer) -> AsyncIterator[Services]:
    """The services of a process with a mail server."""
    database = Database(database_url)
    yield Services(database, clock=clock, site=Site(secret="of the tests alone"), transport=mail_server.transport())
    await database.close()


async def change(services: Services, expert: UUID, **changes: Any) -> None:
    """Change fields of an expert."""
    await services.calendars.change_expert(CalendarKey(expert), ExpertChange(**changes))


# --- slugs ------------------------------------------------------------------------------------------------------


async def test_an_old_slug_leads_to_the_expert(services: Services, jana: UUID) -> None:
    for slug in ("jana", "jana-coach"):
        await change(services, jana, slug=slug)
    for slug in ("jana-muller", "jana", "jana-coach"):
        assert (await services.experts.get(slug)).slug == "jana-coach"
        assert await services.experts.id_of(slug) == jana
        assert (await services.calendars.key(slug, ADMIN)).expert_id == jana
        assert await services.experts.portrait_key(slug) == "jana-coach"
    await services.tokens.create(TokenRequest(name="jana", role=Role.EXPERT, expert="jana-muller"))


async def test_no_one_else_gets_a_slug_that_is_or_was_in_use(
    services: Services, jana: UUID, add_expert: AddExpert, sql: Connection
) -> None:
    omar = await add_expert(name="Omar Haddad", email="omar@example.com")
    await change(services, jana, slug="jana")
    for slug in ("jana", "jana-muller"):
        with pytest.raises(SlugTaken):
            await change(services, omar, slug=slug)
        with pytest.raises(SlugTaken):
            await services.experts.add(expert_request(slug=slug))
        with pytest.raises(psycopg.errors.UniqueViolation):
            sql.execute("UPDATE expert SET slug = %s WHERE id = %s", (slug, omar))
    # A name that would give it, or sample data that has it.
    assert (await services.experts.get(str(await add_expert()))).slug == "jana-muller-2"
    assert await services.experts.add_many([expert_request(slug=slug) for slug in ("jana-muller", "new")]) == 1
    assert await services.experts.id_of("jana-muller") == jana


async def test_an_expert_takes_an_old_slug_again(services: Services, jana: UUID) -> None:
    for slug in ("jana", "jana-muller", "jana"):
        await change(services, jana, slug=slug)
        assert (await services.experts.get("jana-muller")).slug == slug
    assert (await services.experts.get("jana-muller")).id == jana


async def test_old_slugs_end_with_their_expert(services: Services, jana: UUID, sql: Connection) -> None:
    await change(services, jana, slug="jana")
    sql.execute("UPDATE expert SET active = false")
    with pytest.raises(ExpertNotFound):
        await services.experts.get("jana-muller")
    sql.execute("DELETE FROM expert")
    assert (await services.experts.get(str(await services.experts.add(expert_request())))).slug == "jana-muller"


async def test_one_of_two_gets_a_slug_that_is_being_left(
    services: Services, jana: UUID, add_expert: AddExpert, sql: Connection
) -> None:
    # Jana's change is not committed yet when Omar asks for her slug, and may be rolled back.
    omar = await add_expert(name="Omar Haddad", email="omar@example.com")
    for ends in ("ROLLBACK", "COMMIT"):
        sql.execute("BEGIN")
        sql.execute("UPDATE expert SET slug = 'jana' WHERE id = %s", [jana])
        waiting = asyncio.create_task(change(services, omar, slug="jana-muller"))
        await asyncio.sleep(0.2)
        assert not waiting.done()
        sql.execute(ends.encode())
        with pytest.raises(SlugTaken):
            await waiting
    assert (await services.experts.get("jana-muller")).id == jana


async def test_a_current_slug_costs_one_statement(services: Services, jana: UUID, counted: Counted) -> None:
    with counted() as sent:
        await services.experts.id_of("jana-muller")
    assert len(sent) == 1


# --- directory --------------------------------------------------------------------------------------------------


async def test_an_expert_that_is_not_listed_is_reachable_by_link_only(
    services: Services, jana: UUID, book: Book
) -> None:
    await change(services, jana, listed=False)
    for query in (
        ExpertQuery(), ExpertQuery(search="Jana"), ExpertQuery(search="Jnaa"),
        ExpertQuery(category=["Career coaching"]), *(ExpertQuery(sort=order) for order in ExpertSort),
    ):  # fmt: skip
        page = await services.experts.find(query.model_copy(update={"facets": True}))
        assert (page.experts, page.total) == ([], 0)
        assert page.facets is not None
        assert not page.facets.categories
    assert (await services.experts.get("jana-muller")).listed is False
    assert (await book(jana, NINE)).expert_id == jana
    await change(services, jana, listed=True)
    assert (await services.experts.find(ExpertQuery())).total == 1


async def test_categories_are_those_of_listed_experts(services: Services, jana: UUID, add_expert: AddExpert) -> None:
    await add_expert(name="Omar Haddad", category="Law")
    assert await services.experts.categories() == ["Career coaching", "Law"]
    await change(services, jana, listed=False)
    assert await services.experts.categories() == ["Law"]


# --- emails -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (["bookings", "changes", "reminders"], ["received", "confirmed", "reminder", "rescheduled", "cancelled"]),
        (["bookings"], ["received", "confirmed"]),
        (["changes"], ["rescheduled", "cancelled"]),
        (["reminders"], ["reminder"]),
        ([], []),
    ],
)
async def test_the_expert_gets_only_wanted_emails(
    sending: Services, clock: Clock, mail_server: MailServer, wanted: list[str], expected: list[str]
) -> None:
    expert = await sending.experts.add(expert_request(wanted_emails=wanted, confirmation="by_expert"))
    booking = await _book(sending, expert)
    await sending.bookings.change_status(booking, Status.CONFIRMED, ADMIN)
    await sending.outbox.drain()
    clock.now = NINE - HOUR / 2
    await sending.outbox.drain()
    await sending.bookings.reschedule(booking, NINE + 2 * HOUR, ADMIN)
    await sending.bookings.change_status(booking, Status.CANCELLED, ADMIN)
    await sending.outbox.drain()
    # Nothing is queued again and again.
    assert await sending.outbox.waiting() == []
    kinds = {str(email["Message-ID"]).split(".")[1] for email in mail_server.to("jana@example.com")}
    assert kinds == set(expected)
    assert len(mail_server.to("ada@example.com")) == 6  # with two reminders


async def _book(services: Services, expert: UUID) -> UUID:
    return (await services.bookings.book(booking_request(expert, NINE))).id


# --- photo ------------------------------------------------------------------------------------------------------


async def test_photo_is_shown_with_the_expert_until_it_is_removed(services: Services, jana: UUID) -> None:
    key = CalendarKey(jana)
    photo = await services.photos.put(key, picture())
    for pixels, path in ((160, photo.small), (320, photo.medium), (640, photo.large)):
        version = path.removeprefix("/photos/").removesuffix(f"-{pixels}.webp")
        assert Image.open(BytesIO(await services.photos.file(version, pixels))).size == (pixels, pixels)
    [card] = (await services.experts.find(ExpertQuery())).experts
    assert card.photo == (await services.experts.profile("jana-muller")).photo == photo
    assert (await services.calendars.expert(key)).photo == photo
    await services.photos.remove(key)
    await services.photos.remove(key)
    assert (await services.experts.get("jana-muller")).photo is None
    with pytest.raises(PhotoNotFound):
        await services.photos.file(version, 160)


async def test_another_photo_has_another_address(services: Services, jana: UUID, sql: Connection) -> None:
    first = await services.photos.put(CalendarKey(jana), picture())
    second = await services.photos.put(CalendarKey(jana), picture(50, 50))
    assert first != second
    assert sql.execute("SELECT count(*) FROM expert_photo").fetchone() == (1,)
    with pytest.raises(PhotoNotFound):
        await services.photos.file(_version(first), 160)


async def test_two_experts_may_have_the_same_photo(services: Services, jana: UUID, add_expert: AddExpert) -> None:
    omar = await add_expert(name="Omar Haddad")
    shared = await services.photos.put(CalendarKey(jana), picture())
    assert await services.photos.put(CalendarKey(omar), picture()) == shared
    await services.photos.remove(CalendarKey(jana))
    assert await services.photos.file(_version(shared), 160)


async def test_a_refused_picture_leaves_the_photo_as_it_is(services: Services, jana: UUID) -> None:
    photo = await services.photos.put(CalendarKey(jana), picture())
    with pytest.raises(FieldsWrong):
        await services.photos.put(CalendarKey(jana), b"<svg/>")
    assert (await services.experts.get("jana-muller")).photo == photo


async def test_the_photo_of_an_inactive_expert_is_not_served(services: Services, jana: UUID, sql: Connection) -> None:
    photo = await services.photos.put(CalendarKey(jana), picture())
    sql.execute("UPDATE expert SET active = false")
    for version, pixels in ((_version(photo), 160), (_version(photo), 161), ("x", 160)):
        with pytest.raises(PhotoNotFound):
            await services.photos.file(version, pixels)


async def test_photos_cost_no_statement_more(services: Services, jana: UUID, counted: Counted) -> None:
    async def statements() -> list[int]:
        numbers = []
        for ask in (services.experts.find(ExpertQuery()), services.experts.profile("jana-muller")):
            with counted() as sent:
                await ask
            numbers.append(len(sent))
            assert not any("expert_photo" in statement for statement in sent)
        return numbers

    before = await statements()
    await services.photos.put(CalendarKey(jana), picture())
    assert await statements() == before


async def test_pages_are_told_of_a_new_photo(services: Services, jana: UUID, sql: Connection) -> None:
    sql.execute("DELETE FROM expert_changed")
    await services.photos.put(CalendarKey(jana), picture())
    assert sql.execute("SELECT DISTINCT expert_id FROM expert_changed").fetchall() == [(jana,)]


def _version(photo: PhotoView) -> str:
    return photo.small.removeprefix("/photos/").removesuffix("-160.webp")


# --- changes by others ------------------------------------------------------------------------------------------


async def test_a_lost_update_is_refused(services: Services, jana: UUID) -> None:
    key = CalendarKey(jana)
    read = await services.calendars.expert(key)
    changed = await services.calendars.change_expert(key, ExpertChange(headline="Mine"), [read.version])
    with pytest.raises(ProfileChanged) as refused:
        await services.calendars.change_expert(key, ExpertChange(headline="Yours"), [read.version])
    assert refused.value.version == changed.version
    assert (await services.calendars.expert(key)).headline == "Mine"
    await services.calendars.change_expert(key, ExpertChange(headline="Yours"), [changed.version])


async def test_bookings_photo_and_address_do_not_change_the_version(services: Services, jana: UUID, book: Book) -> None:
    key = CalendarKey(jana)
    before = (await services.calendars.expert(key)).version
    await book(jana, NINE)
    await services.photos.put(key, picture())
    await change(services, jana, email="other@example.com")
    assert (await services.calendars.expert(key)).version == before
