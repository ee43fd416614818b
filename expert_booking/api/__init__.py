"""The REST API."""

from expert_booking.api.router import PATHS, create_api

__all__ = ["PATHS", "create_api"]
