"""Sample emails, and helpers that parse an email as its receiver sees it."""

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
from expert_booking.mail.message import Email

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)
NINE = datetime(2026, 11, 24, 8, tzinfo=UTC)  # 09:00 in Berlin
HOUR = timedelta(hours=1)
SITE = Site(secret="s" * 32, url="https://booking.example.com", sender="The Site <booking@site.example>")
BOOKING, INSTALLATION = UUID(int=0xB00), UUID(int=0x1157)
EXPERT_EMAIL = "jana.private@example.org"
STATUS = {
    MessageKind.RECEIVED: Status.PENDING, MessageKind.CONFIRMED: Status.CONFIRMED,
    MessageKind.RESCHEDULED: Status.CONFIRMED,
    MessageKind.DECLINED: Status.DECLINED, MessageKind.CANCELLED: Status.CANCELLED, MessageKind.EXPIRED: Status.EXPIRED,
    MessageKind.REMINDER: Status.CONFIRMED, MessageKind.NEW_LINK: Status.CONFIRMED,
    MessageKind.VERIFICATION: Status.PENDING,
}  # fmt: skip
# Every kind of email with every possible actor.
KINDS: list[tuple[MessageKind, Actor | None]] = [
    (MessageKind.RECEIVED, Actor.CUSTOMER), (MessageKind.CONFIRMED, Actor.CUSTOMER),
    (MessageKind.CONFIRMED, Actor.EXPERT), (MessageKind.CONFIRMED, Actor.ADMIN), (MessageKind.DECLINED, Actor.EXPERT),
    (MessageKind.DECLINED, Actor.ADMIN), (MessageKind.RESCHEDULED, Actor.CUSTOMER),
    (MessageKind.RESCHEDULED, Actor.EXPERT),
    (MessageKind.RESCHEDULED, Actor.ADMIN), (MessageKind.CANCELLED, Actor.CUSTOMER),
    (MessageKind.CANCELLED, Actor.EXPERT),
    (MessageKind.CANCELLED, Actor.ADMIN), (MessageKind.EXPIRED, Actor.SYSTEM), (MessageKind.REMINDER, None),
]  # fmt: skip
EVERY_EMAIL = [(kind, actor, audience) for kind, actor in KINDS for audience in Audience]


def booking_email(
    kind: str = "confirmed", audience: str = "customer", actor: Actor | None = Actor.EXPERT, **more: Any
) -> BookingEmail:
    """A booking email: Ada, in London, has booked an hour with Jana, in Berlin."""
    message_kind = MessageKind(kind)
    status, starts_at = more.pop("status", STATUS[message_kind]), more.pop("starts_at", NINE)
    facts: dict[str, Any] = {
        "booking_id": BOOKING, "ends_at": starts_at + HOUR, "sequence": 0, "session_title": "Consultation",
        "expert_slug": "jana-muller", "expert_name": "Jana Müller", "expert_email": EXPERT_EMAIL,
        "expert_zone": "Europe/Berlin", "customer_name": "Ada Lovelace", "customer_email": "ada@example.com",
        "customer_phone": "+44 20 7946 0000", "customer_zone": "Europe/London", "notes": "My first session.",
        "previous_starts_at": starts_at - 24 * HOUR if message_kind is MessageKind.RESCHEDULED else None, "reason": "",
        "changed_at": NOW, "leeway": leeway(status, starts_at),
    }  # fmt: skip
    facts |= {
        "kind": message_kind, "audience": Audience(audience), "status": status, "starts_at": starts_at, "actor": actor,
    }  # fmt: skip
    return BookingEmail(**{**facts, **more})


def leeway(status: Status, starts_at: datetime, **more: Any) -> Leeway:
    """Leeway: changes until two hours before the start, an answer to requests within five hours."""
    defaults: dict[str, Any] = {
        "answer_by": NOW + 5 * HOUR if status is Status.PENDING else None, "cancel_until": starts_at - 2 * HOUR,
        "reschedule_until": starts_at - 2 * HOUR, "reschedules_left": 2,
    }  # fmt: skip
    return Leeway(status=status, starts_at=starts_at, **{**defaults, **more})


def delivered(content: BookingEmail, now: datetime = NOW, site: Site = SITE) -> EmailMessage:
    """The composed email, as it arrives."""
    return parsed(
        compose_booking_email(content, site, installation=INSTALLATION, message_id="<1@site.example>", now=now)
    )


def parsed(message: Email) -> EmailMessage:
    """An email as the receiver's program parses it."""
    read = message_from_bytes(bytes(message), policy=policy.default)
    assert isinstance(read, EmailMessage)
    assert not read.defects
    return read


def text_of(message: EmailMessage) -> str:
    """The plain-text body."""
    return body(message, "plain")


def html_of(message: EmailMessage) -> str:
    """The HTML source of the body."""
    return body(message, "html")


def body(message: EmailMessage, kind: str) -> str:
    """The body of this kind, `plain` or `html`."""
    part = message.get_body((kind,))  # type: ignore[arg-type]
    assert isinstance(part, EmailMessage)
    text: str = part.get_content()
    return text.replace("\r\n", "\n")


def everything_in(message: EmailMessage) -> str:
    """All texts of an email, including the unfolded calendar file."""
    texts = [part.get_content() for part in message.walk() if part.get_content_maintype() == "text"]
    return re.sub(r"\r?\n ", "", "".join(texts))


def part_of(message: EmailMessage, kind: str) -> EmailMessage | None:
    """The part of this content type, at any level."""
    found = [part for part in message.walk() if part.get_content_type() == kind]
    assert len(found) <= 1
    return found[0] if found and isinstance(found[0], EmailMessage) else None


class VisibleHtml(HTMLParser):
    """The visible words, links and elements of an HTML text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.links: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self._hidden: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record the element."""
        attributes = dict(attrs)
        self.elements.append((tag, attributes))
        if tag == "a":
            self.links.append(attributes["href"] or "")
        if tag in ("style", "title") or "display:none" in (attributes.get("style") or ""):
            self._hidden.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Leave a hidden element."""
        if self._hidden and self._hidden[-1] == tag:
            self._hidden.pop()

    def handle_data(self, data: str) -> None:
        """Record visible words."""
        if not self._hidden:
            self.words += data.split()


def words_of(text: str) -> list[str]:
    """The words of a plain text without its URLs, which are links in HTML."""
    plain = re.sub(r":\nhttps?://\S+$", "", text, flags=re.MULTILINE)
    return re.sub(r"^https?://\S+$|^-- $", "", plain, flags=re.MULTILINE).split()
