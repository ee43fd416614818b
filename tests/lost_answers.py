"""A PostgreSQL whose answers get lost from a certain moment on: what was asked is done, and nobody hears of it."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from sqlalchemy import make_url

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def lost_answers(url: str, after: tuple[bytes, ...]) -> AsyncIterator[str]:
    """Another address of the same database.

    A connection over which these words have been sent, one after the other, hears nothing any more.
    """
    folder = Path(tempfile.mkdtemp(prefix="lost-", dir="/tmp"))

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, ours = await _connect(url)
        awaited = list(after)

        def hears(_: bytes) -> bool:
            return bool(awaited)

        def said(words: bytes) -> bool:
            if awaited and awaited[0] in words:
                awaited.pop(0)
            return True

        await asyncio.gather(_hand_on(reader, ours, said), _hand_on(theirs, writer, hears))

    server = await asyncio.start_unix_server(connected, folder / ".s.PGSQL.5432")
    try:
        yield (
            make_url(url)
            .set(host=None, port=None)
            .update_query_dict({"host": str(folder), "port": "5432"})
            .render_as_string(hide_password=False)
        )
    finally:
        server.close()
        shutil.rmtree(folder)


async def _connect(url: str) -> Streams:
    parts = make_url(url)
    host, port = str(parts.query.get("host", parts.host)), int(str(parts.query.get("port", parts.port or 5432)))
    if host.startswith("/"):
        return await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
    return await asyncio.open_connection(host, port)


async def _hand_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, passes: Callable[[bytes], bool]) -> None:
    with suppress(ConnectionError):
        while words := await reader.read(65536):
            if passes(words):
                writer.write(words)
                await writer.drain()
    writer.close()
