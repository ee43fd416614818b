"""One connection of a page: which of its packets are passed on, how fast, and when it is closed."""

import asyncio
from collections.abc import Mapping
from time import monotonic
from typing import Any, Final, Protocol

from expert_booking.web.socket_packets import Packet, packet_of

# Bytes of a packet. Forms are far smaller.
MAX_PACKET: Final = 2**16
# Malformed packets after which a connection is closed.
MAX_MALFORMED: Final = 3
# Where the connection stands in its ASGI scope.
SCOPE_KEY: Final = "expert_booking.socket"
# Seconds for the handshake, and from a refused handshake until the connection is closed.
_HANDSHAKE_TIMEOUT: Final = 20.0
_CLOSE_DELAY: Final = 3.0
# Packets a page may send in a burst, and per second after that. A key that is held down sends fewer.
_BURST: Final = 100
_PER_SECOND: Final = 30
# Bytes that may wait for a connection that does not read them.
_MAX_WAITING: Final = 2**20


class Guard(Protocol):
    """What a connection needs of the guard that accepted it."""

    def count_malformed(self) -> None:
        """Count a malformed packet in the log and the metrics."""

    def close(self, socket: "GuardedSocket") -> None:
        """Close a connection immediately."""


class OutgoingQueue(asyncio.Queue[Any]):
    """Engine.IO's queue of outgoing packets, which also counts their characters."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.waiting = 0
        super().__init__(*args, **kwargs)

    def _put(self, item: Any) -> None:
        self.waiting += _length(item)
        super()._put(item)

    def _get(self) -> Any:
        item = super()._get()
        self.waiting -= _length(item)
        return item


def _length(packet: Any) -> int:
    data = getattr(packet, "data", None)
    return len(data) if isinstance(data, str | bytes) else 0


class GuardedSocket:
    """One connection of a page, from its first request to its end."""

    __slots__ = (
        "_allowance", "_checked_at", "closing", "connected", "eio_sid", "guard", "handshaken", "malformed", "network",
        "page_id", "polls", "queue", "timer", "transport", "upgrading",
    )  # fmt: skip

    def __init__(self, guard: Guard, page_id: str, network: bytes) -> None:
        self.guard = guard
        self.page_id = page_id
        self.network = network
        self.eio_sid: str | None = None
        self.queue: Any = None
        self.transport: Any = None
        self.timer: asyncio.TimerHandle | None = None
        # Whether it has sent Socket.IO's connect packet, completed its handshake, and must be closed.
        self.connected = self.handshaken = self.closing = False
        self.malformed = self.polls = 0
        self.upgrading = False
        self._allowance, self._checked_at = float(_BURST), monotonic()

    @classmethod
    def of(cls, environ: Mapping[str, Any]) -> "GuardedSocket | None":
        """The connection with this Engine.IO environment; None if it did not pass a guard."""
        found = environ.get("asgi.scope", {}).get(SCOPE_KEY)
        return found if isinstance(found, cls) else None

    def accept(self, text: str | None) -> bool:
        """Whether to pass this packet on (None: a binary one). Marks the connection for closing if it breaks a rule."""
        if self.queue is not None and self.queue.waiting > _MAX_WAITING:
            self.abort()
            return False
        packet = Packet.BINARY if text is None or len(text) > MAX_PACKET else packet_of(text)
        if packet is Packet.EVENT and self.connected:
            return True
        if packet is Packet.CONNECT and not self.connected:
            self.connected = True
            return True
        if packet is Packet.DISCONNECT:
            self.closing = True
            return True
        if packet is Packet.BINARY:
            self.reject(immediately=True)
        elif packet not in (Packet.CONTROL, Packet.DROPPED):
            self.reject()
        return packet is Packet.CONTROL

    def reject(self, *, immediately: bool = False) -> None:
        """Count a malformed packet, and mark the connection for closing after the third, or `immediately`."""
        self.malformed += 1
        self.guard.count_malformed()
        self.closing = self.closing or immediately or self.malformed >= MAX_MALFORMED

    def delay(self) -> float:
        """Count one packet, and return the seconds to wait before processing it."""
        now = monotonic()
        self._allowance = min(self._allowance + (now - self._checked_at) * _PER_SECOND, float(_BURST)) - 1
        self._checked_at = now
        return max(-self._allowance / _PER_SECOND, 0)

    def complete_handshake(self) -> None:
        """Record that the handshake with its page is complete."""
        self.handshaken = True
        self._set_timer(None)

    def close_soon(self) -> None:
        """Close it after the browser had time to receive the refusal."""
        self._set_timer(_CLOSE_DELAY)

    def begin(self, eio_sid: str, queue: Any) -> None:
        """Record that Engine.IO has accepted it, and start the timeout of the handshake."""
        self.eio_sid, self.queue = eio_sid, queue
        self._set_timer(_HANDSHAKE_TIMEOUT)

    def abort(self) -> None:
        """Close it immediately, without waiting until the client has read what was sent."""
        self.closing = True
        self._set_timer(None)
        self.guard.close(self)

    def abort_if_closing(self) -> None:
        """Close it immediately if it is marked for closing."""
        if self.closing:
            self.abort()

    def end(self) -> None:
        """Record that it is closed."""
        self.closing = True
        self._set_timer(None)
        self.transport = self.queue = None

    def _set_timer(self, seconds: float | None) -> None:
        if self.timer is not None:
            self.timer.cancel()
        self.timer = None if seconds is None else asyncio.get_running_loop().call_later(seconds, self.abort)
