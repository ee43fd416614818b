"""What people see of a booking."""

from expert_booking.db.bookings import agreed_terms
from expert_booking.db.documents import answer_of, location_of
from expert_booking.db.engine import AnyRow
from expert_booking.domain.lifecycle import Status
from expert_booking.schemas import BookingView


def view_of(row: AnyRow, *, sensitive: bool = False) -> BookingView:
    """The view of a booking row. All views are built here, so that POST and GET return the same.

    `sensitive`: with the values of sensitive answers, for readers who have signed in.
    """
    terms = agreed_terms(row)
    left = {
        "cancel_until": terms.cancel_until(row.starts_at),
        "reschedule_until": terms.reschedule_until(row.starts_at),
        "reschedules_left": terms.reschedules_left(row.reschedules),
        "awaits_verification": is_unverified(row),
        "price": terms.price,
        "location": row.location and location_of(row.location).shown(Status(row.status)),
    }
    answers = [answer_of(document) for document in row.answers]
    left["answers"] = answers if sensitive else [answer.hidden() for answer in answers]
    # Both are empty once the customer's data was erased.
    customer = {"name": row.name or None, "email": row.email or None}
    return BookingView.model_validate({**row._asdict(), "session_title": row.title, **customer, **left})


def is_unverified(row: AnyRow) -> bool:
    """Whether a booking waits until its customer confirms the email address."""
    return row.status == Status.PENDING and row.verify_by is not None
