"""Draws a friendly face for everybody who has no photograph: the same key always gives the same picture.

All drawings share one head (x 53 to 107, y 32 to 104 of 160) so that any hair fits any face.
The key only chooses; it is never written into the picture.
"""

from collections.abc import Callable, Sequence
from hashlib import sha256
from itertools import chain, repeat
from typing import NamedTuple, TypeVar

Choice = TypeVar("Choice")

EDITION = 228_059  # with another number everybody gets another face; this one suits the names of the demo catalogue


class Backdrop(NamedTuple):
    """Two ends of a soft gradient, and the large disc that floats in it."""

    top: str
    bottom: str
    disc: str


class Hair(NamedTuple):
    base: str
    deep: str
    shine: str


class Skin(NamedTuple):
    base: str
    shade: str
    lips: str
    blush: str
    hairs: tuple[Hair, ...]


class Cloth(NamedTuple):
    base: str
    deep: str
    inner: str


class Cut(NamedTuple):
    """What is on a head, as path data: behind it, over the shoulders, in front, and fine lines on top."""

    looks: str
    behind: str = ""
    locks: str = ""
    front: str = ""
    strands: str = ""
    weight: int = 3
    woven: bool = False  # a scarf or turban: coloured like cloth, and the ears are under it
    coily: bool = False  # only for the darker half of the skins


class Beard(NamedTuple):
    path: str
    opacity: float = 1
    weight: int = 1


def _curls(*circles: tuple[float, float, float]) -> str:
    """Discs as path data, each x, y, radius."""
    return "".join(f"M{x - r:g} {y}a{r} {r} 0 1 1 {2 * r:g} 0a{r} {r} 0 1 1 {-2 * r:g} 0z" for x, y, r in circles)


BACKDROPS = (
    Backdrop("#dbe8f6", "#b4cdea", "#c9dcf1"),  # morning sky
    Backdrop("#dcefe6", "#aed6c3", "#c6e4d6"),  # mint
    Backdrop("#fbe6d8", "#f1c2a5", "#f7d5c0"),  # apricot
    Backdrop("#ece4f6", "#cbb8e6", "#dccff0"),  # lilac
    Backdrop("#fbeecb", "#f0d48c", "#f6e2ae"),  # straw
    Backdrop("#f9e0e4", "#eab3bf", "#f2cad2"),  # rose
    Backdrop("#d6eef0", "#9fd3d8", "#bbe1e5"),  # lagoon
    Backdrop("#e6ebd6", "#c2cf9f", "#d5deba"),  # olive
    Backdrop("#e3e6ec", "#b9c1ce", "#ced4de"),  # fog
    Backdrop("#dfe1f9", "#b3b8ec", "#caccf3"),  # periwinkle
    Backdrop("#f3e5d3", "#dcc09a", "#e8d3b7"),  # sand
    Backdrop("#fadcd2", "#eda995", "#f4c3b4"),  # coral
)

RAVEN = Hair("#23202a", "#17151c", "#4a4656")
ESPRESSO = Hair("#35251f", "#261a16", "#5c443a")
WALNUT = Hair("#513626", "#3c271b", "#7a5540")
CHESTNUT = Hair("#74452b", "#58331f", "#9c6645")
AUBURN = Hair("#964a2c", "#763820", "#bd6f4b")
HONEY = Hair("#b98545", "#976832", "#d8ab6d")
WHEAT = Hair("#dcb878", "#bf9858", "#f0d6a4")
SILVER = Hair("#b9bcc3", "#989ca6", "#dcdee3")
PEWTER = Hair("#7f828b", "#666972", "#a7aab2")

FAIR_HAIRS = (WALNUT, CHESTNUT, AUBURN, HONEY, WHEAT, ESPRESSO, SILVER, PEWTER)
WARM_HAIRS = (RAVEN, RAVEN, ESPRESSO, ESPRESSO, WALNUT, CHESTNUT, PEWTER, SILVER)
DARK_HAIRS = (RAVEN, RAVEN, RAVEN, ESPRESSO, ESPRESSO, WALNUT, PEWTER)

SKINS = (
    Skin("#f9dccb", "#e9bda6", "#c4685f", "#f0a291", FAIR_HAIRS),
    Skin("#f5d0b5", "#e2ae8d", "#bd6257", "#ea967e", FAIR_HAIRS),
    Skin("#f0c6a0", "#d9a378", "#b45c4c", "#e48b6c", WARM_HAIRS),
    Skin("#e6b58a", "#cb9264", "#a85443", "#d77f5c", WARM_HAIRS),
    Skin("#d29d70", "#b47d51", "#984a3b", "#c26a48", WARM_HAIRS),
    Skin("#b87f55", "#98633d", "#853d31", "#a8573a", DARK_HAIRS),
    Skin("#99633f", "#7b4b2d", "#6f3029", "#8f452f", DARK_HAIRS),
    Skin("#7a4b30", "#5f3821", "#d08678", "#8c4433", DARK_HAIRS),
    Skin("#5f3927", "#472818", "#bd7468", "#7c3c2e", DARK_HAIRS),
)
COILY_SKINS = SKINS[5:]

MUSTARD = Cloth("#d79a3c", "#b97f28", "#fff6e2")
CREAM = Cloth("#f3eee5", "#dcd3c4", "#5f7d9c")
CLOTHS = (
    Cloth("#2f4a6d", "#243a57", "#f4f6f9"),  # navy
    Cloth("#3d7a72", "#2f625b", "#f3efe6"),  # teal
    Cloth("#b4533f", "#934231", "#fbeee4"),  # brick
    Cloth("#6b5590", "#564375", "#f3eef9"),  # plum
    Cloth("#3d4350", "#2f343f", "#e8ecf2"),  # charcoal
    MUSTARD,
    Cloth("#5a7f4f", "#47673e", "#f2f3e4"),  # fern
    CREAM,
    Cloth("#4d7fb3", "#3d6894", "#eef4fa"),  # denim
    Cloth("#a8486b", "#8a3855", "#fbeaf0"),  # berry
)
SCARVES = tuple(cloth for cloth in CLOTHS if cloth not in (MUSTARD, CREAM))  # those two look like hair

_LONG = "M80 20C54 20 43 40 45 66C46 92 41 112 39 142H121C119 112 114 92 115 66C117 40 106 20 80 20Z"
_WAVES = (
    "M81 19C54 18 43 38 45 60C46 72 38 79 40 91C42 101 34 108 36 121C38 133 46 139 56 138H104"
    "C116 139 123 132 124 121C126 108 118 101 120 91C122 79 114 72 115 60C117 38 106 20 81 19Z"
)
_BOB = (
    "M80 20C54 20 43 40 45 64C46 80 42 92 44 104C50 111 62 111 66 106H94"
    "C98 111 110 111 116 104C118 92 114 80 115 64C117 40 106 20 80 20Z"
)
_CURTAIN = (
    "M80 31C74 42 61 47 57 62C55 70 55 80 51 88C43 66 45 22 80 22"
    "C115 22 117 66 109 88C105 80 105 70 103 62C99 47 86 42 80 31Z"
)
_SWEEP = (
    "M68 30C66 41 58 48 56 62C55 70 54 78 51 84C43 62 46 21 81 21"
    "C116 21 117 62 109 84C106 76 106 67 104 58C94 56 77 47 68 30Z"
)
_BACK = "M52 66C47 40 60 24 80 24C100 24 113 40 108 66C106 56 102 48 95 43C86 38 74 38 65 43C58 48 54 56 52 66Z"

CUTS = (
    # short, with a side parting
    Cut(
        "mn",
        front="M52 69C46 38 59 21 84 22C107 22 114 42 108 69C107 63 105 57 103 51C92 53 77 50 69 42"
        "C66 49 58 53 56 58C54 62 53 65 52 69Z",
        strands="M71 33C79 40 91 43 101 42",
    ),
    # quiff
    Cut(
        "m",
        front="M52 68C50 57 49 47 54 41C51 27 66 17 85 18C101 17 112 28 107 42C111 48 110 58 108 68"
        "C107 59 105 52 101 46C88 50 70 49 60 45C55 51 54 59 52 68Z",
        strands="M62 37C72 41 88 40 97 31",
    ),
    # buzz cut
    Cut(
        "m",
        front="M52 66C50 43 62 28 80 28C98 28 110 43 108 66C107 57 104 49 98 45C87 41 73 41 62 45C56 49 53 57 52 66Z",
    ),
    # cropped with a fringe
    Cut(
        "mn",
        front="M52 69C46 40 58 22 80 22C102 22 114 40 108 69C106 62 106 57 104 53"
        "C99 49 94 50 90 53C84 49 77 49 72 53C67 50 61 50 56 53C54 57 54 62 52 69Z",
        strands="M64 33C69 36 71 40 72 45M83 30C88 34 90 39 90 45",
    ),
    # combed back
    Cut("mn", front=_BACK, strands="M68 34C74 29 86 29 92 34M62 41C64 37 66 34 69 31"),
    # receding
    Cut(
        "m",
        front="M52 71C47 62 48 51 54 45C57 43 59 44 59 46C58 50 57 54 56 58C55 64 54 67 52 71Z"
        "M108 71C113 62 112 51 106 45C103 43 101 44 101 46C102 50 103 54 104 58C105 64 106 67 108 71Z",
        weight=2,
    ),
    # bald
    Cut("m", weight=1),
    # short curls
    Cut(
        "mn",
        front="M52 68C48 50 54 36 66 34H94C106 36 112 50 108 68C107 60 105 54 102 50H58C55 54 53 60 52 68Z"
        + _curls((57, 44, 8), (64, 34, 9), (75, 28, 10), (87, 28, 10), (97, 34, 9), (103, 44, 8))
        + _curls((66, 46, 7), (77, 43, 8), (89, 44, 8), (97, 47, 6)),
        strands="M70 30a6 6 0 0 1 8-3M86 34a6 6 0 0 1 8 1M63 41a5 5 0 0 1 6-2",
    ),
    # chin-length, tucked behind the ears
    Cut(
        "mn",
        behind="M80 21C54 21 46 40 46 62C46 78 43 90 46 102C54 108 60 106 64 102H96"
        "C100 106 106 108 114 102C117 90 114 78 114 62C114 40 106 21 80 21Z",
        front="M52 74C44 42 58 21 81 21C104 21 116 42 108 74C107 64 103 50 92 40C80 45 62 47 56 60C54 65 53 69 52 74Z",
        strands="M90 34C80 40 68 42 60 49",
        weight=2,
    ),
    # long and straight, parted in the middle
    Cut("f", behind=_LONG, front=_CURTAIN, strands="M77 28C66 34 56 42 52 58M83 28C94 34 104 42 108 58"),
    # long waves
    Cut("f", behind=_WAVES, front=_SWEEP, strands="M72 28C80 40 95 47 106 50"),
    # waves over one shoulder
    Cut(
        "f",
        behind=_BOB,
        locks="M50 78C38 90 46 101 40 113C35 125 41 140 54 142C63 138 61 129 60 120C59 108 66 104 62 94Z",
        front=_SWEEP,
        strands="M72 28C80 40 95 47 106 50M50 104C45 114 49 126 53 133",
    ),
    # bob
    Cut("fn", behind=_BOB, front=_SWEEP, strands="M72 28C80 40 95 47 106 50"),
    # bob with a fringe
    Cut(
        "fn",
        behind=_BOB,
        front="M51 88C42 44 57 21 80 21C103 21 118 44 109 88C106 78 106 66 105 55C90 60 70 60 55 55C54 66 54 78 51 88Z",
        strands="M72 33C70 40 69 45 69 50M88 33C90 40 91 45 91 50",
    ),
    # bun
    Cut(
        "fn",
        behind=_curls((80, 20, 13)),
        front=_BACK,
        strands="M68 34C74 29 86 29 92 34M73 15C77 11 83 11 87 15",
    ),
    # low ponytail
    Cut(
        "f",
        behind="M100 60C118 66 122 84 116 96L98 92Z",
        locks="M104 88C118 96 124 114 116 132C111 140 102 138 103 130C106 117 106 108 98 99Z",
        front="M52 72C45 42 58 22 80 22C102 22 115 42 108 72C107 58 102 48 90 40C80 46 62 48 56 60C54 64 53 68 52 72Z",
        strands="M88 34C78 40 66 42 59 50",
    ),
    # plait
    Cut(
        "f",
        behind=_BOB,
        locks=_curls((54, 98, 8), (51, 109, 8), (50, 120, 7), (51, 130, 6), (53, 139, 5)),
        front=_CURTAIN,
        strands="M47 104C51 107 55 107 59 104M45 115C49 118 53 118 57 115M46 126C49 128 53 128 56 126",
        weight=2,
    ),
    # pixie
    Cut(
        "fn",
        front="M51 76C43 44 55 20 82 20C108 20 116 46 109 74C107 67 106 60 104 53C89 57 73 51 65 40"
        "C64 50 58 56 56 63C55 68 53 72 51 76Z",
        strands="M68 33C76 43 91 47 103 45",
        weight=2,
    ),
    # long curls
    Cut(
        "f",
        behind="M46 50H114V112H46Z"
        + _curls((50, 46, 12), (45, 62, 12), (42, 79, 12), (43, 96, 12), (48, 111, 11))
        + _curls((110, 46, 12), (115, 62, 12), (118, 79, 12), (117, 96, 12), (112, 111, 11)),
        front="M52 72C46 44 58 26 80 26C102 26 114 44 108 72C107 60 103 52 98 48H62C57 52 53 60 52 72Z"
        + _curls((58, 42, 10), (68, 32, 11), (81, 28, 11), (93, 32, 11), (102, 42, 10), (68, 45, 8), (92, 45, 8)),
        strands="M66 32a7 7 0 0 1 8-4M88 30a7 7 0 0 1 8 3M41 78a7 7 0 0 1 5-6M115 74a7 7 0 0 1 6 4",
    ),
    # afro
    Cut(
        "fmn",
        behind=_curls((80, 50, 39), (48, 36, 12), (43, 50, 11), (44, 64, 11), (51, 76, 9), (58, 24, 13))
        + _curls((72, 18, 12), (88, 18, 12), (102, 24, 13), (112, 36, 12), (117, 50, 11), (116, 64, 11), (109, 76, 9)),
        front="M53 64C48 42 60 28 80 28C100 28 112 42 107 64C105 54 101 47 94 46C89 42 84 44 80 43"
        "C76 44 71 42 66 46C59 47 55 54 53 64Z",
        strands="M56 34a8 8 0 0 1 6-7M74 22a8 8 0 0 1 9-1M100 30a8 8 0 0 1 5 7M46 54a7 7 0 0 1 2-6M112 52a7 7 0 0 1 1 6",
        coily=True,
    ),
    # braids gathered on top
    Cut(
        "f",
        behind=_curls((80, 19, 12), (70, 23, 8), (90, 23, 8)),
        front=_BACK,
        strands="M80 25V38M71 26C70 31 68 35 67 41M89 26C90 31 92 35 93 41M62 31C60 36 58 41 57 49M98 31C100 36 102 41 103 49",
        coily=True,
    ),
    # hijab
    Cut(
        "f",
        front="M80 18C50 18 43 43 45 70C46 92 40 106 32 122C48 146 112 146 128 122C120 106 114 92 115 70"
        "C117 43 110 18 80 18ZM80 41C95 41 103 52 103 68C103 86 92 103 80 103C68 103 57 86 57 68C57 52 65 41 80 41Z",
        strands="M52 58C55 38 66 29 82 28M54 96C64 114 84 122 108 120M48 110C60 128 88 133 114 126",
        weight=1,
        woven=True,
    ),
    # head wrap
    Cut(
        "f",
        behind=_curls((72, 20, 12), (88, 18, 13)),
        front="M51 64C43 36 57 19 80 19C103 19 117 36 109 64C107 50 97 42 80 42C63 42 53 50 51 64Z",
        strands="M54 50C62 36 84 30 104 38M58 38C70 26 88 24 98 28M66 17C72 12 80 14 82 20",
        weight=1,
        woven=True,
        coily=True,
    ),
    # turban
    Cut(
        "m",
        front="M50 62C42 32 56 13 80 13C104 13 118 32 110 62C104 50 93 45 80 36C67 45 56 50 50 62Z",
        strands="M52 48C60 36 76 30 90 16M50 38C56 26 66 20 78 16M108 48C102 40 92 34 82 30M110 38C106 30 100 24 94 21",
        weight=1,
        woven=True,
    ),
)

FULL_BEARD = (
    "M54 72C55 78 57 82 61 83C66 84 71 81 80 81C89 81 94 84 99 83C103 82 105 78 106 72"
    "C107 94 96 110 80 110C64 110 53 94 54 72Z"
)
CLEAN_SHAVEN = Beard("", weight=5)
BEARDS = (
    CLEAN_SHAVEN,
    Beard(FULL_BEARD, weight=2),
    Beard(FULL_BEARD.replace("110", "106"), opacity=0.28, weight=2),
    Beard("M69 86C72 81 77 80 80 82C83 80 88 81 91 86C87 87 83 85 80 85C77 85 73 87 69 86Z"),
    Beard(
        "M67 87C69 80 76 80 80 82C84 80 91 80 93 87C94 99 89 107 80 107C71 107 66 99 67 87Z"
        "M71 88C72 95 75 97 80 97C85 97 88 95 89 88C86 85 74 85 71 88Z"
    ),
)

SMILES = (
    '<path d="M71 89Q80 97 89 89" fill="none" stroke="{lips}" stroke-width="2.6" stroke-linecap="round"/>',
    '<path d="M72 90Q81 96 88 88.5" fill="none" stroke="{lips}" stroke-width="2.6" stroke-linecap="round"/>',
    '<path d="M70.5 88Q80 91 89.5 88Q87.5 98 80 98Q72.5 98 70.5 88Z" fill="#fff" stroke="{lips}" '
    'stroke-width="1.8" stroke-linejoin="round"/>',
)

HEAD = "M53 62C53 42 64 32 80 32C96 32 107 42 107 62C107 71 106 78 103 84C98 96 90 104 80 104C70 104 62 96 57 84C54 78 53 71 53 62Z"
EARS = _curls((53, 70, 6), (107, 70, 6))
CHIN_SHADOW = "M67 92H93V106C90 112 70 112 67 106Z"
CHEEKS = _curls((63, 81, 6), (97, 81, 6))
EYES = _curls((69, 70, 3), (91, 70, 3))
GLINTS = _curls((70, 69, 0.9), (92, 69, 0.9))
BROWS = "M63.5 61Q69 57.5 74.5 60M96.5 61Q91 57.5 85.5 60"
NOSE = "M77.5 79.5Q80 81.5 82.5 79.5"
NECK = "M67 88V116C67 127 93 127 93 116V88Z"
OPEN_NECK = "M67 88V117L80 139L93 117V88Z"
SHIRT_NECK = "M67 88V116L80 130L93 116V88Z"
SHOULDERS = "M18 162C18 136 38 125 62 118C68 122 92 122 98 118C122 125 142 136 142 162Z"
COLLAR = "M66 110L80 129L68 138L58 120ZM94 110L80 129L92 138L102 120Z"
LAPELS = (
    "M64 117C57 119 52 121 48 123L50 140L59 142L55 147L71 162H89L105 147L101 142L110 140L112 123"
    "C108 121 103 119 96 117L80 158Z"
)

Garment = Callable[[Cloth, Skin], str]


def _t_shirt(cloth: Cloth, skin: Skin) -> str:
    return _path(NECK, skin.base) + _line("M65 116C66 132 94 132 95 116", cloth.deep, 3.5)


def _v_neck(cloth: Cloth, skin: Skin) -> str:
    return _path(OPEN_NECK, skin.base) + _line("M65 116L80 141L95 116", cloth.deep, 3.5)


def _shirt(cloth: Cloth, skin: Skin) -> str:
    placket = _line("M80 132V160", cloth.deep, 2)
    return _path(SHIRT_NECK, skin.base) + placket + _path(COLLAR, cloth.inner)


def _suit(cloth: Cloth, skin: Skin) -> str:
    shirt = _path("M62 117L80 162L98 117Z", cloth.inner) + _path(SHIRT_NECK, skin.base)
    return (
        shirt + _path(COLLAR, cloth.inner) + _line("M66 138L80 129L94 138", cloth.deep, 1) + _path(LAPELS, cloth.deep)
    )


def _blazer(cloth: Cloth, skin: Skin) -> str:
    return _path("M62 117L80 162L98 117Z", cloth.inner) + _path(NECK, skin.base) + _path(LAPELS, cloth.deep)


def _roll_neck(cloth: Cloth, skin: Skin) -> str:
    return _path(NECK, skin.base) + _path("M65 104Q80 114 95 104L97 121Q80 131 63 121Z", cloth.deep)


def _hoodie(cloth: Cloth, skin: Skin) -> str:
    hood = _path("M60 108C42 118 50 133 80 139C110 133 118 118 100 108L95 118H65Z", cloth.deep)
    return hood + _path(NECK, skin.base) + _line("M71 134V149M89 134V149", cloth.inner, 2.5)


def _cardigan(cloth: Cloth, skin: Skin) -> str:
    top = _path("M62 117L80 166L98 117Z", cloth.inner) + _path(NECK, skin.base)
    return top + _line("M63 118L80 162M97 118L80 162", cloth.deep, 5)


GARMENTS: tuple[Garment, ...] = (_t_shirt, _v_neck, _shirt, _suit, _blazer, _roll_neck, _hoodie, _cardigan)

NO_GLASSES = ""
GLASSES = (
    NO_GLASSES,
    NO_GLASSES,
    NO_GLASSES,
    NO_GLASSES,
    _curls((69, 69, 9), (91, 69, 9)) + "M78 68Q80 66 82 68M60 67L53 65M100 67L107 65",
    "M60 63H77.5V71Q77 77 69 77T60 71ZM82.5 63H100V71Q99 77 91 77T82.5 71ZM77.5 66H82.5M60 65L53 64M100 65L107 64",
)
DARK_FRAMES = ("#2b2f3a", "#2b2f3a", "#6b3f2a", "#31507a")
LIGHT_FRAMES = ("#e2bd6e", "#d5d9e2", "#1d1a22")


def portrait(key: str) -> str:
    """The picture for this key; `f:` or `m:` in front says how somebody presents, anything else is neutral."""
    sitter = _sitter(key)
    layers = (
        _backdrop(sitter),
        _path(sitter.cut.behind, sitter.crown.base if sitter.cut.coily else sitter.crown.deep),
        _clothes(sitter),
        _path(sitter.cut.locks, sitter.crown.base),
        _head(sitter),
        _face(sitter),
        _beard(sitter),
        sitter.smile.format(lips=sitter.skin.lips),
        _path(sitter.cut.front, sitter.crown.base, rule="evenodd" if sitter.cut.woven else "nonzero"),
        _line(sitter.cut.strands, sitter.crown.shine, 1.8),
        _line(sitter.glasses, sitter.frame, 2),
    )
    return f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 160 160">{"".join(layers)}</svg>'


class _Sitter(NamedTuple):
    mark: str
    backdrop: Backdrop
    skin: Skin
    hair: Hair
    crown: Hair  # the colours on top of the head: hair, or the cloth wound around it
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
    """Every trait has its own hash, so that a new hat never changes anybody's shirt."""
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
    return _path(SHOULDERS, sitter.cloth.base) + sitter.garment(sitter.cloth, sitter.skin)


def _head(sitter: _Sitter) -> str:
    ears = "" if sitter.cut.woven else _path(EARS, sitter.skin.shade)
    return _path(CHIN_SHADOW, sitter.skin.shade) + ears + _path(HEAD, sitter.skin.base)


def _face(sitter: _Sitter) -> str:
    skin, hair = sitter.skin, sitter.hair
    return (
        _path(CHEEKS, skin.blush, opacity=0.3)
        + _path(EYES, "#2a2430")
        + _path(GLINTS, "#fff")
        + _line(BROWS, hair.deep, 2.6)
        + _line(NOSE, skin.shade, 2.4)
    )


def _beard(sitter: _Sitter) -> str:
    return _path(sitter.beard.path, sitter.hair.base, opacity=sitter.beard.opacity, rule="evenodd")


def _path(data: str, fill: str, *, opacity: float = 1, rule: str = "nonzero") -> str:
    if not data:
        return ""
    translucent = f' opacity="{opacity:g}"' if opacity < 1 else ""
    hollow = f' fill-rule="{rule}"' if rule != "nonzero" else ""
    return f'<path d="{data}" fill="{fill}"{translucent}{hollow}/>'


def _line(data: str, stroke: str, width: float) -> str:
    if not data:
        return ""
    return (
        f'<path d="{data}" fill="none" stroke="{stroke}" stroke-width="{width:g}"'
        ' stroke-linecap="round" stroke-linejoin="round"/>'
    )
