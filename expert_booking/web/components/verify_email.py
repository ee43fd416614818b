"""The field for the code that confirms the customer's email address, with a countdown."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from zoneinfo import ZoneInfo

from nicegui.element import Element
from nicegui.events import GenericEventArguments

from expert_booking.domain import formatting
from expert_booking.domain.email_schedule import WITHHELD
from expert_booking.schemas import BookingView


class VerifyEmail(Element, component="verify_email.js"):
    """Shown while a booking waits until its customer confirms the email address."""

    def __init__(
        self, *, on_verify: Callable[[str], Awaitable[None]], on_resend: Callable[[], Awaitable[None]]
    ) -> None:
        """`on_verify` receives the code as typed, unvalidated. `on_resend` has the email sent again."""
        super().__init__()

        async def verify(event: GenericEventArguments) -> None:
            await on_verify(event.args if isinstance(event.args, str) else "")

        self.on("verify", verify)
        self.on("resend", lambda _: on_resend())

    def show(self, booking: BookingView | None, zone: ZoneInfo, now: datetime) -> None:
        """Ask for the code of this booking, with the deadline in `zone`; show nothing for None. `now` is UTC."""
        shown = None
        if booking is not None and booking.verify_by is not None:
            shown = {
                "email": booking.email,
                "by": formatting.clock_time(booking.verify_by, zone),
                "seconds": (booking.verify_by - now).total_seconds(),
                "mail": "withheld" if booking.mail in WITHHELD else booking.mail,
            }
        if shown != self._props.get("now"):
            self._props["now"] = shown
            self.update()

    def done(self, error: str = "") -> None:
        """Enable the form again, and show the error beside the field if there is one."""
        self.run_method("done", error)

    def resent(self, error: str = "") -> None:
        """Say that the email is being sent again, or show the error."""
        self.run_method("resent", error)
