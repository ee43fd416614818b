"""Adds the nonce of the Content-Security-Policy to the inline scripts of NiceGUI's page template."""

from typing import Final

from jinja2 import DictLoader
from nicegui.client import templates

_PAGE: Final = "index.html"
_SET_NONCE: Final = "{% set csp_nonce = request.scope.csp_nonce %}"
_SCRIPT: Final = '<script nonce="{{ csp_nonce }}"'


def add_to_template() -> None:
    """Add the nonce to the scripts of NiceGUI's own template, and no others.

    Only the source of the template is changed, before anything is inserted into it, so text written by people cannot
    get the nonce. http_security.py sets `request.scope["csp_nonce"]`, a new one for each request.
    """
    loader = templates.env.loader
    assert loader is not None
    text, _, _ = loader.get_source(templates.env, _PAGE)
    if not text.startswith(_SET_NONCE):
        templates.env.loader = DictLoader({_PAGE: _SET_NONCE + text.replace("<script", _SCRIPT)})
