"""The photos of experts."""

import asyncio
from typing import Final
from uuid import UUID

from expert_booking.db import calendars
from expert_booking.db import photos as rows
from expert_booking.db.engine import AnyConnection, Database
from expert_booking.domain.errors import ExpertNotFound, PhotoNotFound
from expert_booking.domain.photo_images import SIZES, is_version, render_photo
from expert_booking.schemas import PhotoView, photo_view
from expert_booking.services.calendars import CalendarKey

# Decoding takes memory, so a process decodes one picture at a time.
_AT_ONCE: Final = 1


class Photos:
    """Photos that experts upload. They are decoded and encoded again in a thread, so that only pixels are stored."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._decoding = asyncio.Semaphore(_AT_ONCE)

    async def put(self, key: CalendarKey, content: bytes) -> PhotoView:
        """Store a picture as the expert's photo. Raises FieldsWrong for `photo`, and ExpertNotFound."""
        async with self._decoding:
            photo = await asyncio.to_thread(render_photo, content)
        async with self._database.transaction() as connection:
            await _lock(connection, key.expert_id)
            await rows.put(connection, key.expert_id, photo.version, photo.files)
        view = photo_view(photo.version)
        assert view is not None
        return view

    async def remove(self, key: CalendarKey) -> None:
        """Remove the expert's photo, if there is one. The drawn portrait is shown again. Raises ExpertNotFound."""
        async with self._database.transaction() as connection:
            await _lock(connection, key.expert_id)
            await rows.remove(connection, key.expert_id)

    async def file(self, version: str, pixels: int) -> bytes:
        """The WebP file of a photo of an active expert. Raises PhotoNotFound for unknown versions and sizes."""
        found = None
        if pixels in SIZES and is_version(version):
            async with self._database.statements() as connection:
                found = await rows.file(connection, version, pixels)
        if found is None:
            raise PhotoNotFound
        return found


async def _lock(connection: AnyConnection, expert_id: UUID) -> None:
    if await calendars.lock(connection, expert_id) is None:
        raise ExpertNotFound
