"""`python -m expert_booking` is the command `expert-booking`."""

from expert_booking.cli import main

main()
