"""The delivery state of the latest email about a booking, and why it was not sent."""

from typing import Final

from markupsafe import Markup

from expert_booking.domain.email_schedule import WITHHELD, Delivery, WantedEmails
from expert_booking.schemas import BookingView

_LINES: Final = {
    Delivery.WAITING: Markup("""<p class="mail" data-mail="waiting">We're sending a confirmation to <b>{}</b>.</p>"""),
    Delivery.SENT: Markup("""<p class="mail" data-mail="sent">We've sent a confirmation to <b>{}</b>.</p>"""),
    Delivery.FAILED: Markup(
        """<p class="mail note warn" data-mail="failed">We couldn't deliver the email to <b>{}</b>. Please check the
address. This page has everything you need.</p>"""
    ),
    Delivery.OVER_LIMIT: Markup(
        """<p class="mail note warn" data-mail="over_limit">We haven't emailed you about this, because <b>{}</b> has had
many emails from us today. {sign_in} with this address to get all emails.</p>"""
    ),
    Delivery.SILENCED: Markup(
        """<p class="mail note warn" data-mail="silenced">We haven't emailed you about this, because we were asked not
to email <b>{}</b>. {sign_in} with this address to get emails again.</p>"""
    ),
    Delivery.REFUSED: Markup(
        """<p class="mail note warn" data-mail="refused">We haven't emailed you about this, because <b>{}</b> doesn't
accept emails. Please check the address. This page has everything you need.</p>"""
    ),
}
_SIGN_IN: Final = Markup('<a href="/sign-in?next=/booking/{}">Sign in</a>')
# For a host, who only needs to know that the customer does not know.
_LINES_FOR_HOST: Final = {
    Delivery.OVER_LIMIT: Markup("<b>{}</b> has had many emails from us today"),
    Delivery.SILENCED: Markup("we were asked not to email <b>{}</b>"),
    Delivery.REFUSED: Markup("<b>{}</b> doesn't accept emails"),
}
_LINE_FOR_HOST: Final = Markup(
    """<p class="mail note warn" data-mail="{}">The customer hasn't been emailed about this, because {}.</p>"""
)
_REMINDERS_OFF: Final = Markup(
    """<p class="mail" data-reminders="off">Reminders are off for this booking. <a href="{}">Turn them on</a></p>"""
)
_MARKS: Final = {
    Delivery.WAITING: Markup('<span data-mail="waiting"> · sending email</span>'),
    Delivery.SENT: Markup('<span data-mail="sent"> · email sent</span>'),
    Delivery.FAILED: Markup('<span class="bad" data-mail="failed"> · email not delivered</span>'),
    **{
        delivery: Markup('<span class="bad" data-mail="{}"> · email not sent</span>').format(delivery.value)
        for delivery in WITHHELD
    },
}


def mail_state(booking: BookingView) -> Markup:
    """Return the state as a sentence for the customer; empty if there was no email."""
    if booking.mail is None:
        return Markup("")
    return _LINES[booking.mail].format(booking.email, sign_in=_SIGN_IN.format(booking.id))


def mail_state_for_host(booking: BookingView) -> Markup:
    """Say why the customer was not emailed; empty otherwise."""
    if booking.mail is None or booking.mail not in WITHHELD:
        return Markup("")
    return _LINE_FOR_HOST.format(booking.mail.value, _LINES_FOR_HOST[booking.mail].format(booking.email))


def reminders_off(booking: BookingView, reminders_path: str) -> Markup:
    """Say that reminders are off, with a link to the page that turns them on; empty otherwise."""
    if booking.wanted_emails is not WantedEmails.NO_REMINDERS:
        return Markup("")
    return _REMINDERS_OFF.format(reminders_path)


def mail_mark(booking: BookingView) -> Markup:
    """Return the state in a few words, for a list; empty if no email was sent."""
    return _MARKS[booking.mail] if booking.mail else Markup("")
