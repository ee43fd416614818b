"""HTTP endpoints for people's own data: the download, and the form that deletes it. Both need a signed-in browser."""

from typing import Final

from fastapi import FastAPI, Request, Response

from expert_booking.domain.lifecycle import Actor
from expert_booking.services import Services
from expert_booking.web.sign_in import field_of, form_endpoint, redirect, reload_others
from expert_booking.web.visitor import identity_of, marks_of, new_visitor, visitor_of

_SIGN_IN: Final = "/sign-in?next=/my-bookings"


def mount(web: FastAPI, services: Services) -> None:
    """Add the endpoints."""

    async def download(request: Request) -> Response:
        identity = await identity_of(services, request)
        if identity is None:
            return redirect(_SIGN_IN)
        data = await services.customers.data(identity.email, browser=visitor_of(request))
        headers = {"Content-Disposition": 'attachment; filename="my-data.json"', "Cache-Control": "no-store"}
        return Response(data.model_dump_json(by_alias=True, indent=2), media_type="application/json", headers=headers)

    async def delete(request: Request, body: bytes) -> Response:
        identity = await identity_of(services, request)
        if identity is None:
            return redirect(_SIGN_IN)
        done = await services.customers.erase(
            identity.email,
            by=Actor.CUSTOMER,
            keep_upcoming=field_of(body, "keep_upcoming") == "1",
            browser=visitor_of(request),
        )
        await _sign_out(services, request, identity.email)
        return redirect(f"/my-bookings/deleted?cancelled={done.cancelled}&kept={done.kept}")

    web.add_api_route("/my-bookings/data.json", download)
    web.add_api_route("/my-bookings/delete", form_endpoint(delete, services.site.url), methods=["POST"])


async def _sign_out(services: Services, request: Request, email: str) -> None:
    """Give this browser a new id, and have it forget the address."""
    secret, renamed = new_visitor(request)
    await services.access.leave_browser(renamed)
    marks = [mark for mark in marks_of(request) if mark != services.access.mark(email)]
    request.session.clear()
    request.session.update({"visitor": secret, "proven": marks})
    reload_others(renamed)
