"""Rooms of the websocket: one message reaches every open page that is in the room."""

from collections.abc import Iterable
from typing import Any

from nicegui import Client, core

from expert_booking.web.live.broadcast import Broadcaster

_broadcaster = Broadcaster(core.sio)


def check() -> None:
    """Send through Socket.IO's own queues from now on, with a warning, if the libraries have changed."""
    _broadcaster.check()


async def enter(client: Client, rooms: Iterable[str]) -> None:
    """Bring a page's sockets into these rooms. They leave by themselves when they disconnect."""
    for sid in _sockets(client):
        for room in rooms:
            await core.sio.enter_room(sid, room)


async def leave(client: Client, rooms: Iterable[str]) -> None:
    """Take a page's sockets out of these rooms."""
    for sid in _sockets(client):
        for room in rooms:
            await core.sio.leave_room(sid, room)


async def tell(room: str, event: str, message: dict[str, Any]) -> None:
    """Send one message to everybody in a room, in the order of these calls.

    A page that reads too slowly hears `missed` instead, and has to ask for the whole.
    """
    await _broadcaster.tell(room, event, message)


def _sockets(client: Client) -> list[str]:
    # NiceGUI puts each socket into a room that is named after its page.
    return [sid for sid, _ in core.sio.manager.get_participants("/", client.id)]
