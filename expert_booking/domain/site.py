"""What a site says about itself: where people reach it, who runs it, when it reminds."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

DEMO_SENDER: Final = "Expert Booking <booking@example.com>"


@dataclass(frozen=True, slots=True)
class Site:
    """The settings that use cases need. `secret` signs and proves, and is in no database."""

    secret: str = ""
    # Where people reach it, without a slash at the end: what links in mails begin with.
    url: str = "http://localhost:8080"
    # From whom mail is.
    sender: str = DEMO_SENDER
    # The addresses of admins, as customers are known by (`customer_key`).
    admins: frozenset[str] = frozenset()
    # How long before a session each reminder goes out.
    reminders: tuple[timedelta, ...] = (timedelta(hours=24), timedelta(hours=1))
    # Whether there is a way for mail to leave at all.
    mails: bool = True


@dataclass(frozen=True, slots=True)
class AccessRules:
    """How access is asked for: how long a link and a proof count, and how often anybody may ask or guess."""

    link_minutes: float = 15
    proof_days: float = 30
    wrong_codes: int = 5
    # Requests within an hour, from one network: for one address, and for all addresses together.
    per_address: int = 5
    per_origin: int = 20
    # Emails to one address, from all networks together, within the time that a link counts (`link_minutes`). Further
    # requests send none: a link of the emails that were sent still works.
    mails_at_once: int = 5
