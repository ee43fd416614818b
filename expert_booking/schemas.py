"""Requests in, views out: what pages, programs and services say to each other. camelCase in JSON, times in UTC."""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from enum import StrEnum
from typing import Annotated, Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic.alias_generators import to_camel

from expert_booking.domain.addresses import customer_key
from expert_booking.domain.calendar import SlotState
from expert_booking.domain.lifecycle import Status

NAME_LENGTH: Final = 120
EMAIL_LENGTH: Final = 254
PHONE_LENGTH: Final = 40
NOTES_LENGTH: Final = 2000
SEARCH_LENGTH: Final = 100
MAX_PAGE: Final = 100_000
SLOT_DAYS: Final = 62


class Model(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")


# --- words that people type -------------------------------------------------------------------------------------


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", _clean(text)).strip()


def _clean(text: str) -> str:
    if any(unicodedata.category(letter) in ("Cc", "Cs") and letter not in "\n\r\t" for letter in text):
        raise ValueError("Please leave out control characters.")
    return text.replace("\r\n", "\n").replace("\r", "\n").strip()


def _not_empty(text: str) -> str:
    if not text:
        raise ValueError("Please fill this in.")
    return text


def _at_most(length: int) -> Any:
    def check(text: str) -> str:
        if len(text) > length:
            raise ValueError(f"Please use at most {length} characters.")
        return text

    # The length is checked first, so that nobody can make us search a novel for control characters.
    return AfterValidator(check)


def _email(text: str) -> str:
    try:
        customer_key(text)
    except ValueError as error:
        raise ValueError("Please enter an e-mail address such as name@example.com.") from error
    return text


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


ZONE_NAMES: Final = frozenset(available_timezones() - {"localtime", "posixrules", "Factory"})

Name = Annotated[str, _at_most(NAME_LENGTH), AfterValidator(_one_line), AfterValidator(_not_empty)]
Email = Annotated[
    str, _at_most(EMAIL_LENGTH), AfterValidator(_one_line), AfterValidator(_not_empty), AfterValidator(_email)
]
Phone = Annotated[
    str, _at_most(PHONE_LENGTH), AfterValidator(_one_line), AfterValidator(_not_empty), AfterValidator(_phone)
]
Notes = Annotated[str, _at_most(NOTES_LENGTH), AfterValidator(_clean)]
Search = Annotated[str, _at_most(SEARCH_LENGTH), AfterValidator(_one_line)]
ZoneName = Annotated[str, Field(max_length=64), AfterValidator(_time_zone)]
Day = Annotated[date, BeforeValidator(_written_out), AfterValidator(_sensible_date)]
Instant = Annotated[AwareDatetime, BeforeValidator(_written_out), AfterValidator(_sensible_year)]


def utc_text(instant: datetime) -> str:
    """RFC 3339 in UTC with a Z, as every instant leaves us: `2026-11-24T09:00:00Z`."""
    text = instant.astimezone(UTC).isoformat(timespec="microseconds" if instant.microsecond else "seconds")
    return text.replace("+00:00", "Z")


Utc = Annotated[
    datetime,
    PlainSerializer(utc_text, return_type=str),
    WithJsonSchema({"type": "string", "format": "date-time"}, mode="serialization"),
]


# --- experts ----------------------------------------------------------------------------------------------------


class ExpertSort(StrEnum):
    RATING = "rating"
    EXPERIENCE = "experience"
    NAME = "name"


class ExpertQuery(Model):
    """What to look for in the catalogue."""

    search: Search = ""
    category: Annotated[str, Field(max_length=80), AfterValidator(_one_line)] = ""
    min_rating: Annotated[float, Field(ge=0, le=5, allow_inf_nan=False)] | None = None
    sort: ExpertSort = ExpertSort.RATING
    page: Annotated[int, Field(ge=1, le=MAX_PAGE)] = 1
    limit: Annotated[int, Field(ge=1, le=100)] = 20


class ExpertView(Model):
    """An expert as the catalogue shows one. `experience` is in years; `next_available` a start, UTC."""

    id: UUID
    slug: str
    name: str
    category: str
    experience: int
    rating: float | None
    rating_count: int
    headline: str
    time_zone: str
    next_available: Utc | None = None


class SessionTypeView(Model):
    id: UUID
    title: str
    minutes: int


class ExpertDetail(ExpertView):
    bio: str
    session_types: Sequence[SessionTypeView]


class ExpertPage(Model):
    experts: Sequence[ExpertView]
    total: int
    page: int
    limit: int


class RuleRequest(Model):
    """Weekly hours in the expert's zone, in minutes since midnight; `closes` past 1440 is the next day."""

    weekday: Annotated[int, Field(ge=1, le=7)]
    opens: Annotated[int, Field(ge=0, lt=1440)]
    closes: Annotated[int, Field(gt=0, le=2880)]

    @model_validator(mode="after")
    def _closes_later(self) -> "RuleRequest":
        if not self.opens < self.closes <= self.opens + 1440:
            raise ValueError("Hours must close after they open, at most a day later.")
        return self


class SessionTypeRequest(Model):
    title: Name
    minutes: Annotated[int, Field(ge=5, le=480)] = 60
    step_minutes: Annotated[int, Field(ge=5, le=1440)] = 60
    before_minutes: Annotated[int, Field(ge=0, le=480)] = 0
    after_minutes: Annotated[int, Field(ge=0, le=480)] = 0
    notice_minutes: Annotated[int, Field(ge=0, le=60 * 24 * 60)] = 60
    horizon_days: Annotated[int, Field(ge=1, le=366)] = 60


class ExpertRequest(Model):
    """A new expert, with hours and one session type, so that there is something to book at once."""

    name: Name
    category: Annotated[str, Field(max_length=80), AfterValidator(_one_line), AfterValidator(_not_empty)]
    headline: Annotated[str, Field(max_length=160), AfterValidator(_one_line)] = ""
    bio: Annotated[str, Field(max_length=5000), AfterValidator(_clean)] = ""
    experience_years: Annotated[int, Field(ge=0, le=80)] = 0
    rating: Annotated[float, Field(ge=0, le=5, allow_inf_nan=False)] | None = None
    rating_count: Annotated[int, Field(ge=0)] = 0
    time_zone: ZoneName
    email: Email
    portrait: Annotated[str, Field(max_length=120)] = ""
    slug: Annotated[str, Field(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=80)] | None = None
    session_type: SessionTypeRequest
    rules: Sequence[RuleRequest]


# --- slots ------------------------------------------------------------------------------------------------------


class SlotQuery(Model):
    """Which slots: local dates, both included. `time_zone` says whose dates; by default the expert's."""

    since: Annotated[Day, Field(alias="from")]
    until: Annotated[Day, Field(alias="to")]
    time_zone: ZoneName | None = None
    session_type_id: UUID | None = None

    @field_validator("until")
    @classmethod
    def _in_order(cls, until: date, info: ValidationInfo) -> date:
        since = info.data.get("since", until)  # where `from` is wrong itself, that is said already
        if until < since:
            raise ValueError("`to` must not be before `from`.")
        if (until - since).days >= SLOT_DAYS:
            raise ValueError(f"Please ask for at most {SLOT_DAYS} days at once.")
        return until


class SlotView(Model):
    starts_at: Utc
    ends_at: Utc
    state: SlotState


class SlotPage(Model):
    expert_id: UUID
    session_type_id: UUID
    time_zone: str
    slots: Sequence[SlotView]


# --- bookings ---------------------------------------------------------------------------------------------------


class BookingRequest(Model):
    """What a customer says to book, in a house that does not insist on a phone number."""

    expert_id: UUID
    session_type_id: UUID | None = None
    starts_at: Instant
    name: Name
    email: Email
    phone: Annotated[Phone | None, BeforeValidator(lambda text: text or None)] = None
    notes: Notes = ""
    time_zone: ZoneName | None = None


class BookingRequestWithPhone(BookingRequest):
    """What a customer says to book."""

    phone: Phone


class BusyView(Model):
    """All that the public may know of a booking."""

    starts_at: Utc
    ends_at: Utc
    status: Status


class BookingView(BusyView):
    id: UUID
    expert_id: UUID
    expert_slug: str
    expert_name: str
    expert_time_zone: str
    session_type_id: UUID
    session_title: str
    name: str
    email: str
    phone: str | None
    notes: str
    time_zone: str | None
    created_at: Utc
    updated_at: Utc
    version: int


class StatusRequest(Model):
    status: Status


class BookingQuery(Model):
    """Whose bookings. Exactly what may be seen is decided by the caller's token."""

    email: Email | None = None
    expert_id: UUID | None = None
    page: Annotated[int, Field(ge=1, le=MAX_PAGE)] = 1
    limit: Annotated[int, Field(ge=1, le=100)] = 20


class BookingPage(Model):
    bookings: Sequence[BookingView]
    total: int
    page: int
    limit: int


class BusyPage(Model):
    bookings: Sequence[BusyView]
    total: int
    page: int
    limit: int


# --- tokens -----------------------------------------------------------------------------------------------------


class Role(StrEnum):
    ADMIN = "admin"
    EXPERT = "expert"
    READER = "reader"


class TokenRequest(Model):
    name: Name
    role: Role
    expert: str | None = None

    @model_validator(mode="after")
    def _expert_named(self) -> "TokenRequest":
        if (self.role is Role.EXPERT) != (self.expert is not None):
            raise ValueError("An expert's token needs --expert SLUG; the other roles take none.")
        return self


class TokenView(Model):
    id: UUID
    name: str
    role: Role
    expert_slug: str | None
    created_at: Utc
    revoked_at: Utc | None


class Caller(Model):
    """Who is asking: the bearer of a valid token. No caller is the public."""

    role: Role
    expert_id: UUID | None = None

    def reads_everything(self) -> bool:
        """Whether this caller may read every customer's bookings."""
        return self.role in (Role.ADMIN, Role.READER)

    def runs(self, expert_id: UUID) -> bool:
        """Whether this caller runs that expert's calendar."""
        return self.role is Role.ADMIN or (self.role is Role.EXPERT and self.expert_id == expert_id)


# --- complaints -------------------------------------------------------------------------------------------------


class Complaint(Model):
    """What is wrong with one field, in words for people."""

    field: str
    message: str


def complaints(error: ValidationError, *, skip: int = 0) -> list[Complaint]:
    """All that is wrong, field by field, by the names that JSON has for them."""
    return [complaint(details, skip=skip) for details in error.errors(include_url=False)]


def complaint(details: Mapping[str, Any], *, skip: int = 0) -> Complaint:
    """One of pydantic's errors; `skip` leaves out the first steps of its path ("body", "query")."""
    steps = [str(step) for step in details["loc"]][skip:]
    message = (
        "Please fill this in." if details["type"] == "missing" else str(details["msg"]).removeprefix("Value error, ")
    )
    return Complaint(field=".".join(steps) or "body", message=message)


def zone_named(name: str) -> ZoneInfo:
    """The zone of a name that has been checked already."""
    return ZoneInfo(name)
