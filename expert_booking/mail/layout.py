"""How letters look: one letter, as plain text and as HTML with the same words, in light and in dark."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

_GAP: Final = "\n\n"


@dataclass(frozen=True, slots=True)
class Fact:
    """Something about a booking, in one or several lines. `link`: where a click on it leads."""

    name: str
    lines: Sequence[str]
    link: str = ""
    # What is over: struck through where that can be shown, and said in its name for everybody else.
    off: bool = False


@dataclass(frozen=True, slots=True)
class Link:
    """Words that lead somewhere."""

    words: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EmailContent:
    """What a letter says, from top to bottom."""

    subject: str
    heading: str
    # What a list of mails shows behind the subject.
    preview: str
    lead: Sequence[str]
    facts: Sequence[Fact] = ()
    # What is to be typed in.
    code: str = ""
    button: Link
    after: Sequence[str] = ()
    links: Sequence[Link] = ()
    foot: Sequence[str]
    # Whose letter it is.
    site: Link


def as_text(letter: EmailContent) -> str:
    """The letter for those who read plain text."""
    return _GAP.join(_paragraphs(letter)) + "\n"


def _paragraphs(letter: EmailContent) -> Iterator[str]:
    yield letter.heading
    yield from letter.lead
    for fact in letter.facts:
        yield "\n".join([fact.name, *(f"  {line}".rstrip() for line in fact.lines)])
    if letter.code:
        yield letter.code
    yield f"{letter.button.words}:\n{letter.button.url}"
    yield from letter.after
    for link in letter.links:
        yield f"{link.words}:\n{link.url}"
    yield "-- "
    yield from letter.foot
    yield f"{letter.site.words}\n{letter.site.url}"


# The look of the pages, see web/assets/style.css. Light stands in the elements, for programs that drop all styles.
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
<div style="display:none;max-height:0;overflow:hidden;mso-hide:all" aria-hidden="true">{preview}{room}</div>
<table role="presentation" class="paper" width="100%" cellpadding="0" cellspacing="0" border="0" \
style="background:#f7f5f1"><tr><td class="around" align="center" style="padding:32px 16px">
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0" \
style="max-width:560px;table-layout:fixed">
<tr><td class="card" align="left" style="background:#ffffff;border:1px solid #e0dcd3;border-radius:18px;\
padding:36px 40px;{font}{anywhere}">
<h1 class="ink" style="margin:0 0 16px;font-size:24px;line-height:1.25;font-weight:700;color:#1c2421">{heading}</h1>
{lead}{facts}{code}{button}{after}{links}</td></tr>
<tr><td class="around" align="left" style="padding:20px 24px;{font}{anywhere}">{foot}</td></tr>
</table>
</td></tr></table>
</body>
</html>
""")
_LEAD: Final = Markup('<p class="ink" style="margin:0 0 12px;font-size:16px;line-height:1.55;color:#1c2421">{}</p>\n')
_SOFT: Final = Markup('<p class="soft" style="margin:12px 0 0;font-size:14px;line-height:1.55;color:#57605b">{}</p>\n')
_FOOT: Final = Markup('<p class="soft" style="margin:0 0 8px;font-size:13px;line-height:1.5;color:#57605b">{}</p>\n')
_FACTS: Final = Markup("""\
<table role="presentation" width="100%" cellpadding="0" cellspacing="0" border="0" \
style="margin:20px 0 0;table-layout:fixed">
{}</table>
""")
_FACT: Final = Markup("""\
<tr><td class="line" style="padding:12px 0;border-top:1px solid #e0dcd3;{font}{anywhere}">
<div class="soft" style="font-size:13px;line-height:1.4;color:#57605b">{name}</div>
<div class="{tone}" style="margin-top:2px;font-size:16px;line-height:1.5;{look}">{value}</div></td></tr>
""")
_CODE: Final = Markup("""\
<table role="presentation" cellpadding="0" cellspacing="0" border="0" style="margin:16px 0 0"><tr>\
<td class="sunken ink" style="background:#efece6;border-radius:12px;padding:14px 22px;color:#1c2421;\
font:700 32px/1.2 ui-monospace,Menlo,Consolas,monospace;letter-spacing:3px;white-space:nowrap">\
{first}<span style="margin-left:12px">{second}</span></td></tr></table>
""")
# The border is of the same colour as the button: a larger place to tap in programs that ignore the padding of links.
_BUTTON: Final = Markup("""\
<table role="presentation" cellpadding="0" cellspacing="0" border="0" style="margin:24px 0 8px"><tr>\
<td class="fill" align="center" style="background:#0d6e63;border-radius:999px">\
<a class="on-fill" href="{url}" style="display:inline-block;padding:13px 26px;font-size:16px;line-height:1.3;\
font-weight:600;color:#ffffff;text-decoration:none;{font}">{words}</a></td></tr></table>
""")
_LINK: Final = Markup('<a class="brand" href="{url}" style="color:#0d6e63">{words}</a>')
# Keeps the words of the letter itself out of the preview.
_ROOM: Final = Markup("&#847;&zwnj;&nbsp;") * 60


def as_html(letter: EmailContent) -> str:
    """The letter for everybody else. What people typed is text and nothing else."""
    return _PAGE.format(
        subject=letter.subject,
        preview=letter.preview,
        room=_ROOM,
        heading=letter.heading,
        lead=_each(_LEAD, letter.lead),
        facts=_FACTS.format(Markup().join(map(_fact, letter.facts))) if letter.facts else "",
        code=_code(letter.code) if letter.code else "",
        button=_BUTTON.format(url=letter.button.url, words=letter.button.words, font=_FONT),
        after=_each(_SOFT, letter.after),
        links=_each(_SOFT, map(_link, letter.links)),
        foot=_each(_FOOT, [*letter.foot, _link(letter.site)]),
        font=_FONT,
        anywhere=_ANYWHERE,
    )


def _code(code: str) -> Markup:
    half = len(code) // 2
    return _CODE.format(first=code[:half], second=code[half:])


def _each(around: Markup, texts: "Iterator[Markup] | Sequence[str]") -> Markup:
    return Markup().join(around.format(text) for text in texts)


def _fact(fact: Fact) -> Markup:
    value = Markup("<br>\n").join(fact.lines)
    if fact.link:
        value = _LINK.format(url=fact.link, words=value)
    look = "color:#57605b;text-decoration:line-through" if fact.off else "color:#1c2421"
    return _FACT.format(
        name=fact.name, value=value, look=look, tone="soft" if fact.off else "ink", font=_FONT, anywhere=_ANYWHERE
    )


def _link(link: Link) -> Markup:
    return _LINK.format(url=link.url, words=link.words)
