"""`/expert/{slug}?session=…&from=…`: a profile, the sessions, and the live slot board of one of them."""

from typing import Final
from zoneinfo import ZoneInfo

from fastapi import Request, Response
from markupsafe import Markup
from nicegui import Client, ui

from expert_booking.domain import formatting
from expert_booking.domain.errors import ExpertNotFound
from expert_booking.schemas import ExpertDetail, HoldView
from expert_booking.services import Services
from expert_booking.web import error_pages, layout, page_route
from expert_booking.web.components.raw_html import RawHtml, plain_json
from expert_booking.web.expert_urls import portrait_url, redirect_from_former
from expert_booking.web.live.board_view import BoardView, VisitorSlot
from expert_booking.web.live.profile_cache import ProfileCache
from expert_booking.web.live.slot_boards import LiveBoards
from expert_booking.web.markdown import bio_html
from expert_booking.web.open_holds import OpenHolds
from expert_booking.web.visitor import visitor_of

_PROFILE: Final = Markup(
    """<a class="crumb" href="/">← All experts</a>
<section class="profile"><img class="portrait" src="{portrait}" width="132" height="132" alt="">
<div><h1>{name}</h1><p class="headline">{headline}</p>
<div class="facts"><span class="chip">{category}</span>{rating}{experience}
<span>{session}</span>{languages}<span>Based in {zone}</span></div></div></section>{bio}"""
)
# Search engines should not show an expert that the site's own list does not show.
_NOT_INDEXED: Final = '<meta name="robots" content="noindex">'
_EXPERIENCE: Final = Markup("<span>{} of experience</span>")
_LANGUAGES: Final = Markup("<span>Speaks <language-names>{}</language-names></span>")
_STARS: Final = Markup(
    """<span class="stars"><span class="stars-row" aria-hidden="true"><i style="width:{percent}%"></i></span>
<span class="sr-only">Rated {rating} of 5 by {count} people</span>
<span aria-hidden="true"><b>{rating}</b> ({count})</span></span>"""
)


def mount(services: Services, profiles: ProfileCache, boards: LiveBoards, open_holds: OpenHolds) -> None:
    """Serve the page."""

    @page_route.page("/expert/{slug}")
    async def expert_page(slug: str, request: Request, client: Client) -> Response | None:
        try:
            profile = await profiles.of(slug)
        except ExpertNotFound:
            error_pages.expert_not_found()
            return None
        expert = profile.expert
        if (moved := redirect_from_former(slug, expert, request, client)) is not None:
            return moved
        view = BoardView(services, boards, client, expert, request)
        visitor = visitor_of(request)
        if visitor is not None:

            def show_own(hold: HoldView | None) -> None:
                view.change_own(VisitorSlot.of(hold) if hold and hold.expert_id == expert.id else None)

            client.on_delete(open_holds.subscribe(visitor, show_own))
            show_own(await services.holds.for_visitor(visitor))
        with layout.frame(
            expert.name, description=f"{expert.headline} – book {expert.name}.", on_zone=view.change_zone
        ):
            if "profile" not in profile.drawn:
                profile.drawn["profile"] = plain_json(profile_html(expert))
            RawHtml(profile.drawn["profile"])
            view.draw()
            if not expert.listed:
                ui.add_head_html(_NOT_INDEXED)
        await view.load()
        return None


def profile_html(expert: ExpertDetail) -> Markup:
    """Return the expert's portrait, facts and description."""
    lengths = [one.minutes for one in expert.session_types]
    years = "1 year" if expert.experience == 1 else f"{expert.experience} years"
    return _PROFILE.format(
        portrait=portrait_url(expert, "medium"),
        name=expert.name,
        headline=expert.headline,
        category=expert.category,
        rating=rating_html(expert),
        experience=_EXPERIENCE.format(years) if expert.experience else "",
        session=formatting.minutes(min(lengths), max(lengths)) if lengths else "No sessions at the moment",
        languages=_LANGUAGES.format(" ".join(expert.languages)) if expert.languages else "",
        zone=formatting.zone_name(ZoneInfo(expert.time_zone)),
        bio=bio_html(expert.bio),
    )


def rating_html(expert: ExpertDetail) -> Markup:
    """Return the rating as stars, with a text for screen readers."""
    if expert.rating is None:
        return Markup("<span>New here, no ratings yet</span>")
    return _STARS.format(percent=20 * expert.rating, rating=f"{expert.rating:.2f}", count=f"{expert.rating_count:,}")
