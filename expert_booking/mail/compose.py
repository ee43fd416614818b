"""Letters about a booking, with its calendar file, and letters that prove an address. Text and HTML say the same."""

from datetime import datetime
from email import policy
from email.message import EmailMessage
from email.utils import format_datetime
from uuid import UUID

from expert_booking.domain.email_schedule import MessageKind
from expert_booking.domain.site import Site
from expert_booking.mail import ics
from expert_booking.mail.booking_email import BookingEmail
from expert_booking.mail.headers import mail_address, name_and_address, put_address, put_text
from expert_booking.mail.layout import EmailContent, as_html, as_text
from expert_booking.mail.wording import (
    about_access,
    about_address_change,
    about_booking,
    about_new_address,
    booking_url,
    manage_url,
    requests_before,
)

__all__ = [
    "BookingEmail",
    "address_change_letter",
    "compose_access_email",
    "compose_booking_email",
    "new_address_letter",
]


def compose_booking_email(
    news: BookingEmail, site: Site, *, installation: UUID, message_id: str, now: datetime
) -> EmailMessage:
    """The mail about an event, or the reminder, to the customer or the expert, with its calendar file.

    Raises ValueError where what stands for the receiver's address is none.
    """
    name, email = _receiver(news)
    message = _mail(about_booking(news, site, now), name, email, site, message_id, now)
    if not news.to_customer:
        _answers_go_to(message, news, to=email)
    # These bring no file: nothing has changed, and a calendar would ask once more for what it has.
    if news.kind not in (MessageKind.REMINDER, MessageKind.NEW_LINK):
        _put_calendar(message, news, site, installation)
    return message


def compose_access_email(
    *,
    email: str,
    link: str,
    code: str,
    expires_at: datetime,
    site: Site,
    message_id: str,
    now: datetime,
    earlier: int = 0,
    elsewhere: int = 0,
) -> EmailMessage:
    """The mail that proves an address: a link for once, and a code for the browser that asked.

    `earlier` requests for this address were made in the hour before, `elsewhere` of them from other networks. Raises
    ValueError where what stands for the receiver's address is none.
    """
    asked_before = requests_before(earlier, elsewhere)
    letter = about_access(email, link, code, expires_at, site, now, asked_before)
    return _mail(letter, "", mail_address(email), site, message_id, now)


def new_address_letter(
    *, email: str, expert: str, link: str, site: Site, message_id: str, now: datetime
) -> EmailMessage:
    """The email to the new address of the expert of this name, with the link that confirms it.

    Raises ValueError for what is no address.
    """
    return _mail(about_new_address(email, expert, link, site), "", mail_address(email), site, message_id, now)


def address_change_letter(*, email: str, expert: str, site: Site, message_id: str, now: datetime) -> EmailMessage:
    """The email to the address that counts until then. Raises ValueError for what is no address."""
    return _mail(about_address_change(expert, site), expert, mail_address(email), site, message_id, now)


def _receiver(news: BookingEmail) -> tuple[str, str]:
    if news.to_customer:
        return news.customer_name, mail_address(news.customer_email)
    return news.expert_name, mail_address(news.expert_email)


def _mail(letter: EmailContent, name: str, email: str, site: Site, message_id: str, now: datetime) -> EmailMessage:
    # Letters of all scripts before the @ need servers that know them; everything else passes any server.
    message = EmailMessage(policy=policy.SMTP if email.isascii() else policy.SMTPUTF8)
    put_text(message, "Subject", letter.subject)
    put_address(message, "From", *name_and_address(site.sender))
    put_address(message, "To", name, email)
    message["Date"] = format_datetime(now)
    message["Message-ID"] = message_id
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(as_text(letter), cte="quoted-printable")
    message.add_alternative(as_html(letter), subtype="html", cte="quoted-printable")
    return message


def _answers_go_to(message: EmailMessage, news: BookingEmail, *, to: str) -> None:
    try:
        address = mail_address(news.customer_email)
    except ValueError:
        return
    # One that only some servers know must not keep the whole mail from its receiver.
    if address.isascii() or not to.isascii():
        put_address(message, "Reply-To", news.customer_name, address)


def _put_calendar(message: EmailMessage, news: BookingEmail, site: Site, installation: UUID) -> None:
    entry = _entry(news, site, installation)
    organizer = ics.Party(news.expert_name, name_and_address(site.sender)[1])
    file = ics.invitation(entry, organizer=organizer, attendee=ics.Party(*_receiver(news)))
    message.add_alternative(
        file.decode(), subtype="calendar", cte="base64", params={"method": entry.method.value, "component": "VEVENT"}
    )
    message.add_attachment(file, maintype="application", subtype="ics", filename="booking.ics")


def _entry(news: BookingEmail, site: Site, installation: UUID) -> ics.Entry:
    return ics.Entry(
        booking_id=news.booking_id,
        installation=installation,
        audience=news.audience,
        status=news.status,
        starts_at=news.starts_at,
        ends_at=news.ends_at,
        sequence=news.sequence,
        changed_at=news.told_at,
        session_title=news.session_title,
        expert_name=news.expert_name,
        customer_name=news.customer_name,
        customer_email=news.customer_email,
        customer_phone=news.customer_phone,
        notes=news.notes,
        url=booking_url(news, site),
        manage_url=manage_url(news, site),
    )
