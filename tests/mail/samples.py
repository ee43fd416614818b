"""News of a booking as the tests need them, and a mail taken apart as its receiver sees it."""

import re
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from html.parser import HTMLParser
from typing import Any
from uuid import UUID

from expert_booking.domain.email_schedule import Audience, MessageKind
from expert_booking.domain.lifecycle import Actor, Status
from expert_booking.domain.site import Site
from expert_booking.domain.terms import Leeway
from expert_booking.mail.compose import BookingEmail, compose_booking_email

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
NINE = datetime(2026, 11, 24, 8, tzinfo=UTC)  # 09:00 in Berlin
HOUR = timedelta(hours=1)
SYSTEM = Site(secret="s" * 32, url="https://booking.example.com", sender="The Site <booking@site.example>")
BOOKING, INSTALLATION = UUID(int=0xB00), UUID(int=0x1157)
EXPERT_EMAIL = "jana.private@example.org"
STATUS = {
    MessageKind.RECEIVED: Status.PENDING, MessageKind.CONFIRMED: Status.CONFIRMED,
    MessageKind.RESCHEDULED: Status.CONFIRMED,
    MessageKind.DECLINED: Status.DECLINED, MessageKind.CANCELLED: Status.CANCELLED, MessageKind.EXPIRED: Status.EXPIRED,
    MessageKind.REMINDER: Status.CONFIRMED, MessageKind.NEW_LINK: Status.CONFIRMED,
}  # fmt: skip
# Everything that can be told, with everybody who can have done it.
KINDS: list[tuple[MessageKind, Actor | None]] = [
    (MessageKind.RECEIVED, Actor.CUSTOMER), (MessageKind.CONFIRMED, Actor.CUSTOMER),
    (MessageKind.CONFIRMED, Actor.EXPERT), (MessageKind.CONFIRMED, Actor.ADMIN), (MessageKind.DECLINED, Actor.EXPERT),
    (MessageKind.DECLINED, Actor.ADMIN), (MessageKind.RESCHEDULED, Actor.CUSTOMER),
    (MessageKind.RESCHEDULED, Actor.EXPERT),
    (MessageKind.RESCHEDULED, Actor.ADMIN), (MessageKind.CANCELLED, Actor.CUSTOMER),
    (MessageKind.CANCELLED, Actor.EXPERT),
    (MessageKind.CANCELLED, Actor.ADMIN), (MessageKind.EXPIRED, Actor.SYSTEM), (MessageKind.REMINDER, None),
]  # fmt: skip
EVERY = [(kind, actor, audience) for kind, actor in KINDS for audience in Audience]


def news(
    kind: str = "confirmed", audience: str = "customer", actor: Actor | None = Actor.EXPERT, **more: Any
) -> BookingEmail:
    """What is told: Ada, in London, has booked an hour with Jana, in Berlin."""
    said = MessageKind(kind)
    status, starts_at = more.pop("status", STATUS[said]), more.pop("starts_at", NINE)
    facts: dict[str, Any] = {
        "booking_id": BOOKING, "ends_at": starts_at + HOUR, "sequence": 0, "session_title": "Consultation",
        "expert_slug": "jana-muller", "expert_name": "Jana Müller", "expert_email": EXPERT_EMAIL,
        "expert_zone": "Europe/Berlin", "customer_name": "Ada Lovelace", "customer_email": "ada@example.com",
        "customer_phone": "+44 20 7946 0000", "customer_zone": "Europe/London", "notes": "My first session.",
        "previous_starts_at": starts_at - 24 * HOUR if said is MessageKind.RESCHEDULED else None, "reason": "",
        "changed_at": NOW, "leeway": leeway(status, starts_at),
    }  # fmt: skip
    facts |= {"kind": said, "audience": Audience(audience), "status": status, "starts_at": starts_at, "actor": actor}
    return BookingEmail(**{**facts, **more})


def leeway(status: Status, starts_at: datetime, **more: Any) -> Leeway:
    """What the terms leave: changes until two hours before; requests are answered within five hours."""
    said: dict[str, Any] = {
        "answer_by": NOW + 5 * HOUR if status is Status.PENDING else None, "cancel_until": starts_at - 2 * HOUR,
        "reschedule_until": starts_at - 2 * HOUR, "reschedules_left": 2,
    }  # fmt: skip
    return Leeway(status=status, starts_at=starts_at, **{**said, **more})


def letter(told: BookingEmail, now: datetime = NOW, site: Site = SYSTEM) -> EmailMessage:
    """The mail about it, as it arrives."""
    return arrived(compose_booking_email(told, site, installation=INSTALLATION, message_id="<1@site.example>", now=now))


def arrived(message: EmailMessage) -> EmailMessage:
    """A mail as its receiver's program reads it."""
    read = message_from_bytes(bytes(message), policy=policy.default)
    assert isinstance(read, EmailMessage)
    assert not read.defects
    return read


def text_of(message: EmailMessage) -> str:
    """What it says in plain text."""
    return body(message, "plain")


def html_of(message: EmailMessage) -> str:
    """What it says in HTML, with all its signs."""
    return body(message, "html")


def body(message: EmailMessage, kind: str) -> str:
    """One of the two."""
    part = message.get_body((kind,))  # type: ignore[arg-type]
    assert isinstance(part, EmailMessage)
    text: str = part.get_content()
    return text.replace("\r\n", "\n")


def everything_in(message: EmailMessage) -> str:
    """All of its texts, and what it says in the calendar, whose lines are not folded any more."""
    texts = [part.get_content() for part in message.walk() if part.get_content_maintype() == "text"]
    return re.sub(r"\r?\n ", "", "".join(texts))


def part_of(message: EmailMessage, kind: str) -> EmailMessage | None:
    """The part of this type, wherever it is."""
    found = [part for part in message.walk() if part.get_content_type() == kind]
    assert len(found) <= 1
    return found[0] if found and isinstance(found[0], EmailMessage) else None


class Seen(HTMLParser):
    """What a page shows, and where its links lead."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.links: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._hidden: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note it."""
        said = dict(attrs)
        self.elements.append((tag, said))
        if tag == "a":
            self.links.append(said["href"] or "")
        if tag in ("style", "title") or "display:none" in (said.get("style") or ""):
            self._hidden.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Shown again behind what is hidden."""
        if self._hidden and self._hidden[-1] == tag:
            self._hidden.pop()

    def handle_data(self, data: str) -> None:
        """Note what can be read."""
        if not self._hidden:
            self.words += data.split()


def words_of(text: str) -> list[str]:
    """The words of a plain text, but for its addresses, which are links in HTML."""
    plain = re.sub(r":\nhttps?://\S+$", "", text, flags=re.MULTILINE)
    return re.sub(r"^https?://\S+$|^-- $", "", plain, flags=re.MULTILINE).split()
