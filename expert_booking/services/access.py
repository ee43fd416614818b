"""Who may do what: tokens for programs. Only their hashes are kept."""

import hashlib
import secrets
from collections.abc import Sequence
from uuid import UUID

from expert_booking.db import experts, tokens
from expert_booking.db.engine import Database
from expert_booking.domain.errors import ExpertNotFound, ProofNeeded, TokenNameTaken, TokenNotFound
from expert_booking.schemas import Caller, TokenRequest, TokenView

_PREFIX = "eb_"


class Access:
    """Tokens: create, list, revoke, and tell whose one is."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def identify(self, secret: str) -> Caller:
        """Who carries this token. Raises ProofNeeded when it is unknown or revoked."""
        async with self._database.statements() as connection:
            row = await tokens.valid(connection, _hash(secret))
        if row is None:
            raise ProofNeeded("This token is not valid.")
        return Caller(role=row.role, expert_id=row.expert_id, token_id=row.token_id)

    async def create_token(self, request: TokenRequest) -> str:
        """The secret of a new token, shown this once. Raises ExpertNotFound or TokenNameTaken."""
        secret = _PREFIX + secrets.token_urlsafe(32)
        async with self._database.transaction() as connection:
            expert_id: UUID | None = None
            if request.expert is not None:
                row = await experts.by_slug(connection, request.expert)
                if row is None:
                    raise ExpertNotFound(f"There is no expert with the slug {request.expert}.")
                expert_id = row.id
            if not await tokens.add(
                connection, name=request.name, role=request.role, expert_id=expert_id, secret_hash=_hash(secret)
            ):
                raise TokenNameTaken(f"There is already a token named {request.name}.")
        return secret

    async def tokens(self) -> Sequence[TokenView]:
        """All tokens, without their secrets, oldest first."""
        async with self._database.statements() as connection:
            return [TokenView.model_validate(row._mapping) for row in await tokens.every(connection)]

    async def revoke_token(self, name: str) -> None:
        """End a token for good. Raises TokenNotFound when no valid token has this name."""
        async with self._database.statements() as connection:
            if not await tokens.revoke(connection, name):
                raise TokenNotFound(f"There is no valid token named {name}.")


def _hash(secret: str) -> bytes:
    # The secret is 256 random bits, so a fast hash is enough: there is nothing to guess.
    return hashlib.sha256(secret.encode(errors="replace")).digest()
