"""The mailbox of a site without a mail server."""

from datetime import timedelta

import pytest

from expert_booking.bus import Bus
from expert_booking.db.engine import Database
from expert_booking.domain.errors import MailNotFound
from expert_booking.domain.events import MailChanged
from expert_booking.domain.site import Site
from expert_booking.mail.headers import put_address, put_text
from expert_booking.mail.message import Email, Headers, base64_part, email, multipart, text_part
from expert_booking.services import Services
from expert_booking.services.mailbox import Mailbox
from tests.conftest import MONDAY_MORNING, AddExpert, Book, Clock


@pytest.fixture
def mailbox(database: Database) -> Mailbox:
    """An empty mailbox."""
    return Mailbox(database, Bus())


def sample_email(to: str, subject: str = "Grüße") -> Email:
    """A sample email."""
    headers = Headers()
    put_address(headers, "From", "", "site@example.com")
    put_text(headers, "Subject", subject)
    put_address(headers, "To", "Dr. Friederike von Hohenstein-Großkreutz", to)
    texts = [text_part("plain", "Schöne Grüße"), text_part("html", "<p>Schöne Grüße</p>")]
    file = base64_part("application/ics", b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n")
    body = multipart("mixed", [multipart("alternative", texts, to), file], to)
    return email("site@example.com", to, headers, body)


async def test_newest_email_comes_first_and_can_be_searched_by_address(mailbox: Mailbox) -> None:
    for name in ("ada", "bob", "carl"):
        await mailbox.send(sample_email(f"{name}@example.com"))
    mails = await mailbox.latest()
    assert [mail.recipient.partition("<")[2] for mail in mails] == [f"{n}@example.com>" for n in ("carl", "bob", "ada")]
    assert all("Großkreutz" in mail.recipient for mail in mails)
    [found] = await mailbox.latest("BOB@")
    assert (found.subject, "bob@example.com" in found.recipient) == ("Grüße", True)


async def test_email_is_opened_with_all_its_parts(mailbox: Mailbox) -> None:
    await mailbox.send(sample_email("ada@example.com"))
    [mail] = await mailbox.latest()
    opened = await mailbox.open(mail.id)
    assert opened.text.strip() == "Schöne Grüße"
    assert opened.html.strip() == "<p>Schöne Grüße</p>"
    assert opened.calendar is not None
    assert opened.calendar.startswith(b"BEGIN:VCALENDAR")
    assert ("Subject", "Grüße") in opened.headers
    assert opened.raw.startswith(b"From: site@example.com\r\n")


@pytest.mark.parametrize("number", [0, -1, 424242, 2**70])
async def test_missing_email_is_refused(mailbox: Mailbox, number: int) -> None:
    with pytest.raises(MailNotFound):
        await mailbox.open(number)


async def test_only_the_newest_300_emails_are_kept(mailbox: Mailbox, database: Database) -> None:
    for number in range(303):
        await mailbox.send(sample_email("ada@example.com", str(number)))
    await mailbox.sweep()
    kept = await mailbox.latest()
    assert [kept[0].subject, kept[-1].subject, len(kept)] == ["302", "3", 300]
    assert (await mailbox.open(kept[-1].id)).subject == "3"
    with pytest.raises(MailNotFound):
        await mailbox.open(kept[-1].id - 1)


async def test_subscriber_gets_emails_until_it_unsubscribes(database: Database) -> None:
    bus, calls = Bus(), []
    unsubscribe = Mailbox(database, bus).subscribe(lambda: calls.append(1))
    bus.publish(MailChanged(None))
    unsubscribe()
    unsubscribe()
    bus.publish(MailChanged(None))
    assert calls == [1]


async def test_without_a_mail_server_emails_go_to_the_mailbox_with_their_kind(
    database: Database, clock: Clock, add_expert: AddExpert, book: Book
) -> None:
    bus = Bus()
    services = Services(database, bus, clock, site=Site(secret="of the tests alone"), transport=Mailbox(database, bus))
    await book(await add_expert(), MONDAY_MORNING + timedelta(days=1))
    await services.outbox.drain()
    assert services.mailbox is not None
    mails = await services.mailbox.latest()
    assert [mail.kind for mail in mails] == ["received", "received"]
    for mail in mails:
        assert (await services.mailbox.open(mail.id)).html
