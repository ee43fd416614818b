"""Session types: what an expert offers, how long it lasts and on which terms it is booked."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Annotated, Final
from uuid import UUID

from pydantic import Field, StrictBool

from expert_booking.domain.locations import Location
from expert_booking.domain.prices import Price, currencies
from expert_booking.domain.questions import Question
from expert_booking.domain.terms import Confirmation, EmailVerification, Terms
from expert_booking.schemas.fields import WHOLE, Model, Name, Patch, RequestModel, at_most_items, checked, lines
from expert_booking.schemas.locations import OfferedLocations
from expert_booking.schemas.questions import Questions

MAX_SESSION_TYPES: Final = 50

Description = Annotated[str, lines(1000)]
SessionMinutes = Annotated[int, Field(ge=5, le=480), WHOLE]
StepMinutes = Annotated[int, Field(ge=5, le=1440), WHOLE]
BufferMinutes = Annotated[int, Field(ge=0, le=480), WHOLE]
NoticeMinutes = Annotated[int, Field(ge=0, le=60 * 24 * 60), WHOLE]
HorizonDays = Annotated[int, Field(ge=1, le=366), WHOLE]
DailyCap = Annotated[int, Field(ge=1, le=100), WHOLE]
Position = Annotated[int, Field(ge=1, le=1000), WHOLE]
AnswerMinutes = Annotated[int, Field(ge=15, le=60 * 24 * 60), WHOLE]
MaxReschedules = Annotated[int, Field(ge=0, le=100), WHOLE]


def _currency(code: str) -> str:
    if code not in currencies():
        raise ValueError("Please use an ISO 4217 code such as EUR.")
    return code


class PriceRequest(RequestModel):
    """A price. `amount` counts the currency's minor unit: 4500 is €45.00 or ¥4,500. 0 means free."""

    amount: Annotated[int, Field(ge=0, le=100_000_000), WHOLE]
    currency: Annotated[
        str, Field(max_length=3, examples=["EUR"]), checked(_currency, enum=list(currencies()), maxLength=None)
    ]


PaymentNote = Annotated[str, lines(500)]


class SessionTypeFields(RequestModel):
    """The fields that can be set on a session type, with their limits and defaults."""

    title: Name
    description: Description = ""
    minutes: Annotated[SessionMinutes, Field(description="The length of a session.")] = 60
    step_minutes: Annotated[StepMinutes, Field(description="The time between two possible starts.")] = 60
    before_minutes: Annotated[BufferMinutes, Field(description="The buffer kept free before a session.")] = 0
    after_minutes: Annotated[BufferMinutes, Field(description="The buffer kept free after a session.")] = 0
    notice_minutes: Annotated[NoticeMinutes, Field(description="The least time between booking and start.")] = 60
    horizon_days: Annotated[HorizonDays, Field(description="How many days ahead sessions can be booked.")] = 60
    daily_cap: Annotated[DailyCap | None, Field(description="The most bookings a day; null: no limit.")] = None
    confirmation: Confirmation = Confirmation.BY_EXPERT
    answer_minutes: Annotated[AnswerMinutes, Field(description="The expert's time to confirm a booking.")] = 2880
    cancel_notice_minutes: Annotated[NoticeMinutes, Field(description="The customer's notice to cancel.")] = 0
    reschedule_notice_minutes: Annotated[NoticeMinutes, Field(description="The customer's notice to reschedule.")] = 0
    max_reschedules: Annotated[
        MaxReschedules | None, Field(description="How often the customer may reschedule a booking; null: no limit.")
    ] = None
    email_verification: Annotated[
        EmailVerification,
        Field(description="Whether customers must first confirm their email address: all, those new here, or none."),
    ] = EmailVerification.NEVER
    price: Annotated[PriceRequest | None, Field(description="null: no price is stated. An amount of 0: free.")] = None
    payment_note: Annotated[PaymentNote, Field(description="How to pay.")] = ""
    locations: Annotated[
        OfferedLocations, Field(description="Where it takes place; the customer chooses one of several.")
    ] = ()
    questions: Annotated[Questions, Field(description="What customers are asked when they book, in this order.")] = ()
    active: Annotated[StrictBool, Field(description="Whether it can be booked.")] = True


class SessionTypeRequest(SessionTypeFields):
    """A new session type. Minutes are elapsed time; the horizon and the daily cap count the expert's local days.

    Customers may cancel up to `cancelNoticeMinutes` before the start and reschedule up to `rescheduleNoticeMinutes`
    before it, at most `maxReschedules` times for each booking.
    """


class NewSessionType(SessionTypeRequest):
    """A new session type. Without a `position` it is listed last."""

    position: Position | None = None


class SessionTypeChange(SessionTypeFields, Patch):
    """Changes to a session type. `dailyCap: null` and `maxReschedules: null` remove the limit."""

    title: Name = ""
    position: Position = 1


# Not derived from SessionTypeFields: stored values are not validated again, and the documentation of a view has no
# limits.
class SessionTypeView(Model):
    """A session type as it is offered."""

    id: UUID
    title: str
    description: str = ""
    minutes: int
    step_minutes: int = 60
    before_minutes: int = 0
    after_minutes: int = 0
    notice_minutes: int = 0
    horizon_days: int = 60
    daily_cap: int | None = None
    confirmation: Confirmation = Confirmation.BY_EXPERT
    answer_minutes: int = 2880
    cancel_notice_minutes: int = 0
    reschedule_notice_minutes: int = 0
    max_reschedules: int | None = None
    email_verification: EmailVerification = EmailVerification.NEVER
    price: Price | None = None
    payment_note: str = ""
    locations: Annotated[
        Sequence[Location], Field(description="Only hosts see the link of a video call and the number of a phone call.")
    ] = ()
    questions: Sequence[Question] = ()
    active: bool = True

    @property
    def terms(self) -> Terms:
        """The terms under which it is confirmed, cancelled and rescheduled."""
        return Terms(**{field.name: getattr(self, field.name) for field in fields(Terms)})


class PlacedSessionType(SessionTypeView):
    """A session type with its position in the expert's list. Requests that name no session type mean the first one."""

    position: int


class SessionTypeList(Model):
    """An expert's session types, by position."""

    session_types: Sequence[PlacedSessionType]


class SessionTypeOrder(RequestModel):
    """The ids of all session types of an expert, in the order in which they are listed."""

    ids: Annotated[Sequence[UUID], Field(max_length=MAX_SESSION_TYPES), at_most_items(MAX_SESSION_TYPES)]
