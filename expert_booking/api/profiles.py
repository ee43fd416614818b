"""REST endpoints below `/experts/{expert}` for the photo and the assistants."""

from enum import Enum
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Request

from expert_booking.api.error_docs import (
    HOST_ERRORS,
    INVALID,
    TOO_MANY,
    ErrorDoc,
    error_responses,
    example_response,
    refused,
)
from expert_booking.api.problems import CODES, PHOTO_TOO_LARGE
from expert_booking.domain.errors import AssistantNotFound
from expert_booking.schemas import AssistantList, Email, PhotoView
from expert_booking.services import Services
from expert_booking.services.calendars import CalendarKey

_TAGS: Final[list[str | Enum]] = ["experts"]
PHOTO: Final = {
    "small": "/photos/4f1d2c3b5a697887-160.webp", "medium": "/photos/4f1d2c3b5a697887-320.webp",
    "large": "/photos/4f1d2c3b5a697887-640.webp",
}  # fmt: skip
_ASSISTANTS: Final = {"assistants": [{"email": "mia@example.com", "addedAt": "2026-11-24T09:00:00Z"}]}
_PHOTO_TOO_LARGE: Final = ErrorDoc(413, CODES[413], PHOTO_TOO_LARGE)
_PICTURE: Final = {"schema": {"type": "string", "format": "binary"}}
_BODY: Final[dict[str, Any]] = {
    "requestBody": {
        "required": True,
        "content": dict.fromkeys(("image/jpeg", "image/png", "image/webp"), _PICTURE),
    }
}

AssistantEmail = Annotated[Email, Path(description="The assistant's email address.", examples=["mia@example.com"])]


def add_profiles(router: APIRouter, services: Services, key: Any) -> None:
    """Add the endpoints to the router of calendars. `key` is the dependency that checks for a host."""
    _add_photo(router, services, key)
    _add_assistants(router, services, key)


def _add_photo(router: APIRouter, services: Services, key: Any) -> None:
    path = "/{expert}/photo"

    @router.put(
        path,
        tags=_TAGS,
        summary="Set the photo of an expert",
        responses={
            **example_response(200, "The paths of the photo.", PHOTO),
            **error_responses(*HOST_ERRORS, _PHOTO_TOO_LARGE, INVALID),
        },
        openapi_extra=_BODY,
    )
    async def put_photo(request: Request, key: CalendarKey = key) -> PhotoView:
        """Send the picture as the body: JPEG, PNG or WebP, at most 5 MB and 40 megapixels.

        The format is recognised by the content. The middle of the picture becomes the photo. Only pixels are stored:
        position, camera and all other metadata are removed.
        """
        return await services.photos.put(key, await request.body())

    @router.delete(
        path,
        status_code=204,
        tags=_TAGS,
        summary="Remove the photo of an expert",
        response_description="There is no photo.",
        responses=error_responses(*HOST_ERRORS),
    )
    async def remove_photo(key: CalendarKey = key) -> None:
        """Remove the photo. The drawn portrait is shown again. Safe to repeat."""
        await services.photos.remove(key)


def _add_assistants(router: APIRouter, services: Services, key: Any) -> None:
    # A local part may contain a slash.
    path, one = "/{expert}/assistants", "/{expert}/assistants/{email:path}"
    listed = example_response(200, "The assistants, the first added first.", _ASSISTANTS)

    @router.get(
        path,
        tags=_TAGS,
        summary="List the assistants of an expert",
        responses={**listed, **error_responses(*HOST_ERRORS)},
    )
    async def list_assistants(key: CalendarKey = key) -> AssistantList:
        """Return the addresses that run this calendar besides the expert's own."""
        return await services.assistants.list(key)

    @router.put(
        one,
        tags=_TAGS,
        summary="Add an assistant",
        responses={**listed, **error_responses(*HOST_ERRORS, TOO_MANY, INVALID)},
    )
    async def add_assistant(email: AssistantEmail, key: CalendarKey = key) -> AssistantList:
        """Let an address run this calendar, and return all assistants. Safe to repeat. At most 10.

        The expert's own address is refused.

        An assistant signs in on the pages with that address. They can do what the expert can, but not see or change
        the assistants, change the expert's email address, or create tokens.
        """
        return await services.assistants.add(key, email)

    @router.delete(
        one,
        status_code=204,
        tags=_TAGS,
        summary="Remove an assistant",
        response_description="The assistant has no access any more.",
        responses=error_responses(*HOST_ERRORS, refused(AssistantNotFound), INVALID),
    )
    async def remove_assistant(email: AssistantEmail, key: CalendarKey = key) -> None:
        """End the access of an assistant immediately."""
        await services.assistants.remove(key, email)
