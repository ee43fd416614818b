"""`/privacy`: what the site stores, for how long, and which cookies it sets, from the settings in force."""

import re
from collections.abc import Sequence
from typing import Final

from markupsafe import Markup
from nicegui import ui

from expert_booking.domain.site import Site
from expert_booking.schemas import StoragePeriods
from expert_booking.services import Services
from expert_booking.web import layout, page_route
from expert_booking.web.cookies import YEAR, Cookie

_INTRODUCTION: Final = Markup(
    """<h1>Privacy</h1><p class="lead">To book a session, this site stores what you type into the form and little else.
There is no advertising and no tracking, and pages load nothing from other sites.</p>"""
)
_FACTS: Final = Markup("""<section class="panel"><h2>{title}</h2>{text}<dl class="stored">{facts}</dl></section>""")
_FACT: Final = Markup("<div><dt>{}</dt><dd>{}</dd><dd class=until>{}</dd></div>")
_COOKIE: Final = Markup(
    '<div data-cookie="{name}"><dt><code>{name}</code></dt><dd>{purpose}</dd><dd class=until>{life}</dd></div>'
)
_PARAGRAPH: Final = Markup('<p class="soft">{}</p>')
_RIGHTS: Final = Markup(
    """<section class="panel"><h2>Your rights</h2>
<p class="soft">Under <a href="/my-bookings">My bookings</a>, after you have signed in with your email address, you can
download everything stored about it, or delete it. The people who run this site can do the same for you.</p>
{links}</section>"""
)
_HEADING: Final = re.compile(r"^(?=#{1,5}\s)", re.MULTILINE)


def mount(services: Services, cookies: Sequence[Cookie], *, own_text: str) -> None:
    """Serve the page. `own_text` is the operator's, in Markdown."""
    # Its headings become one level lower, because the page has a first heading of its own. HTML is shown as text.
    markdown = _HEADING.sub("#", own_text.replace("<", "&lt;"))
    facts = _stored(services.customers.periods(), services.site) + _cookies(cookies) + _rights(services.site)

    @page_route.page("/privacy")
    async def privacy() -> None:
        with layout.frame("Privacy", narrow=True, description="What this site stores, and how long."):
            layout.html(_INTRODUCTION)
            if markdown:
                ui.markdown(markdown).classes("panel own-text")
            layout.html(facts).classes("privacy")


def _stored(periods: StoragePeriods, site: Site) -> Markup:
    bookings = "Until you delete them"
    if periods.bookings is not None:
        bookings = f"{_days(periods.bookings)} after the session. Then only its time and status remain"
    facts = [
        ("Your bookings", "Name, email address, phone number, notes, answers, the place you named and time zone, with "
         "the time, status and history. Only the expert you book with and the people who run this site can see them.",
         bookings),
        ("Times on hold", "The time you are about to book, with an identifier of your browser.", _days(periods.holds)),
        ("Sign-ins", "That you have proven your email address.", _days(periods.proofs)),
        ("Requests for sign-in emails", "Address, browser and network, to limit their number.",
         _days(periods.access_requests)),
        ("Calendar address", "If you subscribe to your bookings.", "Until you turn it off"),
        ("Your network", "A keyed hash of your IP address, to limit requests. The address itself is not stored.",
         "At most a day; with a booking, until the session begins"),
        ("Requests by programs", "Encrypted responses, so that a repeated request is not carried out twice.",
         _days(periods.responses)),
    ]  # fmt: skip
    if site.sends_email:
        facts[2:2] = [
            ("Emails", "Which email was sent when, and whether it arrived.", _days(periods.emails)),
            ("Your email address", "Whether it is confirmed, does not accept emails, or asked for none.",
             "While it is in use"),
        ]  # fmt: skip
    text = _PARAGRAPH.format(
        "The server's log contains no names or addresses. Backups contain the same data until they are deleted."
    )
    shown = Markup("").join(_FACT.format(*fact) for fact in facts)
    return _FACTS.format(title="What is stored, and how long", text=text, facts=shown)


def _cookies(cookies: Sequence[Cookie]) -> Markup:
    text = _PARAGRAPH.format(
        "All of them are needed for what you do here. None is shared with other sites. What you type into a form also "
        "stays in the tab until you book or close it, so that a reload does not lose it."
    )
    shown = Markup("").join(
        _COOKIE.format(name=cookie.name, purpose=cookie.purpose, life=_life(cookie)) for cookie in cookies
    )
    return _FACTS.format(title="Cookies", text=text, facts=shown)


def _rights(site: Site) -> Markup:
    link = Markup('<p><a href="{}">{}</a></p>')
    links = [(site.imprint_url, "Who runs this site (imprint)"), (site.terms_url, "Terms")]
    return _RIGHTS.format(links=Markup("").join(link.format(url, text) for url, text in links if url))


def _days(days: float) -> str:
    hours = round(24 * days)
    if hours <= 24:
        return f"{hours} hours"
    return f"{days:g} days"


def _life(cookie: Cookie) -> str:
    if cookie.seconds is None:
        return "Until you close the browser"
    return "1 year" if cookie.seconds == YEAR else _days(cookie.seconds / 86_400)
