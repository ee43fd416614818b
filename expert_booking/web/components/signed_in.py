"""Shows who has signed in, with buttons to sign out."""

from typing import Final

from markupsafe import Markup

# Plain forms, because their responses delete the cookie.
_SIGNED_IN: Final = Markup(
    """<section class="panel signed-in" aria-label="Signed in" data-signed-in>
<p>Signed in as <b class="address">{email}</b></p>
<div class="ways-out"><form method="post" action="/sign-out">
<button class="button quiet" type="submit">Sign out</button></form>
<details><summary class="button quiet">Sign out everywhere</summary>
<form method="post" action="/sign-out"><input type="hidden" name="everywhere" value="1">
<p>This signs you out of every browser and every program that reads these bookings. All links we have emailed you stop
working too, both for signing in and to single bookings.</p>
<button class="button danger" type="submit">Yes, sign out everywhere</button></form></details></div></section>"""
)


def signed_in(email: str) -> Markup:
    """Return the address and the forms to sign out, here or everywhere."""
    return _SIGNED_IN.format(email=email)
