"""Open forms share a hold; closing the last form releases it."""

from datetime import timedelta
from uuid import UUID

from expert_booking.schemas import HoldRequest, HoldView
from expert_booking.services import Services
from expert_booking.web.open_holds import OpenHolds
from tests.conftest import MONDAY_MORNING, AddExpert

ADA, GRACE = b"a" * 32, b"g" * 32
HOME = b"h" * 32


def hold_request(expert_id: UUID, hours: int = 2) -> HoldRequest:
    """A request for a time on Monday."""
    return HoldRequest(expert_id=expert_id, starts_at=MONDAY_MORNING + timedelta(hours=hours))


async def open_form(open_holds: OpenHolds, request: HoldRequest, instead_of: UUID | None = None) -> HoldView:
    """Take a hold in Ada's browser and register the form that shows it."""
    hold = await open_holds.take(request, ADA, HOME)
    open_holds.open(hold.id, instead_of=instead_of)
    return hold


async def test_hold_lasts_as_long_as_one_form_shows_it(services: Services, add_expert: AddExpert) -> None:
    open_holds, request = OpenHolds(services), hold_request(await add_expert())
    first, second = await open_form(open_holds, request), await open_form(open_holds, request)
    assert first.id == second.id
    await open_holds.close(first.id, ADA)
    assert await services.holds.for_visitor(ADA) == first
    await open_holds.close(first.id, ADA)
    assert await services.holds.for_visitor(ADA) is None


async def test_form_that_switches_to_another_hold_stops_counting_for_the_old_one(
    services: Services, add_expert: AddExpert
) -> None:
    open_holds, expert_id = OpenHolds(services), await add_expert()
    first = await open_form(open_holds, hold_request(expert_id))
    second = await open_form(open_holds, hold_request(expert_id, 3), instead_of=first.id)
    assert await services.holds.for_visitor(ADA) == second
    await open_holds.close(second.id, ADA)
    assert await services.holds.for_visitor(ADA) is None


async def test_hold_taken_over_by_another_process_is_not_released_here(
    services: Services, add_expert: AddExpert
) -> None:
    here, there, request = OpenHolds(services), OpenHolds(services), hold_request(await add_expert())
    hold = await open_form(here, request)
    await open_form(there, request)
    await here.close(hold.id, ADA)
    assert await services.holds.for_visitor(ADA) == hold
    await there.close(hold.id, ADA)
    assert await services.holds.for_visitor(ADA) is None


async def test_only_pages_of_the_same_browser_are_notified_of_its_hold(
    services: Services, add_expert: AddExpert
) -> None:
    open_holds, request = OpenHolds(services), hold_request(await add_expert())
    received: list[HoldView | None] = []
    unsubscribe, _ = (
        open_holds.subscribe(ADA, received.append),
        open_holds.subscribe(GRACE, lambda _: received.append(None)),
    )
    hold = await open_form(open_holds, request)
    assert received == [hold]
    await open_holds.release(hold.id, ADA)
    assert received == [hold, None]
    await open_holds.release(hold.id, ADA)  # releasing twice is harmless
    unsubscribe()
    unsubscribe()
    await open_form(open_holds, request)
    assert received == [hold, None, None]
