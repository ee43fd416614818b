"""Where a session takes place.

A session type offers some locations, the customer chooses one of them, and the booking keeps it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from secrets import token_hex
from typing import Final

from expert_booking.domain.errors import FieldsWrong
from expert_booking.domain.lifecycle import Status
from expert_booking.domain.phone_numbers import international


class LocationKind(StrEnum):
    VIDEO = "video"
    PHONE = "phone"
    ADDRESS = "address"
    # The customer names the place.
    CUSTOMER = "customer"
    OTHER = "other"


LABELS: Final = {
    LocationKind.VIDEO: "Video call",
    LocationKind.PHONE: "Phone call",
    LocationKind.ADDRESS: "In person",
    LocationKind.CUSTOMER: "At a place you choose",
    LocationKind.OTHER: "Other",
}
# Stands in a link for a name that no other booking has. With it, each booking has a link of its own.
ROOM: Final = "{room}"
# Links and numbers are for the two sides only, and only once the booking is confirmed.
_PRIVATE: Final = frozenset({LocationKind.VIDEO, LocationKind.PHONE})
_SHOWN_IN: Final = frozenset({Status.CONFIRMED, Status.COMPLETED, Status.NO_SHOW})


@dataclass(frozen=True, slots=True)
class Location:
    """A place. `text` is the link, the phone number (E.164), the address, or what was typed; it may be empty.

    A phone call without a number: the expert calls the customer. `id` identifies it among those of its session type;
    it is empty if a host has set the location of a booking.
    """

    kind: LocationKind
    text: str = ""
    id: str = ""

    @property
    def is_link(self) -> bool:
        """Whether the text is a link."""
        return self.kind is LocationKind.VIDEO and bool(self.text)

    def public(self) -> "Location":
        """The same as everyone may see it: without a private link or number."""
        return replace(self, text="") if self.kind in _PRIVATE else self

    def shown(self, status: Status) -> "Location":
        """The same as the two sides of a booking with this status see it."""
        return self if status in _SHOWN_IN else self.public()

    def label(self) -> str:
        """What it is, for visitors who choose: `Video call`, `In person: 1 High Street`."""
        named = LABELS[self.kind] if self.kind is not LocationKind.OTHER else ""
        return ": ".join(filter(None, (named, self.text if self.kind not in _PRIVATE else "")))

    def lines(self, *, for_host: bool) -> list[str]:
        """What it is and how to get there, for one of the two sides: `Video call`, `https://…`."""
        if self.kind is LocationKind.VIDEO:
            return ["Video call", self.text] if self.text else ["Video call"]
        if self.kind is LocationKind.PHONE:
            return [self._phone_call(for_host=for_host)]
        if self.kind is LocationKind.CUSTOMER:
            return [self.text or "The place that the customer named"]
        return self.text.splitlines()

    def _phone_call(self, *, for_host: bool) -> str:
        if not self.text:
            return "Phone call: you call the customer" if for_host else "Phone call: the expert calls you"
        number = international(self.text)
        return f"Phone call: the customer calls {number}" if for_host else f"Phone call: please call {number}"


def summary(offered: Sequence[Location]) -> str:
    """What the customer can choose from: `Video call or in person.`; empty if nothing is offered."""
    names = dict.fromkeys(one.text if one.kind is LocationKind.OTHER else LABELS[one.kind] for one in offered)
    text = " or ".join(name[:1].lower() + name[1:] for name in names)
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def new_room() -> str:
    """A name for the room of one booking, which nobody can guess."""
    return token_hex(10)


def chosen(offered: Sequence[Location], location_id: str | None, text: str) -> Location | None:
    """The location of a new booking: the one with this id, or the first one. None if none is offered.

    `text` is the place that the customer names. Raises FieldsWrong.
    """
    location = next((one for one in offered if location_id in (None, one.id)), None)
    if location is None:
        if location_id is None:
            return None
        raise FieldsWrong({"location": "This location is no longer offered. Please choose another one."})
    if location.kind is LocationKind.CUSTOMER:
        if not text:
            raise FieldsWrong({"location.text": "Please enter a place."})
        return replace(location, text=text)
    return replace(location, text=location.text.replace(ROOM, new_room()))
