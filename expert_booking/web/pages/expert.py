"""`/expert/{slug}?session=…&from=…`: a profile, the sessions, and the live slot board of one of them."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import Request
from markupsafe import Markup
from nicegui import Client, ui

from expert_booking.domain.errors import ExpertNotFound, NotFound
from expert_booking.schemas import ExpertDetail, SessionTypeView
from expert_booking.services import Services
from expert_booking.web import refusals, rooms, theme, words
from expert_booking.web.live import LiveBoards
from expert_booking.web.parts.slot_grid import SlotGrid, first_day, snapshot
from expert_booking.web.visitor import zone_of

# More views of one board than these are not kept: zones and weeks are the visitors' to choose.
MOST_DRAWN: Final = 64
_PROFILE: Final = Markup(
    """<a class="crumb" href="/">← All experts</a>
<section class="profile"><img class="portrait" src="/portrait/{slug}.svg" width="132" height="132" alt="">
<div><h1>{name}</h1><p class="headline">{headline}</p>
<div class="facts"><span class="chip">{category}</span>{rating}<span>{experience}</span>
<span>{session}</span>{languages}<span>Based in {zone}</span></div></div></section><p class="bio">{bio}</p>"""
)
_LANGUAGES: Final = Markup("<span>Speaks <language-names>{}</language-names></span>")
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
        view = BoardView(services, boards, client, expert, request)
        with theme.frame(expert.name, description=f"{expert.headline} – book {expert.name}.", on_zone=view.change_zone):
            theme.html(profile_html(expert))
            view.draw()
        await view.begin()


class BoardView:
    """One visitor's view of an expert's boards: which session type, which two weeks, in which zone."""

    def __init__(
        self, services: Services, boards: LiveBoards, client: Client, expert: ExpertDetail, request: Request
    ) -> None:
        self._services = services
        self._boards = boards
        self._client = client
        self._expert = expert
        self._zone = zone_of(request)
        self._wanted_day: object = request.query_params.get("from")
        self._delivered = -1
        self._connections = 0
        self._one_at_a_time = asyncio.Lock()
        # Follow first, read afterwards: what happens in between is then heard.
        self._live = boards.of(expert.id, chosen(expert.session_types, request.query_params.get("session")))
        self._unwatch = self._live.watch(lambda _: None)
        client.on_delete(lambda: self._unwatch())
        client.on_connect(self._connected)

    def draw(self) -> None:
        """The sessions and the board."""
        self._grid = SlotGrid(
            book_url=f"/book/{self._expert.slug}",
            session_types=self._expert.session_types,
            chosen=self._live.session_type_id,
            on_look=self.look,
            on_stale=self.show_again,
        )

    async def begin(self) -> None:
        """Deliver the page with the board as it is now, or with skeletons until the visitor's zone is known."""
        await self._live.read()
        self._delivered = self._live.version
        if self._zone is not None:
            self._grid.begin(self._snapshot(self._zone))

    async def look(self, wanted: dict[str, Any]) -> None:
        """Show another session type, or the weeks from another day on."""
        async with self._one_at_a_time:
            self._wanted_day = wanted.get("from")
            await self._turn_to(chosen(self._offered(), wanted.get("session")))
            await self.show_again(wanted.get("ask"))

    async def change_zone(self, zone: ZoneInfo) -> None:
        """Show the board in another zone."""
        if zone != self._zone:
            self._zone = zone
            await self.show_again()

    async def show_again(self, ask: object = None) -> None:
        """Send the whole board as the process knows it."""
        if self._zone is not None:
            self._grid.show(self._snapshot(self._zone), ask)

    async def _connected(self) -> None:
        await rooms.enter(self._client, [self._live.room])
        self._connections += 1
        if self._connections > 1:
            await self._live.read()
            await self.show_again()
        elif self._live.version != self._delivered:
            await self.show_again()

    async def _turn_to(self, session_type_id: UUID | None) -> None:
        if session_type_id is None or session_type_id == self._live.session_type_id:
            return
        live, before = self._boards.of(self._expert.id, session_type_id), self._live
        unwatch = live.watch(lambda _: None)
        await rooms.enter(self._client, [live.room])
        try:
            await live.read()
        except NotFound:  # the expert has just gone: what is shown stays
            unwatch()
            return
        self._unwatch()
        self._live, self._unwatch = live, unwatch
        await rooms.leave(self._client, [before.room])
        if self._client.is_deleted:
            unwatch()

    def _offered(self) -> Sequence[SessionTypeView]:
        return self._live.board.session_types if self._live.board else ()

    def _snapshot(self, zone: ZoneInfo) -> str:
        board, now = self._live.board, self._services.clock()
        assert board is not None
        since = first_day(self._wanted_day, board, zone, now)
        # Whoever looks at the same weeks in the same zone gets the very same snapshot: made once, kept once.
        key = (zone.key, since, now.astimezone(zone).date())
        if key not in self._live.drawn:
            if len(self._live.drawn) >= MOST_DRAWN:
                self._live.drawn.clear()
            drawn = {"room": self._live.room, **snapshot(board, self._live.version, zone, since, now)}
            self._live.drawn[key] = json.dumps(drawn)
        return self._live.drawn[key]


def chosen(offered: Sequence[SessionTypeView], wanted: object) -> UUID | None:
    """The id of the wanted session type, or else of the first one; None where nothing is offered."""
    ids = [one.id for one in offered]
    return next((number for number in ids if str(number) == str(wanted).lower()), ids[0] if ids else None)


def profile_html(expert: ExpertDetail) -> Markup:
    """Who the expert is."""
    lengths = [one.minutes for one in expert.session_types]
    years = "1 year" if expert.experience == 1 else f"{expert.experience} years"
    return _PROFILE.format(
        slug=expert.slug,
        name=expert.name,
        headline=expert.headline,
        category=expert.category,
        rating=rating_html(expert),
        experience=f"{years} of experience",
        session=words.minutes(min(lengths), max(lengths)) if lengths else "No sessions at the moment",
        languages=_LANGUAGES.format(" ".join(expert.languages)) if expert.languages else "",
        zone=words.zone_name(ZoneInfo(expert.time_zone)),
        bio=expert.bio,
    )


def rating_html(expert: ExpertDetail) -> Markup:
    """Stars and number, for eyes and for ears."""
    if expert.rating is None:
        return Markup("<span>New here, no ratings yet</span>")
    return _STARS.format(percent=20 * expert.rating, rating=f"{expert.rating:.2f}", count=f"{expert.rating_count:,}")
