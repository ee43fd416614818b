"""Lists of bookings for hosts: their filters, pages and cursors, and actions on several bookings at once."""

from collections.abc import Sequence
from typing import Annotated, Final, Literal, Self
from uuid import UUID

from pydantic import Field, field_validator, model_validator

from expert_booking.domain.lifecycle import Status
from expert_booking.schemas.bookings import BookingView, BusyView, ChangeReason
from expert_booking.schemas.cursors import CURSOR_LENGTH, BookingSort, Place, place_of
from expert_booking.schemas.fields import (
    MAX_PAGE,
    Day,
    Email,
    Model,
    RequestModel,
    Search,
    ZoneName,
    at_most_items,
    invalid_field,
)

MAX_ACTION_IDS: Final = 100
# Without an expert, a search needs a word of this length, which the index of all bookings can find.
_LEAST_SEARCH: Final = 3
_SEARCH: Final = (
    "Words in the customer's name and email address, ignoring case and accents; a phone number, or a part of one; or"
    " the id of a booking."
)
_ZONE: Final = "The time zone of `from` and `to`. Default: the expert's, or UTC without `expertId`."
_Cursor = Annotated[str, Field(max_length=CURSOR_LENGTH)]
# The statuses that bookings have.
BookingStatus = Literal[
    Status.PENDING,
    Status.CONFIRMED,
    Status.COMPLETED,
    Status.CANCELLED,
    Status.DECLINED,
    Status.EXPIRED,
    Status.NO_SHOW,
]


class BookingFilter(RequestModel):
    """Which bookings to list, and in which order. The caller's token decides how much of them is shown."""

    email: Email | None = None
    expert_id: UUID | None = None
    search: Annotated[Search, Field(description=_SEARCH)] = ""
    session_type_id: UUID | None = None
    status: Annotated[
        Sequence[BookingStatus], Field(max_length=10, description="Bookings with any of these statuses.")
    ] = ()
    since: Annotated[Day | None, Field(alias="from", description="Sessions that start on or after this day.")] = None
    until: Annotated[Day | None, Field(alias="to", description="Sessions that start on or before this day.")] = None
    time_zone: Annotated[ZoneName | None, Field(description=_ZONE)] = None
    sort: Annotated[BookingSort, Field(description="By start or by when they were made; `-` is latest first.")] = (
        BookingSort.LATEST_START
    )

    @field_validator("status", mode="before")
    @classmethod
    def _one_or_many(cls, status: object) -> object:
        return [status] if isinstance(status, str) else status

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.since and self.until and self.until < self.since:
            raise invalid_field("to", "`to` must not be before `from`.")
        everywhere = self.expert_id is None and self.email is None
        if self.search and everywhere and max(map(len, self.search.split()), default=0) < _LEAST_SEARCH:
            raise invalid_field("search", f"Please use at least {_LEAST_SEARCH} characters, or send `expertId`.")
        return self


class BookingQuery(BookingFilter):
    """One page of a list. With `after` or `before`, `page` is only returned as it is."""

    page: Annotated[int, Field(ge=1, le=MAX_PAGE)] = 1
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    after: Annotated[_Cursor | None, Field(description="The `next` of an earlier response.")] = None
    before: Annotated[
        _Cursor | None, Field(description="The `previous` of an earlier response. Not together with `after`.")
    ] = None

    @property
    def place(self) -> Place | None:
        """The position after which the page begins or, with `before`, before which it ends."""
        text = self.after or self.before
        return place_of(self.sort, text) if text else None

    def filters(self) -> set[str]:
        """The fields that were sent, apart from those that everyone may send."""
        return self.model_fields_set - {"email", "expert_id", "page", "limit"}

    @model_validator(mode="after")
    def _cursor_of_this_order(self) -> Self:
        if self.after and self.before:
            raise invalid_field("before", "Please use either `after` or `before`, not both.")
        try:
            _ = self.place
        except ValueError as error:
            field = "after" if self.after else "before"
            raise invalid_field(field, "Please use a cursor from an earlier response with the same `sort`.") from error
        return self


class BookingPage(Model):
    """One page of bookings. Paging with `next` as `after`, or `previous` as `before`, repeats and skips none.

    `total` stops at 10,000; `totalIsCapped` is true if there are more.
    """

    bookings: Sequence[BookingView]
    total: int
    total_is_capped: bool = False
    page: int
    limit: int
    next: str | None = None
    previous: str | None = None


class BusyPage(Model):
    """One page of bookings, as the public sees them."""

    bookings: Sequence[BusyView]
    total: int
    page: int
    limit: int


# The actions, and the statuses that they lead to.
ACTIONS: Final = {
    "confirm": Status.CONFIRMED,
    "decline": Status.DECLINED,
    "cancel": Status.CANCELLED,
    "complete": Status.COMPLETED,
    "no_show": Status.NO_SHOW,
}
ActionName = Literal["confirm", "decline", "cancel", "complete", "no_show"]


class BookingAction(RequestModel):
    """One action on up to 100 bookings, and one reason for the history of each."""

    action: ActionName
    ids: Annotated[
        Sequence[UUID],
        Field(min_length=1, max_length=MAX_ACTION_IDS, json_schema_extra={"uniqueItems": True}),
        at_most_items(MAX_ACTION_IDS),
    ]
    reason: ChangeReason = ""

    @field_validator("ids")
    @classmethod
    def _each_once(cls, ids: Sequence[UUID]) -> Sequence[UUID]:
        if len(set(ids)) < len(ids):
            raise ValueError("Please send each id only once.")
        return ids

    @property
    def status(self) -> Status:
        """The status that the bookings get."""
        return ACTIONS[self.action]


class ActionError(Model):
    """Why one booking was not changed: the `code` and `detail` of the error for this booking alone."""

    code: str
    detail: str


class ActionResult(Model):
    """What became of one booking: the changed booking, or the error."""

    id: UUID
    booking: BookingView | None = None
    error: ActionError | None = None


class ActionResults(Model):
    """The results in the order of the request. `done` counts the changed bookings, `refused` the others."""

    results: Sequence[ActionResult]
    done: int
    refused: int
