"""Uploads from pages end at the size of a photo, whatever the browser says."""

import httpx
import pytest
from fastapi import FastAPI, Request

from expert_booking.domain.photo_images import MAX_BYTES
from expert_booking.web.upload_limit import UploadLimit

app = FastAPI()


@app.post("/{path:path}")
async def receive(path: str, request: Request) -> int:
    """Return how many bytes have arrived."""
    return len(await request.body())


@pytest.mark.parametrize(
    ("path", "size", "status"),
    [
        ("/_nicegui/client/a/upload/1", MAX_BYTES, 200),
        ("/_nicegui/client/a/upload/1", MAX_BYTES + 100_000, 413),
        ("/elsewhere", MAX_BYTES + 100_000, 200),
    ],
)
async def test_only_uploads_are_limited(path: str, size: int, status: int) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(UploadLimit(app)), base_url="http://test") as client:
        assert (await client.post(path, content=bytes(size))).status_code == status
