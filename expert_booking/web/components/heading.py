"""Headings of sections and dialogs, which name them."""

from markupsafe import escape

from expert_booking.web.components.raw_html import RawHtml, plain_json


def heading(text: str, name: str) -> None:
    """Add a second-level heading. `name` is its id, for `aria-labelledby`."""
    RawHtml(plain_json(escape(text)), "h2").props(f'id="{name}"')
