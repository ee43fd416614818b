"""Rooms of the websocket: one message reaches every open page in the room."""

from collections.abc import Iterable
from typing import Any

from nicegui import Client, core

from expert_booking.web.live.broadcast import Broadcaster

_broadcaster = Broadcaster(core.sio)


def check() -> None:
    """Check the libraries that fast broadcasts depend on. If they have changed, warn and use Socket.IO's own queues."""
    _broadcaster.check()


async def enter(client: Client, rooms: Iterable[str]) -> None:
    """Add a page's sockets to these rooms. Sockets leave all rooms when they disconnect."""
    for sid in _sockets(client):
        for room in rooms:
            await core.sio.enter_room(sid, room)


async def leave(client: Client, rooms: Iterable[str]) -> None:
    """Remove a page's sockets from these rooms."""
    for sid in _sockets(client):
        for room in rooms:
            await core.sio.leave_room(sid, room)


async def send(room: str, event: str, message: dict[str, Any]) -> None:
    """Send a message to all pages in a room, in the order of these calls.

    A page that reads too slowly gets the event `missed` instead, and then requests everything it shows.
    """
    await _broadcaster.send(room, event, message)


def _sockets(client: Client) -> list[str]:
    # NiceGUI puts each socket into a room named after its page.
    return [sid for sid, _ in core.sio.manager.get_participants("/", client.id)]
