"""Links that add a session to a web calendar."""

from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import pytest

from expert_booking.domain.calendar_links import google_link, outlook_link

NINE = datetime(2026, 11, 24, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)
TITLES = ["Consultation with Jana Müller", "a&b=c#d?e/f", '"><script>alert(1)</script>', "😀 + 100 %", "two\r\nlines"]


def test_google_link_contains_the_session_in_utc() -> None:
    berlin = NINE.astimezone(ZoneInfo("Europe/Berlin"))
    link = google_link("Consultation", berlin, berlin + HOUR, "https://site.example/booking/1")
    assert link == (
        "https://calendar.google.com/calendar/render?action=TEMPLATE&text=Consultation"
        "&dates=20261124T080000Z/20261124T090000Z&details=https%3A//site.example/booking/1"
    )


def test_outlook_link_contains_the_session_in_utc() -> None:
    link = urlsplit(outlook_link("Consultation", NINE, NINE + HOUR, "https://site.example/booking/1"))
    assert (link.scheme, link.netloc, link.path) == ("https", "outlook.live.com", "/calendar/0/deeplink/compose")
    assert parse_qs(link.query) == {
        "path": ["/calendar/action/compose"], "rru": ["addevent"], "subject": ["Consultation"],
        "startdt": ["2026-11-24T08:00:00Z"], "enddt": ["2026-11-24T09:00:00Z"],
        "body": ["https://site.example/booking/1"],
    }  # fmt: skip


@pytest.mark.parametrize("title", TITLES)
def test_user_text_cannot_break_out_of_its_parameter(title: str) -> None:
    for link, name in ((google_link(title, NINE, NINE + HOUR, title), "text"),
                       (outlook_link(title, NINE, NINE + HOUR, title), "subject")):  # fmt: skip
        assert link.isascii()
        assert not set(link) & set(" \"<>'+\r\n")
        assert parse_qs(urlsplit(link).query)[name] == [title]
        assert urlsplit(link).fragment == ""
