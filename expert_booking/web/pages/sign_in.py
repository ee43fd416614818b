"""`/sign-in` and `/sign-in/{link}`: proving an email address. Opening a link changes nothing; its button signs in."""

from typing import Final

from fastapi import Request, Response
from fastapi.responses import HTMLResponse
from markupsafe import Markup
from nicegui import Client
from pydantic import TypeAdapter, ValidationError

from expert_booking.domain.errors import LinkNotValid
from expert_booking.schemas import LinkView, OwnPath
from expert_booking.services import Services
from expert_booking.web import layout, page_route
from expert_booking.web.components.sign_in import SignIn
from expert_booking.web.visitor import identity_of

_PATH: Final[TypeAdapter[str]] = TypeAdapter(OwnPath)
_HOME: Final = "/my-bookings"
_LINK_EXPIRED: Final = Markup('<p class="note warn over" role="alert" data-refusal="link_not_valid">{}</p>')
_SIGNED_IN: Final = Markup(
    """<p class="note over">You are signed in as <b>{email}</b>. <a href="{next}">Continue</a>,
or sign in with another address.</p>"""
)
_SIGN_IN: Final = Markup(
    """<section class="panel sign-in"><h1>Sign in as <span class="address">{email}</span></h1>
<p class="soft">You can then see the bookings of this address in this browser, for 30 days or until you sign out.</p>
<form method="post" action="/sign-in/link"><input type="hidden" name="link" value="{link}">
<button class="button" type="submit">Sign in</button></form>
<p class="hint soft small">Not you? Just close this page. Nothing has changed.</p></section>"""
)


_CONFIRM_ADDRESS: Final = Markup(
    """<section class="panel sign-in"><h1>Confirm <span class="address">{email}</span></h1>
<p class="soft">This becomes the email address of the expert <b>{expert}</b>. It receives the emails about sessions and
signs in as the expert. The old address no longer does.</p>
<form method="post" action="/sign-in/link"><input type="hidden" name="link" value="{link}">
<button class="button" type="submit">Confirm and sign in</button></form>
<p class="hint soft small">Not you? Just close this page. Nothing has changed.</p></section>"""
)


def mount(services: Services) -> None:
    """Serve the pages."""

    @page_route.page("/sign-in")
    async def sign_in(request: Request) -> None:
        next_path = own_path(request.query_params.get("next", ""))
        identity = await identity_of(services, request)
        with layout.frame("Sign in", here="/my-bookings", narrow=True):
            layout.html(Markup("Sign in"), tag="h1").classes("over")
            link_expired = "over" in request.query_params
            if link_expired:
                layout.html(_LINK_EXPIRED.format(LinkNotValid()))
            if identity is not None:
                layout.html(_SIGNED_IN.format(email=identity.email, next=next_path or _HOME))
            SignIn(
                next_path=next_path, title="Sign in by email", mails=services.site.sends_email, start_over=link_expired
            )

    @page_route.page("/sign-in/{link}")
    async def by_link(link: str, request: Request, client: Client) -> Response | None:
        try:
            view = await services.access.preview_link(link)
        except LinkNotValid as refusal:
            client.status_code = 404
            with layout.frame("Sign in", here="/my-bookings", narrow=True):
                layout.html(Markup("Sign in"), tag="h1").classes("over")
                layout.html(_LINK_EXPIRED.format(refusal))
                SignIn(next_path="", title="Get a new email", mails=services.site.sends_email, start_over=True)
            return None
        client.delete()  # this response does not use it, so repeated requests must not keep any alive
        # Without scripts, because some email programs show pages without running any.
        page = layout.plain("Sign in", _question(view, link), request)
        return HTMLResponse(page, headers={"Cache-Control": "no-store"})


def _question(view: LinkView, link: str) -> Markup:
    if view.expert_name is not None:
        return _CONFIRM_ADDRESS.format(email=view.email, expert=view.expert_name, link=link)
    return _SIGN_IN.format(email=view.email, link=link)


def own_path(text: str) -> str:
    """Return the path if it is a page of this site; otherwise an empty string."""
    try:
        return _PATH.validate_python(text)
    except ValidationError:
        return ""
