"""Messages about invalid requests name the field and never show a library's words for a missing one."""

import pytest
from pydantic import ValidationError

from expert_booking.schemas import BookingRequest, ExpertChange, field_errors


def messages_of(error: ValidationError) -> dict[str, str]:
    """Return the message of each field."""
    return {one.field: one.message for one in field_errors(error)}


def test_each_missing_field_is_reported_by_its_name_in_json() -> None:
    with pytest.raises(ValidationError) as refused:
        BookingRequest.model_validate({"name": "Ada"})
    assert messages_of(refused.value) == dict.fromkeys(("expertId", "startsAt", "email"), "Please fill this in.")


def test_unknown_field_of_a_change_is_reported_with_at_most_80_letters_of_its_name() -> None:
    with pytest.raises(ValidationError) as refused:
        ExpertChange.model_validate({"name": "Jana", "x" * 500: 1})
    assert messages_of(refused.value) == {"x" * 80: "This field does not exist or cannot be changed."}


def test_change_of_nothing_is_refused() -> None:
    with pytest.raises(ValidationError) as refused:
        ExpertChange.model_validate({})
    assert messages_of(refused.value) == {"body": "Please send at least one field to change."}
