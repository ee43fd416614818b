"""Links that add a session to a web calendar. They go to third parties, so they must not contain access keys."""

from datetime import UTC, datetime
from urllib.parse import quote, urlencode

from expert_booking.domain.formatting import iso


def google_link(title: str, starts_at: datetime, ends_at: datetime, details: str) -> str:
    """A link that opens Google Calendar with this session filled in. Instants are UTC; Google can read `details`."""
    span = f"{_basic(starts_at)}/{_basic(ends_at)}"
    query = {"action": "TEMPLATE", "text": title, "dates": span, "details": details}
    return f"https://calendar.google.com/calendar/render?{urlencode(query, safe='/', quote_via=quote)}"


def outlook_link(title: str, starts_at: datetime, ends_at: datetime, details: str) -> str:
    """A link that opens the Outlook.com calendar with this session filled in. Instants are UTC."""
    query = {
        "path": "/calendar/action/compose", "rru": "addevent", "subject": title, "startdt": iso(starts_at),
        "enddt": iso(ends_at), "body": details,
    }  # fmt: skip
    return f"https://outlook.live.com/calendar/0/deeplink/compose?{urlencode(query, quote_via=quote)}"


def _basic(instant: datetime) -> str:
    return f"{instant.astimezone(UTC):%Y%m%dT%H%M%SZ}"
