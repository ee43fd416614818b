"""The short way to many sockets: an event is encoded once, and the same frame is written straight to each websocket.

`AsyncServer.emit` starts a task and goes through a queue for each socket of a room, which is most of what a message to
a thousand pages costs. Here a frame goes to each socket as our server lets it be written (see `frames`), which
python-socketio hands out with the environment of a connection. All else goes the ordinary way: a page that polls, a
socket that does not let itself be written to, and everybody where the packet is not one text or the server another.

This is faster for any number of sockets: for 1 it takes 0.3 ms instead of 0.4, for 100 it takes 1.0 ms instead of 4.4,
for 500 it takes 3.4 ms instead of 18. And it alone leaves out a socket that does not read; what waits for such a socket
in Engine.IO's queue has no limit.

What is written like this may overtake what waits in NiceGUI's queues, an older snapshot for instance: messages carry
versions, and pages apply what they have heard already on top of what arrives later.
"""

import asyncio
import inspect
import logging
from asyncio import WriteTransport
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from weakref import WeakValueDictionary

from engineio.packet import MESSAGE
from engineio.packet import Packet as Frame
from socketio import AsyncServer
from socketio.packet import EVENT
from starlette.types import Send

from expert_booking.web.live.websocket import EXTENSION, FrameWebSocket, problem_with, text_frame, write_frame

log = logging.getLogger(__name__)

# What a page hears that could not be told something: it has to ask for the whole of what it shows.
MISSED: Final = "missed"
# After so many sockets, some 30 ms, everything else has a turn. (More often, and the last ones wait for all of that.)
AT_ONCE: Final = 2000
# Seconds for which it is known how a room is reached.
KEPT: Final = 60.0


@dataclass(slots=True)
class _Route:
    """How the people of a room are reached: their connections by their names, and what can be written to of them.

    To find that anew for each message, in a thousand places of the memory, takes as long as all the writing.
    """

    people: dict[str, str]
    sockets: dict[str, WriteTransport] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)


class Broadcaster:
    """Tells the rooms of a Socket.IO server, on its main namespace."""

    def __init__(self, sio: AsyncServer) -> None:
        self._sio = sio
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._lines: dict[str, _Route] = {}
        self._behind: dict[str, asyncio.Task[None]] = {}
        self._complained = False
        # Whether libraries have changed, so that all messages go the ordinary way.
        self._only_emit = False
        # How many messages had to go the ordinary way.
        self.by_emit = 0

    def check(self) -> None:
        """Use the short way only if the libraries below work as it expects. Logs a warning if they do not."""
        problem = problem_with(FrameWebSocket) or self._problem()
        self._only_emit = problem is not None
        if problem is not None:
            log.warning("Messages to pages go through Socket.IO, which is slower with many pages: %s", problem)

    async def tell(self, room: str, event: str, message: dict[str, Any]) -> None:
        """Send one message to everybody in a room; those for one room arrive in the order of these calls.

        A socket whose buffer is full does not hear it, but `missed`, once, as soon as it reads again. So it neither
        keeps the others waiting, nor does what it does not read pile up here.
        """
        async with self._turns.setdefault(room, asyncio.Lock()):
            text = None if self._only_emit else self._text(event, message)
            others = [room] if text is None else await self._write(room, text)
            if others:
                self.by_emit += len(others)
                await self._sio.emit(event, message, to=others)

    def behind(self) -> int:
        """How many sockets have missed something and could not be told so yet."""
        return len(self._behind)

    def _problem(self) -> str | None:
        """What is not as expected of Socket.IO; None if everything is."""
        try:
            packet = self._encode("slots", {"version": 1})
            people = dict(self._sio.manager.get_participants("/", ""))
            self._sio.environ.get("")
            inspect.signature(self._sio.get_environ).bind("")
        except Exception as error:
            return f"{type(error).__name__}: {error}"
        if packet != '42["slots",{"version":1}]':
            return f"Socket.IO encodes events as {packet!r}"
        return None if people == {} else "Socket.IO has rooms of another kind"

    async def _write(self, room: str, text: str) -> list[str]:
        """Write to all who can be written to; the others."""
        frame, line, behind = text_frame(text), self._line(room), self._behind
        others = list(line.others)
        for number, (sid, transport) in enumerate(line.sockets.items(), start=1):
            if not (behind and sid in behind):
                try:
                    if not write_frame(transport, frame):
                        self._leave_behind(sid)
                except Exception as error:
                    self._complain(error)
                    others.append(sid)
            if number % AT_ONCE == 0:
                await asyncio.sleep(0)
        return others

    def _line(self, room: str) -> _Route:
        """How everybody in this room is reached."""
        line, people = self._lines.get(room), dict(self._sio.manager.get_participants("/", room))
        if line is None:
            # Nobody says when a room is empty: what is known of it must not live on.
            asyncio.get_running_loop().call_later(KEPT, self._lines.pop, room, None)
        elif line.people == people:
            return line
        known = line.sockets if line else {}
        line = self._lines[room] = _Route(people)
        for sid, connection in people.items():
            transport = known.get(sid) or _transport_of(self._sio.environ.get(connection, {}))
            if transport is None:
                line.others.append(sid)
            else:
                line.sockets[sid] = transport
        return line

    def _leave_behind(self, sid: str) -> None:
        environ = self._sio.get_environ(sid)
        if environ is not None:
            self._behind[sid] = asyncio.create_task(self._catch_up(sid, environ["asgi.send"]))

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
            return self._encode(event, message)
        except Exception as error:
            self._complain(error)
            return None

    def _encode(self, event: str, message: dict[str, Any]) -> str | None:
        packet = self._sio.packet_class(EVENT, data=[event, message], namespace="/").encode()
        return Frame(MESSAGE, packet).encode() if isinstance(packet, str) else None

    def _complain(self, error: Exception) -> None:
        # Said once: from then on everybody is told all the same, only later.
        if not self._complained:
            self._complained = True
            log.error("pages cannot be told the short way", exc_info=error)


def _transport_of(environ: Mapping[str, Any]) -> WriteTransport | None:
    """What writes to this connection, where it has been a websocket of our server's from its beginning."""
    transport: WriteTransport | None = environ.get("asgi.scope", {}).get("extensions", {}).get(EXTENSION)
    return transport
