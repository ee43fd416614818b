"""`python -m expert_booking` is the command `expert-booking`."""

from expert_booking.cli import main

if __name__ == "__main__":  # a large seed starts processes that import this module
    main()
