"""Whose bookings these are, and the ways out."""

from typing import Final

from markupsafe import Markup

# Plain forms: their answers end the cookie. What signing out everywhere does is said before it is done.
_SIGNED_IN: Final = Markup(
    """<section class="panel signed-in" aria-label="Signed in" data-signed-in>
<p>Signed in as <b class="address">{email}</b></p>
<div class="ways-out"><form method="post" action="/sign-out">
<button class="button quiet" type="submit">Sign out</button></form>
<details><summary class="button quiet">Sign out everywhere</summary>
<form method="post" action="/sign-out"><input type="hidden" name="everywhere" value="1">
<p>This ends it in every browser and for every program that reads these bookings. All links that we have mailed
stop working, too: those to sign in, and those to single bookings.</p>
<button class="button danger" type="submit">Yes, sign out everywhere</button></form></details></div></section>"""
)


def signed_in(email: str) -> Markup:
    """The address that was proven, and signing out, here or everywhere."""
    return _SIGNED_IN.format(email=email)
