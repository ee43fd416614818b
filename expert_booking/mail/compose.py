"""Build complete email messages: headers, plain text and HTML with the same wording, and calendar files."""

from dataclasses import replace
from datetime import datetime
from email.utils import format_datetime
from typing import NamedTuple
from uuid import UUID

from expert_booking.domain.email_schedule import MessageKind
from expert_booking.domain.site import Site
from expert_booking.mail import ics
from expert_booking.mail.booking_content import NO_CALENDAR, booking_content, booking_url, manage_url, reminders_url
from expert_booking.mail.booking_email import BookingEmail
from expert_booking.mail.headers import mail_address, name_and_address, put_address, put_text, put_url
from expert_booking.mail.layout import EmailContent, as_html, as_text
from expert_booking.mail.message import Email, Headers, base64_part, multipart, text_part
from expert_booking.mail.message import email as finished
from expert_booking.mail.wording import (
    access_content,
    address_change_content,
    legal_links,
    new_address_content,
    requests_before,
)

__all__ = [
    "BookingEmail",
    "compose_access_email",
    "compose_address_change_email",
    "compose_booking_email",
    "compose_new_address_email",
]


def compose_booking_email(
    email: BookingEmail, site: Site, *, installation: UUID, message_id: str, now: datetime
) -> Email:
    """Build the email about a change of a booking, or a reminder, with its calendar file.

    Raises ValueError if the recipient's address is not valid.
    """
    name, address = _recipient(email)
    more = Headers()
    if not email.to_customer:
        _put_reply_to(more, email, to=address)
    elif email.kind is MessageKind.REMINDER:
        # A mail program then offers to unsubscribe, and sends a POST there (RFC 8058).
        put_url(more, "List-Unsubscribe", reminders_url(email, site))
        more.add("List-Unsubscribe-Post", "List-Unsubscribe=One-Click")
    invitation = None
    if email.kind not in NO_CALENDAR:
        entry = _entry(email, site, installation)
        organizer = ics.Party(email.expert_name, name_and_address(site.sender)[1])
        file = ics.invitation(entry, organizer=organizer, attendee=ics.Party(name, address))
        invitation = _Invitation(entry.method, file)
    content = booking_content(email, site, now)
    return _message(content, name, address, site, message_id, now, more=more, invitation=invitation)


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
) -> Email:
    """Build the sign-in email: a link that works once, and a code for the browser that requested it.

    `earlier` is the number of requests for this address in the hour before, `elsewhere` how many of them came from
    other networks. Raises ValueError if `email` is not a valid address.
    """
    content = access_content(email, link, code, expires_at, site, now, requests_before(earlier, elsewhere))
    return _message(content, "", mail_address(email), site, message_id, now)


def compose_new_address_email(
    *, email: str, expert: str, link: str, site: Site, message_id: str, now: datetime
) -> Email:
    """Build the email to an expert's new address, with the link that confirms it. `expert` is the name.

    Raises ValueError if `email` is not a valid address.
    """
    content = new_address_content(email, expert, link, site)
    return _message(content, "", mail_address(email), site, message_id, now)


def compose_address_change_email(*, email: str, expert: str, site: Site, message_id: str, now: datetime) -> Email:
    """Build the email that tells an expert's current address that a new one was entered. `expert` is the name.

    Raises ValueError if `email` is not a valid address.
    """
    return _message(address_change_content(expert, site), expert, mail_address(email), site, message_id, now)


def _recipient(email: BookingEmail) -> tuple[str, str]:
    if email.to_customer:
        # The name is what someone typed who may not own the address: it must not reach a stranger.
        name = "" if email.kind is MessageKind.VERIFICATION else email.customer_name
        return name, mail_address(email.customer_email)
    return email.expert_name, mail_address(email.expert_email)


class _Invitation(NamedTuple):
    """A calendar file, and what it asks the recipient's calendar to do."""

    method: ics.Method
    file: bytes


def _message(
    content: EmailContent,
    name: str,
    address: str,
    site: Site,
    message_id: str,
    now: datetime,
    *,
    more: Headers | None = None,
    invitation: _Invitation | None = None,
) -> Email:
    content = replace(content, legal=legal_links(site))
    sender_name, sender = name_and_address(site.sender)
    headers = Headers()
    put_text(headers, "Subject", content.subject)
    put_address(headers, "From", sender_name, sender)
    put_address(headers, "To", name, address)
    headers.add("Date", format_datetime(now))
    headers.add("Message-ID", message_id)
    headers.add("Auto-Submitted", "auto-generated")
    if more is not None:
        headers.extend(more)
    texts = [text_part("plain", as_text(content)), text_part("html", as_html(content))]
    if invitation is None:
        return finished(sender, address, headers, multipart("alternative", texts, message_id))
    # Once as an alternative text, from which mail programs offer to answer, and once as a file.
    calendar = f'text/calendar; charset="utf-8"; method="{invitation.method}";\r\n component="VEVENT"'
    texts.append(base64_part(calendar, invitation.file))
    attached = ("Content-Disposition", 'attachment; filename="booking.ics"')
    parts = [multipart("alternative", texts, message_id), base64_part("application/ics", invitation.file, attached)]
    return finished(sender, address, headers, multipart("mixed", parts, message_id))


def _put_reply_to(headers: Headers, email: BookingEmail, *, to: str) -> None:
    try:
        address = mail_address(email.customer_email)
    except ValueError:
        return
    # A Reply-To that needs SMTPUTF8 must not keep the email from a recipient whose address does not.
    if address.isascii() or not to.isascii():
        put_address(headers, "Reply-To", email.customer_name, address)


def _entry(email: BookingEmail, site: Site, installation: UUID) -> ics.Entry:
    return ics.Entry(
        booking_id=email.booking_id,
        installation=installation,
        audience=email.audience,
        status=email.status,
        starts_at=email.starts_at,
        ends_at=email.ends_at,
        sequence=email.sequence,
        changed_at=email.changed_at,
        session_title=email.session_title,
        expert_name=email.expert_name,
        customer_name=email.customer_name,
        customer_email=email.customer_email,
        customer_phone=email.customer_phone,
        notes=email.notes,
        price=email.price,
        payment_note=email.payment_note,
        location=email.location,
        answers=email.answers,
        url=booking_url(email, site),
        manage_url=manage_url(email, site),
    )
