"""Hair, head coverings and beards, as SVG path data."""

from typing import NamedTuple

from expert_booking.web.portraits.svg import curls


class Cut(NamedTuple):
    """A haircut as path data: behind the head, over the shoulders, in front, and fine lines on top."""

    looks: str
    behind: str = ""
    locks: str = ""
    front: str = ""
    strands: str = ""
    weight: int = 3
    woven: bool = False  # a scarf or turban: coloured like cloth, and covers the ears
    coily: bool = False  # only for the darker half of the skins


class Beard(NamedTuple):
    path: str
    opacity: float = 1
    weight: int = 1


_LONG_STRAIGHT = "M80 20C54 20 43 40 45 66C46 92 41 112 39 142H121C119 112 114 92 115 66C117 40 106 20 80 20Z"
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
        + curls((57, 44, 8), (64, 34, 9), (75, 28, 10), (87, 28, 10), (97, 34, 9), (103, 44, 8))
        + curls((66, 46, 7), (77, 43, 8), (89, 44, 8), (97, 47, 6)),
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
    Cut("f", behind=_LONG_STRAIGHT, front=_CURTAIN, strands="M77 28C66 34 56 42 52 58M83 28C94 34 104 42 108 58"),
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
        behind=curls((80, 20, 13)),
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
        locks=curls((54, 98, 8), (51, 109, 8), (50, 120, 7), (51, 130, 6), (53, 139, 5)),
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
        + curls((50, 46, 12), (45, 62, 12), (42, 79, 12), (43, 96, 12), (48, 111, 11))
        + curls((110, 46, 12), (115, 62, 12), (118, 79, 12), (117, 96, 12), (112, 111, 11)),
        front="M52 72C46 44 58 26 80 26C102 26 114 44 108 72C107 60 103 52 98 48H62C57 52 53 60 52 72Z"
        + curls((58, 42, 10), (68, 32, 11), (81, 28, 11), (93, 32, 11), (102, 42, 10), (68, 45, 8), (92, 45, 8)),
        strands="M66 32a7 7 0 0 1 8-4M88 30a7 7 0 0 1 8 3M41 78a7 7 0 0 1 5-6M115 74a7 7 0 0 1 6 4",
    ),
    # afro
    Cut(
        "fmn",
        behind=curls((80, 50, 39), (48, 36, 12), (43, 50, 11), (44, 64, 11), (51, 76, 9), (58, 24, 13))
        + curls((72, 18, 12), (88, 18, 12), (102, 24, 13), (112, 36, 12), (117, 50, 11), (116, 64, 11), (109, 76, 9)),
        front="M53 64C48 42 60 28 80 28C100 28 112 42 107 64C105 54 101 47 94 46C89 42 84 44 80 43"
        "C76 44 71 42 66 46C59 47 55 54 53 64Z",
        strands="M56 34a8 8 0 0 1 6-7M74 22a8 8 0 0 1 9-1M100 30a8 8 0 0 1 5 7M46 54a7 7 0 0 1 2-6M112 52a7 7 0 0 1 1 6",
        coily=True,
    ),
    # braids gathered on top
    Cut(
        "f",
        behind=curls((80, 19, 12), (70, 23, 8), (90, 23, 8)),
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
        behind=curls((72, 20, 12), (88, 18, 13)),
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
