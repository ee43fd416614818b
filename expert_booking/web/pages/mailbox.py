"""`/mailbox`: the emails of a site without a mail server, for browsers on this machine that have its full URL.

Behind a proxy on this machine every visitor looks local, so the URL contains a token, as Jupyter's does. It is printed
at start-up; a cookie remembers it.
"""

import re
from collections.abc import Callable
from datetime import datetime
from typing import Final, Literal
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import Depends, FastAPI, HTTPException, Request, Response
from fastapi.responses import RedirectResponse
from markupsafe import Markup
from nicegui import Client

from expert_booking.domain import formatting
from expert_booking.domain.errors import MailNotFound
from expert_booking.domain.formatting import UTC_ZONE
from expert_booking.domain.signed_keys import SignedKeys
from expert_booking.schemas import MailView, OpenedMail
from expert_booking.services.mailbox import Mailbox
from expert_booking.web import cookies, error_pages, layout, page_route
from expert_booking.web.live.throttle import Throttle
from expert_booking.web.visitor import is_here, zone_of

View = Literal["html", "text", "headers"]

_INTRODUCTION: Final = Markup(
    """<p class="note">Demo: emails that would have been sent. They stay on this machine. Set
<code>EXPERT_BOOKING_SMTP_URL</code> to send them through a mail server instead.</p>"""
)
_FILTER: Final = Markup(
    """<form class="mail-filter" action="/mailbox" role="search"><label class="sr-only" for="to">Recipient</label>
<input id="to" name="to" class="input" maxlength="254" value="{to}" placeholder="Recipient, such as ada@example.com"
 autocomplete="off" spellcheck="false"><button class="button quiet" type="submit">Filter</button>{all}</form>"""
)
_CLEAR_FILTER: Final = Markup('<a class="button quiet" href="/mailbox">All emails</a>')
_LIST: Final = Markup('<ul class="list mails" aria-label="Emails">{mails}</ul>')
_CARD: Final = Markup(
    """<li class="mail-card" data-mail="{id}"{kind}><b><a href="/mailbox/{id}">{subject}</a></b>
<span class="small soft">To {recipient} · <span class="nowrap">{at}</span></span>{chip}</li>"""
)
_CHIP: Final = Markup('<span class="chip">{}</span>')
_EMPTY: Final = Markup(
    """<div class="empty panel"><svg width="64" height="64" viewBox="0 0 64 64" fill="none" stroke="currentColor"
 stroke-width="3" stroke-linecap="round" stroke-linejoin="round" aria-hidden="true">
<rect x="8" y="14" width="48" height="36" rx="8"/><path d="m10 20 22 17 22-17"/></svg>
<h2>{title}</h2><p>{text}</p>{way_out}</div>"""
)
_TO_EXPERTS: Final = Markup('<a class="button" href="/">Find an expert</a>')
_HEAD: Final = Markup(
    """<a class="crumb" href="/mailbox">← Mailbox</a><h1 class="over">{subject}</h1>
<p class="soft">To {recipient}<br>{at}</p>
<div class="actions"><a class="button quiet" href="/mailbox/{id}/mail.eml" download>Download email</a>
{calendar}</div>
<nav class="mail-views" aria-label="Show as">{views}</nav>"""
)
_CALENDAR: Final = Markup('<a class="button quiet" href="/mailbox/{id}/invite.ics" download>Download calendar file</a>')
_VIEW: Final = Markup('<a href="/mailbox/{id}?view={view}"{current}>{label}</a>')
_FRAME: Final = Markup(
    """<iframe class="mail-frame" src="/mailbox/{id}/content" title="Preview of the email"
 sandbox="allow-popups allow-popups-to-escape-sandbox"></iframe>"""
)
_TEXT: Final = Markup('<pre class="mail-text panel" tabindex="0" aria-label="The email as plain text">{}</pre>')
_HEADERS: Final = Markup('<dl class="mail-headers panel">{}</dl>')
_HEADER: Final = Markup("<dt>{}</dt><dd>{}</dd>")
_VIEWS: Final[dict[View, str]] = {"html": "Preview", "text": "Plain text", "headers": "Headers"}
# Emails contain text that people have written: no scripts run, and nothing is loaded from elsewhere.
_CONTENT_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; form-action 'none'; "
    "frame-ancestors 'self'; sandbox allow-popups allow-popups-to-escape-sandbox",
    "Cache-Control": "no-store",
}
_NEW_TAB: Final = '<base target="_blank">'


def require_local(request: Request) -> None:
    """Raise 404 unless the browser runs on this machine."""
    if not is_here(request):
        raise HTTPException(404)


def mount(mailbox: Mailbox, clock: Callable[[], datetime], web: FastAPI, keys: SignedKeys) -> None:
    """Serve the list, each email and its attachments. `keys` signs the token in the URL."""

    def is_open(request: Request) -> bool:
        return keys.is_mailbox(request.cookies.get(cookies.MAILBOX, ""))

    def require_cookie(request: Request) -> None:
        if not is_open(request):
            raise HTTPException(404)

    @page_route.page("/mailbox", dependencies=[Depends(require_local)])
    async def mails(request: Request, client: Client, to: str = "", token: str = "") -> Response | None:
        if keys.is_mailbox(token):
            client.delete()
            return _remember_token(to, token)
        if not is_open(request):
            _show_closed()
            return None
        view = MailboxPage(mailbox, clock, client, to.strip()[:254], zone_of(request))
        await view.load()
        with layout.frame("Mailbox", narrow=True, on_zone=view.change_zone):
            view.draw()
        return None

    @page_route.page("/mailbox/{number}", dependencies=[Depends(require_local)])
    async def mail(number: str, request: Request, view: str = "") -> None:
        if not is_open(request):
            _show_closed()
            return
        try:
            opened = await _read_email(mailbox, number)
        except MailNotFound:
            error_pages.show_error("Email not found", "Only the latest emails are kept.", code=MailNotFound.code)
            return
        _draw_email(opened, view, zone_of(request))

    async def content(number: str) -> Response:
        return Response(
            _with_new_tab_links((await _read_or_404(mailbox, number)).html),
            media_type="text/html",
            headers=_CONTENT_HEADERS,
        )

    async def eml(number: str) -> Response:
        return _file((await _read_or_404(mailbox, number)).raw, "message/rfc822", f"mail-{number}.eml")

    async def ics(number: str) -> Response:
        calendar = (await _read_or_404(mailbox, number)).calendar
        if calendar is None:
            raise HTTPException(404)
        return _file(calendar, "text/calendar; charset=utf-8", "invite.ics")

    files: dict[str, Callable[..., object]] = {"content": content, "mail.eml": eml, "invite.ics": ics}
    for name, answer in files.items():
        allowed = [Depends(require_local), Depends(require_cookie)]
        web.add_api_route(f"/mailbox/{{number}}/{name}", answer, dependencies=allowed)


def _remember_token(to: str, token: str) -> Response:
    """Store the token in a cookie and redirect to the list without the token in the URL."""
    response = RedirectResponse(f"/mailbox?{urlencode({'to': to})}" if to else "/mailbox", 303)
    response.headers["Cache-Control"] = "no-store"
    response.set_cookie(cookies.MAILBOX, token, cookies.YEAR, path="/mailbox", httponly=True, samesite="lax")
    response.set_cookie(cookies.MAILBOX_MARK, "1", cookies.YEAR, httponly=True, samesite="lax")
    return response


def _show_closed() -> None:
    error_pages.show_error(
        "The mailbox is closed",
        "Open it with its full address, which Expert Booking printed at start-up. It ends with ?token=…",
        code="mailbox_closed",
    )


class MailboxPage:
    """The latest emails. The list updates while the page is open."""

    def __init__(
        self, mailbox: Mailbox, clock: Callable[[], datetime], client: Client, to: str, zone: ZoneInfo | None
    ) -> None:
        self._mailbox = mailbox
        self._clock = clock
        self._client = client
        self._to = to
        self._zone = zone or UTC_ZONE
        refresh = Throttle(self._read_and_show)
        client.on_delete(mailbox.subscribe(refresh))
        client.on_connect(refresh)

    async def load(self) -> None:
        """Read the emails."""
        self._mails = await self._mailbox.latest(self._to)

    def draw(self) -> None:
        """Draw the introduction, the filter and the emails."""
        layout.html(Markup("Mailbox"), tag="h1").classes("over")
        layout.html(_INTRODUCTION)
        layout.html(_FILTER.format(to=self._to, all=_CLEAR_FILTER if self._to else ""))
        self._list = layout.html(self._html())

    def change_zone(self, zone: ZoneInfo) -> None:
        """Show the times in another zone."""
        self._zone = zone
        self._list.show(self._html())

    async def _read_and_show(self) -> None:
        await self.load()
        if not self._client.is_deleted:
            self._list.show(self._html())

    def _html(self) -> Markup:
        if self._mails:
            return _LIST.format(mails=Markup("").join(self._card(mail) for mail in self._mails))
        if self._to:
            return _EMPTY.format(
                title="No emails to this address", text="New ones appear here automatically.", way_out=""
            )
        return _EMPTY.format(
            title="No emails yet",
            text="Book a time: the emails to you and the expert appear here.",
            way_out=_TO_EXPERTS,
        )

    def _card(self, mail: MailView) -> Markup:
        kind = mail.kind
        return _CARD.format(
            id=mail.id,
            kind=Markup(' data-kind="{}"').format(kind) if kind else "",
            chip=_CHIP.format(kind.replace("_", " ")) if kind else "",
            subject=mail.subject or "(no subject)",
            recipient=mail.recipient,
            at=formatting.near_time(mail.created_at, self._zone, self._clock()),
        )


def _draw_email(mail: OpenedMail, view: str, zone: ZoneInfo | None) -> None:
    offered = [key for key in _VIEWS if key != "html" or mail.html]
    chosen = next((key for key in offered if key == view), offered[0])
    views = Markup("").join(_view(mail.id, key, current=key == chosen) for key in offered)

    def head(zone: ZoneInfo) -> Markup:
        return _HEAD.format(
            id=mail.id,
            subject=mail.subject or "(no subject)",
            recipient=mail.recipient,
            at=formatting.moment(mail.created_at, zone),
            calendar=_CALENDAR.format(id=mail.id) if mail.calendar is not None else "",
            views=views,
        )

    with layout.frame(mail.subject or "Email", narrow=True, on_zone=lambda zone: top.show(head(zone))):
        top = layout.html(head(zone or UTC_ZONE))
        layout.html(_content(mail, chosen))


def _view(number: int, view: View, *, current: bool) -> Markup:
    return _VIEW.format(
        id=number, view=view, label=_VIEWS[view], current=Markup(' aria-current="page"') if current else ""
    )


def _content(mail: OpenedMail, view: View) -> Markup:
    if view == "html":
        return _FRAME.format(id=mail.id)
    if view == "text":
        return _TEXT.format(mail.text)
    return _HEADERS.format(Markup("").join(_HEADER.format(*header) for header in mail.headers))


async def _read_email(mailbox: Mailbox, number: str) -> OpenedMail:
    if not re.fullmatch(r"[0-9]{1,19}", number):
        raise MailNotFound
    return await mailbox.open(int(number))


async def _read_or_404(mailbox: Mailbox, number: str) -> OpenedMail:
    try:
        return await _read_email(mailbox, number)
    except MailNotFound as refusal:
        raise HTTPException(404) from refusal


def _with_new_tab_links(html: str) -> str:
    """Make the links of an HTML email open in a new tab."""
    framed, found = re.subn(r"<head[^>]*>", lambda head: head[0] + _NEW_TAB, html, count=1, flags=re.I)
    return framed if found else _NEW_TAB + html


def _file(content: bytes, kind: str, name: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return Response(content, media_type=kind, headers=headers)
