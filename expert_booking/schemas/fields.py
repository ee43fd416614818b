"""Field types of requests and views: each validates one kind of value and normalizes it."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Any, Final, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import CoreSchema, PydanticCustomError
from pydantic_core.core_schema import no_info_after_validator_function

from expert_booking.domain.addresses import Address
from expert_booking.domain.names import looks_like_address
from expert_booking.domain.text_input import clean_address, clean_line, clean_lines, has_visible
from expert_booking.domain.time_zones import ZONE_NAMES

NAME_LENGTH: Final = 120
EMAIL_LENGTH: Final = 254
PHONE_LENGTH: Final = 40
NOTES_LENGTH: Final = 2000
SEARCH_LENGTH: Final = 100
MAX_PAGE: Final = 100_000
# Octets before the @ of an email address (RFC 5321, 4.5.3.1.1).
MAX_LOCAL_PART: Final = 64
SLOT_DAYS: Final = 62
# How many days ahead the catalogue indexes free times.
FREE_DAYS: Final = 60


# No control characters except tabs and line breaks.
PRINTABLE: Final = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]*$"


class Model(BaseModel):
    """Base of all requests and views: frozen, with camelCase names in JSON."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")


def _document_patch(schema: dict[str, Any]) -> None:
    schema["minProperties"] = 1
    for field in schema["properties"].values():
        field.pop("default", None)


class RequestModel(Model):
    """Base of everything that clients send: unknown fields are refused, so that a misspelt one is not lost."""

    model_config = ConfigDict(extra="forbid")


class Patch(RequestModel):
    """Base of partial updates: only the fields that were sent change."""

    # A default here means "not sent", so it is left out of the documentation.
    model_config = ConfigDict(json_schema_extra=_document_patch)

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("Please send at least one field to change.")
        return self

    def changes(self) -> dict[str, Any]:
        """The fields that were sent, by their Python names."""
        return self.model_dump(include=self.model_fields_set)


@dataclass(frozen=True)
class _Checked:
    check: Callable[[Any], Any]
    keywords: tuple[tuple[str, Any], ...]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        documented = {**handler(schema), **dict(self.keywords)}
        return {name: value for name, value in documented.items() if value is not None}


def checked(check: Callable[[Any], Any], **keywords: Any) -> Any:
    """`AfterValidator`, with the keywords of JSON Schema that document what it accepts. None removes a keyword."""
    return _Checked(check, tuple(keywords.items()))


def line(length: int, clean: Callable[[str], str] = clean_line) -> Any:
    """A validator for one line of text: cleaned, then at most `length` characters."""
    return _cleaned(length, clean)


def lines(length: int) -> Any:
    """A validator for a text of several lines: cleaned, then at most `length` characters."""
    return _cleaned(length, clean_lines)


def _cleaned(length: int, clean: Callable[[str], str]) -> Any:
    def check(text: str) -> str:
        # Cleaning may shorten a text: NFC composes up to four characters into one. Anything longer is not scanned.
        cleaned = clean(text) if len(text) <= 4 * length else text
        if len(cleaned) > length:
            raise ValueError(f"Please use at most {length} characters.")
        return cleaned

    return checked(check, maxLength=length, pattern=PRINTABLE)


def not_empty(text: str) -> str:
    """Return the text unchanged. Raises ValueError if people see nothing of it."""
    if not has_visible(text):
        raise ValueError("Please fill this in.")
    return text


def at_most(length: int) -> Any:
    """A validator for texts of at most `length` characters."""

    def check(text: str) -> str:
        if len(text) > length:
            raise ValueError(f"Please use at most {length} characters.")
        return text

    return checked(check, maxLength=length)


def at_most_items(count: int) -> Any:
    """A validator for lists of at most `count` items."""

    def check(items: Any) -> Any:
        if isinstance(items, list) and len(items) > count:
            raise ValueError(f"Please send at most {count}.")
        return items

    # Runs before the items are validated, so that a very long list does not produce an error for each of them.
    return BeforeValidator(check)


def _email(text: str) -> str:
    if len(text.rpartition("@")[0].encode()) > MAX_LOCAL_PART:
        raise ValueError(f"Please use at most {MAX_LOCAL_PART} bytes before the @.")
    try:
        return Address.of(text)
    except ValueError as error:
        raise ValueError("Please enter an email address such as name@example.com.") from error


def _person(name: str) -> str:
    if looks_like_address(name):
        raise ValueError("Please enter a name without a web or email address.")
    return name


def _time_zone(name: str) -> str:
    if name not in ZONE_NAMES:
        raise ValueError("Please use an IANA time zone such as Europe/Berlin.")
    return name


def _iso_8601(value: Any) -> Any:
    # Without this check pydantic also accepts seconds since 1970, as a number or a string, and assumes UTC.
    if isinstance(value, date) or (isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\d", value)):
        return value
    raise ValueError("Please use ISO 8601, such as 2026-11-24 or 2026-11-24T09:00:00Z.")


# The years that can be used. The offset of an instant is part of the format `date-time`.
_PLAUSIBLE: Final = r"^(19[7-9]\d|2[01]\d\d|2200)-"


def _plausible_instant(instant: datetime) -> datetime:
    if not 1970 <= instant.year <= 2200:
        raise ValueError("Please use a date between 1970 and 2200.")
    return instant.astimezone(UTC)


def _plausible_date(day: date) -> date:
    if not 1970 <= day.year <= 2200:
        raise ValueError("Please use a date between 1970 and 2200.")
    return day


def _number(value: Any) -> Any:
    # Without this check pydantic also accepts texts and booleans.
    if isinstance(value, str | bool):
        raise ValueError("Please use a number, without quotes.")
    return value


def invalid_field(field: str, message: str) -> PydanticCustomError:
    """The error that a model validator raises to blame one field, by its JSON path (`windows.2.opens`)."""
    return PydanticCustomError("wrong", "{message}", {"field": field, "message": message})


_NOT_EMPTY: Final = checked(not_empty, minLength=1)
_ONLY_FORMAT: Final[dict[str, Any]] = {"pattern": None, "minLength": None, "maxLength": None}

# For numbers in bodies, after their limits.
WHOLE: Final = BeforeValidator(_number)
Name = Annotated[str, line(NAME_LENGTH), _NOT_EMPTY]
# Their formats say more than lengths and characters. The API's description explains those not of JSON Schema itself.
PersonName = Annotated[Name, checked(_person, format="person-name", **_ONLY_FORMAT)]
Email = Annotated[str, line(EMAIL_LENGTH, clean_address), _NOT_EMPTY, checked(_email, format="email", **_ONLY_FORMAT)]
# Not yet checked, because that needs the country of the sender. See `BookingRequest`.
Phone = Annotated[str, line(PHONE_LENGTH), checked(not_empty, format="phone", **_ONLY_FORMAT)]
Notes = Annotated[str, lines(NOTES_LENGTH)]
Title = Annotated[str, line(80), _NOT_EMPTY]
Search = Annotated[str, line(SEARCH_LENGTH)]
ZoneName = Annotated[str, Field(max_length=64), checked(_time_zone, format="time-zone", **_ONLY_FORMAT)]
Day = Annotated[date, BeforeValidator(_iso_8601), checked(_plausible_date, pattern=_PLAUSIBLE)]
Instant = Annotated[AwareDatetime, BeforeValidator(_iso_8601), checked(_plausible_instant, pattern=_PLAUSIBLE)]


def utc_text(instant: datetime) -> str:
    """Format an aware instant as RFC 3339 in UTC: `2026-11-24T09:00:00Z`."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


Utc = Annotated[
    datetime,
    PlainSerializer(utc_text, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}, mode="serialization"),
]
