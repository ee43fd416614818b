"""The sentences of emails. Those about a booking are assembled in `booking_content`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto
from typing import Final

from expert_booking.domain.email_schedule import MessageKind
from expert_booking.domain.site import Site
from expert_booking.domain.unavailability import duration
from expert_booking.mail.headers import name_and_address
from expert_booking.mail.layout import EmailContent, Link
from expert_booking.mail.plain import one_line


class ActedBy(Enum):
    """Who made the change, from the reader's point of view."""

    READER = auto()
    OTHER_SIDE = auto()
    # An admin, a deadline, or no known actor.
    SYSTEM = auto()


@dataclass(frozen=True, slots=True)
class Template:
    """How the subject begins, the heading, and the first sentence.

    `{other}` stands for the other side's name, `{soon}` for the time left.
    """

    subject: str
    heading: str
    lead: str


Templates = Mapping[MessageKind, Template | Mapping[ActedBy, Template]]

TO_CUSTOMER: Final[Templates] = {
    MessageKind.RECEIVED: Template(
        "Request received",
        "We have your request",
        "We've asked {other} to confirm it. The time is reserved for you until then.",
    ),
    MessageKind.VERIFICATION: Template(
        "Please confirm",
        "Confirm your booking",
        "Someone chose this time with {other} and entered this address. If it was you, use the button below, or enter "
        "this code on the page where you booked.",
    ),
    MessageKind.CONFIRMED: {
        ActedBy.READER: Template(
            "Confirmed", "Your booking is confirmed", "You're all set: your session with {other} is booked."
        ),
        ActedBy.OTHER_SIDE: Template(
            "Confirmed", "Your booking is confirmed", "{other} has confirmed your session. You're all set."
        ),
        ActedBy.SYSTEM: Template(
            "Confirmed", "Your booking is confirmed", "Your session with {other} is confirmed. You're all set."
        ),
    },
    MessageKind.DECLINED: {
        ActedBy.OTHER_SIDE: Template(
            "Declined", "Your request was declined", "{other} cannot take this session. Nothing is booked."
        ),
        ActedBy.SYSTEM: Template(
            "Declined", "Your request was declined", "Your session with {other} cannot take place. Nothing is booked."
        ),
    },
    MessageKind.RESCHEDULED: {
        ActedBy.READER: Template(
            "Rescheduled", "You have rescheduled your booking", "Your session with {other} has a new time."
        ),
        ActedBy.OTHER_SIDE: Template(
            "Rescheduled", "Your booking has a new time", "{other} has rescheduled your session."
        ),
        ActedBy.SYSTEM: Template(
            "Rescheduled", "Your booking has a new time", "Your session with {other} has been rescheduled."
        ),
    },
    MessageKind.CANCELLED: {
        ActedBy.READER: Template(
            "Cancelled", "You have cancelled your booking", "Your session with {other} will not take place."
        ),
        ActedBy.OTHER_SIDE: Template("Cancelled", "Your booking was cancelled", "{other} has cancelled your session."),
        ActedBy.SYSTEM: Template(
            "Cancelled", "Your booking was cancelled", "Your session with {other} has been cancelled."
        ),
    },
    MessageKind.RELOCATED: {
        ActedBy.OTHER_SIDE: Template(
            "New location", "Your booking has a new location", "{other} has changed where your session takes place."
        ),
        ActedBy.SYSTEM: Template(
            "New location",
            "Your booking has a new location",
            "The location of your session with {other} has changed.",
        ),
    },
    MessageKind.EXPIRED: Template(
        "Request expired",
        "Your request has expired",
        "{other} did not answer in time. Nothing is booked, and the time is no longer reserved for you.",
    ),
    MessageKind.REMINDER: Template(
        "Reminder", "Your session starts {soon}", "You're all set for your session with {other}."
    ),
    MessageKind.NEW_LINK: Template(
        "New link",
        "Your new link",
        "Earlier links to your booking with {other} no longer work. Please use this one.",
    ),
}
# What the expert reads of the customer, who may have no email address.
TOLD: Final = "We've let {other} know."
NOT_TOLD: Final = "We have no email address of {other}, so please let them know."
TO_EXPERT: Final[Templates] = {
    MessageKind.RECEIVED: Template("New request", "You have a new request", "{other} would like to book this session."),
    MessageKind.CONFIRMED: {
        ActedBy.READER: Template("Confirmed", "You have confirmed this booking", TOLD),
        ActedBy.OTHER_SIDE: Template(
            "New booking",
            "You have a new booking",
            "{other} has booked this session. It is confirmed: there is nothing left for you to do.",
        ),
        ActedBy.SYSTEM: Template("Confirmed", "A booking was confirmed for you", TOLD),
    },
    MessageKind.DECLINED: {
        ActedBy.READER: Template("Declined", "You have declined this request", TOLD),
        ActedBy.SYSTEM: Template("Declined", "A request was declined for you", TOLD),
    },
    MessageKind.RESCHEDULED: {
        ActedBy.READER: Template("Rescheduled", "You have rescheduled this booking", TOLD),
        ActedBy.OTHER_SIDE: Template("Rescheduled", "A booking has a new time", "{other} has rescheduled the session."),
        ActedBy.SYSTEM: Template("Rescheduled", "A booking was rescheduled for you", TOLD),
    },
    MessageKind.CANCELLED: {
        ActedBy.READER: Template("Cancelled", "You have cancelled this booking", TOLD),
        ActedBy.OTHER_SIDE: Template("Cancelled", "A booking was cancelled", "{other} has cancelled the session."),
        ActedBy.SYSTEM: Template("Cancelled", "A booking was cancelled for you", TOLD),
    },
    MessageKind.EXPIRED: Template("Request expired", "A request has expired", f"It was not answered in time. {TOLD}"),
    MessageKind.REMINDER: Template(
        "Reminder", "Your session starts {soon}", "You're all set for your session with {other}."
    ),
}
ERASURE: Final = Template(
    "Cancelled",
    "A booking was cancelled",
    "The customer has asked for their data to be deleted. The session will not take place.",
)
WHY_CUSTOMER: Final = "You're receiving this email because this address was used to book a session."
DO_NOT_FORWARD: Final = "Anyone with this email can {do} the booking, so please don't forward it."
NOT_BOOKED: Final = "Didn't book this?"
CANCEL_AND_STOP: Final = "Cancel it and stop these emails"
STOP: Final = "Stop these emails"
NO_REMINDERS: Final = "Don't need reminders?"
TURN_OFF: Final = "Turn them off for this booking"
VERIFY_BY: Final = "Please confirm by {at}. After that, the time is no longer reserved."
NOT_YOU: Final = "If this wasn't you, ignore this email: without your confirmation, nothing is booked."
KEEP_CODE: Final = "Please don't share the code with anyone who asks for it."
WHY_EXPERT: Final = "You're receiving this email because this booking is in your calendar."
REPLIES: Final = "Replies to this email go to the customer."
FILE_ADDS: Final = "The attached file adds the session to your calendar."
FILE_UPDATES: Final = "The attached file updates the session in your calendar."
FILE_REMOVES: Final = "The attached file removes the session from your calendar."


def access_content(
    email: str, link: str, code: str, expires_at: datetime, site: Site, now: datetime, earlier_requests: str = ""
) -> EmailContent:
    """Return the content of the sign-in email. `earlier_requests` is the sentence from `requests_before`."""
    sender = site_link(site)
    left = duration(max(1, round((expires_at - now).total_seconds() / 60)))
    return EmailContent(
        subject=f"Sign in to {sender.text}",
        heading="Sign in",
        preview="Your link and your code to sign in.",
        lead=[
            f"Someone asked to see the bookings of {one_line(email)}.",
            "If this was you, use the button below, or enter this code on the page where you asked for it.",
        ],
        code=code,
        button=Link("Sign in", link),
        below=[
            f"The link and the code work once, for {left}.",
            *filter(None, [earlier_requests]),
            "If this wasn't you, ignore this email: no one can sign in without it.",
            "Please don't forward this email, and don't share the code with anyone who asks for it.",
        ],
        footer=["You're receiving this email because someone entered this address."],
        site=sender,
    )


def requests_before(earlier: int, elsewhere: int) -> str:
    """Say how many requests for this address came in the last hour, and from where. Empty for the first request.

    `earlier` does not count this request. `elsewhere` is how many of the earlier ones came from other networks.
    """
    if not earlier:
        return ""
    if not elsewhere:
        networks = "all of them from the same network"
    elif elsewhere == 1:
        networks = "1 of them from another network"
    else:
        networks = f"{elsewhere} of them from other networks"
    return f"There were {earlier + 1} requests for this address in the last hour, {networks}."


def new_address_content(email: str, expert: str, link: str, site: Site) -> EmailContent:
    """Return the content of the email that asks an expert's new address for confirmation."""
    sender = site_link(site)
    return EmailContent(
        subject=f"Confirm your new address for {sender.text}",
        heading="Confirm your new address",
        preview="Once you confirm it, emails about your sessions come to this address.",
        lead=[
            f"{one_line(email)} was entered as the new address of the expert {one_line(expert)}.",
            "If that is right, please confirm it. You then sign in with it and get the emails about your sessions.",
        ],
        button=Link("Confirm this address", link),
        below=[
            "The link works once, within 24 hours. Until you use it, nothing changes.",
            "If you weren't expecting this email, ignore it. Please don't forward it.",
        ],
        footer=["You're receiving this email because someone entered this address."],
        site=sender,
    )


def address_change_content(expert: str, site: Site) -> EmailContent:
    """Return the content of the email that tells the current address of an expert that a new one was entered."""
    sender = site_link(site)
    return EmailContent(
        subject=f"A new address was entered for {one_line(expert)}",
        heading="A new address was entered",
        preview="Nothing has changed yet: the new address has to be confirmed first.",
        lead=[
            f"Someone entered another address for the expert {one_line(expert)}, in place of this one.",
            "Once the new address is confirmed, emails about sessions go there, and you can no longer sign in as the "
            "expert with this address.",
        ],
        button=Link(f"Open {sender.text}", sender.url),
        below=[
            "If this wasn't you, please contact the people who run this site immediately, so that they can revoke the "
            "access token that was used.",
        ],
        footer=["You're receiving this email because this is the expert's address."],
        site=sender,
    )


def site_link(site: Site) -> Link:
    """Return the name of the site, which is the sender's name, with its URL."""
    return Link(name_and_address(site.sender)[0] or "Expert Booking", site.url)


def legal_links(site: Site) -> list[Link]:
    """Return the links to the page about privacy and, if the operator has set them, to the imprint and the terms."""
    links = (Link("Privacy", f"{site.url}/privacy"), Link("Imprint", site.imprint_url), Link("Terms", site.terms_url))
    return [link for link in links if link.url]
