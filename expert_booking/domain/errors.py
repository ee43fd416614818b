"""Refusals: what people may cause, said politely. Edges map the kinds, never the single cases."""

from typing import ClassVar


class Refusal(Exception):
    """Sorry, that is not possible."""

    code: ClassVar[str] = "refused"

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else (type(self).__doc__ or "")


class NotFound(Refusal):
    """There is nothing here."""

    code = "not_found"


class Conflict(Refusal):
    """Things have changed in the meantime."""

    code = "conflict"


class Invalid(Refusal):
    """Something in this request cannot be right."""

    code = "invalid"


class ProofNeeded(Refusal):
    """Please send a valid token: Authorization: Bearer …"""

    code = "proof_needed"


class Forbidden(Refusal):
    """This token does not allow that."""

    code = "forbidden"


class Unavailable(Refusal):
    """This does not work at the moment. Please try again soon."""

    code = "unavailable"


class ExpertNotFound(NotFound):
    """There is no such expert."""

    code = "expert_not_found"


class SessionTypeNotFound(NotFound):
    """This expert offers no such session."""

    code = "session_type_not_found"


class BookingNotFound(NotFound):
    """There is no such booking, or it is not yours to see."""

    code = "booking_not_found"


class TokenNotFound(NotFound):
    """There is no such token."""

    code = "token_not_found"


class SlotTaken(Conflict):
    """Someone else has just booked this time."""

    code = "slot_taken"


class StatusChangeNotAllowed(Conflict):
    """A booking cannot change its status like that."""

    code = "status_change_not_allowed"


class TokenNameTaken(Conflict):
    """There is already a token of this name."""

    code = "token_name_taken"


class SlugTaken(Conflict):
    """There is already an expert with this slug."""

    code = "slug_taken"


class SlotNotOffered(Invalid):
    """This time is not offered.

    `reason` is one of the calendar's reasons, for programs.
    """

    code = "slot_not_offered"

    WORDS: ClassVar[dict[str, str]] = {
        "past": "This time has already passed.",
        "min_notice": "This time is too soon: the expert needs more notice.",
        "beyond_horizon": "This time is further ahead than the expert takes bookings.",
        "outside_hours": "This time is outside the expert's hours.",
        "off_grid": "Sessions do not start at this time.",
        "inactive": "This expert takes no bookings at the moment.",
    }

    def __init__(self, reason: str) -> None:
        super().__init__(self.WORDS[reason])
        self.reason = reason
