"""The settings of a site that use cases need: its address, sender, admins, reminders and limits for emails."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

DEMO_SENDER: Final = "Expert Booking <booking@example.com>"


@dataclass(frozen=True, slots=True)
class Site:
    """The settings that use cases need. `secret` signs keys and is never stored in the database."""

    secret: str = ""
    # The public base URL without a trailing slash. Links in emails start with it.
    url: str = "http://localhost:8080"
    # The From address of emails.
    sender: str = DEMO_SENDER
    # The addresses of admins as customer keys (see `customer_key`).
    admins: frozenset[str] = frozenset()
    # How long before the start of a session each reminder is sent.
    reminders: tuple[timedelta, ...] = (timedelta(hours=24), timedelta(hours=1))
    # Emails about bookings within 24 hours to an address that nobody has signed in with. 0: no limit.
    emails_per_address: int = 8
    # How long after its end a session that is still confirmed counts as completed. None: only when a host says so.
    complete_after: timedelta | None = timedelta(hours=24)
    # How long after a session the customer's data is kept. None: until it is erased.
    retention: timedelta | None = None
    # The operator's imprint and terms, elsewhere; linked on pages and in emails.
    imprint_url: str = ""
    terms_url: str = ""
    # Whether the site sends emails (over SMTP or into the demo mailbox).
    sends_email: bool = True


@dataclass(frozen=True, slots=True)
class AccessRules:
    """Limits for signing in: how long links and proofs are valid, and how many requests and guesses are allowed."""

    link_minutes: float = 15
    proof_days: float = 30
    wrong_codes: int = 5
    # Requests per hour from one network: for one address, and for all addresses together.
    per_address: int = 5
    per_origin: int = 20
    # Emails to one address within `link_minutes`, over all networks. Further requests send no email, because a link
    # from an earlier one still works.
    max_emails: int = 5
