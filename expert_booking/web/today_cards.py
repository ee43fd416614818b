"""Cards of the console's first page: requests to answer, and ended sessions to mark."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Final, Protocol
from uuid import UUID
from zoneinfo import ZoneInfo

from markupsafe import Markup
from nicegui import ui
from nicegui.element import Element
from pydantic import ValidationError

from expert_booking.domain.lifecycle import Status
from expert_booking.schemas import REASON_LENGTH, BookingView, StatusRequest, field_errors
from expert_booking.web import layout, today_html

_MESSAGES: Final = {
    Status.CONFIRMED: "Confirmed",
    Status.DECLINED: "Declined",
    Status.COMPLETED: "Marked as completed",
    Status.NO_SHOW: "Marked as a no-show",
}


def focus(element: Element) -> None:
    """Move the keyboard's focus to an element, or to the field in it."""
    element.client.run_javascript(
        f"const it = getHtmlElement({element.id}); (it?.querySelector('textarea') ?? it)?.focus()"
    )


class Host(Protocol):
    """What the cards need from their page."""

    async def change(self, booking_id: UUID, request: StatusRequest, message: str) -> bool:
        """Change the status and say so; False if that was refused, which the page has then shown."""

    async def around(self, booking: BookingView) -> Markup | None:
        """The day of this request as HTML; None if it could not be read, which the page has then shown."""


class Card(Element, default_classes="panel today-card"):
    """One booking with what its host can do. Subclasses add their buttons."""

    def __init__(self, host: Host, booking: BookingView) -> None:
        super().__init__("li")
        self.booking = booking
        self._host = host
        self._shown: tuple[object, ...] = ()
        self._sending = False
        self._props["data-booking"] = str(booking.id)
        with self:
            self._content = layout.html(Markup(""))
            self._actions = Element("div").classes("today-actions")

    async def show(self, booking: BookingView, zone: ZoneInfo, now: datetime) -> None:
        """Show the booking as just read. What is being typed stays."""
        self.booking = booking
        # The text names days such as "Today".
        shown = (booking.version, zone, now.astimezone(zone).date())
        if shown != self._shown:
            self._shown = shown
            self._props["data-status"] = booking.status.value
            self._content.show(today_html.card(booking, zone, now))
            self.update()

    @property
    def is_busy(self) -> bool:
        """Whether its host is in the middle of something, which must not vanish without a word."""
        return False

    def _button(self, text: str, on_click: Callable[[], Awaitable[None]], look: str) -> ui.button:
        button = ui.button(text, on_click=on_click).props(f"no-caps {look}")
        button.props["aria-label"] = f"{text}: {self.booking.customer_name}"
        return button

    async def _change(self, to: Status, reason: str = "") -> None:
        request = StatusRequest.model_validate({"status": to, "reason": reason})
        if self._sending:  # a double click
            return
        self._sending = True
        self._sending = await self._host.change(self.booking.id, request, _MESSAGES[to])


class RequestCard(Card):
    """A request: confirm it, decline it with a reason in place, and look at the day around it."""

    def __init__(self, host: Host, booking: BookingView) -> None:
        super().__init__(host, booking)
        with self._actions:
            self._button("Confirm", self._confirm, "unelevated")
            self._decline_button = self._button("Decline", self._ask, "outline")
            self._day_button = self._button("Show the day", self._toggle_day, "flat")
            self._day_button.props["aria-expanded"] = "false"
        with self:
            self._question = Element("div").classes("today-decline").on("keydown.esc", self._keep)
            self._day = layout.html(Markup("")).classes("today-around")
        self._reason: ui.textarea | None = None
        self._question.set_visibility(False)
        self._day.set_visibility(False)

    async def show(self, booking: BookingView, zone: ZoneInfo, now: datetime) -> None:
        """Show the request as just read, and the day around it if that is open."""
        await super().show(booking, zone, now)
        if self._day.visible:
            await self._show_day()

    @property
    def is_busy(self) -> bool:
        """Whether a reason is being typed, and was not sent yet."""
        return bool(self._question.visible) and not self._sending

    async def _confirm(self) -> None:
        await self._change(Status.CONFIRMED)

    async def _ask(self) -> None:
        self._question.set_visibility(True)
        focus(self._reason or self._draw_question())

    def _draw_question(self) -> ui.textarea:
        with self._question:
            self._reason = ui.textarea("Reason (optional)").props(f"outlined autogrow maxlength={REASON_LENGTH}")
            self._reason.props["hint"] = "The customer will see this."
            with Element("div").classes("today-actions"):
                self._button("Decline request", self._decline, "unelevated color=negative")
                self._button("Keep request", self._keep, "flat")
        return self._reason

    async def _keep(self) -> None:
        self._question.set_visibility(False)
        focus(self._decline_button)

    async def _decline(self) -> None:
        if self._reason is None:
            return
        self._reason.error = None
        try:
            await self._change(Status.DECLINED, self._reason.value or "")
        except ValidationError as error:
            self._reason.error = field_errors(error)[0].message

    async def _toggle_day(self) -> None:
        opened = not self._day.visible
        if opened:
            await self._show_day()
        if self.is_deleted:
            return
        self._day.set_visibility(opened)
        self._day_button.set_text("Hide the day" if opened else "Show the day")
        self._day_button.props["aria-expanded"] = str(opened).lower()
        self._day_button.props["aria-label"] = f"{self._day_button.text}: {self.booking.customer_name}"
        self._day_button.update()

    async def _show_day(self) -> None:
        around = await self._host.around(self.booking)
        if around is not None and not self.is_deleted:
            self._day.show(around)


class EndedCard(Card):
    """A session that has ended: did the customer come?"""

    def __init__(self, host: Host, booking: BookingView) -> None:
        super().__init__(host, booking)
        with self._actions:
            self._button("Completed", self._complete, "unelevated")
            self._button("No-show", self._miss, "outline")

    async def _complete(self) -> None:
        await self._change(Status.COMPLETED)

    async def _miss(self) -> None:
        await self._change(Status.NO_SHOW)


class CardList(Element, default_classes="today-cards"):
    """Cards in order. One that stays keeps its element, so that focus and typed text survive a refresh."""

    def __init__(self, make: Callable[[BookingView], Card]) -> None:
        super().__init__("ul")
        self._make = make
        self._cards: dict[UUID, Card] = {}

    async def show(
        self, bookings: Sequence[BookingView], zone: ZoneInfo, now: datetime, *, has_more: bool = False
    ) -> bool:
        """Show these bookings. Returns whether a card vanished while its host was busy with it.

        `has_more`: there are further ones, so that a card which is not among these may only be less urgent. It stays
        while its host is busy with it.
        """
        left = self._cards.keys() - {booking.id for booking in bookings}
        gone = [self._cards.pop(one) for one in left if not (has_more and self._cards[one].is_busy)]
        interrupted = any(card.is_busy for card in gone)
        for card in gone:
            card.delete()
        for index, booking in enumerate(bookings):
            card = self._cards.get(booking.id) or self._add(booking)
            if self.default_slot.children[index] is not card:
                card.move(target_index=index)
            await card.show(booking, zone, now)
        return interrupted

    def _add(self, booking: BookingView) -> Card:
        with self:
            card = self._cards[booking.id] = self._make(booking)
        return card
