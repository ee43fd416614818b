"""Which packets a page may send over its Socket.IO connection.

A packet is Engine.IO's type, one digit; for a message (4) there follows Socket.IO's type, one digit, and its data. What
no page of ours sends is refused here, before anything parses or keeps it.
"""

from enum import Enum
from typing import Final

# The events that NiceGUI's script sends and pages of ours need. Whoever awaits `ui.run_javascript` needs one more:
# `javascript_response`, here and in `socket_events`.
EVENTS: Final = ("event", "handshake", "ack")
# NiceGUI's script sends its complaints as well. They are dropped: what is in them is up to the browser.
_DROPPED: Final = ('["log",',)
_ACCEPTED: Final = tuple(f'["{name}",' for name in EVENTS)
# Digits of the number by which an answer to an event is asked for.
_ID_DIGITS: Final = 10


class Packet(Enum):
    """What a packet is, as far as it matters before it is parsed."""

    CONTROL = "control"
    CONNECT = "connect"
    DISCONNECT = "disconnect"
    EVENT = "event"
    DROPPED = "dropped"
    MALFORMED = "malformed"
    BINARY = "binary"


# Engine.IO: pong, the two steps of an upgrade from polling to a websocket, close. Socket.IO: connect and disconnect.
_WHOLE: Final = {
    "3": Packet.CONTROL, "2probe": Packet.CONTROL, "5": Packet.CONTROL, "1": Packet.DISCONNECT,
    "40": Packet.CONNECT, "40{}": Packet.CONNECT, "41": Packet.DISCONNECT,
}  # fmt: skip


def packet_of(text: str) -> Packet:
    """What this packet is. Takes the same time however long it is."""
    if text.startswith("42"):
        begin = 2
        while begin < 2 + _ID_DIGITS and text[begin : begin + 1].isdecimal():
            begin += 1
        if text.startswith(_ACCEPTED, begin):
            return Packet.EVENT
        return Packet.DROPPED if text.startswith(_DROPPED, begin) else Packet.MALFORMED
    if text.startswith(("45", "46", "b")):  # packets with attachments; base64
        return Packet.BINARY
    return _WHOLE.get(text, Packet.MALFORMED) if len(text) < 8 else Packet.MALFORMED
