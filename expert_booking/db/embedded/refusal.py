"""The exception of this package."""

USE_ANOTHER = "set EXPERT_BOOKING_DATA_DIR to another folder, or EXPERT_BOOKING_DATABASE_URL to your own server"


class EmbeddedRefusal(Exception):
    """The embedded database cannot be used. The message is one sentence that says what to do."""
