"""Assistants run a calendar with their own address, until they are removed."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest

from expert_booking.db.engine import Database
from expert_booking.domain.errors import AssistantNotFound, FieldsWrong, Forbidden, TooMany
from expert_booking.domain.lifecycle import Actor, Status
from expert_booking.domain.limits import NO_LIMITS
from expert_booking.schemas import Caller, ExpertChange, Identity, Role
from expert_booking.services import Services
from expert_booking.services.assistants import MAX_ASSISTANTS
from expert_booking.services.calendars import CalendarKey
from tests.conftest import AddExpert, Book, Clock
from tests.mail_server import MailServer
from tests.services.conftest import Counted

Connection = psycopg.Connection[tuple[Any, ...]]
MIA = "Mia@example.com"
NINE = datetime(2026, 11, 24, 8, tzinfo=UTC)  # 09:00 in Berlin

Become = Callable[[], Awaitable[Caller]]


@pytest.fixture
async def jana(services: Services, add_expert: AddExpert) -> UUID:
    """An expert with the assistant Mia."""
    expert = await add_expert(confirmation="by_expert")
    await services.assistants.add(CalendarKey(expert), MIA)
    return expert


async def identity(services: Services, email: str = "mia@example.com") -> Identity:
    """Return what this address may do."""
    return await services.access.identity_of(email)


async def mia(services: Services, expert: UUID) -> Caller:
    """Return Mia as the host of this expert."""
    caller = (await identity(services)).host_of(expert)
    assert caller is not None
    return caller


async def addresses(services: Services, expert: UUID) -> list[str]:
    """Return the assistants of an expert."""
    return [one.email for one in (await services.assistants.list(CalendarKey(expert))).assistants]


async def test_an_assistant_runs_the_calendar(services: Services, jana: UUID, book: Book) -> None:
    caller = await mia(services, jana)
    assert (caller.role, caller.expert_id, caller.assistant) == (Role.EXPERT, jana, True)
    [shown] = (await identity(services)).experts
    assert (shown.slug, shown.is_assisted) == ("jana-muller", True)
    booking = await book(jana, NINE)
    confirmed = await services.bookings.change_status(booking.id, Status.CONFIRMED, caller)
    assert confirmed.status is Status.CONFIRMED
    key = await services.calendars.key("jana-muller", caller)
    changed = await services.calendars.change_expert(key, ExpertChange(headline="New", slug="jana"))
    assert changed.headline == "New"


async def test_the_history_names_the_assistant_even_after_the_removal(
    services: Services, jana: UUID, book: Book
) -> None:
    booking = await book(jana, NINE)
    await services.bookings.change_status(booking.id, Status.CONFIRMED, await mia(services, jana))
    await services.assistants.remove(CalendarKey(jana), MIA)
    owner = (await identity(services, "jana@example.com")).host_of(jana)
    await services.bookings.change_status(booking.id, Status.CANCELLED, owner)
    changes = (await services.bookings.history(booking.id, owner)).changes
    assert [(one.actor, one.assistant) for one in changes] == [
        (Actor.CUSTOMER, None), (Actor.EXPERT, MIA), (Actor.EXPERT, None),
    ]  # fmt: skip


async def test_an_assistant_may_not_change_address_and_assistants(services: Services, jana: UUID) -> None:
    key = await services.calendars.key("jana-muller", await mia(services, jana))
    for forbidden in (
        services.calendars.change_expert(key, ExpertChange(email="mia@example.com")),
        services.calendars.change_expert(key, ExpertChange(active=False)),
        services.assistants.list(key),
        services.assistants.add(key, "other@example.com"),
        services.assistants.remove(key, MIA),
    ):
        with pytest.raises(Forbidden):
            await forbidden
    assert await addresses(services, jana) == [MIA]


async def test_removing_an_assistant_ends_the_access_at_once(services: Services, jana: UUID, sql: Connection) -> None:
    proof, _ = await services.access.redeem_link(await services.access.link_for(MIA), "browser")
    sql.execute("DELETE FROM expert_changed")
    await services.assistants.remove(CalendarKey(jana), "mia@EXAMPLE.com")
    signed_in = await services.access.identity_of_proof(proof.access_token)
    assert signed_in is not None
    assert (signed_in.experts, signed_in.host_of(jana)) == ((), None)
    assert sql.execute("SELECT expert_id FROM expert_changed").fetchall() == [(jana,)]  # open pages look again
    with pytest.raises(AssistantNotFound):
        await services.assistants.remove(CalendarKey(jana), MIA)


async def test_an_assistant_of_one_expert_is_nobody_elsewhere(
    services: Services, jana: UUID, add_expert: AddExpert
) -> None:
    omar = await add_expert(name="Omar Haddad", email="omar@example.com")
    assert (await identity(services)).host_of(omar) is None
    with pytest.raises(Forbidden):
        await services.calendars.key("omar-haddad", await mia(services, jana))


async def test_own_calendars_come_before_assisted_ones(
    services: Services, jana: UUID, add_expert: AddExpert, counted: Counted
) -> None:
    await add_expert(name="Zoe Own", email="mia@example.com")
    with counted() as sent:
        experts = (await identity(services)).experts
    assert [(one.name, one.is_assisted) for one in experts] == [("Zoe Own", False), ("Jana Müller", True)]
    assert len(sent) == 1


async def test_an_expert_who_becomes_the_owner_is_no_assistant(services: Services, jana: UUID, sql: Connection) -> None:
    sql.execute("UPDATE expert SET email = 'mia@example.com', email_key = 'mia@example.com'")
    [own] = (await identity(services)).experts
    assert not own.is_assisted


async def test_the_calendar_of_an_inactive_expert_is_closed(services: Services, jana: UUID, sql: Connection) -> None:
    sql.execute("UPDATE expert SET active = false")
    assert (await identity(services)).experts == ()


async def test_adding_twice_changes_nothing_and_adding_again_works(services: Services, jana: UUID) -> None:
    await services.assistants.add(CalendarKey(jana), "MIA@example.com")
    assert await addresses(services, jana) == [MIA]
    await services.assistants.remove(CalendarKey(jana), MIA)
    assert await addresses(services, jana) == []
    await services.assistants.add(CalendarKey(jana), "mia@example.com")
    assert (await identity(services)).host_of(jana) is not None


async def test_at_most_ten_assistants(services: Services, jana: UUID) -> None:
    for number in range(1, MAX_ASSISTANTS):
        await services.assistants.add(CalendarKey(jana), f"assistant{number}@example.com")
    with pytest.raises(TooMany):
        await services.assistants.add(CalendarKey(jana), "one.more@example.com")
    await services.assistants.add(CalendarKey(jana), MIA)  # is one already
    assert len(await addresses(services, jana)) == MAX_ASSISTANTS


async def test_the_own_address_is_refused(services: Services, jana: UUID) -> None:
    with pytest.raises(FieldsWrong) as refused:
        await services.assistants.add(CalendarKey(jana), "Jana@Example.com")
    assert set(refused.value.errors) == {"email"}


async def test_an_assistant_gets_the_sign_in_email(
    database: Database, clock: Clock, mail_server: MailServer, jana: UUID
) -> None:
    sending = Services(database, clock=clock, limits=NO_LIMITS, transport=mail_server.transport())
    for email, expected in ((MIA, 1), ("nobody@example.com", 1)):
        await sending.access.request_access(email, origin=b"o" * 32)
        await sending.outbox.drain()
        assert len(mail_server.emails) == expected
    await sending.assistants.remove(CalendarKey(jana), MIA)
    await sending.access.request_access(MIA, origin=b"p" * 32)
    await sending.outbox.drain()
    assert len(mail_server.emails) == 1


async def test_erasing_a_customer_leaves_the_assistant(services: Services, jana: UUID, book: Book) -> None:
    await book(jana, NINE, email=MIA)
    await services.customers.erase(MIA, by=Actor.ADMIN)
    assert (await identity(services)).host_of(jana) is not None
