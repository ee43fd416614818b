"""What a booking page shows: the hold, a notice, the form and a summary of the session."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import uuid4
from zoneinfo import ZoneInfo

from markupsafe import Markup
from nicegui import ui

from expert_booking.domain import formatting
from expert_booking.domain.errors import NotFound, Unavailable
from expert_booking.domain.terms import Confirmation, EmailVerification
from expert_booking.schemas import ExpertDetail, FieldError, SessionTypeView
from expert_booking.services.availability import Board
from expert_booking.web import error_pages, layout
from expert_booking.web.book_state import BookState, HoldState, Limit, hold_text
from expert_booking.web.components.booking_form import BookingForm
from expert_booking.web.components.booking_questions import BookingQuestions, asks
from expert_booking.web.components.booking_summary import booking_summary
from expert_booking.web.components.hold_clock import HoldClock
from expert_booking.web.components.refusal_note import (
    already_yours,
    alternatives,
    input_kept,
    internal_error,
    limit_note,
    reason_of,
    refusal_note,
    what_now,
)

# What happened to the visitor's hold before someone else took the time.
_LOST_HOLD: Final = {
    HoldState.EXPIRED: "Your hold has expired. ",
    HoldState.REPLACED: "You are now holding a different time. ",
}


class BookView:
    """The elements of one booking page. Before `draw`, `show` does nothing."""

    def __init__(self, expert: ExpertDetail, session: SessionTypeView) -> None:
        self._expert = expert
        self._session_type = session
        # With a single session type the URL does not name it.
        self._session_parameter = f"&session={session.id}" if len(expert.session_types) > 1 else ""
        self._questions: BookingQuestions | None = None
        self._drawn = False

    def draw(
        self,
        *,
        phone_required: bool,
        phone_hint: str,
        mails: bool,
        on_hold: Callable[[], Awaitable[None]],
        on_release: Callable[[], Awaitable[None]],
        on_expired: Callable[[], Awaitable[None]],
        on_typing: Callable[[], Awaitable[None]],
        on_book: Callable[[dict[str, Any]], Awaitable[None]],
    ) -> None:
        """Draw the form beside the summary of the session. The callbacks are those of `HoldClock` and `BookingForm`."""
        self._mails = mails
        self._on_typing = on_typing
        times = f"/expert/{self._expert.slug}{self._session_parameter.replace('&', '?')}"
        layout.html(Markup('<a class="crumb" href="{}">← Other times</a>').format(times))
        with ui.element("div").classes("two"):
            with ui.element("div").classes("form") as self._column:
                layout.html(Markup("Book your session"), tag="h1")
                self._clock = HoldClock(on_hold=on_hold, on_release=on_release, on_expired=on_expired)
                self._notice = layout.html(Markup(""))
                self.form = BookingForm(
                    draft=self._expert.slug,
                    submission=str(uuid4()),
                    phone_required=phone_required,
                    phone_hint=phone_hint,
                    by_expert=self._session_type.confirmation is Confirmation.BY_EXPERT,
                    mails=mails,
                    asks_for_code=self._session_type.email_verification is EmailVerification.ALWAYS,
                    on_book=on_book,
                    on_typing=on_typing,
                )
            with ui.element("aside").classes("panel").props('aria-label="Your session"'):
                self._summary = layout.html(Markup("")).classes("summary")
        self._drawn = True

    def show(self, state: BookState, board: Board, zone: ZoneInfo, now: datetime) -> None:
        """Show the state, with times in `zone`. `now` is UTC."""
        if not self._drawn:
            return
        own, held = state.own_hold, state.hold_state is HoldState.HELD
        seconds = (own.hold_until - now).total_seconds() if own and held else 0
        self._clock.show(None if state.refusal else state.hold_state, seconds=seconds, text=hold_text(state, zone))
        self._notice.show(self._notice_html(state, board, zone))
        self._summary.show(booking_summary(self._expert, self._session_type, board, state.slot.starts_at, zone))

    def ask(self, session_type: SessionTypeView) -> None:
        """Ask what the session type now asks, above the form. What was typed stays."""
        if not self._drawn:
            return
        if self._questions is not None:
            self._questions.show(session_type)
        elif asks(session_type):
            with self._column:
                self._questions = BookingQuestions(session_type, draft=self._expert.slug, on_typing=self._on_typing)
            self._questions.move(target_index=self._column.default_slot.children.index(self.form))

    async def asked(self) -> dict[str, Any]:
        """What the customer has entered there, unvalidated, as fields of a booking request."""
        return await self._questions.values() if self._questions else {}

    def show_errors(self, field_errors: Sequence[FieldError]) -> None:
        """Enable the form again, and show each error beside its field."""
        self.form.show_errors(field_errors)
        if self._questions:
            self._questions.show_errors(field_errors)

    def leave_for(self, url: str) -> None:
        """Delete the drafts and go to `url`."""
        if self._questions:
            self._questions.forget()
        self.form.leave_for(url)

    def show_unavailable(self, refusal: Unavailable) -> None:
        """Say that the booking could not be made now, and enable the form again."""
        self._notice.show(refusal_note(refusal, "", input_kept(), Markup("")))
        self.form.done()

    def show_internal_error(self) -> None:
        """Say that the booking could not be made because of an error of ours, and enable the form again."""
        self._notice.show(internal_error(error_pages.error_reference()))
        self.form.done()

    def _notice_html(self, state: BookState, board: Board, zone: ZoneInfo) -> Markup:
        refusal, starts_at = state.refusal, state.slot.starts_at
        if refusal is None:
            return Markup("") if state.limit is None else self._limit_html(state.limit, starts_at, zone)
        if state.own_booking is not None:
            return already_yours(state.own_booking.id)
        free = [] if isinstance(refusal, NotFound) else board.nearest_open(starts_at)
        in_zone = formatting.zone_at(zone, starts_at) if free else None
        return refusal_note(
            refusal,
            _LOST_HOLD.get(state.hold_state, ""),
            what_now(reason_of(refusal), in_zone, slug=self._expert.slug, name=self._expert.name),
            alternatives(free, zone, slug=self._expert.slug, session=self._session_parameter),
        )

    def _limit_html(self, limit: Limit, starts_at: datetime, zone: ZoneInfo) -> Markup:
        own_path = f"/book/{self._expert.slug}?at={formatting.iso(starts_at)}{self._session_parameter}"
        return limit_note(limit, zone, own_path=own_path, mails=self._mails)
