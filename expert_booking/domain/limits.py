"""How many bookings and changes the public may make, so that nobody can book out a calendar or flood a mailbox."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

# The period in which bookings and changes of a network are counted.
HOUR: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class BookingLimits:
    """The site's limits; 0 is none. They do not apply to experts and admins.

    One network (see `domain/client_network.py`) may make `per_network` bookings in an hour for addresses that it has
    not proven. One address may have `live_per_expert` upcoming bookings with one expert, and `live_per_customer` in
    all. One booking may be changed by its customer, and one network may change bookings, `changes_per_hour` times.
    """

    per_network: int = 40
    live_per_expert: int = 3
    live_per_customer: int = 10
    changes_per_hour: int = 12

    @property
    def count_live_bookings(self) -> bool:
        """Whether the number of upcoming bookings of an address is limited."""
        return self.live_per_expert > 0 or self.live_per_customer > 0


NO_LIMITS: Final = BookingLimits(per_network=0, live_per_expert=0, live_per_customer=0, changes_per_hour=0)
