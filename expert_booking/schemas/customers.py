"""What is stored about a customer, as they may download it, and what an erasure did."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from expert_booking.domain.email_schedule import Audience, Delivery, MessageKind
from expert_booking.schemas.bookings import BookingView, ChangeView, HoldView
from expert_booking.schemas.fields import Model, Utc


class StoredEmail(Model):
    """An email about a booking: what was sent to whom, and whether it arrived. Its text is not stored."""

    kind: MessageKind
    audience: Audience
    state: Delivery
    tries: int
    created_at: Utc
    sent_at: Utc | None
    failed_at: Utc | None
    error: str


class StoredBooking(BookingView):
    """A booking with its history and emails."""

    history: Sequence[ChangeView]
    emails: Sequence[StoredEmail]
    identifiers: Annotated[
        dict[str, Any],
        Field(description="Other data that could identify the customer, such as a hash of the browser's cookie."),
    ]


class StoredProof(Model):
    """A browser or program that is signed in with the address."""

    kind: Literal["browser", "program"]
    email: str
    created_at: Utc
    expires_at: Utc


class StoredAccessRequest(Model):
    """A request for a sign-in email. `browser` and `network` are hashes."""

    email: str
    created_at: Utc
    expires_at: Utc
    used_at: Utc | None
    next_page: str
    wrong_codes: int
    browser: str | None
    network: str | None


class StoredFeed(Model):
    """A calendar address. The address itself is secret and is left out."""

    created_at: Utc


class StoredResponse(Model):
    """A response to a program, stored encrypted for 24 hours."""

    created_at: Utc


class StoredMail(Model):
    """An email that a site without a mail server shows on its mailbox page."""

    recipient: str
    subject: str
    created_at: Utc
    text: str


class CustomerData(Model):
    """Everything that is stored about a customer."""

    email: str
    exported_at: Utc
    bookings: Sequence[StoredBooking]
    holds: Sequence[HoldView]
    calendar_feeds: Sequence[StoredFeed]
    proofs: Sequence[StoredProof]
    access_requests: Sequence[StoredAccessRequest]
    stored_responses: Sequence[StoredResponse]
    mailbox: Sequence[StoredMail]
    other: Annotated[dict[str, Any], Field(description="Rows of other tables about this address, by table.")]


class CustomerErased(Model):
    """How many bookings an erasure concerned. All are zero if nothing was stored, or after an earlier erasure."""

    erased: Annotated[int, Field(description="Bookings that no longer name the customer, with the cancelled ones.")]
    cancelled: Annotated[int, Field(description="Upcoming bookings that were cancelled.")]
    kept: Annotated[int, Field(description="Upcoming bookings that stay until they are over.")]


class EraseQuery(Model):
    """How to erase a customer's data."""

    # Refused if unknown: a misspelt parameter must not cancel bookings.
    model_config = ConfigDict(extra="forbid")

    keep_upcoming: Annotated[
        bool, Field(description="Keep upcoming bookings until they are over, instead of cancelling them.")
    ] = False


class StoragePeriods(Model):
    """For how many days data is stored. None: until it is erased."""

    bookings: float | None
    emails: float
    proofs: float
    access_requests: float
    holds: float
    responses: float
