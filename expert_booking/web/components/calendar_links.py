"""Ways to bring a booking into a calendar: a file, and the web's two large ones."""

from typing import Final

from markupsafe import Markup

from expert_booking.domain.calendar_links import google_link, outlook_link
from expert_booking.schemas import BookingView

_WAYS: Final = Markup(
    """<section class="panel calendar-ways" aria-labelledby="calendar"><h2 id="calendar">Add to calendar</h2>
<div class="actions"><a class="button quiet" href="{file}" download>Calendar file</a>
<a class="button quiet" href="{google}" target="_blank" rel="noopener noreferrer">Google</a>
<a class="button quiet" href="{outlook}" target="_blank" rel="noopener noreferrer">Outlook</a></div></section>"""
)


def calendar_ways(booking: BookingView, with_whom: str, file_url: str, page_url: str) -> Markup:
    """The links. `page_url` goes to others: it must open nothing by itself."""
    said = f"{booking.session_title} with {with_whom}", booking.starts_at, booking.ends_at, page_url
    return _WAYS.format(file=file_url, google=google_link(*said), outlook=outlook_link(*said))
