"""Draws a portrait from a key. The same key always gives the same picture.

All portraits share one head (x 53 to 107, y 32 to 104 of 160), so that any hair fits any face. The key only selects parts; it
is never written into the picture.
"""

from collections.abc import Sequence
from hashlib import sha256
from itertools import chain, repeat
from typing import NamedTuple, TypeVar

from expert_booking.web.portraits.clothes import GARMENTS, SHOULDERS, Garment
from expert_booking.web.portraits.colors import (
    BACKDROPS,
    CLOTHS,
    COILY_SKINS,
    SCARVES,
    SKINS,
    Backdrop,
    Cloth,
    Hair,
    Skin,
)
from expert_booking.web.portraits.face import (
    BROWS,
    CHEEKS,
    CHIN_SHADOW,
    DARK_FRAMES,
    EARS,
    EYES,
    GLASSES,
    GLINTS,
    HEAD,
    LIGHT_FRAMES,
    NOSE,
    SMILES,
)
from expert_booking.web.portraits.hair import BEARDS, CLEAN_SHAVEN, CUTS, Beard, Cut
from expert_booking.web.portraits.svg import line, path

Choice = TypeVar("Choice")

# Another number gives all experts other portraits. This one suits the names of the demo catalogue.
EDITION = 228_059


def draw_portrait(key: str) -> str:
    """The SVG for this key. The prefix `f:` or `m:` selects a female or male look; other keys get a neutral one."""
    sitter = _sitter(key)
    layers = (
        _backdrop(sitter),
        path(sitter.cut.behind, sitter.crown.base if sitter.cut.coily else sitter.crown.deep),
        _clothes(sitter),
        path(sitter.cut.locks, sitter.crown.base),
        _head(sitter),
        _face(sitter),
        _beard(sitter),
        sitter.smile.format(lips=sitter.skin.lips),
        path(sitter.cut.front, sitter.crown.base, rule="evenodd" if sitter.cut.woven else "nonzero"),
        line(sitter.cut.strands, sitter.crown.shine, 1.8),
        line(sitter.glasses, sitter.frame, 2),
    )
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 160 160">{"".join(layers)}</svg>'


class _Sitter(NamedTuple):
    mark: str
    backdrop: Backdrop
    skin: Skin
    hair: Hair
    crown: Hair  # the colours on top of the head: hair, or the cloth around it
    cut: Cut
    beard: Beard
    smile: str
    cloth: Cloth
    garment: Garment
    glasses: str
    frame: str


def _sitter(key: str) -> _Sitter:
    look = key[0] if key.startswith(("f:", "m:")) else "n"
    skin = _pick(key, "skin", SKINS)
    hair = _pick(key, "hair", skin.hairs)
    cuts = [cut for cut in CUTS if look in cut.looks and (skin in COILY_SKINS or not cut.coily)]
    cut = _pick(key, "cut", cuts)
    scarf = _pick(key, "scarf", SCARVES)
    return _Sitter(
        mark=f"p{_hash(key, 'mark'):012x}",
        backdrop=_pick(key, "backdrop", BACKDROPS),
        skin=skin,
        hair=hair,
        crown=Hair(scarf.base, scarf.deep, scarf.deep) if cut.woven else hair,
        cut=cut,
        beard=_pick(key, "beard", BEARDS) if look == "m" else CLEAN_SHAVEN,
        smile=_pick(key, "smile", SMILES),
        cloth=_pick(key, "cloth", [cloth for cloth in CLOTHS if cloth != scarf]),
        garment=_pick(key, "garment", GARMENTS),
        glasses=_pick(key, "glasses", GLASSES),
        frame=_pick(key, "frame", DARK_FRAMES if skin in SKINS[:5] else LIGHT_FRAMES),
    )


def _pick(key: str, trait: str, choices: Sequence[Choice]) -> Choice:
    """Each trait has its own hash, so that adding a choice to one trait does not change the others."""
    weighted = list(chain.from_iterable(repeat(choice, getattr(choice, "weight", 1)) for choice in choices))
    return weighted[_hash(key, trait) % len(weighted)]


def _hash(key: str, trait: str) -> int:
    return int.from_bytes(sha256(f"{EDITION}/{trait}/{key}".encode(errors="backslashreplace")).digest()[:6])


def _backdrop(sitter: _Sitter) -> str:
    top, bottom, disc = sitter.backdrop
    return (
        f'<linearGradient id="{sitter.mark}" x2="0" y2="1"><stop stop-color="{top}"/>'
        f'<stop offset="1" stop-color="{bottom}"/></linearGradient>'
        f'<path d="M0 0H160V160H0Z" fill="url(#{sitter.mark})"/><circle cx="80" cy="84" r="60" fill="{disc}"/>'
    )


def _clothes(sitter: _Sitter) -> str:
    return path(SHOULDERS, sitter.cloth.base) + sitter.garment(sitter.cloth, sitter.skin)


def _head(sitter: _Sitter) -> str:
    ears = "" if sitter.cut.woven else path(EARS, sitter.skin.shade)
    return path(CHIN_SHADOW, sitter.skin.shade) + ears + path(HEAD, sitter.skin.base)


def _face(sitter: _Sitter) -> str:
    skin, hair = sitter.skin, sitter.hair
    return (
        path(CHEEKS, skin.blush, opacity=0.3)
        + path(EYES, "#2a2430")
        + path(GLINTS, "#fff")
        + line(BROWS, hair.deep, 2.6)
        + line(NOSE, skin.shade, 2.4)
    )


def _beard(sitter: _Sitter) -> str:
    return path(sitter.beard.path, sitter.hair.base, opacity=sitter.beard.opacity, rule="evenodd")
