"""Validation errors for people: one message for each invalid field."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from expert_booking.schemas.fields import Model

_MESSAGES: Final = {
    "missing": "Please fill this in.",
    "extra_forbidden": "This field does not exist or cannot be changed.",
}


class FieldError(Model):
    """One invalid field: its JSON path, and a message for people."""

    field: str
    message: str


def field_errors(error: ValidationError, *, skip: int = 0) -> list[FieldError]:
    """Convert pydantic's errors to one `FieldError` each. `skip` is as for `field_error`."""
    return [field_error(details, skip=skip) for details in error.errors(include_url=False)]


def field_error(details: Mapping[str, Any], *, skip: int = 0) -> FieldError:
    """Convert one of pydantic's errors. `skip` drops leading steps of its path, such as "body" or "query"."""
    # The sender chooses the names of unknown fields, so their length is limited.
    steps = [str(step)[:80] for step in details["loc"]][skip:]
    if "field" in details.get("ctx", {}):  # raised with `invalid_field`
        steps.append(details["ctx"]["field"])
    message = _MESSAGES.get(details["type"]) or str(details["msg"]).removeprefix("Value error, ")
    return FieldError(field=".".join(steps) or "body", message=message)
