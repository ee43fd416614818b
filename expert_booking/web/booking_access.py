"""Access to the pages of one booking. It is checked at every step: proofs may expire while a page is open."""

from contextlib import suppress
from typing import Self
from uuid import UUID

from fastapi import Request

from expert_booking.domain.errors import BookingNotFound
from expert_booking.schemas import BookingView, Caller, Identity, Role
from expert_booking.services import Services
from expert_booking.web.visitor import proof_of, visitor_of


class BookingAccess:
    """Access by the browser that booked, the key from an email, or a proven address of the customer or a host."""

    def __init__(
        self, services: Services, booking_id: UUID, *, visitor: bytes | None, proof: str | None, key: str = ""
    ) -> None:
        """`key` is a valid key for this booking, or empty."""
        self._services = services
        self._booking_id = booking_id
        self._visitor = visitor
        self._proof = proof
        self._key = key

    def forget_key(self) -> None:
        """Stop using the key."""
        self._key = ""

    @classmethod
    def for_request(cls, services: Services, reference: str, request: Request) -> Self:
        """The access of this request to the booking with this id. Raises BookingNotFound if it is not a UUID."""
        try:
            booking_id = UUID(reference)
        except ValueError as error:
            raise BookingNotFound from error
        key = request.query_params.get("key", "")
        valid_key = key if services.access.booking_of_key(key) == booking_id else ""
        return cls(services, booking_id, visitor=visitor_of(request), proof=proof_of(request), key=valid_key)

    async def find(self) -> tuple[BookingView, Caller]:
        """The booking, and the caller who sees it now. Raises BookingNotFound without access, or for an unknown id."""
        identity = await self._services.access.identity_of_proof(self._proof) if self._proof else None
        customer = Caller(
            role=Role.CUSTOMER,
            visitor=self._visitor,
            booking_id=self._booking_id if self._key else None,
            key_version=self._services.access.version_of_key(self._key),
            customer_key=identity.customer_key if identity else None,
        )
        with suppress(BookingNotFound):
            return await self._services.bookings.get(self._booking_id, customer), customer
        return await self._as_host(identity)

    def url(self, rest: str = "", **query: str) -> str:
        """The URL of one of its pages, with the key if it was opened by one."""
        parameters = "&".join(f"{name}={value}" for name, value in {**query, "key": self._key}.items() if value)
        return f"/booking/{self._booking_id}{rest}{'?' if parameters else ''}{parameters}"

    async def _as_host(self, identity: Identity | None) -> tuple[BookingView, Caller]:
        if identity is None or not (identity.admin or identity.experts):
            raise BookingNotFound
        booking = await self._services.bookings.get(self._booking_id, Caller(role=Role.ADMIN))
        host = identity.host_of(booking.expert_id)
        if host is None:
            raise BookingNotFound
        return booking, host
