"""The frame of the console: access, navigation, messages, and actions of the host who has signed in.

Only hosts see a page. Their proof is checked again before each action, because it may expire while the page is open.
"""

import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

from fastapi import Request, Response
from markupsafe import Markup
from nicegui import Client, ui
from nicegui.element import Element

from expert_booking.domain.errors import Refusal, Unavailable
from expert_booking.domain.formatting import UTC_ZONE
from expert_booking.schemas import Caller, Identity, OwnExpert
from expert_booking.services import Services
from expert_booking.web import error_pages, layout, page_route
from expert_booking.web.live.throttle import Throttle
from expert_booking.web.sign_in import redirect
from expert_booking.web.visitor import identity_of, proof_of, zone_of

log = logging.getLogger(__name__)

Result = TypeVar("Result")

# The pages with their names in the navigation. `/console/today` is `/console`.
PAGES: Final = (
    ("today", "Today"),
    ("calendar", "Calendar"),
    ("bookings", "Bookings"),
    ("availability", "Availability"),
    ("sessions", "Sessions"),
    ("profile", "Profile"),
    ("statistics", "Statistics"),
)
SIGNED_OUT: Final = "You have been signed out. Please sign in again in another tab; what you typed here stays."
_SAVED_SECONDS: Final = 4.0
_HEAD: Final = Markup(
    '<link rel="stylesheet" href="{assets}/console.css"><script src="{assets}/console.js" defer></script>'
)


class Console:
    """One open console page: the calendar it shows, and how its host acts on it."""

    def __init__(self, services: Services, client: Client, request: Request, identity: Identity, chosen: str) -> None:
        """`chosen` is the slug of one of the identity's experts; otherwise the first one is shown."""
        self.services = services
        self.client = client
        self.identity = identity
        self.expert = chosen_expert(identity, chosen)
        # The zone of the calendar, and the viewer's, which may differ.
        self.zone = ZoneInfo(self.expert.time_zone)
        self.viewer_zone = zone_of(request) or UTC_ZONE
        self._proof = proof_of(request)
        self._status: ui.label | None = None
        self._alert: ui.label | None = None

    async def caller(self) -> Caller | None:
        """As whom the host acts now; None if the host is no longer signed in or no longer runs this calendar."""
        identity = await self.services.access.identity_of_proof(self._proof) if self._proof else None
        return identity.host_of(self.expert.id) if identity else None

    async def run(self, action: Callable[[Caller], Awaitable[Result]], *, saved: str = "") -> Result | None:
        """Run an action as the host and return its result; None if it was refused, with the reason shown.

        `saved` is shown after success, such as "Saved". A page that shows a refusal next to a field catches that
        refusal inside `action`.
        """
        self.refused("")
        try:
            caller = await self.caller()
            if caller is None:
                self.refused(SIGNED_OUT)
                return None
            result = await action(caller)
        except (Refusal, Unavailable) as refusal:
            self.refused(str(refusal))
        except Exception:
            log.exception("an action in the console failed")
            self.refused(error_pages.INTERNAL_ERROR + error_pages.error_reference())
        else:
            if saved:
                self.saved(saved)
            return result
        return None

    def subscribe(self, work: Callable[[], Awaitable[Any]]) -> Throttle:
        """Run `work` on every event about this expert and after a reconnect, until the page is deleted.

        Call this before reading, so that no change is missed. Returns the throttle, which also runs it on demand.
        """

        async def in_page() -> None:
            if not self.client.is_deleted:
                with self.client.content:
                    await work()

        refresh = Throttle(in_page)
        self.client.on_delete(self.services.bus.subscribe(self.expert.id, refresh))
        self.client.on_connect(refresh)
        return refresh

    def saved(self, text: str = "Saved") -> None:
        """Show a message of success for some seconds, in the page's `[role=status]`."""
        self._show(self._status, text)

    def refused(self, text: str) -> None:
        """Show an error in the page's `[role=alert]` until the next action. An empty text removes it."""
        self._show(self._alert, text)

    def _show(self, label: ui.label | None, text: str) -> None:
        if label is None or self.client.is_deleted:
            return
        label.set_text(text)
        if text and label is self._status:
            with self.client.content:
                ui.timer(_SAVED_SECONDS, lambda: label.text == text and label.set_text(""), once=True)

    @contextmanager
    def frame(self, name: str, title: str, *, on_zone: Callable[[ZoneInfo], Any] | None = None) -> Iterator[None]:
        """Draw the page called `name` (see PAGES) with the console's navigation and messages."""
        ui.add_head_html(str(_HEAD.format(assets=layout.ASSETS_URL)))
        with layout.frame(f"{title} · Console", here="/console", wide=True, on_zone=on_zone):
            ui.context.slot.parent.props(f'data-console="{name}"')
            layout.html(self._navigation(name)).classes("console-nav")
            self._alert = ui.label("").classes("console-alert").props("role=alert")
            self._status = ui.label("").classes("console-status").props("role=status")
            with Element("div").classes("console-content"):
                layout.html(Markup.escape(title), tag="h1").classes("console-title")
                yield

    def url(self, name: str, **query: str) -> str:
        """The URL of a console page for this calendar."""
        if len(self.identity.experts) > 1:
            query = {"expert": self.expert.slug, **query}
        path = "/console" if name == "today" else f"/console/{name}"
        return f"{path}?{urlencode(query)}" if query else path

    def _navigation(self, current: str) -> Markup:
        link = Markup('<a href="{}"{}>{}</a>')
        here = Markup(' aria-current="page"')
        links = (link.format(self.url(name), here if name == current else "", text) for name, text in PAGES)
        return Markup('{}<nav aria-label="Console">{}</nav>').format(self._chooser(current), Markup("").join(links))

    def _chooser(self, current: str) -> Markup:
        if len(self.identity.experts) == 1:
            return Markup('<p class="console-expert">{}</p>').format(self.expert.name)
        path = "/console" if current == "today" else f"/console/{current}"
        option = Markup('<option value="{}"{}>{}</option>')
        options = (
            option.format(f"{path}?expert={one.slug}", Markup(" selected") if one == self.expert else "", one.name)
            for one in self.identity.experts
        )
        return Markup(
            '<label class="console-expert"><span class="sr-only">Calendar of</span><select>{}</select></label>'
        ).format(Markup("").join(options))


def chosen_expert(identity: Identity, slug: str) -> OwnExpert:
    """The expert with this slug, if the identity runs that calendar; otherwise the first of its experts."""
    return next((one for one in identity.experts if one.slug == slug), identity.experts[0])


def plain(message: str) -> str:
    """A message of the API for people, who see the fields `from` and `to` as days."""
    return message.replace("`from`", "the first day").replace("`to`", "The last day")


Build = Callable[[Console, Request], Awaitable[None]]


def page(services: Services, name: str) -> Callable[[Build], None]:
    """Serve a console page to hosts. Others are sent to the sign-in page, or told that the page is for experts."""

    def decorate(build: Build) -> None:
        @page_route.page("/console" if name == "today" else f"/console/{name}")
        async def visit(request: Request, client: Client) -> Response | None:
            identity = await identity_of(services, request)
            if identity is None:
                client.delete()  # this response does not use it, so repeated requests must not keep any alive
                wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
                return redirect(f"/sign-in?next={quote(wanted, safe='/')}")
            if not identity.experts:
                error_pages.show_error(
                    "This page is for experts",
                    f"{identity.email} is not the address of an expert. Sign in with the expert's address.",
                    code="forbidden", status=403, url="/sign-in?next=/console", way_out="Sign in with another address",
                )  # fmt: skip
                return None
            await build(Console(services, client, request, identity, request.query_params.get("expert", "")), request)
            return None

    return decorate
