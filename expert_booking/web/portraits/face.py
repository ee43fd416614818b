"""Heads, faces and glasses, as SVG path data."""

from expert_booking.web.portraits.svg import curls

SMILES = (
    '<path d="M71 89Q80 97 89 89" fill="none" stroke="{lips}" stroke-width="2.6" stroke-linecap="round"/>',
    '<path d="M72 90Q81 96 88 88.5" fill="none" stroke="{lips}" stroke-width="2.6" stroke-linecap="round"/>',
    '<path d="M70.5 88Q80 91 89.5 88Q87.5 98 80 98Q72.5 98 70.5 88Z" fill="#fff" stroke="{lips}" '
    'stroke-width="1.8" stroke-linejoin="round"/>',
)

HEAD = "M53 62C53 42 64 32 80 32C96 32 107 42 107 62C107 71 106 78 103 84C98 96 90 104 80 104C70 104 62 96 57 84C54 78 53 71 53 62Z"
EARS = curls((53, 70, 6), (107, 70, 6))
CHIN_SHADOW = "M67 92H93V106C90 112 70 112 67 106Z"
CHEEKS = curls((63, 81, 6), (97, 81, 6))
EYES = curls((69, 70, 3), (91, 70, 3))
GLINTS = curls((70, 69, 0.9), (92, 69, 0.9))
BROWS = "M63.5 61Q69 57.5 74.5 60M96.5 61Q91 57.5 85.5 60"
NOSE = "M77.5 79.5Q80 81.5 82.5 79.5"

NO_GLASSES = ""
GLASSES = (
    NO_GLASSES,
    NO_GLASSES,
    NO_GLASSES,
    NO_GLASSES,
    curls((69, 69, 9), (91, 69, 9)) + "M78 68Q80 66 82 68M60 67L53 65M100 67L107 65",
    "M60 63H77.5V71Q77 77 69 77T60 71ZM82.5 63H100V71Q99 77 91 77T82.5 71ZM77.5 66H82.5M60 65L53 64M100 65L107 64",
)
DARK_FRAMES = ("#2b2f3a", "#2b2f3a", "#6b3f2a", "#31507a")
LIGHT_FRAMES = ("#e2bd6e", "#d5d9e2", "#1d1a22")
