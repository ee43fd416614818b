"""Components that only render HTML: user input is escaped, and the required facts are shown."""

from datetime import UTC, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from expert_booking.domain.email_schedule import WITHHELD, Delivery, WantedEmails
from expert_booking.domain.lifecycle import LIVE, Status
from expert_booking.domain.locations import Location, LocationKind
from expert_booking.schemas import BookingView, ExpertDetail, SessionTypeView
from expert_booking.web.components.booking_card import (
    booking_card,
    booking_details,
    describe_change,
    host_card,
    session_times,
)
from expert_booking.web.components.calendar_links import calendar_links
from expert_booking.web.components.mail_state import mail_mark, mail_state, mail_state_for_host, reminders_off
from expert_booking.web.components.signed_in import signed_in
from expert_booking.web.pages.expert import profile_html
from expert_booking.web.today_html import card

BERLIN, KATHMANDU = ZoneInfo("Europe/Berlin"), ZoneInfo("Asia/Kathmandu")
NINE = datetime(2026, 11, 24, 8, tzinfo=UTC)
NASTY = "<script>alert(1)</script>\"'{{ 7*7 }}</dd>"
ESCAPED = "&lt;script&gt;alert(1)&lt;/script&gt;&#34;&#39;{{ 7*7 }}&lt;/dd&gt;"


def booking(status: Status = Status.PENDING, **overrides: object) -> BookingView:
    """A booking for tomorrow at nine o'clock in Berlin."""
    facts = {
        "id": UUID(int=7), "expert_id": UUID(int=1), "expert_slug": "jana", "expert_name": "Jana", "name": "Ada",
        "expert_time_zone": "Europe/Berlin",
        "session_type_id": UUID(int=2), "session_title": "Consultation", "starts_at": NINE, "status": status,
        "ends_at": NINE + timedelta(hours=1), "email": "ada@example.com", "phone": None, "notes": "", "version": 1,
        "time_zone": None, "created_at": NINE, "updated_at": NINE, "answer_by": None, "cancel_until": NINE,
        "reschedule_until": NINE, "reschedules_left": None, "wanted_emails": WantedEmails.ALL,
    }  # fmt: skip
    return BookingView.model_validate({**facts, **overrides})


NASTY_FIELDS = dict.fromkeys(("expert_name", "session_title", "name", "email", "phone", "notes", "payment_note"), NASTY)


@pytest.mark.parametrize("status", list(Status))
def test_every_status_is_shown_and_marked_in_data_attributes(status: Status) -> None:
    whole = booking_details(booking(status), BERLIN, BERLIN)
    assert f'data-booking="{UUID(int=7)}" data-status="{status.value}"' in whole
    assert ("done-mark off" in whole) == (status not in LIVE - {Status.NO_SHOW})
    assert f'data-status="{status.value}"' in booking_card(booking(status), BERLIN, past=False)


def test_card_of_the_console_says_where_and_until_when() -> None:
    now = NINE - timedelta(hours=10)
    place = Location(LocationKind.ADDRESS, f"{NASTY}\n10115 Berlin")
    shown = card(booking(location=place), BERLIN, now)
    assert f" · {ESCAPED}, 10115 Berlin" in shown
    assert "Answer by: Tomorrow, 09:00" in shown
    link = Location(LocationKind.VIDEO, "https://video.example.com/1")
    assert 'href="https://video.example.com/1"' in card(booking(Status.CONFIRMED, location=link), BERLIN, now)


def test_user_input_is_escaped_everywhere() -> None:
    nasty = booking(**NASTY_FIELDS)
    failed = nasty.model_copy(update={"mail": Delivery.FAILED})
    for drawn in (
        booking_details(nasty, BERLIN, KATHMANDU),
        booking_details(nasty, BERLIN, KATHMANDU, by_host=True),
        booking_card(nasty, BERLIN, past=True),
        host_card(nasty, BERLIN),
        mail_state(failed),
        signed_in(NASTY),
    ):
        assert "<script" not in drawn
        assert ESCAPED in drawn
    assert booking_details(nasty, BERLIN, BERLIN).count(ESCAPED) == len(NASTY_FIELDS)


def test_expert_texts_are_escaped() -> None:
    expert = ExpertDetail(
        id=UUID(int=1), slug="jana", name=NASTY, category=NASTY, experience=1, rating=4.96, rating_count=1234,
        headline=NASTY, time_zone="America/New_York", bio=NASTY,
        session_types=[SessionTypeView(id=UUID(int=2), title=NASTY, minutes=45)],
    )  # fmt: skip
    drawn = profile_html(expert)
    assert drawn.count(ESCAPED) == 3
    # Outside of attributes, Markdown does not escape quotes.
    assert drawn.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 4
    for words in ("1 year of experience", "America/New York", "45 minutes", "Rated 4.96 of 5 by 1,234 people"):
        assert words in drawn
    unrated = profile_html(expert.model_copy(update={"rating": None, "session_types": [], "experience": 2}))
    assert "no ratings yet" in unrated
    assert "No sessions" in unrated
    assert "2 years" in unrated
    assert "experience" not in profile_html(expert.model_copy(update={"experience": 0}))


def test_profile_shows_the_range_of_session_lengths() -> None:
    expert = ExpertDetail(
        id=UUID(int=1), slug="jana", name="Jana", category="Law", experience=1, rating=None, rating_count=0,
        headline="", time_zone="Europe/Berlin", bio="",
        session_types=[SessionTypeView(id=UUID(int=n), title="A", minutes=n) for n in (60, 90, 30)],
    )  # fmt: skip
    assert "<span>30 to 90 minutes</span>" in profile_html(expert)
    alike = [SessionTypeView(id=UUID(int=n), title="A", minutes=45) for n in (1, 2)]
    assert "<span>45 minutes</span>" in profile_html(expert.model_copy(update={"session_types": alike}))


def test_both_time_zones_are_shown_only_if_they_differ() -> None:
    both = session_times(NINE, NINE + timedelta(hours=1), KATHMANDU, BERLIN)
    for words in ("13:45–14:45", "Asia/Kathmandu (UTC+5:45)", "09:00–10:00", "Europe/Berlin (UTC+1)"):
        assert words in both
    assert "Expert's time" not in session_times(NINE, NINE + timedelta(hours=1), BERLIN, BERLIN)


def test_empty_rows_are_omitted() -> None:
    bare, full = booking(), booking(phone="+49 30 1234567", notes="Two\nlines")
    assert "Phone" not in booking_details(bare, BERLIN, BERLIN)
    assert "Notes" not in booking_details(bare, BERLIN, BERLIN)
    assert "Two\nlines" in booking_details(full, BERLIN, BERLIN)
    assert "Price" not in booking_details(bare, BERLIN, BERLIN)
    priced = booking(price={"amount": 4500, "currency": "EUR"}, payment_note="In cash")
    assert "<dt>Price</dt><dd>€45.00\n" in booking_details(priced, BERLIN, BERLIN)
    assert "In cash" in booking_details(priced, BERLIN, BERLIN)


def test_place_is_shown_to_each_side_and_escaped() -> None:
    def where(kind: str, text: str = "", status: Status = Status.CONFIRMED, *, by_host: bool = False) -> str:
        drawn = booking_details(
            booking(status, location=Location(LocationKind(kind), text)), BERLIN, BERLIN, by_host=by_host
        )
        return drawn.partition("<dt>Where</dt><dd>")[2].partition("</dd>")[0]

    assert where("other", NASTY) == ESCAPED
    assert 'href="https://a.example/?q=&#34;"' in where("video", 'https://a.example/?q="')
    assert "once the booking is confirmed" in where("video", status=Status.PENDING)
    assert where("phone") == "Phone call: the expert calls you"
    assert where("phone", by_host=True) == "Phone call: you call the customer"
    assert where("phone", "+4930123456") == "Phone call: please call +49 30 123456"


def test_pending_booking_shows_the_answer_deadline_in_the_readers_zone() -> None:
    waiting = booking(answer_by=NINE - timedelta(hours=20))
    words = "The expert answers by Monday, 23 November 2026, 17:45, Asia/Kathmandu (UTC+5:45)."
    assert words in booking_details(waiting, KATHMANDU, BERLIN)
    confirmed = booking(Status.CONFIRMED, answer_by=NINE - timedelta(hours=20))
    assert "The expert answers" not in booking_details(confirmed, KATHMANDU, BERLIN)


def test_leeway_comes_from_the_booking_itself() -> None:
    left = booking(
        cancel_until=NINE - timedelta(hours=1), reschedule_until=NINE - timedelta(hours=2), reschedules_left=1
    ).leeway()
    now = NINE - timedelta(minutes=90)
    assert (left.may_cancel(now), left.may_reschedule(now), left.reschedules_left) == (True, False, 1)


def test_change_is_described_in_a_sentence_unless_it_is_trivial() -> None:
    before = booking()
    assert describe_change(before, booking(Status.CONFIRMED), BERLIN) == "The expert has confirmed your booking."
    moved = booking(Status.CONFIRMED, starts_at=NINE + timedelta(days=1), ends_at=NINE + timedelta(days=1, hours=1))
    assert describe_change(before, moved, KATHMANDU) == (
        "Your booking has been rescheduled to Wednesday, 25 November 2026, 13:45, Asia/Kathmandu (UTC+5:45). "
        "The expert has confirmed your booking."
    )
    assert describe_change(before, booking(version=2, notes="Other words"), BERLIN) == ""


@pytest.mark.parametrize("status", sorted(set(Status) - {Status.PENDING}))
def test_every_status_change_has_a_sentence(status: Status) -> None:
    assert describe_change(booking(), booking(status), BERLIN).endswith(".")


@pytest.mark.parametrize("status", list(Status))
def test_hosts_get_their_own_wording(status: Status) -> None:
    html = booking_details(booking(status, answer_by=NINE), BERLIN, BERLIN, by_host=True)
    for words in ("for you", "The expert answers", "You're all set", "You&#39;re all set"):
        assert words not in html
    assert ("Please answer before the start." in html) == (status is Status.PENDING)


def test_email_delivery_state_is_shown_only_if_an_email_was_sent() -> None:
    assert mail_state(booking()) == mail_mark(booking()) == ""
    for delivery in Delivery:
        one = booking(mail=delivery)
        assert f'data-mail="{delivery.value}"' in mail_state(one)
        assert f'data-mail="{delivery.value}"' in mail_mark(one)
        assert "ada@example.com" in mail_state(one)


def test_withheld_email_is_explained_to_customer_and_host() -> None:
    for delivery in Delivery:
        one = booking(mail=delivery, name=NASTY, email=NASTY)
        assert (delivery in WITHHELD) == ("We haven't emailed you about this, because" in mail_state(one))
        assert (delivery in WITHHELD) == (f'data-mail="{delivery.value}"' in mail_state_for_host(one))
        assert "<script" not in mail_state(one) + mail_state_for_host(one)
    for delivery in (Delivery.OVER_LIMIT, Delivery.SILENCED):
        assert f'href="/sign-in?next=/booking/{UUID(int=7)}"' in mail_state(booking(mail=delivery))


def test_reminders_can_be_turned_on_again_only_if_they_are_off() -> None:
    for wanted in WantedEmails:
        shown = reminders_off(booking(wanted_emails=wanted), "/reminders/key")
        assert ('href="/reminders/key"' in shown) == (wanted is WantedEmails.NO_REMINDERS)


def test_user_input_is_escaped_in_calendar_links() -> None:
    drawn = calendar_links(booking(**NASTY_FIELDS), NASTY, '/"><script>', '"><script>')
    assert "<script" not in drawn
