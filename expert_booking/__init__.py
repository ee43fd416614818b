"""Expert Booking: browse experts, see free slots live, book one and manage the booking."""

__version__ = "0.1.0"
