"""`/not-booked/{key}` and `/reminders/{key}`: the links in the footer of emails about a booking.

Opening a link changes nothing, because mail scanners open links; its button does. The pages need no script and no
cookie, and a mail program can turn reminders off with a single POST (RFC 8058). The key in the path is the permission.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse
from markupsafe import Markup

from expert_booking.domain import formatting
from expert_booking.domain.email_schedule import WantedEmails
from expert_booking.domain.errors import EmailLinkNotValid
from expert_booking.domain.lifecycle import RESCHEDULABLE, status_text
from expert_booking.schemas import BookingView, NotBookedView
from expert_booking.services import Services
from expert_booking.web import layout
from expert_booking.web.request_body import body_of, field_of
from expert_booking.web.visitor import zone_named, zone_of

_SESSION: Final = Markup(
    """<p class="session"><b>{session}</b> with <b>{expert}</b><br>{day}, <span class="nowrap">{time}</span><br>
<span class="soft small">{zone}</span></p>"""
)
_NOT_BOOKED: Final = Markup(
    """<section class="panel sign-in" data-not-booked="open"><h1>Didn't book this?</h1>{session}
<p class="soft">This was booked with the address <b>{email}</b>, perhaps by someone who mistyped theirs.</p>
<p class="soft">If it wasn't you, use this button. {cancels} {stops}</p>
<form method="post" action="/not-booked/{key}"><button class="button" type="submit">{button}</button></form>
<p class="hint soft small">Is it your booking? Just close this page. Nothing has changed.</p></section>"""
)
_NOT_BOOKED_DONE: Final = Markup(
    """<section class="panel sign-in" data-not-booked="done"><h1>Done</h1>{session}
<p>{cancels} {stops}</p>
<p class="hint soft small">Was it yours after all? <a href="/sign-in">Sign in</a> with this address to get emails
again.</p></section>"""
)
_REMINDERS: Final = Markup(
    """<section class="panel sign-in" data-reminders="{state}"><h1>{title}</h1>{session}<p class="soft">{text}</p>{form}
</section>"""
)
_REMINDERS_FORM: Final = Markup(
    """<form method="post" action="/reminders/{key}"><input type="hidden" name="reminders" value="{value}">
<button class="button" type="submit">{button}</button></form>"""
)
_NOT_VALID: Final = Markup(
    """<section class="panel sign-in" data-refusal="email_link_not_valid"><h1>This link doesn't work</h1>
<p class="soft">{}</p><p class="hint soft small"><a href="/">Browse all experts</a></p></section>"""
)

Show = Callable[[Request, str], Awaitable[Response]]


def mount(web: FastAPI, services: Services) -> None:
    """Serve the pages."""
    choices = services.email_choices

    async def not_booked(request: Request, key: str) -> Response:
        return _not_booked_page(await choices.not_booked(key), key, request, services.clock())

    async def say_not_booked(request: Request, key: str) -> Response:
        return _not_booked_page(await choices.say_not_booked(key), key, request, services.clock())

    async def reminders(request: Request, key: str) -> Response:
        return _reminders_page(await choices.booking_of_reminders(key), key, request, services.clock())

    async def want_reminders(request: Request, key: str) -> Response:
        # Everything except our own button means "off": mail programs send List-Unsubscribe=One-Click.
        wanted = field_of(await body_of(request) or b"", "reminders") == "on"
        booking = await choices.want_reminders(key, wanted=wanted)
        return _reminders_page(booking, key, request, services.clock())

    for path, show, change in (
        ("/not-booked/{key}", not_booked, say_not_booked),
        ("/reminders/{key}", reminders, want_reminders),
    ):
        web.add_api_route(path, _endpoint(show), methods=["GET", "HEAD"])
        web.add_api_route(path, _endpoint(change), methods=["POST"])


def _endpoint(show: Show) -> Show:
    async def endpoint(request: Request, key: str) -> Response:
        try:
            return await show(request, key)
        except EmailLinkNotValid as refusal:
            return _page(request, "This link doesn't work", _NOT_VALID.format(refusal), 404)

    return endpoint


def _page(request: Request, title: str, content: Markup, status: int = 200) -> Response:
    return HTMLResponse(layout.plain(title, content, request), status, headers={"Cache-Control": "no-store"})


def _not_booked_page(view: NotBookedView, key: str, request: Request, now: datetime) -> Response:
    template = _NOT_BOOKED_DONE if view.done else _NOT_BOOKED
    content = template.format(
        session=_session(view.booking, request),
        email=view.booking.email,
        cancels=_cancels(view, now),
        stops=_stops(view),
        button="Cancel it and stop these emails" if view.may_cancel else "Stop these emails",
        key=key,
    )
    return _page(request, "Didn't book this?", content)


def _cancels(view: NotBookedView, now: datetime) -> str:
    booking = view.booking
    if view.may_cancel:
        return f"The booking will be cancelled, and {booking.expert_name} will be told."
    if view.outdated:
        return "This link is too old to cancel the booking: please use the link in the latest email about it."
    if booking.status in RESCHEDULABLE and booking.ends_at <= now:
        return "The session is already over."
    return f"The booking is {status_text(booking.status)}."


def _stops(view: NotBookedView) -> Markup:
    if view.proven:
        return Markup("You'll get no more emails about this booking.")
    whose = Markup("<b>{}</b>").format(view.booking.email) if view.done else "This address"
    return Markup("{} gets no more emails about bookings until someone signs in with it.").format(whose)


def _reminders_page(booking: BookingView, key: str, request: Request, now: datetime) -> Response:
    on = booking.wanted_emails is WantedEmails.ALL
    button = "Turn reminders off" if on else "Turn reminders on"
    form = _REMINDERS_FORM.format(key=key, value="off" if on else "on", button=button)
    over = booking.status not in RESCHEDULABLE or booking.starts_at <= now
    title, text = ("Reminders are on", "We'll email you before this session.")
    if over:
        title, text = ("No more reminders", "There are none left for this booking.")
    elif booking.wanted_emails is WantedEmails.NONE:
        title, text = ("No more emails", "We've been asked to send no emails about this booking.")
    elif not on:
        title, text = (
            "Reminders are off",
            "We won't remind you of this session. You'll still get emails about changes.",
        )
    content = _REMINDERS.format(
        state=booking.wanted_emails.value,
        title=title,
        session=_session(booking, request),
        text=text,
        form="" if over or booking.wanted_emails is WantedEmails.NONE else form,
    )
    return _page(request, "Reminders", content)


def _session(booking: BookingView, request: Request) -> Markup:
    zone = zone_of(request) or zone_named(booking.time_zone) or ZoneInfo(booking.expert_time_zone)
    return _SESSION.format(
        session=booking.session_title,
        expert=booking.expert_name,
        day=formatting.long_day(booking.starts_at, zone),
        time=formatting.time_span(booking.starts_at, booking.ends_at, zone),
        zone=formatting.zone_at(zone, booking.starts_at),
    )
