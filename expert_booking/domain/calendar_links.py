"""Links that put a session into a calendar on the web. They go to others, so no key of ours belongs in them."""

from datetime import UTC, datetime
from urllib.parse import quote, urlencode

from expert_booking.domain.formatting import iso


def google_link(title: str, starts_at: datetime, ends_at: datetime, details: str) -> str:
    """Opens Google Calendar with this session filled in. Instants are UTC; `details` is for Google to read."""
    span = f"{_basic(starts_at)}/{_basic(ends_at)}"
    said = {"action": "TEMPLATE", "text": title, "dates": span, "details": details}
    return f"https://calendar.google.com/calendar/render?{urlencode(said, safe='/', quote_via=quote)}"


def outlook_link(title: str, starts_at: datetime, ends_at: datetime, details: str) -> str:
    """Opens the calendar of Outlook.com in the same way."""
    said = {
        "path": "/calendar/action/compose", "rru": "addevent", "subject": title, "startdt": iso(starts_at),
        "enddt": iso(ends_at), "body": details,
    }  # fmt: skip
    return f"https://outlook.live.com/calendar/0/deeplink/compose?{urlencode(said, quote_via=quote)}"


def _basic(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y%m%dT%H%M%SZ}"
