"""Tokens, and who carries one."""

from enum import StrEnum
from uuid import UUID

from pydantic import model_validator

from expert_booking.schemas.words import Model, Name, Utc


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
    # Which token it is; none for what the house does itself.
    token_id: UUID | None = None

    def reads_everything(self) -> bool:
        """Whether this caller may read every customer's bookings."""
        return self.role in (Role.ADMIN, Role.READER)

    def runs(self, expert_id: UUID) -> bool:
        """Whether this caller runs that expert's calendar."""
        return self.role is Role.ADMIN or (self.role is Role.EXPERT and self.expert_id == expert_id)
