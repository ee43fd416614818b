"""Words that people and programs type, each checked and put into one form; and how instants leave us."""

import re
import unicodedata
from datetime import UTC, date, datetime
from typing import Annotated, Any, Final, Self
from zoneinfo import available_timezones

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    WithJsonSchema,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from expert_booking.domain.addresses import Address

NAME_LENGTH: Final = 120
EMAIL_LENGTH: Final = 254
PHONE_LENGTH: Final = 40
NOTES_LENGTH: Final = 2000
SEARCH_LENGTH: Final = 100
MAX_PAGE: Final = 100_000
SLOT_DAYS: Final = 62
# How far ahead the catalogue knows who is free on which day.
FREE_DAYS: Final = 60


class Model(BaseModel):
    """What all requests and views have in common: camelCase outside, frozen inside."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")


def _without_defaults(schema: dict[str, Any]) -> None:
    for field in schema["properties"].values():
        field.pop("default", None)


class Patch(Model):
    """A change: only what is given changes, anything else stays as it is."""

    # The defaults only stand for "not given", so the documentation does not tell them.
    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra=_without_defaults,
    )

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("Please say what to change.")
        return self

    def changes(self) -> dict[str, Any]:
        """What is given."""
        return self.model_dump(exclude_unset=True)


def one_line(text: str) -> str:
    """On one line, single spaces, no control characters. Raises ValueError for those."""
    return re.sub(r"\s+", " ", clean(text)).strip()


def clean(text: str) -> str:
    """The same lines with plain line ends. Raises ValueError for control characters."""
    if any(unicodedata.category(letter) in ("Cc", "Cs") and letter not in "\n\r\t" for letter in text):
        raise ValueError("Please leave out control characters.")
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def not_empty(text: str) -> str:
    """The text, if there is any. Raises ValueError otherwise."""
    if not text:
        raise ValueError("Please fill this in.")
    return text


def at_most(length: int) -> Any:
    """A check for texts of at most this many letters."""

    def check(text: str) -> str:
        if len(text) > length:
            raise ValueError(f"Please use at most {length} characters.")
        return text

    # The length is checked first, so that nobody can make us search a novel for control characters.
    return AfterValidator(check)


def few(most: int) -> Any:
    """A check for lists of at most this many."""

    def check(things: Any) -> Any:
        if isinstance(things, list) and len(things) > most:
            raise ValueError(f"Please send at most {most}.")
        return things

    # Before anything in them is looked at, so that nobody can make us complain of a thousand things.
    return BeforeValidator(check)


def _email(text: str) -> str:
    try:
        return Address.of(text)
    except ValueError as error:
        raise ValueError("Please enter an e-mail address such as name@example.com.") from error


def _phone(text: str) -> str:
    digits = re.sub(r"\D", "", text)
    if not re.fullmatch(r"\+?[0-9 ()./–-]+", text) or not 5 <= len(digits) <= 15:
        raise ValueError("Please enter a phone number such as +49 30 1234567.")
    return text


def _time_zone(name: str) -> str:
    if name not in ZONE_NAMES:
        raise ValueError("Please use an IANA time zone such as Europe/Berlin.")
    return name


def _written_out(value: Any) -> Any:
    # Seconds since 1970 would be accepted as well: as a number or in quotes, and with an offset that nobody gave.
    if isinstance(value, date) or (isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\d", value)):
        return value
    raise ValueError("Please write it out, such as 2026-11-24 or 2026-11-24T09:00:00Z.")


def _sensible_year(instant: datetime) -> datetime:
    if not 1970 <= instant.year <= 2200:
        raise ValueError("Please use a date between 1970 and 2200.")
    return instant.astimezone(UTC)


def _sensible_date(day: date) -> date:
    if not 1970 <= day.year <= 2200:
        raise ValueError("Please use a date between 1970 and 2200.")
    return day


def wrong(field: str, message: str) -> PydanticCustomError:
    """What a check of a whole request raises: which of its fields (`windows.2.opens`) is wrong, and why."""
    return PydanticCustomError("wrong", "{message}", {"field": field, "message": message})


ZONE_NAMES: Final = frozenset(available_timezones() - {"localtime", "posixrules", "Factory"})

Name = Annotated[str, at_most(NAME_LENGTH), AfterValidator(one_line), AfterValidator(not_empty)]
Email = Annotated[
    str, at_most(EMAIL_LENGTH), AfterValidator(one_line), AfterValidator(not_empty), AfterValidator(_email)
]
Phone = Annotated[
    str, at_most(PHONE_LENGTH), AfterValidator(one_line), AfterValidator(not_empty), AfterValidator(_phone)
]
Notes = Annotated[str, at_most(NOTES_LENGTH), AfterValidator(clean)]
Title = Annotated[str, at_most(80), AfterValidator(one_line), AfterValidator(not_empty)]
Search = Annotated[str, at_most(SEARCH_LENGTH), AfterValidator(one_line)]
ZoneName = Annotated[str, Field(max_length=64), AfterValidator(_time_zone)]
Day = Annotated[date, BeforeValidator(_written_out), AfterValidator(_sensible_date)]
Instant = Annotated[AwareDatetime, BeforeValidator(_written_out), AfterValidator(_sensible_year)]


def utc_text(instant: datetime) -> str:
    """RFC 3339 in UTC with a Z, as every instant leaves us: `2026-11-24T09:00:00Z`."""
    return instant.astimezone(UTC).isoformat().replace("+00:00", "Z")


Utc = Annotated[
    datetime,
    PlainSerializer(utc_text, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}, mode="serialization"),
]
