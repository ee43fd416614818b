"""`/book/{slug}?at=…&session=…`: the booking form for one slot, which is on hold while the form is open."""

from datetime import datetime
from typing import Final

from fastapi import Request, Response
from nicegui import Client
from pydantic import TypeAdapter, ValidationError

from expert_booking.domain.errors import ExpertNotFound
from expert_booking.schemas import BookingRequest, ExpertDetail, Instant, SessionTypeView
from expert_booking.services import Services
from expert_booking.web import error_pages, layout, page_route
from expert_booking.web.book_controller import BookController, Visitor
from expert_booking.web.expert_urls import redirect_from_former
from expert_booking.web.live.profile_cache import ProfileCache
from expert_booking.web.live.slot_boards import LiveBoards
from expert_booking.web.open_holds import OpenHolds
from expert_booking.web.visitor import network_hash, proof_of, remembered_visitor, visitor_of, zone_of

_INSTANT: Final[TypeAdapter[datetime]] = TypeAdapter(Instant)


def mount(
    services: Services,
    profiles: ProfileCache,
    boards: LiveBoards,
    open_holds: OpenHolds,
    *,
    secret: str,
    request_model: type[BookingRequest],
) -> None:
    """Serve the page. `request_model` validates the form."""

    @page_route.page("/book/{slug}")
    async def book(slug: str, request: Request, client: Client) -> Response | None:
        try:
            expert = (await profiles.of(slug)).expert
        except ExpertNotFound:
            error_pages.expert_not_found()
            return None
        if (moved := redirect_from_former(slug, expert, request, client)) is not None:
            return moved
        at = instant_of(request.query_params.get("at"))
        if at is None:
            _time_missing(expert)
            return None
        session = session_of(expert, request.query_params.get("session"))
        if session is None:
            # Do not show the form for a different session type instead.
            _session_type_not_offered(expert)
            return None
        is_new_visitor = visitor_of(request) is None
        visitor = Visitor(
            remembered_visitor(request), network_hash(request, secret), zone_of(request), proof_of(request)
        )
        live = boards.of(expert.id, session.id)
        controller = BookController(
            services, open_holds, live, client, expert, session, at, visitor, request_model=request_model
        )
        await controller.read(is_new_visitor=is_new_visitor)
        with layout.frame(f"Book {expert.name}", on_zone=controller.change_zone):
            controller.draw()
        return None


def session_of(expert: ExpertDetail, wanted: str | None) -> SessionTypeView | None:
    """Return the wanted session type, or the first one if none is named; None if it is not offered."""
    return next(
        (one for one in expert.session_types if wanted in (None, "") or str(one.id) == str(wanted).lower()), None
    )


def instant_of(text: str | None) -> datetime | None:
    """Return the instant in a link; None if it is not valid or has no offset."""
    # In a URL written by hand the `+` of the offset is not escaped, and is decoded as a space.
    try:
        return _INSTANT.validate_python((text or "").replace(" ", "+"))
    except ValidationError:
        return None


def _time_missing(expert: ExpertDetail) -> None:
    error_pages.show_error(
        "Which time?",
        f"That link doesn't contain a valid time. Choose one from {expert.name}'s calendar.",
        code="no_time",
        url=f"/expert/{expert.slug}",
        way_out="Choose a time",
    )


def _session_type_not_offered(expert: ExpertDetail) -> None:
    error_pages.show_error(
        "This session is not available",
        f"{expert.name} does not offer it at the moment. See what else is available.",
        code="session_type_not_found",
        url=f"/expert/{expert.slug}",
        way_out=f"See {expert.name}'s calendar",
    )
