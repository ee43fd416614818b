"""A proxy to PostgreSQL that drops responses from a given moment on: statements run, but the client never learns it."""

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
    """Yield a URL of the database at `url` that goes through the proxy.

    Once a connection has sent all texts of `after`, in this order, it receives nothing more.
    """
    folder = Path(tempfile.mkdtemp(prefix="lost-", dir="/tmp"))

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_database, to_database = await _connect(url)
        awaited = list(after)

        def forward_response(_: bytes) -> bool:
            return bool(awaited)

        def forward_request(data: bytes) -> bool:
            if awaited and awaited[0] in data:
                awaited.pop(0)
            return True

        await asyncio.gather(
            _copy(reader, to_database, forward_request), _copy(from_database, writer, forward_response)
        )

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


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, forwards: Callable[[bytes], bool]) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65536):
            if forwards(data):
                writer.write(data)
                await writer.drain()
    writer.close()
