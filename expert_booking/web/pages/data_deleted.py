"""`/my-bookings/deleted`: shown after customers have deleted their data."""

from typing import Final

from fastapi import Request
from markupsafe import Markup

from expert_booking.web import layout, page_route

_DELETED: Final = Markup(
    """<div class="empty panel"><svg width="64" height="64" viewBox="0 0 64 64" fill="none" stroke="currentColor"
 stroke-width="3" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true"><circle cx="32" cy="32" r="22"/>
<path d="m22 33 7 7 13-15"/></svg>
<h1>Your data has been deleted</h1>{sentences}<a class="button" href="/">Browse experts</a></div>"""
)
_SENTENCE: Final = Markup("<p>{}</p>")


def mount() -> None:
    """Serve the page. Its query only says what was done, so it needs no permission."""

    @page_route.page("/my-bookings/deleted")
    async def deleted(request: Request) -> None:
        sentences = [
            *_bookings(_number(request, "cancelled"), _number(request, "kept")),
            "You are signed out. Emails that we sent before are still in your mailbox and the experts'.",
        ]
        with layout.frame("Your data has been deleted", narrow=True):
            layout.html(_DELETED.format(sentences=Markup("").join(map(_SENTENCE.format, sentences))))


def _bookings(cancelled: int, kept: int) -> list[str]:
    sentences = []
    if cancelled == 1:
        sentences.append("Your upcoming booking was cancelled, and we've let the expert know.")
    elif cancelled:
        sentences.append(f"Your {cancelled} upcoming bookings were cancelled, and we've let the experts know.")
    if kept == 1:
        sentences.append("Your upcoming booking stays. Its data is deleted once the session is over.")
    elif kept:
        sentences.append(f"Your {kept} upcoming bookings stay. Their data is deleted once the sessions are over.")
    return sentences


def _number(request: Request, name: str) -> int:
    text = request.query_params.get(name, "")
    return int(text) if len(text) <= 4 and text.isascii() and text.isdecimal() else 0
