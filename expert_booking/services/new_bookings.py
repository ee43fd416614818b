"""Book a slot: with a hold or without, in one statement that inserts or fails."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID, uuid4

from expert_booking.db import bookings as rows
from expert_booking.db import holds
from expert_booking.db.availability import Offer
from expert_booking.db.bookings import verification
from expert_booking.db.engine import AnyConnection, AnyRow
from expert_booking.domain.addresses import customer_key
from expert_booking.domain.calendar import Slot
from expert_booking.domain.errors import FieldsWrong, SlotNotOffered, SlotTaken
from expert_booking.domain.locations import Location, chosen
from expert_booking.domain.questions import Answer
from expert_booking.domain.terms import EmailVerification
from expert_booking.schemas import BookingRequest, Caller, LocationChoice, answers_of
from expert_booking.services.availability import find_offer, slot_columns, slot_refusal, slot_refusal_if_any, with_busy


async def book(
    connection: AnyConnection,
    request: BookingRequest,
    now: datetime,
    *,
    visitor: bytes | None,
    submission: UUID | None,
    caller: Caller | None,
    limits: rows.LimitCheck | None,
    may_verify: bool,
) -> AnyRow:
    """Book a slot that the calendar offers, and return the booking's row. See `Bookings.book`. `now` is UTC.

    Without `may_verify`, no email address has to be confirmed.
    """
    starts_at, key = request.starts_at, customer_key(request.email)
    hold = await hold_for(connection, request, now)
    session_type_id = hold.session_type_id if hold else request.session_type_id
    offer = await find_offer(connection, request.expert_id, session_type_id, now)
    # A program of the host need not ask.
    by_program = caller is not None and caller.token_id is not None and caller.runs(offer.expert_id)
    location, answers = location_and_answers(offer, request, complete=not by_program)
    slot = await _slot(connection, offer, request, hold, now)
    verify = may_verify and await _needs_verification(connection, offer, key, caller)
    new = rows.NewBooking(
        id=uuid4(),
        **slot_columns(offer, slot, now),
        offer=offer,
        visitor=visitor,
        own_hold=request.hold_id,
        request=request,
        customer_key=key,
        submission=submission,
        state=offer.terms.initial_state(starts_at, now, verify=verify),
        limits=limits,
        location=location,
        answers=answers,
    )
    written = await rows.book_held(connection, new) if hold else None
    if written is None:
        # No hold, or it has expired, or its session type has another length now: the first to book gets the time.
        written = await rows.insert(connection, new)
    if written is None and request.hold_id is None:
        # The usual case when many customers want the same time: a booking blocks it, not an expired hold.
        refusal = await slot_refusal_if_any(connection, offer, starts_at, now)
        if refusal is not None:
            raise refusal
    if written is None:
        written = await rows.insert_over_expired_holds(connection, new)
    if written is None:
        raise await slot_refusal(connection, offer, starts_at, now)
    return written


def location_and_answers(
    offer: Offer, request: BookingRequest, *, complete: bool
) -> tuple[Location | None, Sequence[Answer]]:
    """The chosen location and the answers. `complete`: every required question must be answered. Raises FieldsWrong."""
    wanted = request.location or LocationChoice()
    location = chosen(offer.locations, wanted.id, wanted.text)
    return location, answers_of(offer.questions, request.answers, complete=complete)


async def _needs_verification(connection: AnyConnection, offer: Offer, key: str, caller: Caller | None) -> bool:
    """Whether the customer must confirm the email address. Costs a statement only for `new_addresses`."""
    wanted = offer.terms.email_verification
    if wanted is EmailVerification.NEVER or (caller is not None and caller.vouches_for(key, offer.expert_id)):
        return False
    return wanted is EmailVerification.ALWAYS or not await verification.is_known(connection, key)


async def _slot(
    connection: AnyConnection, offer: Offer, request: BookingRequest, hold: AnyRow | None, now: datetime
) -> Slot:
    """The requested slot, if the calendar offers it now or, with a hold, offered it when the hold was taken."""
    calendar, starts_at = offer.calendar, request.starts_at
    if hold is None and calendar.length.daily_cap is not None:
        calendar = await with_busy(connection, offer, starts_at, now)
    try:
        return calendar.offered(starts_at, now=hold.held_at if hold and starts_at > now else now)
    except (SlotTaken, SlotNotOffered) as refusal:
        own = hold.starts_at if hold else None
        raise await slot_refusal(connection, offer, starts_at, now, own) from refusal


async def hold_for(connection: AnyConnection, request: BookingRequest, now: datetime) -> AnyRow | None:
    """The hold that this request refers to, unless it has expired. Raises FieldsWrong if it is for another time."""
    if request.hold_id is None:
        return None
    hold = await holds.by_id(connection, request.hold_id, now)
    if hold is not None and (
        (hold.expert_id, hold.starts_at) != (request.expert_id, request.starts_at)
        or request.session_type_id not in (None, hold.session_type_id)
    ):
        raise FieldsWrong({"holdId": "This hold is for a different time."})
    return hold
