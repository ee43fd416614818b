"""Bearer tokens of programs and customers. Only hashes of secrets are stored."""

import hashlib
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from expert_booking.db import access, experts
from expert_booking.db import tokens as rows
from expert_booking.db.engine import AnyRow, Database
from expert_booking.domain.errors import ExpertNotFound, NotAuthenticated, TokenNameTaken, TokenNotFound
from expert_booking.domain.signed_keys import SignedKeys
from expert_booking.domain.site import Site
from expert_booking.schemas import Caller, Role, TokenRequest, TokenView

# What the secrets of customers who have proven an address, of programs, and of single bookings begin with.
CUSTOMER_PREFIX: Final = "eb_customer_"
_PROGRAM_PREFIX: Final = "eb_"
_BOOKING_PREFIX: Final = "eb_booking_"


class Tokens:
    """Identifies the callers of the API, and manages the tokens of programs."""

    def __init__(self, database: Database, clock: Callable[[], datetime], site: Site) -> None:
        self._database = database
        self._clock = clock
        self._keys = SignedKeys(site.secret)

    async def identify(self, secret: str) -> Caller:
        """The caller that a bearer token belongs to: a host, a customer or the customer of one booking.

        Raises NotAuthenticated if the token is not valid.
        """
        if secret.startswith(_BOOKING_PREFIX):
            booking_id = self._keys.booking_of(secret.removeprefix(_BOOKING_PREFIX))
            if booking_id is None:
                raise NotAuthenticated("This token is not valid.")
            version = self._keys.version_of(secret.removeprefix(_BOOKING_PREFIX))
            return Caller(role=Role.CUSTOMER, booking_id=booking_id, key_version=version, token_id=booking_id)
        async with self._database.statements() as connection:
            if secret.startswith(CUSTOMER_PREFIX):
                proof = await access.find_proof(connection, hash_of(secret), "program", self._clock())
                if proof is not None:
                    return Caller(role=Role.CUSTOMER, customer_key=proof.customer_key, token_id=proof.id)
            else:
                row = await rows.unrevoked(connection, hash_of(secret))
                if row is not None:
                    now = self._clock()
                    _check_token(row, now)
                    if row.last_used_at is None or now - row.last_used_at >= rows.USE_RECORDED_EVERY:
                        await rows.record_use(connection, row.token_id, now)
                    return Caller(role=row.role, expert_id=row.expert_id, token_id=row.token_id)
        raise NotAuthenticated("This token is not valid.")

    def for_booking(self, booking_id: UUID) -> str:
        """The bearer token for one new booking, returned to the customer who has just made it."""
        return _BOOKING_PREFIX + self._keys.booking(booking_id)

    async def create(self, request: TokenRequest) -> str:
        """Create a token and return its secret, which is not stored. Raises ExpertNotFound or TokenNameTaken."""
        secret, now = _PROGRAM_PREFIX + secrets.token_urlsafe(32), self._clock()
        async with self._database.transaction() as connection:
            expert_id: UUID | None = None
            if request.expert is not None:
                row = await experts.by_slug(connection, request.expert)
                if row is None:
                    raise ExpertNotFound(f"There is no expert with the slug {request.expert}.")
                expert_id = row.id
            if not await rows.add(
                connection, name=request.name, role=request.role, expert_id=expert_id, secret_hash=hash_of(secret),
                created_at=now, expires_at=now + timedelta(days=request.days),
            ):  # fmt: skip
                raise TokenNameTaken(f"A token named {request.name} already exists.")
        return secret

    async def list_all(self) -> Sequence[TokenView]:
        """All tokens for programs, without their secrets, oldest first."""
        async with self._database.statements() as connection:
            return [TokenView.model_validate(row._mapping) for row in await rows.list_all(connection)]

    async def revoke(self, name: str) -> None:
        """Revoke a token permanently. Raises TokenNotFound if no valid token has this name."""
        async with self._database.statements() as connection:
            if not await rows.revoke(connection, name):
                raise TokenNotFound(f"There is no valid token named {name}.")


def _check_token(row: AnyRow, now: datetime) -> None:
    """Raise NotAuthenticated if the token has expired or its expert is inactive."""
    if row.expires_at <= now:
        raise NotAuthenticated(
            f"This token expired on {row.expires_at:%Y-%m-%d}. Create a new one with `expert-booking token create`."
        )
    if row.expert_active is False:
        raise NotAuthenticated("This token is not valid while its expert is inactive.")


def hash_of(secret: str) -> bytes:
    """Return the hash under which a secret is stored."""
    # The secret has 256 random bits, so a fast hash is enough: it cannot be guessed.
    return hashlib.sha256(secret.encode(errors="replace")).digest()
