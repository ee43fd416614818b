"""The delivery state of the latest email about a booking."""

from typing import Final

from markupsafe import Markup

from expert_booking.domain.email_schedule import Delivery
from expert_booking.schemas import BookingView

_LINES: Final = {
    Delivery.WAITING: Markup("""<p class="mail" data-mail="waiting">We're sending a confirmation to <b>{}</b>.</p>"""),
    Delivery.SENT: Markup("""<p class="mail" data-mail="sent">We've sent a confirmation to <b>{}</b>.</p>"""),
    Delivery.FAILED: Markup(
        """<p class="mail note warn" data-mail="failed">We couldn't deliver the email to <b>{}</b>. Please check the
address. This page has everything you need.</p>"""
    ),
}
_MARKS: Final = {
    Delivery.WAITING: Markup('<span data-mail="waiting"> · sending email</span>'),
    Delivery.SENT: Markup('<span data-mail="sent"> · email sent</span>'),
    Delivery.FAILED: Markup('<span class="bad" data-mail="failed"> · email not delivered</span>'),
}


def mail_state(booking: BookingView) -> Markup:
    """Return the state as a sentence; empty if no email was sent."""
    return _LINES[booking.mail].format(booking.email) if booking.mail else Markup("")


def mail_mark(booking: BookingView) -> Markup:
    """Return the state in a few words, for a list; empty if no email was sent."""
    return _MARKS[booking.mail] if booking.mail else Markup("")
