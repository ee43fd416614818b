"""Unknown fields and query parameters: refused by name, with the name that was probably meant."""

import inspect
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Final, get_args

from fastapi import Request, Response
from fastapi.params import Query
from fastapi.routing import APIRoute

from expert_booking.domain.errors import FieldsWrong
from expert_booking.schemas import FieldError, RequestModel, field_error

# Errors reported for one request; more would not help.
MAX_FIELD_ERRORS: Final = 100
_NO_PARAMETER: Final = "This parameter does not exist."
# Comparing names is slow: in one request it is done for this many names, up to this length.
_MAX_SUGGESTIONS: Final = 10
_MAX_LENGTH: Final = 40

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class StrictRoute(APIRoute):
    """A route that refuses all query parameters if its endpoint has none. Models of queries refuse unknown ones."""

    def get_route_handler(self) -> Handler:
        """Wrap the handler."""
        handle = super().get_route_handler()
        if any(isinstance(one, Query) for annotation in _annotations(self.endpoint) for one in get_args(annotation)):
            return handle

        async def handle_without_query(request: Request) -> Response:
            unknown = [name[:80] for name in request.query_params] if request.scope["query_string"] else []
            if unknown:
                raise FieldsWrong(dict.fromkeys(unknown[:MAX_FIELD_ERRORS], _NO_PARAMETER))
            return await handle(request)

        return handle_without_query


def request_errors(errors: Sequence[Mapping[str, Any]], endpoint: Callable[..., Any]) -> list[FieldError]:
    """Convert FastAPI's validation errors: unknown fields first, with suggestions from the models of the endpoint."""
    unknown_first = sorted(errors, key=lambda details: details["type"] != "extra_forbidden")[:MAX_FIELD_ERRORS]
    return [
        _with_suggestion(details, endpoint) if details["type"] == "extra_forbidden" and number < _MAX_SUGGESTIONS
        else field_error(details, skip=1)
        for number, details in enumerate(unknown_first)
    ]  # fmt: skip


def _with_suggestion(details: Mapping[str, Any], endpoint: Callable[..., Any]) -> FieldError:
    error = field_error(details, skip=1)
    source, *path, name = details["loc"]
    message = _NO_PARAMETER if source == "query" else error.message
    known = {one.lower(): one for model in _models_at(endpoint, path) for one in _names(model)}
    close = get_close_matches(str(name).lower(), known, 1, cutoff=0.7) if len(str(name)) <= _MAX_LENGTH else []
    suggestion = f" Did you mean {known[close[0]]}?" if close else ""
    return FieldError(field=error.field, message=message + suggestion)


def _models_at(endpoint: Callable[..., Any], path: Sequence[str | int]) -> list[type[RequestModel]]:
    """The models at this path in the request of an endpoint."""
    models = [model for annotation in _annotations(endpoint) for model in _models_in(annotation)]
    for step in path:
        if isinstance(step, str):  # a number is a place in a list
            fields = [field for model in models for field in model.model_fields.items()]
            annotations = [info.annotation for name, info in fields if step in (name, info.alias)]
            models = [model for annotation in annotations for model in _models_in(annotation)]
    return models


def _models_in(annotation: Any) -> Iterator[type[RequestModel]]:
    if inspect.isclass(annotation) and issubclass(annotation, RequestModel):
        yield annotation
    for argument in get_args(annotation):
        yield from _models_in(argument)


def _names(model: type[RequestModel]) -> list[str]:
    return [info.alias or name for name, info in model.model_fields.items()]


def _annotations(endpoint: Callable[..., Any]) -> list[Any]:
    return [parameter.annotation for parameter in inspect.signature(endpoint).parameters.values()]
