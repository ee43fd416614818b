"""`/my-bookings`: the bookings made in this browser, by address. Never those of another browser."""

from collections.abc import Callable, Sequence
from typing import Final
from zoneinfo import ZoneInfo

from fastapi import Request
from markupsafe import Markup
from nicegui import Client, ui
from nicegui.events import GenericEventArguments
from pydantic import TypeAdapter, ValidationError

from expert_booking.domain.lifecycle import LIVE
from expert_booking.domain.words import UTC_ZONE
from expert_booking.schemas import BookingView, Email
from expert_booking.services import Services
from expert_booking.web import theme
from expert_booking.web.live import Coalesced
from expert_booking.web.parts.booking_card import booking_card
from expert_booking.web.visitor import remembered_visitor, zone_of

_EMAIL: Final[TypeAdapter[str]] = TypeAdapter(Email)
_FORM: Final = Markup(
    """<div class="field{wrong}"><label for="email">E-mail</label>
<div class="with-button">
<input id="email" name="email" class="input" type="email" autocomplete="email" maxlength="254" value="{email}"
 placeholder="name@example.com" aria-invalid="{invalid}" aria-describedby="{about}">
<button class="button" type="submit">Show</button></div>
<p class="hint" id="email-hint">Shown are the bookings that were made in this browser for this address.
Nobody sees them from another browser.</p>{error}</div>"""
)
_ERROR: Final = Markup('<p class="error" id="email-error" role="alert">{}</p>')
_LIST: Final = Markup(
    '<section><h2>{title} <span class="soft">({number})</span></h2><ul class="list">{cards}</ul></section>'
)
_NONE: Final = Markup(
    """<div class="empty panel"><svg width="64" height="64" viewBox="0 0 64 64" fill="none" stroke="currentColor"
 stroke-width="3" stroke-linecap="round" aria-hidden="true"><rect x="10" y="14" width="44" height="40" rx="9"/>
<path d="M22 8v11M42 8v11M10 27h44"/></svg>
<h2>{title}</h2><p>{text}</p><a class="button" href="/">Find an expert</a></div>"""
)
# The browser sends the address it has in the field; Python knows no more of the form.
_SEND: Final = '(event) => { event.preventDefault(); emit(new FormData(event.target).get("email")); }'

# Seen again: before a first booking there is nobody to follow, and it may have been made in another tab meanwhile.
# What is being typed stays.
_WHEN_SEEN: Final = """<script>
for (const event of ["focus", "visibilitychange"])
  addEventListener(event, () => {
    const field = document.getElementById("email");
    if (!document.hidden && window.socket?.connected && field.value === field.defaultValue) emitEvent("seen");
  });
</script>"""


def mount(services: Services) -> None:
    """Serve the page."""

    @ui.page("/my-bookings")
    async def mine(request: Request, client: Client) -> None:
        # A browser that was never here is known from now on: what it books in another tab is then found here.
        view = MyBookings(services, client, remembered_visitor(request), zone_of(request))
        await view.begin()
        ui.add_body_html(_WHEN_SEEN)
        with theme.frame("My bookings", here="/my-bookings", narrow=True, on_zone=view.change_zone):
            view.draw()
        ui.on("seen", lambda _: view.refresh())


class MyBookings:
    """A customer's bookings in this browser, followed while the page is open."""

    def __init__(self, services: Services, client: Client, visitor: bytes, zone: ZoneInfo | None) -> None:
        self._services = services
        self._client = client
        self._visitor = visitor
        self._zone = zone or UTC_ZONE
        self._email = ""
        self._bookings: Sequence[BookingView] = ()
        self._unfollow: list[Callable[[], None]] = []
        # Look again soon.
        self.refresh = Coalesced(self._read_and_show)
        client.on_delete(self._end)
        client.on_connect(self.refresh)

    async def begin(self) -> None:
        """Start with the address that was booked with last in this browser."""
        await self._read()

    def draw(self) -> None:
        """The address, and below it what was booked."""
        theme.html(Markup("My bookings"), tag="h1").classes("over")
        with ui.element("form").classes("panel").props("novalidate").on("submit", self.look, js_handler=_SEND):
            self._form = theme.html(self._form_html())
        self._list = theme.html(self._list_html()).classes("under")

    async def look(self, event: GenericEventArguments) -> None:
        """Show the bookings of another address."""
        typed = event.args if isinstance(event.args, str) else ""
        try:
            self._email = _EMAIL.validate_python(typed.strip())
        except ValidationError as error:
            message = error.errors()[0]["msg"].removeprefix("Value error, ")
            self._form.set_content(self._form_html(typed, message))
            return
        self._form.set_content(self._form_html())
        await self._read_and_show()

    def change_zone(self, zone: ZoneInfo) -> None:
        """Name the times in another zone."""
        self._zone = zone
        self._list.set_content(self._list_html())

    async def _read_and_show(self) -> None:
        knew_nobody = not self._email
        await self._read()
        if knew_nobody and self._email:
            self._form.set_content(self._form_html())
        shown = self._list_html()
        if shown != self._list.content:
            self._list.set_content(shown)

    async def _read(self) -> None:
        if not self._email:
            addresses = await self._services.bookings.addresses_of_visitor(self._visitor)
            self._email = addresses[0] if addresses else ""
        if not self._email:
            return
        bookings = await self._services.bookings.of_visitor(self._email, self._visitor)
        if self._client.is_deleted:
            return
        if {b.expert_id for b in bookings} != {b.expert_id for b in self._bookings}:
            self._end()
            bus = self._services.bus
            self._unfollow = [bus.follow(expert_id, self.refresh) for expert_id in {b.expert_id for b in bookings}]
            # Follow first, read afterwards: what happened in between is then seen.
            bookings = await self._services.bookings.of_visitor(self._email, self._visitor)
        self._bookings = bookings

    def _end(self) -> None:
        for unfollow in self._unfollow:
            unfollow()
        self._unfollow = []

    def _form_html(self, typed: str | None = None, error: str = "") -> Markup:
        return _FORM.format(
            email=self._email if typed is None else typed,
            wrong=" wrong" if error else "",
            invalid="true" if error else "false",
            about="email-error" if error else "email-hint",
            error=_ERROR.format(error) if error else "",
        )

    def _list_html(self) -> Markup:
        if not self._email:
            return _NONE.format(
                title="Nothing booked here yet", text="When you book a time in this browser, you find it here again."
            )
        if not self._bookings:
            return _NONE.format(
                title="No bookings for this address",
                text="None were made in this browser. If you booked in another one, look there.",
            )
        now = self._services.clock()
        upcoming = [b for b in reversed(self._bookings) if b.ends_at > now and b.status in LIVE]
        past = [b for b in self._bookings if b not in upcoming]
        return self._section("Upcoming", upcoming, past=False) + self._section("Past and cancelled", past, past=True)

    def _section(self, title: str, bookings: Sequence[BookingView], *, past: bool) -> Markup:
        if not bookings:
            return Markup("")
        cards = Markup("").join(booking_card(booking, self._zone, past=past) for booking in bookings)
        return _LIST.format(title=title, number=len(bookings), cards=cards)
