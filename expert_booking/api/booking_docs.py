"""OpenAPI examples and responses of the endpoints below `/bookings`."""

from typing import Final

from expert_booking.api.error_docs import (
    CODE_WRONG,
    FORBIDDEN,
    INVALID,
    NO_BOOKING,
    NO_EXPERT,
    NO_PROOF,
    NO_SESSION_TYPE,
    SLOT_NOT_OFFERED,
    SLOT_TAKEN,
    TOO_LARGE,
    Responses,
    error_responses,
    example_response,
    refused,
)
from expert_booking.domain.errors import (
    BookingLimitReached,
    CancelTooLate,
    ChangedMeanwhile,
    LocationChangeNotAllowed,
    NoReschedulesLeft,
    RescheduleNotAllowed,
    RescheduleTooLate,
    StatusChangeNotAllowed,
    TooManyBookings,
    TooManyChanges,
    TooManyNewLinks,
    TooManyVerificationEmails,
    VerificationTooLate,
    WrongCodesUsedUp,
)

ID = "c1c2f4a4-9a0e-4b6b-8a7c-3b9f2f1f7d10"
REQUEST: Final = {
    "expertId": "7d9f1f0e-5c0b-4f5e-9a57-0c1d2e3f4a5b", "startsAt": "2026-11-24T09:00:00Z", "name": "Ada Lovelace",
    "email": "ada@example.com", "phone": "+44 20 7946 0000", "notes": "My first session.",
    "timeZone": "Europe/London", "location": {"id": "video"}, "answers": {"goal": "A new job."},
}  # fmt: skip
HELD: Final = {**REQUEST, "holdId": "0d6f2c1b-8e37-4c5a-b1f4-52a7c9e0d318"}
BY_HAND: Final = {
    "expertId": REQUEST["expertId"], "startsAt": "2026-11-24T05:20:00Z", "name": "Ada Lovelace",
    "override": ["outside_hours", "off_grid"], "notify": False,
}  # fmt: skip
BUSY: Final = {"startsAt": "2026-11-24T09:00:00Z", "endsAt": "2026-11-24T10:00:00Z", "status": "pending"}
BOOKING: Final = {
    **BUSY, **REQUEST, "phone": "+442079460000", "id": ID, "expertSlug": "jana-muller", "expertName": "Jana Müller",
    "expertTimeZone": "Europe/Berlin",
    "sessionTypeId": "0b6f3a52-1d8e-4f0a-8a44-6c2b9d7e1f30", "sessionTitle": "Career consultation",
    "answerBy": "2026-11-24T09:00:00Z", "verifyBy": None, "awaitsVerification": False,
    "cancelUntil": "2026-11-23T09:00:00Z",
    "rescheduleUntil": "2026-11-24T08:00:00Z",
    "reschedulesLeft": 2, "price": {"amount": 4500, "currency": "EUR"},
    "paymentNote": "Please pay by bank transfer after the session.",
    "location": {"kind": "video", "text": "", "id": "video"},
    "answers": [{"id": "goal", "kind": "long_text", "question": "What would you like to achieve?",
                 "value": "A new job.", "sensitive": False}],
    "createdAt": "2026-11-22T12:00:00Z", "updatedAt": "2026-11-22T12:00:00Z", "version": 1,
    "wantedEmails": "all", "mail": "sent",
}  # fmt: skip
UNVERIFIED: Final = {
    **BOOKING, "answerBy": None, "verifyBy": "2026-11-22T12:30:00Z", "awaitsVerification": True, "mail": "waiting",
}  # fmt: skip
NEW: Final = {**BOOKING, "mail": "waiting", "accessToken": "eb_booking_wcL0pJoOS2uKfDufLx99EKm1Vb0c…"}
CHANGES: Final = {
    "changes": [
        {"at": "2026-11-22T12:00:00Z", "actor": "customer", "fromStatus": None, "toStatus": "pending",
         "fromStartsAt": None, "toStartsAt": "2026-11-24T09:00:00Z", "reason": "", "override": [], "tokenId": None},
        {"at": "2026-11-22T14:30:00Z", "actor": "expert", "fromStatus": "pending", "toStatus": "confirmed",
         "fromStartsAt": "2026-11-24T09:00:00Z", "toStartsAt": "2026-11-24T05:20:00Z", "reason": "",
         "override": ["outside_hours", "off_grid"], "tokenId": None},
    ],
}  # fmt: skip
CONFIRMED: Final = {**BOOKING, "status": "confirmed", "answerBy": None, "version": 2}
CHANGED: Final = refused(ChangedMeanwhile)
LATER: Final = {"startsAt": "2026-11-24T11:00:00Z", "endsAt": "2026-11-24T12:00:00Z"}
LIMIT_REACHED: Final = str(BookingLimitReached(with_expert=True, limit=3, current=3))
ON_BOOK: Final[Responses] = {
    **example_response(
        201,
        "The new booking. Its `accessToken` gives access to this booking only.",
        headers={"Location": "The URL of the booking."},
        booking=NEW,
        unconfirmed={**UNVERIFIED, "accessToken": NEW["accessToken"]},
    ),
    **error_responses(
        FORBIDDEN,
        NO_EXPERT,
        NO_SESSION_TYPE,
        SLOT_TAKEN,
        refused(BookingLimitReached, LIMIT_REACHED),
        TOO_LARGE,
        SLOT_NOT_OFFERED,
        INVALID,
        refused(TooManyBookings),
    ),
}
ON_GET: Final[Responses] = {
    **example_response(200, "The booking.", booking=BOOKING),
    **error_responses(NO_PROOF, NO_BOOKING),
}
ON_CHANGE: Final[Responses] = {
    **example_response(200, "The changed booking.", booking=CONFIRMED),
    **error_responses(
        NO_PROOF,
        FORBIDDEN,
        NO_BOOKING,
        refused(StatusChangeNotAllowed),
        CHANGED,
        refused(CancelTooLate),
        TOO_LARGE,
        INVALID,
        refused(TooManyChanges),
    ),
}
ON_RESCHEDULE: Final[Responses] = {
    **example_response(200, "The booking at its new time.", booking={**BOOKING, **LATER, "version": 2}),
    **error_responses(
        NO_PROOF,
        FORBIDDEN,
        NO_BOOKING,
        SLOT_TAKEN,
        refused(RescheduleNotAllowed),
        refused(LocationChangeNotAllowed),
        CHANGED,
        refused(RescheduleTooLate),
        refused(NoReschedulesLeft),
        TOO_LARGE,
        SLOT_NOT_OFFERED,
        INVALID,
        refused(TooManyChanges),
    ),
}
ON_REVOKE: Final[Responses] = {
    204: {"description": "All earlier links and tokens of this booking are revoked."},
    **error_responses(NO_PROOF, FORBIDDEN, NO_BOOKING, refused(TooManyNewLinks)),
}
ON_VERIFY: Final[Responses] = {
    **example_response(200, "The booking, now with the status that its session type gives it.", booking=BOOKING),
    **error_responses(
        NO_PROOF,
        FORBIDDEN,
        NO_BOOKING,
        refused(WrongCodesUsedUp),
        refused(VerificationTooLate),
        TOO_LARGE,
        CODE_WRONG,
        INVALID,
    ),
}
ON_SEND_AGAIN: Final[Responses] = {
    204: {"description": "The email is being sent again, or the address is confirmed already."},
    **error_responses(
        NO_PROOF, FORBIDDEN, NO_BOOKING, refused(VerificationTooLate), refused(TooManyVerificationEmails)
    ),
}
ON_HISTORY: Final[Responses] = {
    **example_response(200, "The changes, oldest first.", changes=CHANGES),
    **error_responses(NO_PROOF, FORBIDDEN, NO_BOOKING),
}
