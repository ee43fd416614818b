"""Which packets a page may send over its Socket.IO connection.

A packet begins with Engine.IO's type, one digit. For a message (4), Socket.IO's type, one digit, and the data follow.
Packets that no page of this product sends are refused here, before anything parses or stores them.
"""

from enum import Enum
from typing import Final

# The events of NiceGUI's script that the pages need. Code that awaits `ui.run_javascript` would also need
# `javascript_response`, here and in `socket_events`.
EVENTS: Final = ("event", "handshake", "ack")
# NiceGUI's script also sends its error messages. They are dropped, since strangers can write anything into them.
_DROPPED: Final = ('["log",',)
_ACCEPTED: Final = tuple(f'["{name}",' for name in EVENTS)
# Digits of the id that requests an acknowledgement of an event.
_ID_DIGITS: Final = 10


class Packet(Enum):
    """The kind of a packet, as far as it matters before parsing."""

    CONTROL = "control"
    CONNECT = "connect"
    DISCONNECT = "disconnect"
    EVENT = "event"
    DROPPED = "dropped"
    MALFORMED = "malformed"
    BINARY = "binary"


# Engine.IO: pong, the two steps of an upgrade from polling to a websocket, close. Socket.IO: connect and disconnect.
_BY_TEXT: Final = {
    "3": Packet.CONTROL, "2probe": Packet.CONTROL, "5": Packet.CONTROL, "1": Packet.DISCONNECT,
    "40": Packet.CONNECT, "40{}": Packet.CONNECT, "41": Packet.DISCONNECT,
}  # fmt: skip


def packet_of(text: str) -> Packet:
    """The kind of a packet, in constant time whatever its length."""
    if text.startswith("42"):
        begin = 2
        while begin < 2 + _ID_DIGITS and text[begin : begin + 1].isdecimal():
            begin += 1
        if text.startswith(_ACCEPTED, begin):
            return Packet.EVENT
        return Packet.DROPPED if text.startswith(_DROPPED, begin) else Packet.MALFORMED
    if text.startswith(("45", "46", "b")):  # packets with attachments; base64
        return Packet.BINARY
    return _BY_TEXT.get(text, Packet.MALFORMED) if len(text) < 8 else Packet.MALFORMED
