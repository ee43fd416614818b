"""Refusals: the errors that a request may cause. Pages and the API show their docstrings to people.

Callers map the base classes (`NotFound`, `Conflict`, …) to HTTP statuses, never the individual refusals.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from math import ceil
from typing import Any, ClassVar

from expert_booking.domain.limits import HOUR
from expert_booking.domain.unavailability import Blocker, Reason


class Refusal(Exception):
    """This is not possible."""

    code: ClassVar[str] = "refused"

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else (type(self).__doc__ or "")


class NotFound(Refusal):
    """Not found."""

    code = "not_found"


class Conflict(Refusal):
    """This has changed in the meantime."""

    code = "conflict"


class Invalid(Refusal):
    """The request is not valid."""

    code = "invalid"


class PreconditionFailed(Refusal):
    """This has changed since you read it."""

    code = "precondition_failed"

    def __init__(self, version: str) -> None:
        """`version` is the current one, for the ETag."""
        super().__init__()
        self.version = version


class NotAuthenticated(Refusal):
    """Please send a valid token: Authorization: Bearer …"""

    code = "proof_needed"


class Forbidden(Refusal):
    """This token does not allow that."""

    code = "forbidden"


class TooManyRequests(Refusal):
    """Too many requests. Please try again soon."""

    code = "too_many_requests"
    # Seconds to wait before trying again (the Retry-After header).
    retry_after = 60


class Unavailable(Refusal):
    """This service is temporarily unavailable. Please try again soon."""

    code = "unavailable"


class ExpertNotFound(NotFound):
    """Expert not found."""

    code = "expert_not_found"


class SessionTypeNotFound(NotFound):
    """This expert does not offer this session."""

    code = "session_type_not_found"


class BookingNotFound(NotFound):
    """This booking does not exist, or you do not have access to it."""

    code = "booking_not_found"


class HoldNotFound(NotFound):
    """This time is no longer on hold."""

    code = "hold_not_found"


class LinkNotValid(NotFound):
    """This link has already been used or has expired. Please request a new one."""

    code = "link_not_valid"


class EmailLinkNotValid(NotFound):
    """This link is not valid. It may be incomplete, or its booking no longer exists."""

    code = "email_link_not_valid"


class FeedNotFound(NotFound):
    """There is no calendar at this address, or the address no longer works."""

    code = "feed_not_found"


class MessageNotFound(NotFound):
    """There is no undelivered message with this id."""

    code = "message_not_found"


class BlockNotFound(NotFound):
    """This block does not exist."""

    code = "block_not_found"


class OverrideNotFound(NotFound):
    """There is no override for this date."""

    code = "override_not_found"


class DaysOffNotFound(NotFound):
    """These days off do not exist."""

    code = "days_off_not_found"


class TokenNotFound(NotFound):
    """This token does not exist."""

    code = "token_not_found"


class PhotoNotFound(NotFound):
    """There is no photo at this address."""

    code = "photo_not_found"


class AssistantNotFound(NotFound):
    """This address is not one of the expert's assistants."""

    code = "assistant_not_found"


class MailNotFound(NotFound):
    """This email does not exist."""

    code = "mail_not_found"


class SlotTaken(Conflict):
    """Someone else has just booked this time."""

    code = "slot_taken"

    def __init__(self, blocker: Blocker | None = None) -> None:
        blocker = blocker or Blocker(Reason.BUSY)
        super().__init__(str(blocker))
        self.blocker = blocker
        # The nearest free starts (UTC), earliest first; empty unless a service has looked them up.
        self.alternatives: tuple[datetime, ...] = ()


class CancelTooLate(Conflict):
    """It is too late to cancel this session."""

    code = "cancel_too_late"


class RescheduleTooLate(Conflict):
    """It is too late to reschedule this session."""

    code = "reschedule_too_late"


class NoReschedulesLeft(Conflict):
    """This booking cannot be rescheduled again."""

    code = "no_reschedules_left"


class RescheduleNotAllowed(Conflict):
    """This booking cannot be rescheduled."""

    code = "reschedule_not_allowed"


class LocationChangeNotAllowed(Conflict):
    """The location of this booking cannot be changed any more."""

    code = "location_change_not_allowed"


class CodeWrong(Invalid):
    """This code is not correct."""

    code = "code_wrong"

    def __init__(self, left: int) -> None:
        super().__init__(f"This code is not correct. You can try {left} more time{'s' * (left > 1)}.")
        # How many more codes may be tried.
        self.left = left


class CodesLocked(Conflict):
    """Too many wrong codes. Please use the link in the email or request a new one."""

    code = "codes_locked"


class WrongCodesUsedUp(Conflict):
    """Too many wrong codes. The booking has expired, and the time is available again."""

    code = "wrong_codes_used_up"


class VerificationTooLate(Conflict):
    """It is too late to confirm this booking. The time is no longer reserved."""

    code = "verification_too_late"


class AnswerNotReadable(Conflict):
    """The stored response to this Idempotency-Key is unreadable. The request was not repeated: check its result."""

    code = "answer_not_readable"


class RequestInFlight(Conflict):
    """The first request with this Idempotency-Key is still in progress. Please retry in a moment."""

    code = "request_in_flight"


class ChangedMeanwhile(Conflict):
    """This booking has changed since you read it. Please look at it again."""

    code = "changed_meanwhile"


class BlockConflict(Conflict):
    """This time is not free."""

    code = "block_conflict"

    def __init__(self, conflicts: Sequence[Any]) -> None:
        """`conflicts`: the views of what is in the way."""
        super().__init__("This time is not free." if len(conflicts) == 1 else "Some of these times are not free.")
        self.conflicts = conflicts


class EmailNotPossible(Conflict):
    """There is no email about this booking that could be sent again."""

    code = "email_not_possible"


class NoManageLink(Conflict):
    """This booking has no email address, and therefore no link for its customer."""

    code = "no_manage_link"


class StatusChangeNotAllowed(Conflict):
    """This status change is not allowed."""

    code = "status_change_not_allowed"


class BookingLimitReached(Conflict):
    """This email address has as many upcoming bookings as it may have. Please cancel one first."""

    code = "booking_limit_reached"

    def __init__(self, *, with_expert: bool, limit: int, current: int) -> None:
        """`with_expert`: the limit with one expert; otherwise the limit in all."""
        bookings = "booking" if current == 1 else "bookings"
        scope = " with this expert" if with_expert else ""
        super().__init__(f"This email address already has {current} upcoming {bookings}{scope}. The limit is {limit}.")
        self.figures = {"scope": "expert" if with_expert else "all", "limit": limit, "current": current}


class TokenNameTaken(Conflict):
    """A token with this name already exists."""

    code = "token_name_taken"


class SlugTaken(Conflict):
    """Another expert has this slug, or had it before."""

    code = "slug_taken"


class SessionTypeInUse(Conflict):
    """This session type has bookings and cannot be deleted. Set `active` to false to stop new bookings."""

    code = "session_type_in_use"


class TooMany(Conflict):
    """The limit has been reached. Please delete some first."""

    code = "too_many"


class PlanChanged(PreconditionFailed):
    """These hours have changed since you read them. Please reload them and try again."""

    code = "plan_changed"


class ProfileChanged(PreconditionFailed):
    """This profile has changed since you read it. Please reload it and try again."""

    code = "profile_changed"


class FieldsWrong(Invalid):
    """The request is not valid. See `errors`."""

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
        # The nearest free starts (UTC), earliest first; empty unless a service has looked them up.
        self.alternatives: tuple[datetime, ...] = ()
        # For hosts: what they would have to set aside. Values of `RuleOverride`; empty if that does not help.
        self.override: tuple[str, ...] = ()


class IdempotencyKeyReused(Invalid):
    """This Idempotency-Key was used for a different request. Use a new key for each request."""

    code = "idempotency_key_reused"


class TooManyAccessRequests(TooManyRequests):
    """You have requested several emails already. Use one of them or try again in an hour."""

    code = "too_many_access_requests"

    def __init__(self, wait: timedelta = timedelta(hours=1)) -> None:
        super().__init__()
        self.retry_after = ceil(wait.total_seconds())


class TooManyNewLinks(TooManyRequests):
    """Several new links to this booking were sent today. Please use the latest one, or sign in."""

    code = "too_many_new_links"
    retry_after = 3600


class TooManyVerificationEmails(TooManyRequests):
    """We've sent this email several times already. Please look in your spam folder."""

    code = "too_many_verification_emails"
    retry_after = 1800


class TooManyEmailsAgain(TooManyRequests):
    """This email was sent again several times in the last hour."""

    code = "too_many_emails_again"
    retry_after = 3600


class TooManyHolds(TooManyRequests):
    """Too many times are on hold from your network. You can still book without a hold."""

    code = "too_many_holds"


class TooManyHoldsPerMinute(TooManyHolds):
    """Too many holds from your network in the last minute. You can still book without a hold."""

    code = "too_many_holds_per_minute"

    def __init__(self, wait: timedelta = timedelta(minutes=1)) -> None:
        super().__init__()
        self.retry_after = ceil(wait.total_seconds())


class TooManyInAnHour(TooManyRequests):
    """Too many requests in the last hour."""

    code = "too_many_in_an_hour"

    def __init__(self, oldest: datetime, now: datetime, sentence: str = "") -> None:
        """`oldest` (UTC) is the oldest of those that count; once it is an hour old, the next request is allowed."""
        super().__init__(*filter(None, (sentence,)))
        self.again_at = oldest + HOUR
        self.retry_after = max(1, ceil((self.again_at - now).total_seconds()))


class TooManyBookings(TooManyInAnHour):
    """Too many bookings were made from your network in the last hour."""

    code = "too_many_bookings"


class TooManyChanges(TooManyInAnHour):
    """Too many bookings were changed from your network in the last hour."""

    code = "too_many_changes"
