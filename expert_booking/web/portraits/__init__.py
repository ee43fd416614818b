"""Drawn portraits for experts without a photograph."""

from expert_booking.web.portraits.portrait import draw_portrait

__all__ = ["draw_portrait"]
