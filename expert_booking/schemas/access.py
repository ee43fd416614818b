"""Tokens and proven addresses, and who carries one."""

import re
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, model_validator

from expert_booking.schemas.fields import Email, Model, Name, Utc, at_most


class Role(StrEnum):
    ADMIN = "admin"
    EXPERT = "expert"
    READER = "reader"
    CUSTOMER = "customer"


# Those that a token of a program can be made for; customers prove their address instead.
TOKEN_ROLES: Final = (Role.ADMIN, Role.EXPERT, Role.READER)


# Within this time before its end a token is to be replaced.
TOKEN_EXPIRES_SOON: Final = timedelta(days=30)


class TokenRequest(Model):
    name: Name
    role: Literal[Role.ADMIN, Role.EXPERT, Role.READER]
    expert: str | None = None
    # How long it counts.
    days: Annotated[int, Field(ge=1, le=3650)] = 365

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
    expert_active: bool | None
    created_at: Utc
    expires_at: Utc
    # To the hour.
    last_used_at: Utc | None
    revoked_at: Utc | None

    def state(self, now: datetime) -> str:
        """What has become of it, in a few words."""
        if self.revoked_at is not None:
            return f"revoked {self.revoked_at:%Y-%m-%d}"
        if self.expires_at <= now:
            return "expired"
        if self.expert_active is False:
            return "its expert is not active"
        return "expires soon" if self.expires_at - now < TOKEN_EXPIRES_SOON else "valid"


class Caller(Model):
    """Who is asking: the bearer of a token, a browser, whoever has proven an address. No caller is the public."""

    role: Role
    expert_id: UUID | None = None
    # Which token it is; none for what the site does itself, and for people.
    token_id: UUID | None = None
    # A customer: by the browser that booked (a hash), by the key of one booking, by an address that was proven.
    visitor: bytes | None = None
    booking_id: UUID | None = None
    # The version of that key: it counts only while it is the booking's own.
    key_version: int = 1
    customer_key: str | None = None

    def reads_everything(self) -> bool:
        """Whether this caller may read every customer's bookings."""
        return self.role in (Role.ADMIN, Role.READER)

    def runs(self, expert_id: UUID) -> bool:
        """Whether this caller runs that expert's calendar."""
        return self.role is Role.ADMIN or (self.role is Role.EXPERT and self.expert_id == expert_id)

    def owns(self, booking_id: UUID, customer_key: str | None, visitor: bytes | None, key_version: int) -> bool:
        """Whether this caller is the customer of that booking, who booked with this address, in this browser."""
        return self.role is Role.CUSTOMER and (
            (booking_id == self.booking_id and key_version == self.key_version)
            or (visitor is not None and visitor == self.visitor)
            or (customer_key is not None and customer_key == self.customer_key)
        )


class Identity(Model):
    """An address that has been proven, and what it may do: see its own bookings, and as a host run calendars."""

    email: str
    customer_key: str
    admin: bool = False
    # The experts whose address it is, by name and slug.
    experts: tuple["OwnExpert", ...] = ()

    def host_of(self, expert_id: UUID) -> Caller | None:
        """As whom this address runs that expert's calendar; None where it does not."""
        if self.admin:
            return Caller(role=Role.ADMIN)
        if any(one.id == expert_id for one in self.experts):
            return Caller(role=Role.EXPERT, expert_id=expert_id)
        return None


class OwnExpert(Model):
    id: UUID
    slug: str
    name: str
    time_zone: str


def _own_path(path: str) -> str:
    # Only a page of this site: "//elsewhere" and "/\\elsewhere" are addresses of others to a browser.
    return path if re.fullmatch(r"/(?![/\\])[!-\[\]-~]*", path) else ""


OwnPath = Annotated[str, at_most(500), AfterValidator(_own_path)]


class AccessRequest(Model):
    """Whose address is to be proven. The answer is the same for every address."""

    email: Email


class AccessRequested(Model):
    """A mail is on its way if this address is known here. `id` belongs to the code in it."""

    id: UUID
    expires_at: Utc


class RedeemRequest(Model):
    """What the mail holds: its link (or the part of it behind the last slash), or the code, with the request's id."""

    link: Annotated[str, at_most(500)] | None = None
    id: UUID | None = None
    code: Annotated[str, at_most(20)] | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "RedeemRequest":
        if (self.link is None) == (self.code is None) or (self.id is None) != (self.code is None):
            raise ValueError("Please send the link, or the id of the request and the code.")
        return self


class ProofView(Model):
    """A bearer token for the bookings of one address. It is shown this once."""

    access_token: str
    email: str
    expires_at: Utc


class LinkView(Model):
    """What an access link that still counts would prove, and where it leads then."""

    email: str
    next_path: str
    # The expert whose new address it then becomes.
    expert_name: str | None = None
