"""The colours of portraits."""

from typing import NamedTuple


class Backdrop(NamedTuple):
    """The ends of a gradient, and the disc in front of it."""

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
