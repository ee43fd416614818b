"""`expert-booking doctor`: checks everything that is known to go wrong and says what to do. It changes nothing."""

from expert_booking.doctor.finding import IN_PSQL, Finding, State
from expert_booking.doctor.run import run_checks

__all__ = ["IN_PSQL", "Finding", "State", "run_checks"]
