"""The cookies of the site: their names and lifetimes, and what `/privacy` says about them."""

from collections.abc import Sequence
from typing import Final, NamedTuple

YEAR: Final = 365 * 24 * 60 * 60
ZONE: Final = "zone"
BROWSER_ZONE: Final = "browser_zone"
MAILBOX: Final = "eb_mailbox"
# Tells every page that this browser has opened the mailbox before. It does not grant access to it.
MAILBOX_MARK: Final = "eb_mailbox_here"
# Set by assets/page.js.
_THEME: Final = "theme"
# Set by nginx, if it is configured as in `deploy/`.
_ROUTE: Final = "eb_route"


class Cookie(NamedTuple):
    """A cookie, what it is for, and its lifetime in seconds (None: until the browser is closed)."""

    name: str
    purpose: str
    seconds: int | None = YEAR


def browser_cookie(*, https: bool) -> str:
    """The name of the signed cookie that identifies a browser.

    With the prefix, browsers accept the cookie only from this host over https: neither another site of the same domain
    nor an attacker on an unencrypted network can replace it.
    """
    return "__Host-eb_browser" if https else "eb_browser"


def all_cookies(*, https: bool, mailbox: bool) -> Sequence[Cookie]:
    """All cookies that this site sets."""
    cookies = [
        Cookie(
            browser_cookie(https=https),
            "Recognizes this browser, so that it shows the bookings made in it and stays signed in.",
        ),
        Cookie(BROWSER_ZONE, "The time zone of your device, to show times in it."),
        Cookie(ZONE, "The time zone you have chosen, if you have."),
        Cookie(_THEME, "Light or dark colours, if you have switched them."),
        Cookie(_ROUTE, "Keeps your pages on the same server. Only set if the site runs on several.", None),
    ]
    if mailbox:
        cookies += [
            Cookie(MAILBOX, "Opens the mailbox of this demo."),
            Cookie(MAILBOX_MARK, "Shows the link to the mailbox of this demo."),
        ]
    return cookies
