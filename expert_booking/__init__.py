"""Expert Booking: browse experts, see their free slots live, book one, manage it afterwards."""

__version__ = "0.1.0"
