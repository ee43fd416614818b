"""`/verify/{key}`: the link in the email that asks a customer to confirm the address. Opening it changes nothing."""

from typing import Final
from zoneinfo import ZoneInfo

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse
from markupsafe import Markup
from nicegui import Client

from expert_booking.domain import formatting
from expert_booking.domain.errors import LinkNotValid, VerificationTooLate
from expert_booking.schemas import BookingView
from expert_booking.services import Services
from expert_booking.web import error_pages, layout, page_route
from expert_booking.web.request_body import field_of
from expert_booking.web.sign_in import form_endpoint, redirect
from expert_booking.web.visitor import zone_of

_QUESTION: Final = Markup(
    """<section class="panel sign-in"><h1>Confirm your booking</h1>
<p><b>{session}</b> with <b>{expert}</b><br>{day}, {time}<br><span class="soft">{zone}</span></p>
<form method="post" action="/verify"><input type="hidden" name="key" value="{key}">
<button class="button" type="submit">Confirm booking</button></form>
<p class="hint soft small">Please confirm by {deadline}. Not you? Just close this page: without your confirmation,
nothing is booked.</p></section>"""
)


def mount(web: FastAPI, services: Services) -> None:
    """Serve the page, and the endpoint of its button."""

    @page_route.page("/verify/{key}")
    async def question(key: str, request: Request, client: Client) -> Response | None:
        try:
            booking, path = await services.verification.preview_link(key)
        except LinkNotValid:
            error_pages.show_error(
                "This link is not valid",
                "Please open it exactly as it is in the email.",
                code=LinkNotValid.code,
                url="/my-bookings",
                way_out="My bookings",
            )
            return None
        client.delete()  # this response does not use it, so repeated requests must not keep any alive
        if not booking.awaits_verification:
            return redirect(path)
        # Without scripts, because some email programs show pages without running any.
        zone = zone_of(request) or ZoneInfo(booking.time_zone or booking.expert_time_zone)
        page = layout.plain("Confirm your booking", _question(booking, key, zone), request)
        return HTMLResponse(page, headers={"Cache-Control": "no-store"})

    async def confirm(_request: Request, body: bytes) -> Response:
        key = field_of(body, "key")
        try:
            path = (await services.verification.preview_link(key))[1]
            await services.verification.verify_by_link(key)
        except LinkNotValid:
            return redirect("/verify/unknown")
        except VerificationTooLate:
            pass  # the booking's page says so
        return redirect(path)

    endpoint = form_endpoint(confirm, services.site.url, otherwise="/my-bookings")
    web.add_api_route("/verify", endpoint, methods=["POST"])


def _question(booking: BookingView, key: str, zone: ZoneInfo) -> Markup:
    assert booking.verify_by is not None
    return _QUESTION.format(
        session=booking.session_title,
        expert=booking.expert_name,
        day=formatting.long_day(booking.starts_at, zone),
        time=formatting.time_span(booking.starts_at, booking.ends_at, zone),
        zone=formatting.zone_at(zone, booking.starts_at),
        deadline=formatting.clock_time(booking.verify_by, zone),
        key=key,
    )
