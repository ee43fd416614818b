"""Clothes, as functions from their colours and the skin to SVG."""

from collections.abc import Callable

from expert_booking.web.portraits.colors import Cloth, Skin
from expert_booking.web.portraits.svg import line, path

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
    return path(NECK, skin.base) + line("M65 116C66 132 94 132 95 116", cloth.deep, 3.5)


def _v_neck(cloth: Cloth, skin: Skin) -> str:
    return path(OPEN_NECK, skin.base) + line("M65 116L80 141L95 116", cloth.deep, 3.5)


def _shirt(cloth: Cloth, skin: Skin) -> str:
    placket = line("M80 132V160", cloth.deep, 2)
    return path(SHIRT_NECK, skin.base) + placket + path(COLLAR, cloth.inner)


def _suit(cloth: Cloth, skin: Skin) -> str:
    shirt = path("M62 117L80 162L98 117Z", cloth.inner) + path(SHIRT_NECK, skin.base)
    return shirt + path(COLLAR, cloth.inner) + line("M66 138L80 129L94 138", cloth.deep, 1) + path(LAPELS, cloth.deep)


def _blazer(cloth: Cloth, skin: Skin) -> str:
    return path("M62 117L80 162L98 117Z", cloth.inner) + path(NECK, skin.base) + path(LAPELS, cloth.deep)


def _roll_neck(cloth: Cloth, skin: Skin) -> str:
    return path(NECK, skin.base) + path("M65 104Q80 114 95 104L97 121Q80 131 63 121Z", cloth.deep)


def _hoodie(cloth: Cloth, skin: Skin) -> str:
    hood = path("M60 108C42 118 50 133 80 139C110 133 118 118 100 108L95 118H65Z", cloth.deep)
    return hood + path(NECK, skin.base) + line("M71 134V149M89 134V149", cloth.inner, 2.5)


def _cardigan(cloth: Cloth, skin: Skin) -> str:
    top = path("M62 117L80 166L98 117Z", cloth.inner) + path(NECK, skin.base)
    return top + line("M63 118L80 162M97 118L80 162", cloth.deep, 5)


GARMENTS: tuple[Garment, ...] = (_t_shirt, _v_neck, _shirt, _suit, _blazer, _roll_neck, _hoodie, _cardigan)
