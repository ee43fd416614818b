"""Markdown that experts write, as HTML that is safe in any page."""

from functools import lru_cache
from typing import Final

import nh3
from markdown_it import MarkdownIt
from markdown_it.rules_core import StateCore
from markupsafe import Markup

_TAGS: Final = {
    "a", "blockquote", "br", "code", "em", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "strong", "ul",
}  # fmt: skip
_SCHEMES: Final = {"http", "https", "mailto"}
# HTML is shown as text. Images are not shown: they would tell another site who reads the page. An indented or
# underlined paragraph stays one, so that plain texts look as they did.
_PARSER: Final = MarkdownIt("commonmark", {"html": False, "breaks": True}).disable(
    ["image", "code", "lheading", "html_block", "html_inline"]
)


def _below_the_title(state: StateCore) -> None:
    """Make headings one level lower, because a page has a first heading of its own."""
    for token in state.tokens:
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + 1, 6)}"


_PARSER.core.ruler.push("below_the_title", _below_the_title)


# Odd texts of 5,000 characters take up to 0.3 s, so a text is converted once.
@lru_cache(maxsize=512)
def markdown_html(text: str) -> Markup:
    """The HTML of a text in Markdown: paragraphs, headings, lists, quotes, links and emphasis."""
    return Markup(  # noqa: S704 - sanitised
        nh3.clean(
            _PARSER.render(text),
            tags=_TAGS,
            attributes={"a": {"href", "title"}, "ol": {"start"}},
            url_schemes=_SCHEMES,
            link_rel="nofollow noopener noreferrer",
        ).strip()
    )


def bio_html(bio: str) -> Markup:
    """Return a bio, which is Markdown. A single paragraph is one element with line breaks, as in a plain text."""
    html = str(markdown_html(bio))
    inside = html.removeprefix("<p>").removesuffix("</p>")
    if html and (html.count("<p>") > 1 or html != f"<p>{inside}</p>"):
        return Markup('<div class="bio own-text">{}</div>').format(markdown_html(bio))
    return Markup('<p class="bio">{}</p>').format(Markup(inside.replace("<br>\n", "\n")))  # noqa: S704 - sanitised
