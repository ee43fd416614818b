"""The channels of the database's notifications (LISTEN/NOTIFY)."""

from typing import Final

# An expert's profile, calendar or bookings changed. The payload is the expert's id.
EVENT_CHANNEL: Final = "expert_booking_news"
# A booking or hold was cancelled, rescheduled, declined or expired, so its time became free. The payload is JSON with
# the expert's id and the time, buffers included. For other programs, such as a waiting list: the product itself does
# not listen to it. The table booking_change records the same permanently.
FREED_CHANNEL: Final = "expert_booking_freed"
# The state of a booking's emails changed: the payload is its id. Without payload: there are emails to send.
MAIL_CHANNEL: Final = "expert_booking_mail"
