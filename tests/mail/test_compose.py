"""Emails as they arrive: parsed, as text and HTML, to both readers, with the calendar file."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.header import decode_header
from email.headerregistry import Address
from email.message import EmailMessage
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from icalendar import Calendar

from expert_booking.domain.email_schedule import Audience, MessageKind
from expert_booking.domain.lifecycle import Actor, Status
from expert_booking.domain.prices import Price
from expert_booking.domain.signed_keys import SignedKeys
from expert_booking.domain.site import Site
from expert_booking.mail.compose import BookingEmail, compose_access_email, compose_booking_email
from expert_booking.mail.message import Email
from tests.mail.samples import (
    BOOKING,
    EVERY_EMAIL,
    EXPERT_EMAIL,
    HOUR,
    INSTALLATION,
    NINE,
    NOW,
    SITE,
    VisibleHtml,
    booking_email,
    delivered,
    everything_in,
    html_of,
    leeway,
    parsed,
    part_of,
    text_of,
    words_of,
)

KEY = SignedKeys(SITE.secret).booking(BOOKING)
MANAGE = f"https://booking.example.com/booking/{BOOKING}?key={KEY}"
PLAIN = f"https://booking.example.com/booking/{BOOKING}"
FOLD = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)  # the first 02:30 in Berlin
BEFORE_GAP = datetime(2027, 3, 28, 0, 30, tzinfo=UTC)  # 01:30 in Berlin, whose clocks go from 02:00 to 03:00
HOSTILE_NAME = "Eve\r\nBcc: victim@example.com\r\n\r\n<script>alert(1)</script>"
every_email = pytest.mark.parametrize(("kind", "actor", "audience"), EVERY_EMAIL)
HOSTILE_TEXT = st.lists(
    st.one_of(
        st.characters(),
        st.sampled_from('\r\n\t ,;:<>@"\\()=?é😀\u2028\x85\x00\ud800\u202e'),
        st.sampled_from(["\r\nBcc: victim@example.com", "=?utf-8?q?=0D=0A?=", ", mallory@example.com", "x" * 80]),
    ),
    max_size=40,
).map("".join)


def access_email(code: str = "042917", minutes: float = 15, email: str = "ada@example.com") -> EmailMessage:
    """An access email."""
    link, expires_at = "https://booking.example.com/sign-in/KEY", NOW + timedelta(minutes=minutes)
    return parsed(
        compose_access_email(
            email=email, link=link, code=code, expires_at=expires_at, site=SITE, message_id="<2@x.example>", now=NOW
        )
    )


# --- envelope and headers ---------------------------------------------------------------------------------------


@every_email
def test_every_email_is_complete_and_equal_in_text_and_html(
    kind: MessageKind, actor: Actor | None, audience: Audience
) -> None:
    message = delivered(booking_email(kind, audience, actor, reason="The train is late."))
    to = "ada@example.com" if audience is Audience.CUSTOMER else EXPERT_EMAIL
    assert [address.addr_spec for address in message["To"].addresses] == [to]
    assert [address.addr_spec for address in message["From"].addresses] == ["booking@site.example"]
    assert message["From"].addresses[0].display_name == "The Site"
    assert (message["Message-ID"], message["Auto-Submitted"]) == ("<1@site.example>", "auto-generated")
    assert message["Date"].datetime == NOW
    assert message["Subject"]
    assert words_of(text_of(message)) == VisibleHtml(html_of(message)).words
    assert "{" not in text_of(message)


@every_email
def test_calendar_file_is_included_twice_with_the_same_method(
    kind: MessageKind, actor: Actor | None, audience: Audience
) -> None:
    message = delivered(booking_email(kind, audience, actor, sequence=3))
    part, file = part_of(message, "text/calendar"), part_of(message, "application/ics")
    if kind is MessageKind.REMINDER:
        # Nothing has changed, and a file would make calendar programs ask again.
        assert (part, file, message.get_content_type()) == (None, None, "multipart/alternative")
        return
    assert part is not None
    assert file is not None
    ends = kind in (MessageKind.CANCELLED, MessageKind.DECLINED, MessageKind.EXPIRED)
    assert part["Content-Type"].params["method"] == ("CANCEL" if ends else "REQUEST")
    assert part["Content-Type"].params["charset"] == "utf-8"
    calendar = Calendar.from_ical(part.get_content())
    assert calendar["METHOD"] == part["Content-Type"].params["method"]
    [event] = calendar.walk("VEVENT")
    assert (event["UID"], event["SEQUENCE"]) == (f"{BOOKING}@{INSTALLATION}", 3)
    assert event["ATTENDEE"] == f"mailto:{message['To'].addresses[0].addr_spec}"
    assert event["ORGANIZER"] == "mailto:booking@site.example"
    assert event["ORGANIZER"].params["CN"] == "Jana Müller"
    assert file.get_filename() == "booking.ics"
    assert file.get_content() == part.get_content().encode().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    assert message.get_content_type() == "multipart/mixed"
    inner = [one.get_content_type() for one in next(iter(message.iter_parts())).iter_parts()]
    assert inner == ["text/plain", "text/html", "text/calendar"]


@every_email
def test_customer_email_omits_the_experts_address_and_the_customers_notes(
    kind: MessageKind, actor: Actor | None, audience: Audience
) -> None:
    content = booking_email(
        kind, "customer", actor, notes="Buy at evil.example", reason="Buy now", customer_phone="+1 900 12345"
    )
    message = delivered(content)
    everything = everything_in(message)
    for secret in (EXPERT_EMAIL, "evil.example", "+1 900"):
        assert secret not in everything
        assert secret not in str(message)
    assert ("Buy now" in everything) == (actor in (Actor.EXPERT, Actor.ADMIN))


@every_email
def test_only_the_customer_gets_the_key_to_the_booking(
    kind: MessageKind, actor: Actor | None, audience: Audience
) -> None:
    message = delivered(booking_email(kind, audience, actor))
    links = VisibleHtml(html_of(message)).links
    assert (MANAGE in links) == (audience is Audience.CUSTOMER)
    assert (MANAGE in text_of(message)) == (audience is Audience.CUSTOMER)
    if audience is Audience.EXPERT:
        assert PLAIN in links
        assert PLAIN in text_of(message)
        assert KEY not in everything_in(message)
    for link in links:
        assert link in text_of(message).splitlines() or link == "mailto:ada@example.com"
        assert link.startswith(("https://booking.example.com", "mailto:"))


@every_email
def test_customer_can_say_in_every_email_that_they_did_not_book(
    kind: MessageKind, actor: Actor | None, audience: Audience
) -> None:
    message = delivered(booking_email(kind, audience, actor, key_version=2))
    link = f"https://booking.example.com/not-booked/{SignedKeys(SITE.secret).not_booked(BOOKING, 2)}"
    for_customer = audience is Audience.CUSTOMER
    assert (link in VisibleHtml(html_of(message)).links) == for_customer
    assert (link in text_of(message).splitlines()) == for_customer
    over = kind in (MessageKind.CANCELLED, MessageKind.DECLINED, MessageKind.EXPIRED)
    asked = "Didn't book this? Stop these" if over else "Didn't book this? Cancel it and stop these emails"
    assert (asked in text_of(message)) == for_customer
    assert link.rpartition("/")[2] not in everything_in(message) or for_customer


@every_email
def test_only_reminders_to_the_customer_can_be_unsubscribed_from(
    kind: MessageKind, actor: Actor | None, audience: Audience
) -> None:
    message = delivered(booking_email(kind, audience, actor))
    url = f"https://booking.example.com/reminders/{SignedKeys(SITE.secret).reminders(BOOKING)}"
    if kind is MessageKind.REMINDER and audience is Audience.CUSTOMER:
        assert message["List-Unsubscribe"] == f"<{url}>"
        assert message["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert url in VisibleHtml(html_of(message)).links
    else:
        assert "List-Unsubscribe" not in message
        assert "List-Unsubscribe-Post" not in message
        assert url not in everything_in(message)


def test_replies_to_the_expert_go_to_the_customer_and_customers_cannot_reply() -> None:
    answers = delivered(booking_email(audience="expert"))["Reply-To"].addresses
    assert answers == (Address("Ada Lovelace", "ada", "example.com"),)
    assert "Reply-To" not in delivered(booking_email())


@pytest.mark.parametrize("audience", ["customer", "expert"])
def test_database_text_never_adds_a_header_a_part_or_an_element(audience: str) -> None:
    content = booking_email(
        "rescheduled", audience, customer_name=HOSTILE_NAME, expert_name=HOSTILE_NAME, session_title=HOSTILE_NAME,
        notes=HOSTILE_NAME, reason=HOSTILE_NAME, customer_phone=HOSTILE_NAME, expert_slug=HOSTILE_NAME,
    )  # fmt: skip
    message, harmless = delivered(content), delivered(booking_email("rescheduled", audience))
    assert message.keys() == harmless.keys()
    assert "Bcc" not in message
    assert "victim@example.com" not in [one.addr_spec for one in message["To"].addresses]
    assert [part.get_content_type() for part in message.walk()] == [part.get_content_type() for part in harmless.walk()]
    assert "<script" not in html_of(message)
    assert "alert(1)" in html_of(message)
    assert words_of(text_of(message)) == VisibleHtml(html_of(message)).words


@pytest.mark.parametrize(
    "wrong", ["ada@example.com\r\nBcc: victim@example.com", "ada@example.com, eve@example.com", "x", ""]
)
def test_invalid_address_gets_no_email(wrong: str) -> None:
    for content in (booking_email(customer_email=wrong), booking_email(audience="expert", expert_email=wrong)):
        with pytest.raises(ValueError, match=r".+"):
            delivered(content)
    with pytest.raises(ValueError, match=r".+"):
        access_email(email=wrong)
    # The expert gets the email without a Reply-To header.
    message = delivered(booking_email(audience="expert", customer_email=wrong))
    assert "Reply-To" not in message
    assert message["To"].addresses[0].addr_spec == EXPERT_EMAIL


def test_international_domains_are_written_in_idna() -> None:
    message = delivered(booking_email(customer_email="Ada@bücher.example"))
    assert message["To"].addresses[0].addr_spec == "Ada@xn--bcher-kva.example"
    assert delivered(booking_email(audience="expert", customer_email="Ada@bücher.example"))["Reply-To"].addresses[
        0
    ].domain == ("xn--bcher-kva.example")


def test_only_non_ascii_recipients_need_smtputf8() -> None:
    def made(content: BookingEmail) -> Email:
        return compose_booking_email(content, SITE, installation=INSTALLATION, message_id="<1@x.example>", now=NOW)

    asked = made(booking_email(customer_email="jürgen@example.com"))
    assert "<jürgen@example.com>\r\n".encode() in bytes(asked)
    assert (asked.needs_smtputf8, made(booking_email()).needs_smtputf8) == (True, False)
    answered = made(booking_email(audience="expert", customer_email="jürgen@example.com"))
    assert bytes(answered).isascii()
    assert "Reply-To" not in parsed(answered)


@given(HOSTILE_TEXT, HOSTILE_TEXT, st.sampled_from(list(Audience)))
def test_headers_contain_the_typed_text_on_one_line(name: str, title: str, audience: Audience) -> None:
    content = booking_email(
        "received", audience, Actor.CUSTOMER, customer_name=name, expert_name=name, session_title=title
    )
    made = compose_booking_email(content, SITE, installation=INSTALLATION, message_id="<1@site.example>", now=NOW)
    raw = bytes(made).partition(b"\r\n\r\n")[0]
    assert raw.isascii()
    assert max(map(len, raw.split(b"\r\n"))) <= 78
    message = parsed(made)
    assert message.keys() == delivered(booking_email("received", audience)).keys()
    [to] = message["To"].addresses
    assert to.addr_spec == ("ada@example.com" if audience is Audience.CUSTOMER else EXPERT_EMAIL)
    assert message["Subject"].startswith(("Request received: ", "New request: "))
    assert len(message["Subject"].splitlines()) == 1
    assert words_of(text_of(message)) == VisibleHtml(html_of(message)).words


def test_long_names_in_any_script_stay_whole_in_subject_and_address() -> None:
    name = 'Ünal, "Dr." 😀 (Zürich) <x@y> ' * 4
    message = delivered(booking_email(customer_name=name, expert_name=name))
    # Parsed with the old API: the new one of Python 3.11 puts spaces between encoded words.
    [(encoded, charset), (address, _)] = decode_header(dict(message.raw_items())["To"])
    assert (encoded.decode(charset), address) == (name.strip(), b"<ada@example.com>")
    assert message["Subject"].endswith(f"Consultation with {name.strip()}")
    plain = "Maximiliana von und zu " * 5 + "x" * 120
    assert delivered(booking_email(expert_name=plain))["Subject"].endswith(plain)
    assert delivered(booking_email(expert_name=plain[:100]))["Subject"].endswith(plain[:100].strip())


# --- times ------------------------------------------------------------------------------------------------------


def test_each_reader_sees_their_own_time_first_and_every_time_has_a_zone() -> None:
    text = text_of(delivered(booking_email()))
    assert "Tuesday, 24 November 2026\n  08:00–09:00, Europe/London (UTC)\n" in text
    assert "For the expert: Tue 24 Nov, 09:00–10:00, Europe/Berlin (UTC+1)" in text
    text = text_of(delivered(booking_email(audience="expert")))
    assert "Tuesday, 24 November 2026\n  09:00–10:00, Europe/Berlin (UTC+1)\n" in text
    assert "For the customer: Tue 24 Nov, 08:00–09:00, Europe/London (UTC)" in text
    assert delivered(booking_email())["Subject"].startswith("Confirmed: Tue 24 Nov, 08:00 (UTC), ")
    assert delivered(booking_email(audience="expert"))["Subject"].startswith("Confirmed: Tue 24 Nov, 09:00 (UTC+1), ")


@pytest.mark.parametrize("zone", ["Europe/Berlin", None, "Nowhere/Land", "../../etc/passwd", ""])
def test_same_zone_shows_one_time(zone: str | None) -> None:
    for audience in ("customer", "expert"):
        text = text_of(delivered(booking_email(audience=audience, customer_zone=zone)))
        assert "09:00–10:00, Europe/Berlin (UTC+1)" in text
        assert "For the" not in text


def test_quarter_hour_offsets_and_another_date_are_shown_correctly() -> None:
    assert "13:45–14:45, Asia/Kathmandu (UTC+5:45)" in text_of(delivered(booking_email(customer_zone="Asia/Kathmandu")))
    late = NINE + 5 * HOUR
    text = text_of(delivered(booking_email(customer_zone="Pacific/Apia", starts_at=late)))
    assert "Wednesday, 25 November 2026\n  02:00–03:00, Pacific/Apia (UTC+13)" in text
    assert "For the expert: Tue 24 Nov, 14:00–15:00, Europe/Berlin (UTC+1)" in text


@pytest.mark.parametrize(
    ("starts_at", "berlin", "london"),
    [(FOLD, "02:30 (UTC+2)–02:30 (UTC+1), Europe/Berlin (UTC+2)", "01:30 (UTC+1)–01:30 (UTC), Europe/London (UTC+1)"),
     (FOLD + HOUR, "02:30 (UTC+1)–03:30, Europe/Berlin (UTC+1)", "01:30 (UTC)–02:30, Europe/London (UTC)"),
     (BEFORE_GAP, "01:30–03:30, Europe/Berlin (UTC+1)", "00:30–02:30, Europe/London (UTC)")],
)  # fmt: skip
def test_both_times_are_correct_across_a_clock_change(starts_at: datetime, berlin: str, london: str) -> None:
    now = starts_at - 24 * HOUR
    for kind in ("received", "confirmed", "rescheduled", "cancelled", "reminder"):
        content = booking_email(kind, starts_at=starts_at)
        text = text_of(delivered(content, now))
        assert london in text
        assert f"For the expert: {starts_at:%a} {starts_at.day} {starts_at:%b}, {berlin}" in text
    part = part_of(delivered(booking_email("rescheduled", starts_at=starts_at), now), "text/calendar")
    assert part is not None
    assert f"DTSTART:{starts_at:%Y%m%dT%H%M%SZ}" in part.get_content()


def test_reschedule_email_shows_old_and_new_time_in_both_zones() -> None:
    text = text_of(delivered(booking_email("rescheduled", previous_starts_at=FOLD)))
    new, old = text.index("New time"), text.index("Old time")
    assert new < text.index("08:00–09:00, Europe/London (UTC)") < text.index("09:00–10:00, Europe/Berlin") < old
    assert old < text.index("01:30 (UTC+1)–01:30 (UTC), Europe/London") < text.index("02:30 (UTC+2)–02:30 (UTC+1)")


@pytest.mark.parametrize(
    ("before", "words"),
    [({"hours": 24}, "in 24 hours"), ({"hours": 23, "minutes": 59, "seconds": 40}, "in 24 hours"),
     ({"hours": 22, "minutes": 20}, "in 22 hours"), ({"hours": 1}, "in 1 hour"), ({"minutes": 59}, "in 59 minutes"),
     ({"minutes": 75}, "in 1 hour 15 minutes"), ({"minutes": 1}, "in 1 minute"), ({"seconds": 5}, "now"),
     ({"days": 3}, "in 3 days"), ({"minutes": -4}, "now")],
)  # fmt: skip
def test_late_reminder_states_the_actual_time_left(before: dict[str, float], words: str) -> None:
    for audience in ("customer", "expert"):
        content = booking_email("reminder", audience, None, minutes_before=1440)
        assert f"Your session starts {words}\n" in text_of(delivered(content, NINE - timedelta(**before)))


# --- texts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "actor", "customer", "expert"),
    [("received", Actor.CUSTOMER, "We have your request", "You have a new request"),
     ("confirmed", Actor.CUSTOMER, "Your booking is confirmed", "You have a new booking"),
     ("confirmed", Actor.EXPERT, "Jana Müller has confirmed your session.", "You have confirmed this booking"),
     ("confirmed", Actor.ADMIN, "Your session with Jana Müller is confirmed.", "A booking was confirmed for you"),
     ("declined", Actor.EXPERT, "Jana Müller cannot take this session.", "You have declined this request"),
     ("rescheduled", Actor.CUSTOMER, "You have rescheduled your booking",
      "Ada Lovelace has rescheduled the session."),
     ("rescheduled", Actor.EXPERT, "Jana Müller has rescheduled your session.", "You have rescheduled this booking"),
     ("cancelled", Actor.CUSTOMER, "You have cancelled your booking", "Ada Lovelace has cancelled the session."),
     ("cancelled", Actor.EXPERT, "Jana Müller has cancelled your session.", "You have cancelled this booking"),
     ("cancelled", Actor.ADMIN, "Your session with Jana Müller has been cancelled.", "A booking was cancelled for you"),
     ("expired", Actor.SYSTEM, "Jana Müller did not answer in time.", "A request has expired"),
     ("reminder", None, "You're all set for your session with Jana Müller.",
      "You're all set for your session with Ada Lovelace.")],
)  # fmt: skip
def test_each_reader_learns_who_acted_in_fitting_words(
    kind: str, actor: Actor | None, customer: str, expert: str
) -> None:
    assert customer in text_of(delivered(booking_email(kind, "customer", actor)))
    assert expert in text_of(delivered(booking_email(kind, "expert", actor)))


def test_request_email_shows_the_answer_deadline_in_the_readers_zone() -> None:
    customer, expert = (
        text_of(delivered(booking_email("received", side, Actor.CUSTOMER))) for side in ("customer", "expert")
    )
    assert "The expert answers by Monday, 23 November 2026, 13:00, Europe/London (UTC). Without an answer" in customer
    assert "Please answer by Monday, 23 November 2026, 14:00, Europe/Berlin (UTC+1). Without an answer" in expert
    soon = leeway(Status.PENDING, NINE, answer_by=NINE)
    assert "Please answer before the start." in text_of(delivered(booking_email("received", "expert", leeway=soon)))
    # The same after a reschedule.
    assert "Please answer by" in text_of(
        delivered(booking_email("rescheduled", "expert", Actor.CUSTOMER, status=Status.PENDING))
    )


def test_customer_email_states_the_same_terms_as_the_page() -> None:
    content = booking_email()
    sentences = content.leeway.sentences(NOW, lambda _: "Tuesday, 24 November 2026, 06:00, Europe/London (UTC)")
    assert len(sentences) == 2
    for sentence in sentences:
        assert sentence in text_of(delivered(content)).replace("\n", " ")
    assert "You can cancel" not in text_of(delivered(booking_email(audience="expert")))
    assert "You can cancel" not in text_of(delivered(booking_email("cancelled")))


def test_expert_is_asked_to_answer_only_while_an_answer_is_due() -> None:
    assert "Answer the request" in text_of(delivered(booking_email("received", "expert")))
    # The request has been answered before this email is sent.
    answered = leeway(Status.CONFIRMED, NINE)
    for content in (
        booking_email("confirmed", "expert"),
        booking_email("received", "expert", leeway=answered),
        booking_email("expired", "expert"),
    ):
        assert "See the booking" in text_of(delivered(content))
        assert "nswer the request" not in text_of(delivered(content))


def test_email_of_an_ended_booking_links_to_other_times() -> None:
    for kind in ("declined", "cancelled", "expired"):
        assert (
            "https://booking.example.com/expert/jana-muller"
            in VisibleHtml(html_of(delivered(booking_email(kind)))).links
        )


def test_expert_email_has_the_customers_details_and_all_note_lines() -> None:
    text = text_of(delivered(booking_email("received", "expert", notes="One\n\n<b>Two</b> & three\u2028Four")))
    for fact in ("Customer\n  Ada Lovelace\n", "Email\n  ada@example.com\n", "Phone\n  +44 20 7946 0000\n"):
        assert fact in text
    assert "Notes\n  One\n\n  <b>Two</b> & three\n  Four\n" in text
    assert "Phone" not in text_of(delivered(booking_email("received", "expert", customer_phone=None)))


@pytest.mark.parametrize("audience", list(Audience))
def test_email_and_calendar_file_state_the_price_and_how_to_pay(audience: Audience) -> None:
    payment = {"price": Price(4500, "EUR"), "payment_note": "By bank transfer\nwithin 14 days."}
    message = delivered(booking_email("confirmed", audience.value, **payment))
    assert "Price\n  €45.00\n  By bank transfer\n  within 14 days.\n" in text_of(message)
    file = part_of(message, "text/calendar")
    assert file is not None
    [event] = Calendar.from_ical(file.get_content()).events
    assert "Price: €45.00\nBy bank transfer\nwithin 14 days.\n" in event["DESCRIPTION"]
    assert "Price" not in everything_in(delivered(booking_email("confirmed", audience.value)))


# --- layout -----------------------------------------------------------------------------------------------------


@every_email
def test_html_is_self_contained_and_declares_language_and_colour_schemes(
    kind: MessageKind, actor: Actor | None, audience: Audience
) -> None:
    html = html_of(delivered(booking_email(kind, audience, actor)))
    seen = VisibleHtml(html)
    assert ("html", {"lang": "en", "dir": "ltr"}) in seen.elements
    assert ("meta", {"name": "color-scheme", "content": "light dark"}) in seen.elements
    assert "@media (prefers-color-scheme: dark)" in html
    assert not {"img", "script", "link", "iframe", "form"} & {tag for tag, _ in seen.elements}
    assert "url(" not in html
    assert all(attributes.get("role") == "presentation" for tag, attributes in seen.elements if tag == "table")


# --- proving an address -----------------------------------------------------------------------------------------


def test_access_email_has_a_link_and_a_code_and_their_validity() -> None:
    message = access_email()
    text, page = text_of(message), VisibleHtml(html_of(message))
    assert message["Subject"] == "Sign in to The Site"
    assert [address.addr_spec for address in message["To"].addresses] == ["ada@example.com"]
    assert "\n042917\n" in text
    # Shown in two groups, but copied as six digits.
    assert "042" in page.words
    assert "917" in page.words or "042917" in page.words
    assert "https://booking.example.com/sign-in/KEY" in page.links
    assert "https://booking.example.com/sign-in/KEY" in text
    for phrase in ("The link and the code work once, for 15 minutes.", "If this wasn't you,", "ada@example.com"):
        assert phrase in text
        assert phrase in " ".join(page.words)
    assert "042917" not in message["Subject"]
    assert re.search(r">042<span[^>]*>917<", html_of(message))


def test_delayed_access_email_states_the_remaining_validity() -> None:
    assert "work once, for 9 minutes." in text_of(access_email(minutes=9))
    assert "work once, for 1 minute." in text_of(access_email(minutes=-2))


def test_new_link_email_has_the_key_version_and_no_calendar_file() -> None:
    message = delivered(booking_email("new_link", actor=None, key_version=2, notes="Buy at evil.example"))
    [key] = re.findall(r"\?key=(\S+)", text_of(message))
    assert key == SignedKeys(SITE.secret).booking(BOOKING, 2)
    assert message["Subject"].startswith("New link: ")
    assert message.get_content_type() == "multipart/alternative"
    assert "evil.example" not in everything_in(message)
    assert words_of(text_of(message)) == VisibleHtml(html_of(message)).words


def test_long_code_is_shown_in_two_groups_of_four() -> None:
    message = access_email(code="SN3G6Z37")
    assert "\nSN3G6Z37\n" in text_of(message)
    assert re.search(r">SN3G<span[^>]*>6Z37<", html_of(message))


def test_emailed_key_opens_the_booking() -> None:
    [key] = re.findall(r"\?key=(\S+)", text_of(delivered(booking_email())))
    assert SignedKeys(SITE.secret).booking_of(key) == UUID(int=BOOKING.int)


# --- the email that asks for confirmation of the address -------------------------------------------------------------


def test_verification_email_has_code_button_and_deadline_and_says_what_happens_otherwise() -> None:
    unanswered = leeway(Status.PENDING, NINE, answer_by=None, verify_by=NOW + HOUR / 2)
    content = booking_email("verification", "customer", Actor.CUSTOMER, leeway=unanswered)
    message = delivered(content)
    text, keys = text_of(message), SignedKeys(SITE.secret)
    assert f"\n\n{keys.verification_code(BOOKING)}\n\n" in text
    assert f"Confirm booking:\nhttps://booking.example.com/verify/{keys.verification(BOOKING)}" in text
    assert "Please confirm by Monday, 23 November 2026, 08:30, Europe/London (UTC)." in text
    assert "without your confirmation, nothing is booked" in text
    assert message["Subject"].startswith("Please confirm: ")
    assert str(message["To"]) == "ada@example.com"  # without the name, which anyone could have typed
    assert part_of(message, "text/calendar") is part_of(message, "application/ics") is None
    assert not {"Ada", "Lovelace"} & set(words_of(text))


# --- privacy ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("audience", list(Audience))
def test_footer_links_to_privacy_and_to_the_operators_imprint_and_terms(audience: Audience) -> None:
    def links(site: Site) -> list[str]:
        message = delivered(booking_email("confirmed", audience), site=site)
        found = VisibleHtml(html_of(message)).links
        assert all(f"\n{link}\n" in text_of(message) for link in found if link in wanted)
        return [link for link in found if link in wanted]

    wanted = ["https://booking.example.com/privacy", "https://example.com/imprint", "https://example.com/terms"]
    assert links(SITE) == wanted[:1]
    assert links(replace(SITE, imprint_url=wanted[1], terms_url=wanted[2])) == wanted


def test_email_about_an_erased_customer_has_no_address_phone_or_reply() -> None:
    erased = {"customer_name": "", "customer_email": "", "customer_phone": None, "customer_zone": None, "notes": ""}
    message = delivered(
        booking_email("cancelled", "expert", Actor.CUSTOMER, reason="the customer's data was deleted", **erased)
    )
    text = text_of(message)
    assert "The customer has asked for their data to be deleted. The session will not take place." in text
    assert "Deleted customer" in text
    assert message["Reply-To"] is None
    for absent in ("Reason", "Phone", "Email\n", "Notes", "Replies to this email", "mailto:", "@"):
        assert absent not in text + html_of(message).partition("<body")[2], absent
    calendar = part_of(message, "text/calendar")
    assert calendar is not None
    [event] = Calendar.from_ical(calendar.get_content()).walk("VEVENT")
    assert str(event["SUMMARY"]) == "Consultation with Deleted customer"
