"""Open forms share a hold, and the last one that is closed lets it go."""

from datetime import timedelta
from uuid import UUID

from expert_booking.schemas import HoldRequest, HoldView
from expert_booking.services import Services
from expert_booking.web.open_holds import OpenHolds
from tests.conftest import MONDAY_MORNING, AddExpert

ADA, GRACE = b"a" * 32, b"g" * 32
HOME = b"h" * 32


def wanted(expert_id: UUID, hours: int = 2) -> HoldRequest:
    """A time of Monday."""
    return HoldRequest(expert_id=expert_id, starts_at=MONDAY_MORNING + timedelta(hours=hours))


async def opened(open_holds: OpenHolds, request: HoldRequest, instead_of: UUID | None = None) -> HoldView:
    """A form that has arrived in Ada's browser."""
    hold = await open_holds.take(request, ADA, HOME)
    open_holds.open(hold.id, instead_of=instead_of)
    return hold


async def test_a_hold_lasts_as_long_as_one_form_shows_it(services: Services, add_expert: AddExpert) -> None:
    open_holds, request = OpenHolds(services), wanted(await add_expert())
    first, second = await opened(open_holds, request), await opened(open_holds, request)
    assert first.id == second.id
    await open_holds.close(first.id, ADA)
    assert await services.holds.of_visitor(ADA) == first
    await open_holds.close(first.id, ADA)
    assert await services.holds.of_visitor(ADA) is None


async def test_a_form_that_turns_to_another_hold_shows_the_old_one_no_more(
    services: Services, add_expert: AddExpert
) -> None:
    open_holds, expert_id = OpenHolds(services), await add_expert()
    first = await opened(open_holds, wanted(expert_id))
    second = await opened(open_holds, wanted(expert_id, 3), instead_of=first.id)
    assert await services.holds.of_visitor(ADA) == second
    await open_holds.close(second.id, ADA)
    assert await services.holds.of_visitor(ADA) is None


async def test_what_another_process_has_taken_over_is_not_let_go_here(
    services: Services, add_expert: AddExpert
) -> None:
    here, there, request = OpenHolds(services), OpenHolds(services), wanted(await add_expert())
    hold = await opened(here, request)
    await opened(there, request)
    await here.close(hold.id, ADA)
    assert await services.holds.of_visitor(ADA) == hold
    await there.close(hold.id, ADA)
    assert await services.holds.of_visitor(ADA) is None


async def test_the_pages_of_a_browser_hear_of_its_hold_and_those_of_others_do_not(
    services: Services, add_expert: AddExpert
) -> None:
    open_holds, request = OpenHolds(services), wanted(await add_expert())
    heard: list[HoldView | None] = []
    unsubscribe, _ = open_holds.subscribe(ADA, heard.append), open_holds.subscribe(GRACE, lambda _: heard.append(None))
    hold = await opened(open_holds, request)
    assert heard == [hold]
    await open_holds.release(hold.id, ADA)
    assert heard == [hold, None]
    await open_holds.release(hold.id, ADA)  # twice does no harm
    unsubscribe()
    unsubscribe()
    await opened(open_holds, request)
    assert heard == [hold, None, None]
