"""Uploaded pictures: what is accepted, and what is left of them."""

import tracemalloc
from io import BytesIO

import pytest
from PIL import Image

from expert_booking.domain.errors import FieldsWrong
from expert_booking.domain.photo_images import MAX_BYTES, SIZES, render_photo
from tests.pictures import SECRET, encoded, phone_photo, picture, png_of_size

SVG = b"""<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(1)</script></svg>"""
SCRIPT = b"<script>alert(document.domain)</script>"


def opened(file: bytes) -> Image.Image:
    """Return the picture in a file."""
    return Image.open(BytesIO(file))


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize(("width", "height"), [(400, 300), (300, 400), (1, 1), (3000, 50), (50, 50)])
def test_every_size_is_a_square_webp(kind: str, width: int, height: int) -> None:
    photo = render_photo(picture(width, height, kind))
    assert tuple(photo.files) == SIZES
    for pixels, file in photo.files.items():
        assert (opened(file).format, opened(file).size) == ("WEBP", (pixels, pixels))


def test_the_middle_is_shown() -> None:
    photo = opened(render_photo(picture(1200, 300, "PNG")).files[160]).convert("RGB")
    red, green, blue = photo.getpixel((80, 80))
    assert blue > 200 > red + green
    assert photo.getpixel((5, 5))[0] > 200


@pytest.mark.parametrize("mode", ["L", "LA", "P", "1", "RGBA", "CMYK", "I;16"])
def test_every_colour_mode_is_accepted(mode: str) -> None:
    kind = "JPEG" if mode == "CMYK" else "PNG"
    assert render_photo(encoded(Image.new(mode, (200, 100)), kind)).files


def test_transparent_parts_become_white() -> None:
    photo = opened(render_photo(encoded(Image.new("RGBA", (100, 100), (0, 0, 0, 0)), "PNG")).files[320]).convert("RGB")
    assert min(photo.getpixel((160, 160))) > 250


def test_a_phone_photo_is_upright_and_says_nothing_about_its_place() -> None:
    original = phone_photo()
    assert SECRET.encode() in original
    for file in render_photo(original).files.values():
        photo = opened(file).convert("RGB")
        assert photo.getpixel((photo.width // 2, 5))[0] > 200  # red above
        assert photo.getpixel((photo.width // 2, photo.height - 5))[2] > 200  # blue below
        assert not opened(file).getexif()
        assert {"exif", "xmp", "icc_profile"}.isdisjoint(opened(file).info)
        for trace in (SECRET.encode(), b"EXIF", b"Exif", b"XMP", b"ICCP"):
            assert trace not in file


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_what_is_hidden_in_a_picture_is_not_stored(kind: str) -> None:
    # A file that is a picture and a web page at once.
    for content in (picture(kind=kind) + SCRIPT, picture(kind=kind, comment=SCRIPT), picture(kind=kind, xmp=SCRIPT)):
        for file in render_photo(content).files.values():
            assert b"script" not in file


@pytest.mark.parametrize(
    "content",
    [b"", SVG, b"<?xml version='1.0'?>" + SVG, SCRIPT, b"GIF89a" + SCRIPT, b"%PDF-1.7", b"\xff\xd8\xff" + SCRIPT,
     picture(kind="GIF"), picture(kind="TIFF"), picture(kind="BMP"), picture(kind="ICO"), picture(2000, 2000)[:3000],
     b"RIFF\x10\x00\x00\x00WEBPVP8X", b"PK\x03\x04", b"\x89PNG\r\n\x1a\n" + bytes(100), png_of_size(100, 100)],
    ids=["empty", "svg", "xml", "html", "gif-html", "pdf", "jpeg-html", "gif", "tiff", "bmp", "ico", "half a jpeg",
         "half a webp", "zip", "no png", "png without pixels"],
)  # fmt: skip
def test_other_files_are_refused_next_to_the_field(content: bytes) -> None:
    with pytest.raises(FieldsWrong, match="JPEG, PNG or WebP") as refused:
        render_photo(content)
    assert set(refused.value.errors) == {"photo"}


def test_41_megapixels_are_refused_without_being_decoded() -> None:
    tracemalloc.start()
    for width, height in ((8200, 5000), (100_000, 100_000), (2**31 - 1, 2**31 - 1)):
        with pytest.raises(FieldsWrong, match="40 megapixels"):
            render_photo(png_of_size(width, height))
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()
    with pytest.raises(FieldsWrong, match="40 megapixels"):
        render_photo(encoded(Image.new("1", (8200, 5000)), "PNG"))


def test_5_megabytes_are_the_limit() -> None:
    small = picture()
    assert render_photo(small + bytes(MAX_BYTES - len(small))).files
    with pytest.raises(FieldsWrong, match="5 MB"):
        render_photo(small + bytes(MAX_BYTES + 1 - len(small)))


def test_the_version_follows_the_content() -> None:
    first, again, other = render_photo(picture()), render_photo(picture()), render_photo(picture(300, 300))
    assert first.version == again.version != other.version
