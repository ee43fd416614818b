"""API tokens, proven email addresses, and the caller that a request acts as."""

import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field, JsonValue, model_validator

from expert_booking.schemas.fields import Email, Model, Name, RequestModel, Utc, at_most


class Role(StrEnum):
    ADMIN = "admin"
    EXPERT = "expert"
    READER = "reader"
    CUSTOMER = "customer"


# The roles of API tokens. Customers prove their email address instead.
TOKEN_ROLES: Final = (Role.ADMIN, Role.EXPERT, Role.READER)

# A token that expires within this time should be replaced.
TOKEN_EXPIRES_SOON: Final = timedelta(days=30)


class TokenRequest(RequestModel):
    """A new API token."""

    name: Name
    role: Literal[Role.ADMIN, Role.EXPERT, Role.READER]
    expert: str | None = None
    # Days until the token expires.
    days: Annotated[int, Field(ge=1, le=3650)] = 365

    @model_validator(mode="after")
    def _expert_named(self) -> "TokenRequest":
        if (self.role is Role.EXPERT) != (self.expert is not None):
            raise ValueError("A token for an expert needs --expert SLUG. Other roles do not take --expert.")
        return self


class TokenView(Model):
    """An API token, without its secret."""

    id: UUID
    name: str
    role: Role
    expert_slug: str | None
    expert_active: bool | None
    created_at: Utc
    expires_at: Utc
    # Accurate to one hour.
    last_used_at: Utc | None
    revoked_at: Utc | None

    def state(self, now: datetime) -> str:
        """The state of the token at `now`, as the command line prints it."""
        if self.revoked_at is not None:
            return f"revoked {self.revoked_at:%Y-%m-%d}"
        if self.expires_at <= now:
            return "expired"
        if self.expert_active is False:
            return "its expert is not active"
        return "expires soon" if self.expires_at - now < TOKEN_EXPIRES_SOON else "valid"


class Caller(Model):
    """Who makes a request: the bearer of a token, a browser, or a proven email address.

    Requests of the public have no caller.
    """

    role: Role
    expert_id: UUID | None = None
    # None for the system, and for people in a browser. Of assistants it is their row, so that the history names them.
    token_id: UUID | None = None
    # Experts only: an assistant, who may not change the expert's address, tokens and assistants.
    assistant: bool = False
    # Customers only: the hash of the browser that booked.
    visitor: bytes | None = None
    # Customers only: the booking of an `accessToken`. The token is valid while the booking has the same key version.
    booking_id: UUID | None = None
    key_version: int = 1
    # Customers only: the comparable form of a proven email address.
    customer_key: str | None = None

    def reads_everything(self) -> bool:
        """Whether this caller may read the bookings of every customer."""
        return self.role in (Role.ADMIN, Role.READER)

    def runs(self, expert_id: UUID) -> bool:
        """Whether this caller is a host of this expert: the expert or an admin."""
        return self.role is Role.ADMIN or (self.role is Role.EXPERT and self.expert_id == expert_id)

    def has_proven(self, customer_key: str | None) -> bool:
        """Whether this caller is the customer who has proven this address."""
        return self.role is Role.CUSTOMER and bool(customer_key) and customer_key == self.customer_key

    def vouches_for(self, customer_key: str, expert_id: UUID) -> bool:
        """Whether bookings of this address with this expert need no confirmation by email when this caller makes them.

        That is so for the expert and admins, and for the customer who has proven the address.
        """
        return self.runs(expert_id) or self.has_proven(customer_key)

    def owns(self, booking_id: UUID, customer_key: str | None, visitor: bytes | None, key_version: int) -> bool:
        """Whether this caller is the customer of this booking: by its token, its browser or its email address."""
        return self.role is Role.CUSTOMER and (
            (booking_id == self.booking_id and key_version == self.key_version)
            or (visitor is not None and visitor == self.visitor)
            or self.has_proven(customer_key)
        )


class Identity(Model):
    """A proven email address and its rights: to see its own bookings, and to act as host of calendars."""

    email: str
    customer_key: str
    admin: bool = False
    # The experts with this address, then those whose assistant it is.
    experts: tuple["OwnExpert", ...] = ()

    def host_of(self, expert_id: UUID) -> Caller | None:
        """The caller as which this address acts as host of this expert; None if it may not."""
        if self.admin:
            return Caller(role=Role.ADMIN)
        own = next((one for one in self.experts if one.id == expert_id), None)
        if own is None:
            return None
        return Caller(role=Role.EXPERT, expert_id=expert_id, token_id=own.assistant_id, assistant=own.is_assisted)


class OwnExpert(Model):
    """An expert whose email address was proven, or that of an assistant."""

    id: UUID
    slug: str
    name: str
    time_zone: str
    # Only if the proven address is an assistant's.
    assistant_id: UUID | None = None

    @property
    def is_assisted(self) -> bool:
        """Whether the proven address is that of an assistant and not the expert's own."""
        return self.assistant_id is not None


class AssistantView(Model):
    """An address that runs an expert's calendar."""

    email: str
    added_at: Utc


class AssistantList(Model):
    """The assistants of an expert."""

    assistants: Sequence[AssistantView]


def _own_path(path: str) -> str:
    # Only paths of this site: browsers read "//example.com" and "/\\example.com" as other sites.
    return path if re.fullmatch(r"/(?![/\\])[!-\[\]-~]*", path) else ""


OwnPath = Annotated[str, at_most(500), AfterValidator(_own_path)]


class AccessRequest(RequestModel):
    """The email address to prove. The response is the same for every address."""

    email: Email


class AccessRequested(Model):
    """The access request. `id` is needed to redeem the code in the email."""

    id: UUID
    expires_at: Utc


_SENT: Final[JsonValue] = {"type": "string"}
_NOT_SENT: Final[JsonValue] = {"type": "null"}


class RedeemRequest(RequestModel):
    """Either the link in the email (or its part after the last slash), or the code together with the request's `id`."""

    model_config = ConfigDict(
        json_schema_extra={
            "oneOf": [
                {"required": ["link"], "properties": {"link": _SENT, "id": _NOT_SENT, "code": _NOT_SENT}},
                {"required": ["id", "code"], "properties": {"id": _SENT, "code": _SENT, "link": _NOT_SENT}},
            ]
        }
    )

    link: Annotated[str, at_most(500)] | None = None
    id: UUID | None = None
    code: Annotated[str, at_most(20)] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "RedeemRequest":
        if (self.link is None) == (self.code is None) or (self.id is None) != (self.code is None):
            raise ValueError("Please send either the link, or the id of the request and the code.")
        return self


class ProofView(Model):
    """A bearer token for the bookings of one email address. It is shown only once."""

    access_token: str
    email: str
    expires_at: Utc


class LinkView(Model):
    """What a valid access link proves, and the page it leads to."""

    email: str
    next_path: str
    # If the link confirms a new address of an expert: the name of the expert.
    expert_name: str | None = None
