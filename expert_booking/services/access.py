"""Sign-in without accounts: links and codes that prove an email address. Only hashes of secrets are stored."""

import re
import secrets
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple
from uuid import UUID

from expert_booking.db import access as rows
from expert_booking.db import email_addresses, expert_addresses
from expert_booking.db.engine import AnyConnection, AnyRow, Database
from expert_booking.domain.addresses import customer_key
from expert_booking.domain.errors import CodesLocked, CodeWrong, LinkNotValid, TooManyAccessRequests
from expert_booking.domain.signed_keys import SignedKeys
from expert_booking.domain.site import AccessRules, Site
from expert_booking.schemas import AccessRequested, Identity, LinkView, OwnExpert, ProofView
from expert_booking.services.tokens import CUSTOMER_PREFIX, hash_of

_HOUR: Final = timedelta(hours=1)

Bearer = Literal["browser", "program"]


class Renamed(NamedTuple):
    """The new id that a browser gets when it signs in or out: hashes of its old and new cookie."""

    before: bytes
    after: bytes


class Access:
    """Links and codes that prove an email address, and the proofs that result from them."""

    def __init__(
        self, database: Database, clock: Callable[[], datetime], site: Site, rules: AccessRules | None = None
    ) -> None:
        self._database = database
        self._clock = clock
        self._site = site
        self.rules = rules or AccessRules()
        self._keys = SignedKeys(site.secret)

    def booking_of_key(self, key: str) -> UUID | None:
        """The booking that an emailed key belongs to; None if the key is not valid."""
        return self._keys.booking_of(key)

    def version_of_key(self, key: str) -> int:
        """The key version in an emailed key. The key is valid only while it equals the booking's key version."""
        return self._keys.version_of(key)

    async def request_access(
        self,
        email: str,
        *,
        origin: bytes,
        browser: bytes | None = None,
        next_path: str = "",
        marks: Collection[str] = (),
    ) -> AccessRequested:
        """Request a link and a code for an email address. They are sent only if the address is known to the site.

        Known and unknown addresses are handled alike, so the caller learns nothing. `origin` (the network) and
        `browser` are hashes; the code is valid only in that browser (None: for a program). `marks` are the values of
        `mark` that the browser has stored. Raises TooManyAccessRequests if this network has sent too many requests.
        """
        now, key = self._clock(), customer_key(email)
        proven_before = self._keys.mark(key) in marks
        async with self._database.transaction() as connection:
            earlier = await self._check_rate(connection, key, origin, now, proven_before=proven_before)
            requested = await self._add_request(
                connection,
                email,
                key,
                now,
                browser=browser,
                origin=origin,
                next_path=next_path,
                earlier=earlier.earlier,
                earlier_elsewhere=earlier.elsewhere,
                proven_before=proven_before,
                # A link from one of the recent emails still works, so suppressing this one locks nobody out.
                suppressed=earlier.mailed_lately >= self.rules.max_emails,
            )
            await rows.queue_email(connection, requested.id)
        return requested

    def mark(self, email: str) -> str:
        """A marker for a browser that has proven this address, so that requests of others do not use up its limit."""
        return self._keys.mark(customer_key(email))

    async def link_for(self, email: str, next_path: str = "") -> str:
        """A single-use link that proves this address, for the site's operator. It leads on to the page at `next_path`.

        If the address is the pending new address of an expert, the link also confirms it.
        """
        key = customer_key(email)
        async with self._database.transaction() as connection:
            expert_id = await expert_addresses.with_pending(connection, key)
            requested = await self._add_request(
                connection, email, key, self._clock(), next_path=next_path, expert_id=expert_id
            )
        return self.link(requested.id)

    async def identity_of(self, email: str) -> Identity:
        """The identity of an email address: whether it is an admin's and which experts it belongs to."""
        async with self._database.statements() as connection:
            return await self._identity(connection, email, customer_key(email))

    def link(self, request_id: UUID) -> str:
        """The URL to email for an access request."""
        return f"{self._site.url}/sign-in/{self._keys.link(request_id)}"

    def code(self, request_id: UUID, *, earlier: int = 0) -> str:
        """The code to email for an access request: a long one if there were `earlier` requests for the address."""
        return self._keys.long_code(request_id) if earlier else self._keys.code(request_id)

    async def preview_link(self, link: str) -> LinkView:
        """What a link would prove, without using it up. Raises LinkNotValid."""
        async with self._database.statements() as connection:
            row = await rows.valid_request(connection, self._of_link(link), self._clock())
        if row is None:
            raise LinkNotValid
        return LinkView(email=row.email, next_path=row.next_path, expert_name=row.expert_name)

    async def redeem_link(self, link: str, bearer: Bearer, *, renamed: Renamed | None = None) -> tuple[ProofView, str]:
        """Use up a link. Returns the proof and the path of the page to continue with. Raises LinkNotValid.

        With `renamed`, the browser's holds and bookings move to its new id.
        """
        return await self._redeem(self._of_link(link), bearer, renamed)

    async def redeem_code(
        self,
        request_id: UUID,
        code: str,
        bearer: Bearer,
        *,
        browser: bytes | None = None,
        renamed: Renamed | None = None,
    ) -> tuple[ProofView, str]:
        """Use up a code in the browser that requested it, like `redeem_link`.

        Raises CodeWrong, CodesLocked or LinkNotValid.
        """
        # The attempt is committed first, so that the exceptions below do not roll back the count.
        tried = await self._count_try(request_id, browser)
        is_code = self._keys.is_long_code if tried.earlier else self._keys.is_code
        if not is_code(request_id, re.sub(r"[\s-]", "", code)):
            left = self.rules.wrong_codes - tried.wrong_codes
            if left <= 0:
                raise CodesLocked
            raise CodeWrong(left)
        return await self._redeem(request_id, bearer, renamed)

    async def identity_of_proof(self, secret: str) -> Identity | None:
        """The identity that a browser's secret proves; None if the proof has expired or was revoked."""
        async with self._database.statements() as connection:
            proof = await rows.find_proof(connection, hash_of(secret), "browser", self._clock())
            if proof is None:
                return None
            return await self._identity(connection, proof.email, proof.customer_key)

    async def sign_out(self, secret: str, *, everywhere: bool = False, renamed: Renamed | None = None) -> None:
        """Revoke this browser's proof.

        With `everywhere`, also revoke all other proofs of the address, all links to its bookings, and the bookings'
        association with the browsers that made them. With `renamed`, the browser's holds move to its new id, but its
        bookings do not.
        """
        now = self._clock()
        async with self._database.transaction() as connection:
            proof = await rows.find_proof(connection, hash_of(secret), "browser", now)
            if proof is not None and everywhere:
                await rows.end_every_proof(connection, proof.customer_key, now)
            await rows.end_proof(connection, hash_of(secret))
            if renamed is not None:
                await rows.rename_browser(connection, *renamed, with_bookings=False)

    async def leave_browser(self, renamed: Renamed | None) -> None:
        """Move the holds of a browser to its new id, but not the bookings made in it."""
        if renamed is not None:
            async with self._database.transaction() as connection:
                await rows.rename_browser(connection, *renamed, with_bookings=False)

    async def sweep(self) -> None:
        """Delete expired access requests and proofs."""
        async with self._database.statements() as connection:
            await rows.sweep(connection, self._clock())

    async def _check_rate(
        self, connection: AnyConnection, key: str, origin: bytes, now: datetime, *, proven_before: bool
    ) -> rows.RequestCounts:
        """Count the requests of the last hour. Raises TooManyAccessRequests. Concurrent requests queue here.

        Only requests from the same network count. A browser that has proven the address before is counted separately
        from the rest of its network.
        """
        await rows.lock_requests(connection, key, origin)
        lately = now - timedelta(minutes=self.rules.link_minutes)
        counts = await rows.count_requests(
            connection, key, origin, proven_before=proven_before, since=now - _HOUR, lately=lately
        )
        oldest = []
        if counts.here >= self.rules.per_address:
            oldest.append(counts.here_first or now)
        if counts.network >= self.rules.per_origin and not proven_before:
            oldest.append(counts.network_first or now)
        if oldest:
            raise TooManyAccessRequests(max(oldest) + _HOUR - now)
        return counts

    async def _add_request(
        self,
        connection: AnyConnection,
        email: str,
        key: str,
        now: datetime,
        *,
        browser: bytes | None = None,
        origin: bytes | None = None,
        next_path: str = "",
        expert_id: UUID | None = None,
        **counted: int | bool,
    ) -> AccessRequested:
        expires_at = now + timedelta(minutes=self.rules.link_minutes)
        number = await rows.add_request(
            connection, email=email, customer_key=key, browser=browser, origin=origin,
            next_path=next_path, created_at=now, expires_at=expires_at, expert_id=expert_id, **counted,
        )  # fmt: skip
        return AccessRequested(id=number, expires_at=expires_at)

    def _of_link(self, link: str) -> UUID:
        number = self._keys.link_of(link.strip().rstrip("/").rpartition("/")[2])
        if number is None:
            raise LinkNotValid
        return number

    async def _count_try(self, request_id: UUID, browser: bytes | None) -> AnyRow:
        """Count an attempt in the browser that requested the code. Raises CodesLocked or LinkNotValid."""
        now, most = self._clock(), self.rules.wrong_codes
        async with self._database.statements() as connection:
            tried = await rows.count_attempt(connection, request_id, browser, most, now)
            if tried is None:
                asked = await rows.valid_request(connection, request_id, now)
                # For any other browser, the request does not exist.
                raise CodesLocked if asked is not None and asked.browser == browser else LinkNotValid
        return tried

    async def _identity(self, connection: AnyConnection, email: str, key: str) -> Identity:
        own = await rows.experts_of(connection, key)
        return Identity(
            email=email,
            customer_key=key,
            admin=key in self._site.admins,
            experts=tuple(OwnExpert.model_validate(row._mapping) for row in own),
        )

    async def _redeem(self, request_id: UUID, bearer: Bearer, renamed: Renamed | None) -> tuple[ProofView, str]:
        now = self._clock()
        secret = CUSTOMER_PREFIX + secrets.token_urlsafe(32)
        expires_at = now + timedelta(days=self.rules.proof_days)
        async with self._database.transaction() as connection:
            request: AnyRow | None = await rows.spend(connection, request_id, now)
            if request is None:
                raise LinkNotValid
            if request.expert_id is not None:
                await expert_addresses.confirm(connection, request.expert_id, request.customer_key)
            await rows.add_proof(
                connection, customer_key=request.customer_key, email=request.email, bearer=bearer,
                secret_hash=hash_of(secret), created_at=now, expires_at=expires_at,
            )  # fmt: skip
            if renamed is not None:
                await rows.rename_browser(connection, *renamed, with_bookings=True)
            await email_addresses.prove(connection, request.customer_key, now)
        return ProofView(access_token=secret, email=request.email, expires_at=expires_at), request.next_path
