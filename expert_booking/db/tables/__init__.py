"""The tables, one module per noun, and the functions and triggers of the database (`triggers`)."""

from expert_booking.db.tables.access import access_proof, access_request, token
from expert_booking.db.tables.base import LIVE_ROWS, metadata
from expert_booking.db.tables.bookings import (
    AGREED_TERMS,
    block_series,
    booking,
    booking_change,
    network_booking,
    network_change,
    network_hold,
)
from expert_booking.db.tables.calendars import availability_rule, day_off, override, session_type
from expert_booking.db.tables.channels import EVENT_CHANNEL, FREED_CHANNEL, MAIL_CHANNEL
from expert_booking.db.tables.emails import email_address, mailbox_mail, message
from expert_booking.db.tables.experts import expert
from expert_booking.db.tables.feeds import feed, installation
from expert_booking.db.tables.idempotency import kept_answer
from expert_booking.db.tables.next_available import expert_changed, expert_free, expert_next
from expert_booking.db.tables.search import SEARCH_EXTENSIONS, search_word
from expert_booking.db.tables.triggers import TRIGGERS

__all__ = [
    "AGREED_TERMS",
    "EVENT_CHANNEL",
    "FREED_CHANNEL",
    "LIVE_ROWS",
    "MAIL_CHANNEL",
    "SEARCH_EXTENSIONS",
    "TRIGGERS",
    "access_proof",
    "access_request",
    "availability_rule",
    "block_series",
    "booking",
    "booking_change",
    "day_off",
    "email_address",
    "expert",
    "expert_changed",
    "expert_free",
    "expert_next",
    "feed",
    "installation",
    "kept_answer",
    "mailbox_mail",
    "message",
    "metadata",
    "network_booking",
    "network_change",
    "network_hold",
    "override",
    "search_word",
    "session_type",
    "token",
]
