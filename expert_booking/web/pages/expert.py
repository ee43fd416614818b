"""`/expert/{slug}`: a profile and the live slot board."""

import json
from typing import Final
from zoneinfo import ZoneInfo

from fastapi import Request
from markupsafe import Markup
from nicegui import Client, ui

from expert_booking.domain.errors import ExpertNotFound
from expert_booking.schemas import ExpertDetail
from expert_booking.services import Services
from expert_booking.web import refusals, rooms, theme, words
from expert_booking.web.live import LiveBoard, LiveBoards
from expert_booking.web.parts.slot_grid import SlotGrid, first_day, snapshot
from expert_booking.web.visitor import zone_of

# More views of one board than these are not kept: zones and weeks are the visitors' to choose.
MOST_DRAWN: Final = 64
_PROFILE: Final = Markup(
    """<a class="crumb" href="/">← All experts</a>
<section class="profile"><img class="portrait" src="/portrait/{slug}.svg" width="132" height="132" alt="">
<div><h1>{name}</h1><p class="headline">{headline}</p>
<div class="facts"><span class="chip">{category}</span>{rating}<span>{experience}</span>
<span>{session}</span><span>Based in {zone}</span></div></div></section><p class="bio">{bio}</p>"""
)
_STARS: Final = Markup(
    """<span class="stars"><span class="stars-row" aria-hidden="true"><i style="width:{percent}%"></i></span>
<span class="sr-only">Rated {rating} of 5 by {count} people</span>
<span aria-hidden="true"><b>{rating}</b> ({count})</span></span>"""
)


def mount(services: Services, boards: LiveBoards) -> None:
    """Serve the page."""

    @ui.page("/expert/{slug}")
    async def profile(slug: str, request: Request, client: Client) -> None:
        try:
            expert = await services.experts.profile(slug)
        except ExpertNotFound:
            refusals.expert_not_found()
            return
        view = BoardView(services, boards.of(expert.id), client, zone_of(request), request.query_params.get("from"))
        with theme.frame(expert.name, description=f"{expert.headline} – book {expert.name}.", on_zone=view.change_zone):
            theme.html(profile_html(expert))
            view.grid = SlotGrid(book_url=f"/book/{expert.slug}", on_week=view.change_week, on_stale=view.show_again)
        await view.begin()


class BoardView:
    """One visitor's view of a live board: which two weeks, in which zone."""

    grid: SlotGrid

    def __init__(
        self, services: Services, live: LiveBoard, client: Client, zone: ZoneInfo | None, wanted_day: object
    ) -> None:
        self._services = services
        self._live = live
        self._client = client
        self._zone = zone
        self._wanted_day = wanted_day
        self._delivered = -1
        self._connections = 0
        # Follow first, read afterwards: what happens in between is then heard.
        client.on_delete(live.watch(lambda _: None))
        client.on_connect(self._connected)

    async def begin(self) -> None:
        """Deliver the page with the board as it is now, or with skeletons until the visitor's zone is known."""
        await self._live.read()
        self._delivered = self._live.version
        if self._zone is not None:
            self.grid.begin(self._snapshot(self._zone))

    async def change_week(self, day: object) -> None:
        """Show the weeks from another day on."""
        self._wanted_day = day
        await self.show_again()

    async def change_zone(self, zone: ZoneInfo) -> None:
        """Show the board in another zone."""
        if zone != self._zone:
            self._zone = zone
            await self.show_again()

    async def show_again(self) -> None:
        """Send the whole board as the process knows it."""
        if self._zone is not None:
            self.grid.show(self._snapshot(self._zone))

    async def _connected(self) -> None:
        await rooms.enter(self._client, [self._live.room])
        self._connections += 1
        if self._connections > 1:
            await self._live.read()
            await self.show_again()
        elif self._live.version != self._delivered:
            await self.show_again()

    def _snapshot(self, zone: ZoneInfo) -> str:
        board, now = self._live.board, self._services.clock()
        assert board is not None
        since = first_day(self._wanted_day, board, zone, now)
        # Whoever looks at the same weeks in the same zone gets the very same snapshot: made once, kept once.
        key = (zone.key, since, now.astimezone(zone).date())
        if key not in self._live.drawn:
            if len(self._live.drawn) >= MOST_DRAWN:
                self._live.drawn.clear()
            self._live.drawn[key] = json.dumps(snapshot(board, self._live.version, zone, since, now))
        return self._live.drawn[key]


def profile_html(expert: ExpertDetail) -> Markup:
    """Who the expert is."""
    session = expert.session_types[0] if expert.session_types else None
    years = "1 year" if expert.experience == 1 else f"{expert.experience} years"
    return _PROFILE.format(
        slug=expert.slug,
        name=expert.name,
        headline=expert.headline,
        category=expert.category,
        rating=rating_html(expert),
        experience=f"{years} of experience",
        session=f"{session.title} · {session.minutes} min" if session else "No sessions at the moment",
        zone=words.zone_name(ZoneInfo(expert.time_zone)),
        bio=expert.bio,
    )


def rating_html(expert: ExpertDetail) -> Markup:
    """Stars and number, for eyes and for ears."""
    if expert.rating is None:
        return Markup("<span>New here, no ratings yet</span>")
    return _STARS.format(percent=20 * expert.rating, rating=f"{expert.rating:.2f}", count=f"{expert.rating_count:,}")
