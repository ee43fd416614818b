"""Photos, bios and changed slugs on public pages, from a running server."""

from collections.abc import Callable
from io import BytesIO
from uuid import UUID

import httpx
import pytest
from PIL import Image

from expert_booking.domain.photo_images import SIZES
from expert_booking.schemas import ExpertChange
from expert_booking.services import Services
from expert_booking.services.calendars import CalendarKey
from tests.conftest import AddExpert
from tests.pictures import SECRET, phone_photo
from tests.server import ServerProcess

ZONE = {"Cookie": "eb_zone=Europe/Berlin"}
FOREVER = "public, max-age=31536000, immutable"


@pytest.fixture
async def jana(add_expert: AddExpert) -> UUID:
    """An expert with the slug `jana-muller`."""
    return await add_expert(bio="I **coach**.\n\n<script>alert(1)</script>")


@pytest.fixture
async def site(serve: Callable[..., ServerProcess], jana: UUID) -> httpx.AsyncClient:
    """A browser without scripts on a running server."""
    return httpx.AsyncClient(base_url=serve().url, timeout=30)


async def test_pages_show_the_photo_instead_of_the_portrait(
    site: httpx.AsyncClient, services: Services, jana: UUID
) -> None:
    assert "/portrait/jana-muller.svg" in (await site.get("/expert/jana-muller")).text
    assert (await site.get("/portrait/jana-muller.svg")).status_code == 200
    photo = await services.photos.put(CalendarKey(jana), phone_photo())
    # The event that the photo causes reaches the caches of the pages at some time.
    page = await site.get("/expert/jana-muller")
    for _ in range(50):
        if photo.medium in page.text:
            break
        page = await site.get("/expert/jana-muller")
    assert photo.medium in page.text
    assert "/portrait/" not in page.text
    moved = await site.get("/portrait/jana-muller.svg")
    assert (moved.status_code, moved.headers["Location"]) == (302, photo.small)


async def test_photo_is_cached_forever_and_says_nothing(
    site: httpx.AsyncClient, services: Services, jana: UUID
) -> None:
    photo = await services.photos.put(CalendarKey(jana), phone_photo())
    for path, pixels in zip((photo.small, photo.medium, photo.large), SIZES, strict=True):
        answer = await site.get(path)
        assert (answer.headers["Content-Type"], answer.headers["Cache-Control"]) == ("image/webp", FOREVER)
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert Image.open(BytesIO(answer.content)).size == (pixels, pixels)
        assert SECRET.encode() not in answer.content
        again = await site.get(path, headers={"If-None-Match": f'W/"x", {answer.headers["ETag"]}'})
        assert (again.status_code, again.content) == (304, b"")
        assert (await site.head(path)).headers["ETag"] == answer.headers["ETag"]
    version = photo.small.removesuffix("-160.webp")
    for path in (
        f"{version}-161.webp",
        f"{version}-²³.webp",
        f"{version}-{'9' * 5000}.webp",
        "/photos/%00-160.webp",
        "/photos/none-160.webp",
        "/photos/160.webp",
    ):
        missing = await site.get(path)
        assert (missing.status_code, missing.headers["Cache-Control"]) == (404, "no-store"), path


async def test_old_slugs_redirect(site: httpx.AsyncClient, services: Services, jana: UUID) -> None:
    for slug in ("jana", "jana-coach"):
        await services.calendars.change_expert(CalendarKey(jana), ExpertChange(slug=slug))
    for old in ("jana-muller", "jana"):
        for path, query in (
            (f"/expert/{old}", "?session=1&from=2026-11-24"),
            (f"/book/{old}", "?at=2026-11-24T09:00Z"),
        ):
            moved = await site.get(path + query)
            assert moved.status_code == 308
            assert moved.headers["Location"] == path.replace(old, "jana-coach") + query
    for reference in ("jana-coach", str(jana), jana.hex):
        assert (await site.get(f"/expert/{reference}")).status_code == 200
    assert (await site.get("/expert/nobody")).status_code == 404


async def test_bio_is_markdown_without_html(site: httpx.AsyncClient) -> None:
    page = (await site.get("/expert/jana-muller")).text.replace("\\\\", "\\")
    assert r"I \u003cstrong\u003ecoach\u003c/strong\u003e." in page  # JSON; see raw_html
    assert r"\u0026lt;script\u0026gt;alert(1)" in page
    assert "alert(1)</script>" not in page


async def test_search_engines_ignore_an_expert_that_is_not_listed(
    site: httpx.AsyncClient, services: Services, jana: UUID
) -> None:
    assert "noindex" not in (await site.get(f"/expert/{jana}")).text
    await services.calendars.change_expert(CalendarKey(jana), ExpertChange(listed=False))
    # Pages read it again once the event has arrived, and under another spelling of the id at once.
    assert "noindex" in (await site.get(f"/expert/{jana.hex}")).text
    assert "jana-muller" not in (await site.get("/", headers=ZONE)).text
