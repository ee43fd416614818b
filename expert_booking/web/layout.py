"""The frame of every page: head, header, navigation and footer. Colours, sizes and shapes are in assets/style.css."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

from fastapi import Request
from markupsafe import Markup
from nicegui import ui
from nicegui.element import Element
from nicegui.events import GenericEventArguments

from expert_booking.web import cookies
from expert_booking.web.components.raw_html import RawHtml, plain_json
from expert_booking.web.visitor import is_here, is_host, zone_named, zone_of

ASSETS: Final = Path(__file__).parent / "assets"
# The URL of an asset changes with its content, so browsers may cache it permanently.
VERSION: Final = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(ASSETS.iterdir()))).hexdigest()[:12]
ASSETS_URL: Final = f"/assets/{VERSION}"
NAME: Final = "Expert Booking"
# URLs with their texts.
Links = tuple[tuple[str, str], ...]

_HEAD: Final = Markup(
    """<meta name="description" content="{description}">
<meta name="theme-color" content="#0d6e63">
<link rel="preload" href="{assets}/inter-latin.woff2" as="font" type="font/woff2" crossorigin>
<link rel="stylesheet" href="{assets}/style.css">
<script src="{assets}/page.js" data-zone="{zone}"></script>"""
)
_TOP: Final = Markup(
    """<header class="top"><a class="skip" href="#main">Skip to content</a><div class="top-row">
<a class="brand" href="/"><img src="/favicon.svg" alt="" width="30" height="30">{name}</a>
<nav aria-label="Main">{links}</nav>
<label class="zone"><span class="sr-only">Time zone</span>
<svg width="15" height="15" viewBox="0 0 16 16" fill="none" stroke="currentColor" stroke-width="1.5" aria-hidden="true">
<circle cx="8" cy="8" r="6.5"/><path d="M8 4v4l2.500 1.800" stroke-linecap="round"/></svg>
<select id="zone" aria-label="Time zone"><option>{zone}</option></select></label>
<button id="theme" class="icon-button" type="button" aria-label="Switch between light and dark">
<svg class="sun" width="17" height="17" viewBox="0 0 18 18" fill="none" stroke="currentColor" stroke-width="1.700"
 stroke-linecap="round" aria-hidden="true"><circle cx="9" cy="9" r="3.300"/>
<path d="M9 1.500v1.700M9 14.800v1.700M1.500 9h1.700M14.800 9h1.700
M3.700 3.700l1.200 1.200M13.100 13.100l1.200 1.200M3.700 14.300l1.200-1.200M13.100 4.900l1.200-1.200"/></svg>
<svg class="moon" width="17" height="17" viewBox="0 0 18 18" fill="none" stroke="currentColor" stroke-width="1.700"
 stroke-linejoin="round" aria-hidden="true">
<path d="M15.500 10.800A6.800 6.800 0 0 1 7.200 2.500a6.800 6.800 0 1 0 8.300 8.300Z"/></svg>
</button></div></header>"""
)
_FOOT: Final = Markup(
    """<footer class="foot"><span>{name}: book an expert's time in under a minute, without an account.</span>
{mailbox}{links}<a href="/docs">REST API</a><a href="/healthz">Status</a></footer>"""
)
_MAILBOX: Final = Markup('<a href="/mailbox">Mailbox (demo)</a>')
_PLAIN: Final = Markup(
    """<!doctype html>
<html lang="en" class="plain"><head><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><meta name="robots" content="noindex">
<link rel="icon" href="/favicon.svg">{head}</head>
<body>{top}<main class="page narrow" id="main" tabindex="-1">{content}</main>{foot}</body></html>"""
)
_LINKS: Final = (("/", "Experts"), ("/my-bookings", "My bookings"))
_HOST_LINKS: Final = (*_LINKS, ("/console", "Console"))


class _Page(Element, default_classes="page", default_props='id=main tabindex="-1"'):
    """The content between header and footer. Not a <main>: NiceGUI's layout has one, and a page may have only one."""


class _Narrow(_Page, default_classes="narrow"):
    """The same, as narrow as a column of text."""


class _Wide(_Page, default_classes="wide"):
    """The same over the whole width of the window."""


@contextmanager
def frame(
    title: str,
    *,
    description: str = "Browse experts, see their free times live, and book one in under a minute without an account.",
    here: str = "",
    narrow: bool = False,
    wide: bool = False,
    on_zone: Callable[[ZoneInfo], Any] | None = None,
) -> Iterator[None]:
    """Draw a page between header and footer.

    `on_zone` is called if the visitor's time zone differs from the one the page was drawn for.
    """
    client = ui.context.client
    zone = zone_of(client.request)
    key = zone.key if zone else ""
    ui.page_title(f"{title} · {NAME}" if title else NAME)
    # As str: a Markup would escape the page that NiceGUI builds around it.
    ui.add_head_html(str(_head(description, key)))
    ui.add_body_html(str(_top(here, key, is_host(client.request))))
    if on_zone is not None:

        def changed(event: GenericEventArguments) -> Any:
            new = zone_named(event.args)
            return on_zone(new) if new is not None else None

        ui.on("zone", changed)
    with _Narrow() if narrow else _Wide() if wide else _Page():
        yield
    RawHtml(_encoded_foot(_has_mailbox_link(client.request), _footer_links(client.request)))


def plain(title: str, content: Markup, request: Request) -> str:
    """Return a whole page of HTML that needs no script, between the same header and footer."""
    return str(
        _PLAIN.format(
            title=f"{title} · {NAME}",
            head=_head(NAME, ""),
            top=_top("", "", False),
            content=content,
            foot=_foot(False, _footer_links(request)),
        )
    )


def html(content: Markup, tag: str = "div") -> RawHtml:
    """Add trusted HTML to the page. Text that people have written must be escaped before, by `Markup.format`."""
    return RawHtml(plain_json(content), tag)


def _has_mailbox_link(request: Request) -> bool:
    # The site sets the state of its applications; the cookie may be older than the site's mail server.
    site_has_mailbox = getattr(request.app.state, "has_mailbox", False)
    return site_has_mailbox and cookies.MAILBOX_MARK in request.cookies and is_here(request)


def _footer_links(request: Request) -> Links:
    links: Links = getattr(request.app.state, "footer_links", ())
    return links


@lru_cache(maxsize=1024)
def _head(description: str, zone: str) -> Markup:
    return _HEAD.format(assets=ASSETS_URL, description=description, zone=zone)


@lru_cache(maxsize=1024)
def _top(here: str, zone: str, host: bool) -> Markup:
    return _TOP.format(name=NAME, links=_links(here, _HOST_LINKS if host else _LINKS), zone=zone.replace("_", " "))


@cache
def _encoded_foot(mailbox: bool, links: Links) -> str:
    return plain_json(_foot(mailbox, links))


def _foot(mailbox: bool, links: Links) -> Markup:
    link = Markup('<a href="{}">{}</a>')
    shown = Markup("").join(link.format(url, text) for url, text in links)
    return _FOOT.format(name=NAME, mailbox=_MAILBOX if mailbox else "", links=shown)


def _links(here: str, links: Links) -> Markup:
    link = Markup('<a href="{}"{}>{}</a>')
    current = Markup(' aria-current="page"')
    return Markup("").join(link.format(url, current if url == here else "", title) for url, title in links)
