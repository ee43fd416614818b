"""Turn an uploaded picture into the photos that pages show: recognised by content, cropped, and without metadata."""

import re
from collections.abc import Mapping
from hashlib import sha256
from io import BytesIO
from typing import Final, NamedTuple

from PIL import Image, ImageOps

from expert_booking.domain.errors import FieldsWrong

MAX_BYTES: Final = 5 * 1024 * 1024
MAX_PIXELS: Final = 40_000_000
FORMATS: Final = ("JPEG", "PNG", "WEBP")
# The sides of the square photos, in pixels: cards, the expert's page, and what links elsewhere may show.
SIZES: Final = (160, 320, 640)
_LARGEST: Final = max(SIZES)
_QUALITY: Final = 80
_NOT_A_PICTURE: Final = "Please choose a JPEG, PNG or WebP picture."
TOO_LARGE: Final = f"Please choose a picture of at most {MAX_BYTES // 1024 // 1024} MB."
_TOO_MANY_PIXELS: Final = f"Please choose a picture of at most {MAX_PIXELS // 1_000_000} megapixels."

# The limit above is checked before anything is decoded. Pillow's own only warns, for pictures twice as large.
Image.MAX_IMAGE_PIXELS = None


class Photo(NamedTuple):
    """Square WebP files by their size in pixels. `version` is a hash of them, for URLs and ETags."""

    version: str
    files: Mapping[int, bytes]


def render_photo(content: bytes) -> Photo:
    """Crop the middle of a picture to a square, in all SIZES. Takes up to some seconds and 400 MB.

    Only pixels pass: the files contain no metadata, no colour profile, and nothing that was hidden in the picture.
    Raises FieldsWrong for `photo` if the content is no picture, or too large.
    """
    if len(content) > MAX_BYTES:
        raise _refusal(TOO_LARGE)
    try:
        # Reads only the header.
        with Image.open(BytesIO(content), formats=FORMATS) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise _refusal(_TOO_MANY_PIXELS)
            square = _square(picture)
    except FieldsWrong:
        raise
    except Exception as error:  # decoders raise many kinds for damaged files
        raise _refusal(_NOT_A_PICTURE) from error
    files = {size: _webp(square, size) for size in SIZES}
    return Photo(sha256(b"".join(files.values())).hexdigest()[:16], files)


def is_version(text: str) -> bool:
    """Whether this could be the version of a photo."""
    return re.fullmatch(r"[0-9a-f]{16}", text) is not None


def _square(picture: Image.Image) -> Image.Image:
    """The middle of a picture, upright, with LARGEST pixels on each side."""
    # A JPEG is decoded at a fraction of its size if that is enough.
    picture.draft("RGB", (2 * _LARGEST, 2 * _LARGEST))
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    pixels = picture if picture.mode in ("RGB", "RGBA", "L") else picture.convert("RGBA")
    box = (left, top, left + side, top + side)
    small = pixels.resize((_LARGEST, _LARGEST), Image.Resampling.LANCZOS, box=box, reducing_gap=3.0)
    # Turning the middle of a picture gives the middle of the turned picture.
    small.info["exif"] = picture.getexif().tobytes()
    upright = ImageOps.exif_transpose(small)
    plain = Image.new("RGB", upright.size, "white")
    plain.paste(upright, mask=upright.getchannel("A") if upright.mode == "RGBA" else None)
    return plain


def _webp(square: Image.Image, size: int) -> bytes:
    file = BytesIO()
    scaled = square if size == _LARGEST else square.resize((size, size), Image.Resampling.LANCZOS)
    scaled.save(file, "WEBP", quality=_QUALITY, method=4)
    return file.getvalue()


def _refusal(message: str) -> FieldsWrong:
    return FieldsWrong({"photo": message})
