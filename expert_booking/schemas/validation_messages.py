"""What is wrong with a request, field by field, in words for people."""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from expert_booking.schemas.fields import Model

_WORDS: Final = {
    "missing": "Please fill this in.",
    "extra_forbidden": "There is no such field that can be changed.",
}


class FieldError(Model):
    """What is wrong with one field, in words for people."""

    field: str
    message: str


def field_errors(error: ValidationError, *, skip: int = 0) -> list[FieldError]:
    """All that is wrong, field by field, by the names that JSON has for them."""
    return [field_error(details, skip=skip) for details in error.errors(include_url=False)]


def field_error(details: Mapping[str, Any], *, skip: int = 0) -> FieldError:
    """One of pydantic's errors; `skip` leaves out the first steps of its path ("body", "query")."""
    # The names of unknown fields are the sender's own.
    steps = [str(step)[:80] for step in details["loc"]][skip:]
    if "field" in details.get("ctx", {}):  # a check of the whole request names the field itself
        steps.append(details["ctx"]["field"])
    message = _WORDS.get(details["type"]) or str(details["msg"]).removeprefix("Value error, ")
    return FieldError(field=".".join(steps) or "body", message=message)
