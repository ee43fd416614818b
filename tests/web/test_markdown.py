"""Markdown of experts: what it may contain, and that nothing in it runs or calls another site."""

import re
from time import perf_counter

import pytest
from markupsafe import escape

from expert_booking.web.markdown import bio_html, markdown_html

# The tags and attributes that a page may get from a text.
HARMLESS = re.compile(
    r"</?(?:p|br|em|strong|code|pre|ul|li|h[2-6]|hr|blockquote|ol(?: start=\"\d+\")?|"
    r"a(?: (?:href=\"(?:https?://|mailto:|/|#)[^\"<>]*\"|title=\"[^\"<>]*\"|rel=\"nofollow noopener noreferrer\"))*)>"
)
ATTACKS = [
    "<script>alert(1)</script>",
    "<SCRIPT SRC=//evil.example/x.js></SCRIPT>",
    '<img src="x" onerror="alert(1)">',
    '<a href="javascript:alert(1)" onclick="alert(1)">x</a>',
    "<svg/onload=alert(1)>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<style>*{background:url(//evil.example)}</style>",
    "<math><mtext></mtext><mglyph><style><img src=x onerror=alert(1)>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](java&#115;cript:alert(1))",
    "[x](javascript&colon;alert(1))",
    "[x](\x01javascript:alert(1))",
    "[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "[x](vbscript:x)",
    "<javascript:alert(1)>",
    "[x]: javascript:alert(1)\n\n[x]",
    '[x](https://ok.example "\\" onmouseover=alert(1) \\"")',
    '[x](https://ok.example/"onmouseover="alert(1))',
    "![x](https://evil.example/pixel.png)",
    "![x](javascript:alert(1))",
    "![x][y]\n\n[y]: https://evil.example/pixel.png",
    "`<img src=x onerror=alert(1)>`",
    "```\n</code></pre><script>alert(1)</script>\n```",
    '```"><script>alert(1)</script>\nx\n```',
    "# <b onmouseover=alert(1)>x</b>",
    "- {{ 7*7 }} ${7*7}",
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_runs_and_nothing_is_loaded(attack: str) -> None:
    html = str(markdown_html(attack))
    assert "<" not in HARMLESS.sub("", html), html
    assert "<img" not in html


def test_what_experts_write_is_shown() -> None:
    html = markdown_html(
        "# Me\n\n**Ten** *years*\n\n- a\n- b\n\n3. c\n\n> quote\n\n[site](https://example.com/?a=1&b=2)"
    )
    for part in (
        "<h2>Me</h2>", "<strong>Ten</strong>", "<em>years</em>", "<li>a</li>", '<ol start="3">', "<blockquote>",
        '<a href="https://example.com/?a=1&amp;b=2" rel="nofollow noopener noreferrer">site</a>',
    ):  # fmt: skip
        assert part in html


@pytest.mark.parametrize(
    "text", ["", "I coach.", "I coach.\nSince 2010.", "R&D, 5 < 6 & more", "snake_case, 2 * 3, #1", "    indented"]
)
def test_a_plain_paragraph_looks_as_before(text: str) -> None:
    assert bio_html(text) == f'<p class="bio">{escape(text.strip())}</p>'


def test_several_paragraphs_are_paragraphs() -> None:
    assert bio_html("One.\n\nTwo.") == '<div class="bio own-text"><p>One.</p>\n<p>Two.</p></div>'


@pytest.mark.parametrize("odd", ["[", "[a](", "![", "*a **a ", "`", "> ", "- ", "<", "&#0;", "_a", "a\n", "[a](<b"])
def test_odd_texts_take_no_time(odd: str) -> None:
    started = perf_counter()
    markdown_html((odd * 5000)[:5000])
    assert perf_counter() - started < 3
