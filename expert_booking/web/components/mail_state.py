"""What has become of the mail about a booking."""

from typing import Final

from markupsafe import Markup

from expert_booking.domain.email_schedule import Delivery
from expert_booking.schemas import BookingView

_LINES: Final = {
    Delivery.WAITING: Markup('<p class="mail" data-mail="waiting">A mail to <b>{}</b> is on its way.</p>'),
    Delivery.SENT: Markup('<p class="mail" data-mail="sent">A mail with all of this was sent to <b>{}</b>.</p>'),
    Delivery.FAILED: Markup(
        """<p class="mail note warn" data-mail="failed">The mail to <b>{}</b> could not be delivered. Please check the
address; this page is valid without it.</p>"""
    ),
}
_MARKS: Final = {
    Delivery.WAITING: Markup('<span data-mail="waiting"> · mail on its way</span>'),
    Delivery.SENT: Markup('<span data-mail="sent"> · mail sent</span>'),
    Delivery.FAILED: Markup('<span class="bad" data-mail="failed"> · mail not delivered</span>'),
}


def mail_state(booking: BookingView) -> Markup:
    """In a sentence; empty where there was none to send."""
    return _LINES[booking.mail].format(booking.email) if booking.mail else Markup("")


def mail_mark(booking: BookingView) -> Markup:
    """In a few words, for a list."""
    return _MARKS[booking.mail] if booking.mail else Markup("")
