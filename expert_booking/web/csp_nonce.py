"""Gives the inline scripts of NiceGUI's page the nonce that the Content-Security-Policy allows."""

from typing import Final

from jinja2 import DictLoader
from nicegui.client import templates

_PAGE: Final = "index.html"
_NONCE: Final = '<script nonce="{{ request.scope.csp_nonce }}"'


def add_to_template() -> None:
    """Mark the scripts of NiceGUI's own template, and no others.

    Only the template's text is changed, before anything is inserted into it, so nothing that people wrote can get the
    nonce. `request.scope["csp_nonce"]` is set by http_security.py, anew for each request.
    """
    loader = templates.env.loader
    assert loader is not None
    text, _, _ = loader.get_source(templates.env, _PAGE)
    if _NONCE not in text:
        templates.env.loader = DictLoader({_PAGE: text.replace("<script", _NONCE)})
