"""Render an email as plain text and as HTML, with the same wording, for light and dark colour schemes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

_PARAGRAPH_BREAK: Final = "\n\n"


@dataclass(frozen=True, slots=True)
class Fact:
    """A labelled detail of a booking, such as its time or the customer's address. `link` is a URL or empty."""

    name: str
    lines: Sequence[str]
    link: str = ""
    # Struck through in HTML. Plain text cannot show that, so the label or the heading must say it, too.
    struck_out: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """A link with its text."""

    text: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailContent:
    """The content of an email, from top to bottom."""

    subject: str
    heading: str
    # Shown behind the subject in the list of an email program.
    preview: str
    lead: Sequence[str]
    facts: Sequence[Fact] = ()
    # A code for the reader to enter.
    code: str = ""
    button: Link
    below: Sequence[str] = ()
    links: Sequence[Link] = ()
    footer: Sequence[str]
    # Name and address of the site.
    site: Link
    # Where the site says how it handles data, and who runs it.
    legal: Sequence[Link] = ()


def as_text(content: EmailContent) -> str:
    """Render the content as plain text."""
    return _PARAGRAPH_BREAK.join(_paragraphs(content)) + "\n"


def _paragraphs(content: EmailContent) -> Iterator[str]:
    yield content.heading
    yield from content.lead
    for fact in content.facts:
        yield "\n".join([fact.name, *(f"  {line}".rstrip() for line in fact.lines)])
    if content.code:
        yield content.code
    yield f"{content.button.text}:\n{content.button.url}"
    yield from content.below
    for link in content.links:
        yield f"{link.text}:\n{link.url}"
    yield "-- "
    yield from content.footer
    yield "\n".join([content.site.text, content.site.url, *(f"{link.text}:\n{link.url}" for link in content.legal)])


# Same look as the pages (web/assets/style.css). The light scheme is inline, for programs that drop style elements.
_FONT: Final = Markup("font-family:Inter,-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif;")
_ANYWHERE: Final = "overflow-wrap:anywhere;word-wrap:break-word;word-break:break-word;"
_PAGE: Final = Markup("""\
<!DOCTYPE html>
<html lang="en" dir="ltr">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="supported-color-schemes" content="light dark">
<meta name="format-detection" content="telephone=no, date=no, address=no, email=no">
<title>{subject}</title>
<style>
:root {{ color-scheme: light dark; supported-color-schemes: light dark; }}
a {{ color: #0d6e63; }}
@media (max-width: 480px) {{ .card {{ padding: 24px 20px !important; }} .around {{ padding: 16px 10px !important; }} }}
@media (prefers-color-scheme: dark) {{
  .paper {{ background: #111615 !important; }}
  .card {{ background: #1a211f !important; border-color: #2e3936 !important; }}
  .ink {{ color: #ecf1ee !important; }}
  .soft {{ color: #a8b4ae !important; }}
  .line {{ border-color: #2e3936 !important; }}
  .brand, a {{ color: #5fd6c2 !important; }}
  .sunken {{ background: #222b28 !important; }}
  .fill {{ background: #5fd6c2 !important; }}
  .on-fill {{ color: #06231f !important; }}
}}
</style>
</head>
<body class="paper" style="margin:0;padding:0;background:#f7f5f1;{font}">
<div style="display:none;max-height:0;overflow:hidden;mso-hide:all" aria-hidden="true">{preview}{padding}</div>
<table role="presentation" class="paper" width="100%" cellpadding="0" cellspacing="0" border="0" \
style="background:#f7f5f1"><tr><td class="around" align="center" style="padding:32px 16px">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0" \
style="max-width:560px;table-layout:fixed">
<tr><td class="card" align="left" style="background:#ffffff;border:1px solid #e0dcd3;border-radius:18px;\
padding:36px 40px;{font}{anywhere}">
<h1 class="ink" style="margin:0 0 16px;font-size:24px;line-height:1.25;font-weight:700;color:#1c2421">{heading}</h1>
{lead}{facts}{code}{button}{below}{links}</td></tr>
<tr><td class="around" align="left" style="padding:20px 24px;{font}{anywhere}">{footer}</td></tr>
</table>
</td></tr></table>
</body>
</html>
""")
_LEAD: Final = Markup('<p class="ink" style="margin:0 0 12px;font-size:16px;line-height:1.55;color:#1c2421">{}</p>\n')
_BELOW: Final = Markup('<p class="soft" style="margin:12px 0 0;font-size:14px;line-height:1.55;color:#57605b">{}</p>\n')
_FOOTER: Final = Markup('<p class="soft" style="margin:0 0 8px;font-size:13px;line-height:1.5;color:#57605b">{}</p>\n')
_FACTS: Final = Markup("""\
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0" \
style="margin:20px 0 0;table-layout:fixed">
{}</table>
""")
_FACT: Final = Markup("""\
<tr><td class="line" style="padding:12px 0;border-top:1px solid #e0dcd3;{font}{anywhere}">
<div class="soft" style="font-size:13px;line-height:1.4;color:#57605b">{name}</div>
<div class="{css_class}" style="margin-top:2px;font-size:16px;line-height:1.5;{style}">{value}</div></td></tr>
""")
_CODE: Final = Markup("""\
<table role="presentation" cellpadding="0" cellspacing="0" border="0" style="margin:16px 0 0"><tr>\
<td class="sunken ink" style="background:#efece6;border-radius:12px;padding:14px 22px;color:#1c2421;\
font:700 32px/1.2 ui-monospace,Menlo,Consolas,monospace;letter-spacing:3px;white-space:nowrap">\
{first}<span style="margin-left:12px">{second}</span></td></tr></table>
""")
# The cell has the button's background, too, for email programs that ignore the padding of links.
_BUTTON: Final = Markup("""\
<table role="presentation" cellpadding="0" cellspacing="0" border="0" style="margin:24px 0 8px"><tr>\
<td class="fill" align="center" style="background:#0d6e63;border-radius:999px">\
<a class="on-fill" href="{url}" style="display:inline-block;padding:13px 26px;font-size:16px;line-height:1.3;\
font-weight:600;color:#ffffff;text-decoration:none;{font}">{text}</a></td></tr></table>
""")
_LINK: Final = Markup('<a class="brand" href="{url}" style="color:#0d6e63">{text}</a>')
# Keeps the text of the email itself out of the preview.
_PREVIEW_PADDING: Final = Markup("&#847;&zwnj;&nbsp;") * 60


def as_html(content: EmailContent) -> str:
    """Render the content as HTML. All text is escaped."""
    return _PAGE.format(
        subject=content.subject,
        preview=content.preview,
        padding=_PREVIEW_PADDING,
        heading=content.heading,
        lead=_each(_LEAD, content.lead),
        facts=_FACTS.format(Markup().join(map(_fact, content.facts))) if content.facts else "",
        code=_code(content.code) if content.code else "",
        button=_BUTTON.format(url=content.button.url, text=content.button.text, font=_FONT),
        below=_each(_BELOW, content.below),
        links=_each(_BELOW, map(_link, content.links)),
        footer=_each(_FOOTER, [*content.footer, Markup(" &nbsp; ").join(map(_link, [content.site, *content.legal]))]),
        font=_FONT,
        anywhere=_ANYWHERE,
    )


def _code(code: str) -> Markup:
    half = len(code) // 2
    return _CODE.format(first=code[:half], second=code[half:])


def _each(template: Markup, texts: "Iterator[Markup] | Sequence[str]") -> Markup:
    return Markup().join(template.format(text) for text in texts)


def _fact(fact: Fact) -> Markup:
    value = Markup("<br>\n").join(fact.lines)
    if fact.link:
        value = _LINK.format(url=fact.link, text=value)
    css_class, style = ("ink", "color:#1c2421")
    if fact.struck_out:
        css_class, style = ("soft", "color:#57605b;text-decoration:line-through")
    return _FACT.format(name=fact.name, value=value, css_class=css_class, style=style, font=_FONT, anywhere=_ANYWHERE)


def _link(link: Link) -> Markup:
    return _LINK.format(url=link.url, text=link.text)
