"""The short way to many sockets: an event is encoded once, and the same frame is written straight to each websocket.

`AsyncServer.emit` starts a task and goes through a queue for each socket of a room, which is most of what a message to
a thousand pages costs. Here a frame goes to each socket as our server lets it be written (see `frames`), which
python-socketio hands out with the environment of a connection. All else goes the ordinary way: a page that polls, a
socket that does not let itself be written to, and everybody where the packet is not one text or the server another.

What is written like this may overtake what waits in NiceGUI's queues, an older snapshot for instance: messages carry
versions, and pages apply what they have heard already on top of what arrives later.
"""

import asyncio
import logging
from typing import Any, Final
from weakref import WeakValueDictionary

from engineio.packet import MESSAGE
from engineio.packet import Packet as Frame
from socketio import AsyncServer
from socketio.packet import EVENT
from starlette.types import Send

from expert_booking.web.frames import EXTENSION, text_frame

log = logging.getLogger(__name__)

# What a page hears that could not be told something: it has to ask for the whole of what it shows.
MISSED: Final = "missed"
# After so many sockets, some 30 ms, everything else has a turn. (More often, and the last ones wait for all of that.)
AT_ONCE: Final = 2000

# What python-socketio knows of a connection, the ASGI scope and `send` among it.
Environ = dict[str, Any]


class Wire:
    """Tells the rooms of a Socket.IO server, on its main namespace."""

    def __init__(self, sio: AsyncServer) -> None:
        self._sio = sio
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._behind: dict[str, asyncio.Task[None]] = {}
        self._complained = False
        # How many messages had to go the ordinary way.
        self.by_emit = 0

    async def tell(self, room: str, event: str, message: dict[str, Any]) -> None:
        """Send one message to everybody in a room; those for one room arrive in the order of these calls.

        A socket whose buffer is full does not hear it, but `missed`, once, as soon as it reads again. So it neither
        keeps the others waiting, nor does what it does not read pile up here.
        """
        async with self._turns.setdefault(room, asyncio.Lock()):
            text = self._text(event, message)
            others = [room] if text is None else await self._write(room, text)
            if others:
                self.by_emit += len(others)
                await self._sio.emit(event, message, to=others)

    def behind(self) -> int:
        """How many sockets have missed something and could not be told so yet."""
        return len(self._behind)

    async def _write(self, room: str, text: str) -> list[str]:
        """Write to all who can be written to; the others."""
        frame, others = text_frame(text), []
        for number, (sid, connection) in enumerate(self._sio.manager.get_participants("/", room), start=1):
            environ = self._sio.environ.get(connection)
            if environ is None or not self._written(sid, environ, frame):
                others.append(sid)
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
        return others

    def _written(self, sid: str, environ: Environ, frame: bytes) -> bool:
        """Whether this socket needs no other way: it has been written to, or will hear that it has missed something."""
        if sid in self._behind:
            return True
        try:
            # Only who has been a websocket from its beginning has it.
            if environ["asgi.scope"]["extensions"][EXTENSION](frame):
                return True
        except KeyError:
            return False
        except OSError:  # it has just been closed: whoever comes back is told everything
            return True
        except Exception as error:
            self._complain(error)
            return False
        self._behind[sid] = asyncio.create_task(self._catch_up(sid, environ["asgi.send"]))
        return True

    async def _catch_up(self, sid: str, send: Send) -> None:
        try:
            await send({"type": "websocket.send", "text": self._text(MISSED, {})})  # waits as long as it has to
        except OSError:
            pass  # it has given up
        except Exception as error:
            self._complain(error)
        finally:
            del self._behind[sid]

    def _text(self, event: str, message: dict[str, Any]) -> str | None:
        """The event as it goes over a websocket; None where that is not one text."""
        try:
            packet = self._sio.packet_class(EVENT, data=[event, message], namespace="/").encode()
            return Frame(MESSAGE, packet).encode() if isinstance(packet, str) else None
        except Exception as error:
            self._complain(error)
            return None

    def _complain(self, error: Exception) -> None:
        # Said once: from then on everybody is told all the same, only later.
        if not self._complained:
            self._complained = True
            log.error("pages cannot be told the short way", exc_info=error)
