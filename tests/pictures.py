"""Pictures of all kinds, as people and attackers upload them."""

import struct
import zlib
from io import BytesIO
from typing import Any

from PIL import Image, ImageDraw

# A JPEG tag, and the block with the position of the camera.
ORIENTATION, DESCRIPTION, POSITION = 0x0112, 0x010E, 0x8825
SECRET = "taken at home by Jana"


def picture(width: int = 400, height: int = 300, kind: str = "JPEG", **options: Any) -> bytes:
    """An orange picture with a blue disc in the middle."""
    image = Image.new("RGB", (width, height), "orange")
    middle, radius = (width // 2, height // 2), min(width, height) // 4
    ImageDraw.Draw(image).circle(middle, radius, fill="blue")
    return encoded(image, kind, **options)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    """The file of an image."""
    file = BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def phone_photo() -> bytes:
    """A photo as phones make them: lying on its side, with an orientation, a position and a description."""
    image = Image.new("RGB", (400, 300), "red")  # red above, blue below, once it is turned upright
    image.paste("blue", (200, 0, 400, 300))
    exif = Image.Exif()
    exif[ORIENTATION], exif[DESCRIPTION] = 6, SECRET
    exif.get_ifd(POSITION).update({1: "N", 2: (52.0, 31.0, 12.0), 3: "E", 4: (13.0, 24.0, 36.0)})
    return encoded(image, "JPEG", exif=exif)


def png_of_size(width: int, height: int) -> bytes:
    """A PNG that says it has this size, and has no pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", b"")


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
