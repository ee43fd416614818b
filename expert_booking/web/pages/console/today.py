"""`/console`: what a host has to do today."""

from fastapi import Request

from expert_booking.services import Services
from expert_booking.web import console


def mount(services: Services) -> None:
    """Serve the page."""

    @console.page(services, "today")
    async def today(page: console.Console, request: Request) -> None:
        with page.frame("today", "Today"):
            pass
