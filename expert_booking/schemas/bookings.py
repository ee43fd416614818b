"""Bookings and holds: requests of customers and hosts, and what each of them may see."""

import re
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Final, Self, TypeVar
from uuid import UUID

from pydantic import BeforeValidator, ConfigDict, Field, ValidationInfo, create_model, field_validator, model_validator

from expert_booking.domain import phone_numbers
from expert_booking.domain.email_schedule import Delivery, WantedEmails
from expert_booking.domain.formatting import DELETED_CUSTOMER
from expert_booking.domain.lifecycle import Actor, Status
from expert_booking.domain.locations import Location
from expert_booking.domain.prices import Price
from expert_booking.domain.questions import Answer
from expert_booking.domain.rule_overrides import RuleOverride
from expert_booking.domain.terms import Leeway
from expert_booking.domain.time_zones import country_of
from expert_booking.schemas.fields import (
    WHOLE,
    Email,
    Instant,
    Model,
    Notes,
    PersonName,
    Phone,
    RequestModel,
    Utc,
    ZoneName,
    at_most,
    at_most_items,
    checked,
    invalid_field,
    lines,
)
from expert_booking.schemas.locations import LocationChoice, LocationRequest
from expert_booking.schemas.questions import Answers

REASON_LENGTH: Final = 500
_TIME_ZONE: Final = "The customer's time zone, for emails and for a phone number without a country code."
_PHONE: Final = (
    "With the country code, such as `+44 20 7946 0000`; without it, a number of the country of `timeZone`. Returned as"
    " E.164, `+442079460000`, followed by `;ext=12` if there is an extension."
)


class BookingRequest(RequestModel):
    """A request for a booking, on a site where the phone number is optional."""

    expert_id: UUID
    session_type_id: Annotated[UUID | None, Field(description="Default: the expert's first session type.")] = None
    starts_at: Instant
    name: PersonName
    email: Email
    # Before the phone number, which is validated with its country.
    time_zone: Annotated[ZoneName | None, Field(description=_TIME_ZONE)] = None
    phone: Annotated[Phone | None, BeforeValidator(lambda text: text or None), Field(description=_PHONE)] = None
    notes: Notes = ""
    location: Annotated[LocationChoice | None, Field(description="Default: the session type's first location.")] = None
    answers: Annotated[
        Answers, Field(description="By the `id` of the session type's questions: a text, number, boolean or options.")
    ] = Field(default_factory=dict)
    hold_id: Annotated[UUID | None, Field(description="The hold on this slot. An expired hold is ignored.")] = None

    # The country of phone numbers without a country code, if the time zone names none: a setting of the site.
    default_region: ClassVar[str | None] = None

    @field_validator("phone")
    @classmethod
    def _e164(cls, phone: str | None, info: ValidationInfo) -> str | None:
        if phone is None:
            return None
        return phone_numbers.e164(phone, country_of(info.data.get("time_zone")) or cls.default_region)


_OVERRIDE: Final = (
    "For hosts only: the rules of the calendar to set aside. A refusal lists those that it needs. Days off and holidays"
    " are outside the hours, too. Overlapping another booking is never possible."
)
_NOTIFY: Final = "For hosts only: whether the customer and the expert get an email about it."
_Request = TypeVar("_Request", bound=BookingRequest)
Overrides = Annotated[Sequence[RuleOverride], Field(description=_OVERRIDE, max_length=10), at_most_items(10)]
Notify = Annotated[bool, Field(description=_NOTIFY)]


class HostBookingRequest(BookingRequest):
    """A booking that a host makes by hand. It needs only a name: without an email address, no email is sent."""

    email: Annotated[
        Email | None, BeforeValidator(lambda text: text or None), Field(description="Without it, no email is sent.")
    ] = None  # type: ignore[assignment]
    override: Overrides = ()
    notify: Notify = True


class BookingRequestWithPhone(BookingRequest):
    """A request for a booking."""

    phone: Annotated[Phone, Field(description=_PHONE)]


def booking_request_model(*, phone_required: bool, default_region: str | None) -> type[BookingRequest]:
    """The model of booking requests on a site with these settings."""
    base = BookingRequestWithPhone if phone_required else BookingRequest
    # The same name and text, because the documentation shows them.
    return _with_region(create_model(base.__name__, __base__=base, __doc__=base.__doc__), default_region)


def host_booking_request_model(*, default_region: str | None) -> type[HostBookingRequest]:
    """The model of bookings by hand on a site with this setting."""
    base = HostBookingRequest
    return _with_region(create_model(base.__name__, __base__=base, __doc__=base.__doc__), default_region)


def _with_region(model: type[_Request], region: str | None) -> type[_Request]:
    model.default_region = region
    return model


class BusyView(Model):
    """The public part of a booking."""

    starts_at: Utc
    ends_at: Utc
    status: Status


class HoldRequest(RequestModel):
    """The slot to hold while the customer fills in the booking form."""

    expert_id: UUID
    session_type_id: Annotated[UUID | None, Field(description="Default: the expert's first session type.")] = None
    starts_at: Instant


class HoldView(Model):
    """A hold on a slot. Anyone with the id can book or release it."""

    id: UUID
    expert_id: UUID
    session_type_id: UUID
    starts_at: Utc
    ends_at: Utc
    hold_until: Utc


class BookingView(BusyView):
    """A booking as its customer and hosts see it."""

    id: UUID
    expert_id: UUID
    expert_slug: str
    expert_name: str
    expert_time_zone: str
    session_type_id: UUID
    session_title: str
    name: Annotated[str | None, Field(description="null: the customer's data was deleted.")]
    email: Annotated[str | None, Field(description="null: none is known, or the customer's data was deleted.")]
    phone: str | None
    notes: str
    time_zone: str | None
    answer_by: Annotated[Utc | None, Field(description="While pending: the expert's deadline to confirm.")] = None
    verify_by: Annotated[
        Utc | None,
        Field(description="The customer's deadline to confirm the email address; null: not needed, or done."),
    ] = None
    awaits_verification: Annotated[
        bool, Field(description="Whether the booking waits until the customer confirms the email address.")
    ] = False
    cancel_until: Annotated[Utc, Field(description="The customer's deadline to cancel.")]
    reschedule_until: Annotated[Utc, Field(description="The customer's deadline to reschedule.")]
    reschedules_left: Annotated[
        int | None, Field(description="How often the customer may still reschedule; null: no limit.")
    ]
    price: Annotated[Price | None, Field(description="The price when it was booked; null: none was stated.")] = None
    payment_note: str = ""
    location: Annotated[
        Location | None,
        Field(description="Where it takes place. Links and numbers are shown once the booking is confirmed."),
    ] = None
    answers: Annotated[
        Sequence[Answer], Field(description="`value` is null in sensitive answers, unless the caller has signed in.")
    ] = ()
    created_at: Utc
    updated_at: Utc
    version: Annotated[int, Field(description="Increases with every change.")]
    wanted_emails: Annotated[WantedEmails, Field(description="The emails about this booking that its customer wants.")]
    mail: Annotated[
        Delivery | None, Field(description="Delivery of the latest email to the customer, or why it was not sent.")
    ] = None

    @property
    def customer_name(self) -> str:
        """The customer's name, or what stands for it once the customer's data was deleted."""
        return self.name or DELETED_CUSTOMER

    def leeway(self) -> Leeway:
        """What the customer may still do under the terms of the booking."""
        return Leeway(
            status=self.status,
            starts_at=self.starts_at,
            answer_by=self.answer_by,
            cancel_until=self.cancel_until,
            reschedule_until=self.reschedule_until,
            reschedules_left=self.reschedules_left,
            verify_by=self.verify_by,
        )


class NewBookingView(BookingView):
    """A new booking, with the token that reads and changes this booking only."""

    access_token: Annotated[str | None, Field(description="null: the booking has no email address.")]


class ManageLink(Model):
    """The link with which a customer manages a booking."""

    url: str


ChangeReason = Annotated[str, lines(REASON_LENGTH)]
Version = Annotated[
    int | None,
    Field(description="The `version` that you have read. If the booking has changed since, the request is refused."),
    Field(ge=1),
    WHOLE,
]


class StatusRequest(RequestModel):
    """The new status of a booking, and a reason for its history."""

    status: Status
    reason: ChangeReason = ""
    version: Version = None
    notify: Notify = True


def _digits(text: str) -> str:
    code = re.sub(r"[\s-]", "", text)
    if not re.fullmatch(r"[0-9]{6}", code):
        raise ValueError("Please enter the six digits from the email.")
    return code


class VerifyRequest(RequestModel):
    """The code from the email that asks the customer to confirm the address. Spaces and hyphens are ignored."""

    code: Annotated[str, at_most(20), checked(_digits, pattern=r"^[\s-]*([0-9][\s-]*){6}$"), Field(examples=["123456"])]


class RescheduleRequest(RequestModel):
    """Either the new start of a booking, with a reason for its history, or its new location."""

    # Needed without a location, and then missed together with all other wrong fields.
    model_config = ConfigDict(json_schema_extra=lambda schema: schema.pop("required"))

    starts_at: Instant | None
    reason: ChangeReason = ""
    version: Version = None
    override: Overrides = ()
    notify: Notify = True
    location: LocationRequest | None = None

    @model_validator(mode="before")
    @classmethod
    def _location_alone(cls, sent: Any) -> Any:
        return {"startsAt": None, **sent} if isinstance(sent, dict) and sent.get("location") is not None else sent

    @model_validator(mode="after")
    def _one_change(self) -> Self:
        if self.starts_at is None and self.location is None:
            raise invalid_field("startsAt", "Please fill this in.")
        if self.starts_at is not None and self.location is not None:
            raise invalid_field("location", "Please change the time and the location in separate requests.")
        return self


class ChangeView(Model):
    """One change of a booking. `fromStatus` is null when it was made, `toStatus` when it was deleted.

    `assistant` is the address of the assistant who acted as the expert.
    """

    at: Utc
    actor: Actor
    from_status: Status | None = None
    to_status: Status | None = None
    from_starts_at: Utc | None = None
    to_starts_at: Utc | None = None
    reason: str
    override: Annotated[
        Sequence[RuleOverride], Field(description="The rules of the calendar that a host set aside.")
    ] = ()


class HostChangeView(ChangeView):
    """One change of a booking, as hosts see it."""

    token_id: Annotated[UUID | None, Field(description="The API token it was made with; null: none.")] = None
    assistant: Annotated[str | None, Field(description="The address of the assistant who made it; null: none.")] = None


class BookingHistory(Model):
    """The changes of a booking, oldest first."""

    changes: Sequence[HostChangeView]
