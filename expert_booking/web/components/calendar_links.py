"""Links that add a booking to a calendar: a file, Google Calendar and Outlook."""

from typing import Final

from markupsafe import Markup

from expert_booking.domain.calendar_links import google_link, outlook_link
from expert_booking.schemas import BookingView

_LINKS: Final = Markup(
    """<section class="panel calendar-ways" aria-labelledby="calendar"><h2 id="calendar">Add to calendar</h2>
<div class="actions"><a class="button quiet" href="{file}" download>Calendar file</a>
<a class="button quiet" href="{google}" target="_blank" rel="noopener noreferrer">Google</a>
<a class="button quiet" href="{outlook}" target="_blank" rel="noopener noreferrer">Outlook</a></div></section>"""
)


def calendar_links(booking: BookingView, with_whom: str, file_url: str, page_url: str) -> Markup:
    """Return the links. `page_url` is sent to Google and Microsoft, so it must not contain an access key."""
    event = f"{booking.session_title} with {with_whom}", booking.starts_at, booking.ends_at, page_url
    return _LINKS.format(file=file_url, google=google_link(*event), outlook=outlook_link(*event))
