"""Statements about bookings and holds."""

from expert_booking.db.bookings.changes import (
    Change,
    change_status,
    lock_reschedules,
    relocate,
    reschedule,
    set_aside,
)
from expert_booking.db.bookings.inserts import book_held, insert, insert_or_fail, insert_over_expired_holds
from expert_booking.db.bookings.reads import (
    busy_page,
    by_id,
    by_submission,
    by_time_and_visitor,
    count,
    history,
    of_customer,
    of_experts,
    of_visitor,
)
from expert_booking.db.bookings.rows import LimitCheck, NewBooking, NewHold, NewRow
from expert_booking.db.terms import agreed_terms

__all__ = [
    "Change",
    "LimitCheck",
    "NewBooking",
    "NewHold",
    "NewRow",
    "agreed_terms",
    "book_held",
    "busy_page",
    "by_id",
    "by_submission",
    "by_time_and_visitor",
    "change_status",
    "count",
    "history",
    "insert",
    "insert_or_fail",
    "insert_over_expired_holds",
    "lock_reschedules",
    "of_customer",
    "of_experts",
    "of_visitor",
    "relocate",
    "reschedule",
    "set_aside",
]
