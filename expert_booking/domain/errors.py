"""Refusals: what people may cause, said politely. Edges map the kinds, never the single cases."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from math import ceil
from typing import ClassVar

from expert_booking.domain.unavailability import Blocker, Reason


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


class PreconditionFailed(Refusal):
    """This has been changed since you read it."""

    code = "precondition_failed"


class NotAuthenticated(Refusal):
    """Please send a valid token: Authorization: Bearer …"""

    code = "proof_needed"


class Forbidden(Refusal):
    """This token does not allow that."""

    code = "forbidden"


class TooManyRequests(Refusal):
    """That was a little much. Please try again soon."""

    code = "too_many_requests"
    # Seconds after which some of what there was too much of may be over.
    retry_after = 60


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


class HoldNotFound(NotFound):
    """This time is not held any more."""

    code = "hold_not_found"


class LinkNotValid(NotFound):
    """This link has been used already, or its time is over. Please ask for a new one."""

    code = "link_not_valid"


class FeedNotFound(NotFound):
    """There is no calendar at this address, or it has been given up."""

    code = "feed_not_found"


class MessageNotFound(NotFound):
    """There is no such message that was given up."""

    code = "message_not_found"


class OverrideNotFound(NotFound):
    """There are no special hours on this date."""

    code = "override_not_found"


class DaysOffNotFound(NotFound):
    """There are no such days off."""

    code = "days_off_not_found"


class TokenNotFound(NotFound):
    """There is no such token."""

    code = "token_not_found"


class MailNotFound(NotFound):
    """There is no such mail."""

    code = "mail_not_found"


class SlotTaken(Conflict):
    """Someone else has just booked this time."""

    code = "slot_taken"

    def __init__(self, blocker: Blocker | None = None) -> None:
        blocker = blocker or Blocker(Reason.BUSY)
        super().__init__(str(blocker))
        self.blocker = blocker
        # The nearest free starts (UTC), in order of time, where somebody has looked for them.
        self.alternatives: tuple[datetime, ...] = ()


class CancelTooLate(Conflict):
    """It is too late to cancel this session."""

    code = "cancel_too_late"


class RescheduleTooLate(Conflict):
    """It is too late to move this session to another time."""

    code = "reschedule_too_late"


class NoReschedulesLeft(Conflict):
    """This booking cannot be moved to another time again."""

    code = "no_reschedules_left"


class RescheduleNotAllowed(Conflict):
    """A booking like this cannot be moved to another time."""

    code = "reschedule_not_allowed"


class CodeWrong(Invalid):
    """This is not the code in the mail."""

    code = "code_wrong"


class CodesLocked(Conflict):
    """That were too many wrong codes. Please use the link in the mail, or ask for a new mail."""

    code = "codes_locked"


class AnswerNotReadable(Conflict):
    """What was answered to this Idempotency-Key cannot be read any more. It is not done again: please look first."""

    code = "answer_not_readable"


class RequestInFlight(Conflict):
    """The first request with this Idempotency-Key is still being worked on. Please ask again in a moment."""

    code = "request_in_flight"


class StatusChangeNotAllowed(Conflict):
    """A booking cannot change its status like that."""

    code = "status_change_not_allowed"


class TokenNameTaken(Conflict):
    """There is already a token of this name."""

    code = "token_name_taken"


class SlugTaken(Conflict):
    """There is already an expert with this slug."""

    code = "slug_taken"


class SessionTypeInUse(Conflict):
    """There are bookings of this session, so it cannot be deleted. Set `active` to false and nobody can book it."""

    code = "session_type_in_use"


class TooMany(Conflict):
    """There are as many of these as there can be. Please delete some first."""

    code = "too_many"


class PlanChanged(PreconditionFailed):
    """Somebody else has changed these hours since you read them. Please read them again, then change them."""

    code = "plan_changed"

    def __init__(self, version: str) -> None:
        super().__init__()
        self.version = version


class FieldsWrong(Invalid):
    """Some of this cannot be right; `errors` says what, by the field."""

    code = "validation_failed"

    def __init__(self, errors: Mapping[str, str]) -> None:
        super().__init__(" ".join(dict.fromkeys(errors.values())))
        self.errors = errors


class SlotNotOffered(Invalid):
    """This time is not offered."""

    code = "slot_not_offered"

    def __init__(self, blocker: Blocker) -> None:
        super().__init__(str(blocker))
        self.blocker = blocker
        # The nearest free starts (UTC), in order of time, where somebody has looked for them.
        self.alternatives: tuple[datetime, ...] = ()


class IdempotencyKeyReused(Invalid):
    """This Idempotency-Key belongs to another request. A new request needs a new key."""

    code = "idempotency_key_reused"


class TooManyAccessRequests(TooManyRequests):
    """There were many requests already. Please use one of the mails, or try again in an hour."""

    code = "too_many_access_requests"

    def __init__(self, wait: timedelta = timedelta(hours=1)) -> None:
        super().__init__()
        self.retry_after = ceil(wait.total_seconds())


class TooManyNewLinks(TooManyRequests):
    """New links to this booking were sent several times today already. Please use the latest one, or sign in."""

    code = "too_many_new_links"
    retry_after = 3600


class TooManyHolds(TooManyRequests):
    """Too many times are being held from your network at the moment. You can still book without a hold."""

    code = "too_many_holds"


class TooManyHoldsPerMinute(TooManyHolds):
    """Many times were held from your network in the last minute. You can still book without a hold."""

    code = "too_many_holds_per_minute"

    def __init__(self, wait: timedelta = timedelta(minutes=1)) -> None:
        super().__init__()
        self.retry_after = ceil(wait.total_seconds())
