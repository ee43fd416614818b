"""The pages of the site."""

from expert_booking.web.site import create_web

__all__ = ["create_web"]
