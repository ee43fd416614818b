"""How somebody has come to the pages of one booking. It is asked again at every step: what was proven may be over."""

from contextlib import suppress
from typing import Self
from uuid import UUID

from fastapi import Request

from expert_booking.domain.errors import BookingNotFound
from expert_booking.schemas import BookingView, Caller, Identity, Role
from expert_booking.services import Services
from expert_booking.web.visitor import proof_of, visitor_of


class BookingAccess:
    """The browser that booked, the key in a mail, a proven address of the customer's or of a host's."""

    def __init__(
        self, services: Services, booking_id: UUID, *, visitor: bytes | None, proof: str | None, key: str = ""
    ) -> None:
        """`key` is one that opens this booking, or nothing."""
        self._services = services
        self._booking_id = booking_id
        self._visitor = visitor
        self._proof = proof
        self._key = key

    def forget_key(self) -> None:
        """The key counts no more."""
        self._key = ""

    @classmethod
    def of(cls, services: Services, reference: str, request: Request) -> Self:
        """The one that this browser has to the booking in an address. Raises BookingNotFound for what is no id."""
        try:
            number = UUID(reference)
        except ValueError as error:
            raise BookingNotFound from error
        key = request.query_params.get("key", "")
        known = key if services.access.booking_of_key(key) == number else ""
        return cls(services, number, visitor=visitor_of(request), proof=proof_of(request), key=known)

    async def find(self) -> tuple[BookingView, Caller]:
        """The booking, and as whom it is seen now. Raises BookingNotFound for everybody else, and unknown ids."""
        identity = await self._services.access.who(self._proof) if self._proof else None
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
        """The address of one of its pages, with the key that it was opened by."""
        said = "&".join(f"{name}={value}" for name, value in {**query, "key": self._key}.items() if value)
        return f"/booking/{self._booking_id}{rest}{'?' if said else ''}{said}"

    async def _as_host(self, identity: Identity | None) -> tuple[BookingView, Caller]:
        if identity is None or not (identity.admin or identity.experts):
            raise BookingNotFound
        booking = await self._services.bookings.get(self._booking_id, Caller(role=Role.ADMIN))
        host = identity.host_of(booking.expert_id)
        if host is None:
            raise BookingNotFound
        return booking, host
