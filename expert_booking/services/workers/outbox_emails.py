"""Turn message rows of the outbox into emails."""

from dataclasses import replace
from datetime import datetime, timedelta
from email.utils import parseaddr
from typing import Final

from expert_booking.db.bookings import agreed_terms
from expert_booking.db.documents import answer_of, location_of
from expert_booking.db.engine import AnyRow
from expert_booking.db.outbox import DROP_AFTER
from expert_booking.domain.addresses import in_ascii
from expert_booking.domain.email_schedule import (
    EXPERT_EMAILS,
    Audience,
    MessageKind,
    WantedEmails,
    reminder_windows,
)
from expert_booking.domain.lifecycle import Actor, Status
from expert_booking.domain.locations import Location, LocationKind
from expert_booking.domain.site import Site
from expert_booking.domain.terms import Leeway
from expert_booking.mail.compose import (
    BookingEmail,
    compose_access_email,
    compose_address_change_email,
    compose_booking_email,
    compose_new_address_email,
)
from expert_booking.mail.message import Email
from expert_booking.services.access import Access

_BOOKED: Final = frozenset({MessageKind.RECEIVED, MessageKind.CONFIRMED})


class OutboxEmails:
    """Composes the email of a message from its row, at the time it is sent."""

    def __init__(self, site: Site, access: Access) -> None:
        self._site = site
        self._access = access

    def compose(self, row: AnyRow, now: datetime) -> Email | None:
        """The email of a message row; None if it is obsolete. Raises ValueError if it cannot be addressed."""
        if row.kind == MessageKind.ACCESS_LINK:
            return self._access_email(row, now)
        if row.kind in (MessageKind.NEW_ADDRESS, MessageKind.ADDRESS_CHANGE):
            return self._address_email(row, now)
        if _is_obsolete(row, now, self._site):
            return None
        return compose_booking_email(
            _booking_email(row, now),
            self._site,
            installation=row.installation,
            message_id=self._message_id(row),
            now=now,
        )

    def _access_email(self, row: AnyRow, now: datetime) -> Email | None:
        # Whether the address is known is checked only here, after the request was answered, so that the response and
        # its timing do not reveal it.
        known = row.known or row.customer_key in self._site.admins
        if not known or row.suppressed or row.spent_at is not None or row.expires_at <= now:
            return None
        return compose_access_email(
            email=row.email,
            link=self._access.link(row.request_id),
            code=self._access.code(row.request_id, earlier=row.earlier),
            expires_at=row.expires_at,
            site=self._site,
            message_id=self._message_id(row),
            now=now,
            earlier=row.earlier,
            elsewhere=row.earlier_elsewhere,
        )

    def _address_email(self, row: AnyRow, now: datetime) -> Email | None:
        if row.address_of is None or row.expires_at <= now:
            return None
        facts = {"expert": row.address_of, "site": self._site, "message_id": self._message_id(row), "now": now}
        if row.kind == MessageKind.ADDRESS_CHANGE:
            return compose_address_change_email(email=row.email, **facts)
        if row.spent_at is not None or row.pending_email != row.email:
            return None
        return compose_new_address_email(email=row.email, link=self._access.link(row.request_id), **facts)

    def _message_id(self, row: AnyRow) -> str:
        # The same for every attempt, so that mail programs recognise a duplicate.
        domain = in_ascii(parseaddr(self._site.sender)[1]).rpartition("@")[2]
        return f"<{row.id}.{row.kind}.{row.installation.hex}@{domain}>"


def _is_obsolete(row: AnyRow, now: datetime, site: Site) -> bool:
    """Whether a message is not needed: its expert does not want it, its customer is gone, or it is too late."""
    if row.now_is is None or (row.audience == Audience.CUSTOMER and not row.customer_email):
        return True
    if row.audience == Audience.EXPERT and EXPERT_EMAILS.get(row.kind, "") not in ("", *row.expert_emails):
        return True
    if row.kind == MessageKind.NEW_LINK:
        return False
    if row.kind == MessageKind.VERIFICATION:
        return row.now_is != Status.PENDING or row.verify_by is None or row.verify_by <= now
    if now > row.ends_at + DROP_AFTER:
        return True
    if row.kind != MessageKind.REMINDER:
        return False
    if row.audience == Audience.CUSTOMER and row.wanted_emails != WantedEmails.ALL:
        return True
    if row.now_is != Status.CONFIRMED or row.now_starts_at != row.starts_at:
        return True
    due = row.starts_at - timedelta(minutes=row.minutes_before)
    return not any(begins == due and now < ends for begins, ends in reminder_windows(row.starts_at, site.reminders))


def _booking_email(row: AnyRow, now: datetime) -> BookingEmail:
    terms = agreed_terms(row)
    status, kind = Status(row.status), MessageKind(row.kind)
    by_customer = row.actor == Actor.CUSTOMER
    return BookingEmail(
        kind=kind,
        audience=Audience(row.audience),
        booking_id=row.booking_id,
        status=status,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        sequence=row.sequence,
        session_title=row.session_title,
        expert_slug=row.expert_slug,
        expert_name=row.expert_name,
        expert_email=row.expert_email,
        expert_zone=row.expert_zone,
        customer_name=row.customer_name,
        customer_email=row.customer_email,
        customer_phone=row.customer_phone,
        customer_zone=row.customer_zone,
        notes=row.notes,
        previous_starts_at=row.from_starts_at if row.kind == MessageKind.RESCHEDULED else None,
        actor=None if row.actor is None else Actor(row.actor),
        # A customer gives no reason for booking; the history says "email address confirmed" here.
        # A new location has its own text.
        reason="" if (by_customer and kind in _BOOKED) or kind is MessageKind.RELOCATED else row.reason,
        changed_at=row.at or now,
        leeway=Leeway(
            status=status,
            starts_at=row.starts_at,
            answer_by=row.answer_by,
            cancel_until=terms.cancel_until(row.starts_at),
            reschedule_until=terms.reschedule_until(row.starts_at),
            reschedules_left=terms.reschedules_left(row.reschedules),
            verify_by=row.verify_by,
        ),
        minutes_before=row.minutes_before,
        key_version=row.key_version,
        price=terms.price,
        payment_note=terms.payment_note,
        location=_location(row),
        answers=[answer_of(document).hidden() for document in row.answers or ()],
    )


def _location(row: AnyRow) -> Location | None:
    """Where it takes place. Links are left out unless the booking was confirmed when this email was queued, and is.

    What a customer typed never goes to the customer's address: anyone can book with someone else's.
    """
    if row.location is None:
        return None
    location = location_of(row.location).shown(Status(row.status)).shown(Status(row.now_is))
    if location.kind is LocationKind.CUSTOMER and row.audience == Audience.CUSTOMER:
        return replace(location, text="")
    return location
