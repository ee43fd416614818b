"""POST and GET return the same booking with every field filled in."""

from collections.abc import Collection
from typing import Any, Final
from uuid import UUID

import httpx
import pytest
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from expert_booking.domain.terms import Confirmation, EmailVerification
from expert_booking.schemas import BookingRequest, BookingView, HoldView, SessionTypeRequest
from tests.api.conftest import NINE, Json, bearer
from tests.conftest import AddExpert

# Every field of a session type with a value other than its default.
SESSION_TYPE: Final[Json] = {
    "title": "Career consultation", "description": "An hour.", "minutes": 45, "step_minutes": 15, "before_minutes": 5,
    "after_minutes": 10, "notice_minutes": 30, "horizon_days": 30, "daily_cap": 3,
    "confirmation": Confirmation.BY_EXPERT, "answer_minutes": 120, "cancel_notice_minutes": 60,
    "reschedule_notice_minutes": 30, "max_reschedules": 2, "active": True,
    "email_verification": EmailVerification.NEVER, "price": {"amount": 4500, "currency": "EUR"},
    "payment_note": "By bank transfer.",
    "locations": [{"id": "there", "kind": "customer", "text": "In Berlin"}],
    "questions": [{"id": "goal", "kind": "short_text", "text": "Your goal?"}],
}  # fmt: skip
# Only active session types can be booked, only bookings that the expert confirms have an answer deadline, and that only
# once the customer's address is confirmed.
DEFAULT_IS_NEEDED: Final = {"active", "confirmation", "email_verification"}
ONLY_UNVERIFIED: Final = {"verify_by", "awaits_verification"}


def check_filled_in(model: type[BaseModel], values: dict[str, Any], besides: Collection[str] = ()) -> None:
    """Check that every field of this model has a value, other than its default."""
    assert set(values) == set(model.model_fields)
    for name, field in model.model_fields.items():
        nothing = [None, "", 0, False, [], {}]
        default = [] if field.default is PydanticUndefined else [field.default]
        assert name in besides or values[name] not in [*nothing, *default], f"give {model.__name__}.{name} a value"


def by_field(model: type[BaseModel], answer: Json) -> dict[str, Any]:
    """The same values by Python field name."""
    names = {field.alias or name: name for name, field in model.model_fields.items()}
    return {names[name]: value for name, value in answer.items()}


@pytest.mark.parametrize("held", [False, True])
async def test_post_and_get_return_the_same_booking_with_every_field(
    client: httpx.AsyncClient, add_expert: AddExpert, held: bool
) -> None:
    check_filled_in(SessionTypeRequest, SESSION_TYPE, DEFAULT_IS_NEEDED)
    expert = str(await add_expert(**SESSION_TYPE))
    [kind] = (await client.get(f"/experts/{expert}")).json()["sessionTypes"]
    hold_request = {"expertId": expert, "sessionTypeId": kind["id"], "startsAt": NINE}
    request = {
        **hold_request, "name": "Ada Lovelace", "email": "ada@example.com", "phone": "+442079460000",
        "notes": "My first session.", "timeZone": "Europe/London", "location": {"id": "there", "text": "Café Central"},
        "answers": {"goal": "A job"},
    }  # fmt: skip
    if held:
        answer = (await client.post("/holds", json=hold_request)).json()
        check_filled_in(HoldView, by_field(HoldView, answer))
        request["holdId"] = answer["id"]
    check_filled_in(
        BookingRequest, {"hold_id": None, **by_field(BookingRequest, request)}, set() if held else {"hold_id"}
    )
    made = (await client.post("/bookings", json=request)).json()
    own = bearer(made.pop("accessToken"))
    # Everything a view contains, except the number of reschedules, which is 0 for a new booking.
    check_filled_in(BookingView, by_field(BookingView, made), ONLY_UNVERIFIED)
    assert (await client.get(f"/bookings/{made['id']}", headers=own)).json() == made
    for name, value in request.items():
        assert name in ("holdId", "location", "answers") or made[name] == value
    assert made["location"] == {"kind": "customer", "text": "Café Central", "id": "there"}
    assert made["answers"] == [{"id": "goal", "kind": "short_text", "question": "Your goal?", "value": "A job",
                                "sensitive": False}]  # fmt: skip
    assert UUID(made["id"]) == UUID(request.get("holdId", made["id"]))


async def test_instantly_confirmed_booking_is_the_same_in_post_and_get(
    client: httpx.AsyncClient, add_expert: AddExpert
) -> None:
    expert = str(await add_expert(**{**SESSION_TYPE, "confirmation": Confirmation.INSTANT}))
    request = {
        "expertId": expert,
        "startsAt": NINE,
        "name": "Ada",
        "email": "ada@example.com",
        "phone": "+44 20 7946 0000",
        "location": {"text": "Café Central"},
    }
    made = (await client.post("/bookings", json=request)).json()
    own = bearer(made.pop("accessToken"))
    assert (made["status"], made["answerBy"], made["notes"], made["timeZone"]) == ("confirmed", None, "", None)
    assert (await client.get(f"/bookings/{made['id']}", headers=own)).json() == made


@pytest.mark.parametrize("held", [False, True])
async def test_unverified_booking_is_the_same_in_post_and_get(
    client: httpx.AsyncClient, add_expert: AddExpert, held: bool
) -> None:
    expert = str(await add_expert(**{**SESSION_TYPE, "email_verification": EmailVerification.ALWAYS}))
    request = {"expertId": expert, "startsAt": NINE, "name": "Ada", "email": "ada@example.com",
               "phone": "+44 20 7946 0000", "notes": "My first session.", "timeZone": "Europe/London",
               "location": {"text": "Café Central"}, "answers": {"goal": "A job"}}  # fmt: skip
    if held:
        hold = (await client.post("/holds", json={"expertId": expert, "startsAt": NINE})).json()
        request["holdId"] = hold["id"]
    made = (await client.post("/bookings", json=request)).json()
    own = bearer(made.pop("accessToken"))
    check_filled_in(BookingView, by_field(BookingView, made), {"answer_by"})
    assert (made["status"], made["answerBy"], made["awaitsVerification"]) == ("pending", None, True)
    assert (await client.get(f"/bookings/{made['id']}", headers=own)).json() == made
