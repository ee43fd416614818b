"""`/sign-in` and `/sign-in/{link}`: proving an address, by a mail. Opening a link changes nothing, its button does."""

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
_OVER: Final = Markup('<p class="note warn over" role="alert" data-refusal="link_not_valid">{}</p>')
_SIGNED_IN: Final = Markup(
    """<p class="note over">You are signed in as <b>{email}</b>. <a href="{next}">Go on as this address</a>,
or sign in with another one.</p>"""
)
_BUTTON: Final = Markup(
    """<section class="panel sign-in"><h1>Sign in as <span class="address">{email}</span></h1>
<p class="soft">This browser then sees the bookings of this address, for 30 days or until you sign out.</p>
<form method="post" action="/sign-in/link"><input type="hidden" name="link" value="{link}">
<button class="button" type="submit">Sign in</button></form>
<p class="hint soft small">This is not you? Then close this page: nothing has happened.</p></section>"""
)


_CONFIRM: Final = Markup(
    """<section class="panel sign-in"><h1>Confirm <span class="address">{email}</span></h1>
<p class="soft">It becomes the address of the expert <b>{expert}</b>: it gets the emails about sessions and signs in as
the expert, and the old address no longer does.</p>
<form method="post" action="/sign-in/link"><input type="hidden" name="link" value="{link}">
<button class="button" type="submit">Confirm and sign in</button></form>
<p class="hint soft small">This is not you? Then close this page: nothing has happened.</p></section>"""
)


def mount(services: Services) -> None:
    """Serve the pages."""

    @page_route.page("/sign-in")
    async def sign_in(request: Request) -> None:
        next_path = own_path(request.query_params.get("next", ""))
        identity = await identity_of(services, request)
        with layout.frame("Sign in", here="/my-bookings", narrow=True):
            layout.html(Markup("Sign in"), tag="h1").classes("over")
            over = "over" in request.query_params
            if over:
                layout.html(_OVER.format(LinkNotValid()))
            if identity is not None:
                layout.html(_SIGNED_IN.format(email=identity.email, next=next_path or _HOME))
            SignIn(next_path=next_path, title="By a mail to your address", mails=services.site.mails, anew=over)

    @page_route.page("/sign-in/{link}")
    async def by_link(link: str, client: Client) -> Response | None:
        try:
            view = await services.access.look_at_link(link)
        except LinkNotValid as refusal:
            client.status_code = 404
            with layout.frame("Sign in", here="/my-bookings", narrow=True):
                layout.html(Markup("Sign in"), tag="h1").classes("over")
                layout.html(_OVER.format(refusal))
                SignIn(next_path="", title="Ask for a new mail", mails=services.site.mails, anew=True)
            return None
        client.delete()  # whoever only looks, again and again, keeps nothing alive here
        # As it is, without a script: some programs for mail show pages without any.
        return HTMLResponse(layout.plain("Sign in", _question(view, link)), headers={"Cache-Control": "no-store"})


def _question(view: LinkView, link: str) -> Markup:
    if view.expert_name is not None:
        return _CONFIRM.format(email=view.email, expert=view.expert_name, link=link)
    return _BUTTON.format(email=view.email, link=link)


def own_path(text: str) -> str:
    """Where to go afterwards, if that is a page of this site; otherwise nothing."""
    try:
        return _PATH.validate_python(text)
    except ValidationError:
        return ""
