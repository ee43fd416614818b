"""Requests for bookings: the phone number and its country."""

from typing import Any
from uuid import uuid4

import pytest
from pydantic import ValidationError

from expert_booking.schemas import BookingRequest, booking_request_model, field_errors

FACTS = {"expertId": str(uuid4()), "startsAt": "2026-11-24T08:00:00Z", "name": "Ada", "email": "ada@example.com"}
BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"


def request(default_region: str | None = None, **facts: Any) -> BookingRequest:
    """A request on a site with this default region."""
    model = booking_request_model(phone_required=True, default_region=default_region)
    return model.model_validate({**FACTS, **facts})


@pytest.mark.parametrize(
    ("phone", "zone", "default", "stored"),
    [
        ("0170 1234567", BERLIN, None, "+491701234567"),
        ("0170 1234567", BERLIN, "US", "+491701234567"),
        ("0170 1234567", None, "DE", "+491701234567"),
        ("0170 1234567", "UTC", "DE", "+491701234567"),
        ("+49 170 1234567", NEW_YORK, "FR", "+491701234567"),
        ("+49 170 1234567", None, None, "+491701234567"),
        ("(202) 555-0143", NEW_YORK, "DE", "+12025550143"),
    ],
)
def test_country_is_that_of_the_number_or_the_zone_or_the_site(
    phone: str, zone: str | None, default: str | None, stored: str
) -> None:
    # The order of the fields in JSON does not matter.
    assert request(default, phone=phone, timeZone=zone).phone == stored
    assert request(default, timeZone=zone, phone=phone).phone == stored


@pytest.mark.parametrize(
    ("zone", "words"),
    [(None, "Please add the country code"), ("UTC", "Please add the country code"), (NEW_YORK, "country code +1.")],
)
def test_number_without_its_country_is_refused(zone: str | None, words: str) -> None:
    with pytest.raises(ValidationError) as refused:
        request(phone="0170 1234567", timeZone=zone)
    [error] = field_errors(refused.value)
    assert error.field == "phone"
    assert words in error.message


def test_phone_may_be_missing_where_it_is_optional() -> None:
    optional = booking_request_model(phone_required=False, default_region=None)
    for phone in ("", None):
        assert optional.model_validate({**FACTS, "phone": phone}).phone is None
    assert optional.model_validate(FACTS).phone is None
    with pytest.raises(ValidationError):
        optional.model_validate({**FACTS, "phone": "call me"})


def test_sites_with_other_settings_do_not_share_a_model() -> None:
    assert request("DE", phone="0170 1234567").phone == "+491701234567"
    with pytest.raises(ValidationError):
        request(None, phone="0170 1234567")
