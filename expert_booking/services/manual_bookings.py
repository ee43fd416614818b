"""Book by hand: a host books for a customer, and may set rules of the calendar aside."""

from datetime import datetime
from uuid import uuid4

from expert_booking.db import bookings as rows
from expert_booking.db.engine import AnyConnection, AnyRow
from expert_booking.domain.addresses import customer_key
from expert_booking.domain.errors import SlotNotOffered, SlotTaken
from expert_booking.domain.lifecycle import Status
from expert_booking.domain.rule_overrides import slot_for_host
from expert_booking.domain.terms import InitialState
from expert_booking.schemas import HostBookingRequest
from expert_booking.services.availability import find_offer, slot_columns, slot_refusal, with_busy
from expert_booking.services.booking_changes import ActingAs, beyond_cap, check_minute
from expert_booking.services.new_bookings import hold_for, location_and_answers


async def book(connection: AnyConnection, request: HostBookingRequest, now: datetime, *, by: ActingAs) -> AnyRow:
    """Book a time for a customer, and return the booking's row. See `Bookings.book_by_hand`. `now` is UTC."""
    starts_at = request.starts_at
    check_minute(starts_at)
    hold = await hold_for(connection, request, now)
    offer = await find_offer(
        connection, request.expert_id, hold.session_type_id if hold else request.session_type_id, now
    )
    location, answers = location_and_answers(offer, request, complete=False)
    calendar = await with_busy(connection, offer, starts_at, now)
    own = hold.starts_at if hold else None
    try:
        slot, used = slot_for_host(calendar.without(own) if own else calendar, starts_at, now, request.override)
    except (SlotTaken, SlotNotOffered) as refusal:
        raise await slot_refusal(connection, offer, starts_at, now, own, request.override) from refusal
    new = rows.NewBooking(
        id=uuid4(),
        **slot_columns(offer, slot, now),
        by=by.actor,
        token=by.token_id,
        offer=offer,
        own_hold=request.hold_id,
        request=request,
        customer_key=customer_key(request.email) if request.email else "",
        state=InitialState(Status.CONFIRMED, None),
        location=location,
        answers=answers,
    )
    await rows.set_aside(connection, used, notify=request.notify)
    written = await rows.insert_over_expired_holds(connection, beyond_cap(new, used))
    if written is None:
        raise await slot_refusal(connection, offer, starts_at, now, override=request.override)
    return written
