"""URLs of an expert's picture and pages, and redirects from slugs that the expert had before."""

from typing import Literal

from fastapi import Request, Response
from fastapi.responses import RedirectResponse
from nicegui import Client

from expert_booking.domain.slugs import is_slug
from expert_booking.schemas import ExpertView


def portrait_url(expert: ExpertView, size: Literal["small", "medium", "large"] = "small") -> str:
    """The URL of the expert's photo in this size, or of the drawn portrait if there is none."""
    return f"/portrait/{expert.slug}.svg" if expert.photo is None else str(getattr(expert.photo, size))


def redirect_from_former(reference: str, expert: ExpertView, request: Request, client: Client) -> Response | None:
    """The redirect to the current slug, if `reference`, the end of the page's path, is one that the expert had before.

    The page of `client` is deleted then, because the response does not use it.
    """
    if reference == expert.slug or not is_slug(reference) or reference.replace("-", "") == expert.id.hex:
        return None
    client.delete()
    path = request.url.path.removesuffix(reference) + expert.slug
    return RedirectResponse(path + (f"?{request.url.query}" if request.url.query else ""), 308)
