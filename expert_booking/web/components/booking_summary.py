"""What a booking form is about: expert, session, time and terms."""

from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from markupsafe import Markup

from expert_booking.domain import formatting
from expert_booking.domain.calendar import MINUTE
from expert_booking.domain.locations import summary
from expert_booking.schemas import ExpertDetail, SessionTypeView
from expert_booking.services.availability import Board
from expert_booking.web.components.booking_card import session_times
from expert_booking.web.expert_urls import portrait_url

_SUMMARY: Final = Markup(
    """<div class="who"><img class="portrait" src="{portrait}" width="56" height="56" alt="">
<div><b>{name}</b><span class="small soft">{session} · {minutes} min{price}</span></div></div>{when}{terms}"""
)
_TERMS: Final = Markup('<ul class="terms">{}</ul>')


def booking_summary(
    expert: ExpertDetail, session_type: SessionTypeView, board: Board, starts_at: datetime, zone: ZoneInfo
) -> Markup:
    """Return the summary, with times in `zone` and in the expert's zone. `starts_at` is UTC."""
    sentences = filter(None, [summary(session_type.locations), *session_type.terms.sentences()])
    terms = Markup(" ").join(map(Markup("<li>{}</li>").format, sentences))
    return _SUMMARY.format(
        portrait=portrait_url(expert),
        name=expert.name,
        session=board.session_title,
        minutes=board.minutes,
        price=f" · {formatting.price(session_type.price)}" if session_type.price else "",
        when=session_times(starts_at, starts_at + board.minutes * MINUTE, zone, board.zone),
        terms=_TERMS.format(terms),
    )
