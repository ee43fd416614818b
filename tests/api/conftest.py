"""A client that checks every response against the OpenAPI documentation, and tokens of every role."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, cast
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI

from expert_booking.api import create_api
from expert_booking.schemas import Role, TokenRequest
from expert_booking.services import Services
from tests.conftest import AddExpert
from tests.server import SECRET_KEY

Json = dict[str, Any]
Tokens = Mapping[str, dict[str, str]]
Post = Callable[..., Awaitable[httpx.Response]]
NINE = "2026-11-24T08:00:00Z"  # 09:00 in Berlin, where the experts of these tests are open from 9 to 17

PROBLEM = "application/problem+json"


class ServicesOfRunningTest:
    """The services of the running test."""

    services: Services

    def __getattr__(self, name: str) -> Any:
        """The service that an endpoint uses."""
        return getattr(self.services, name)


@pytest.fixture(scope="session")
def shared_api() -> tuple[FastAPI, ServicesOfRunningTest]:
    """The API, built once per run because building and documenting it takes 50 ms."""
    current = ServicesOfRunningTest()
    return create_api(cast(Services, current), secret=SECRET_KEY), current


@pytest.fixture
def api(services: Services, shared_api: tuple[FastAPI, ServicesOfRunningTest]) -> FastAPI:
    """The API without pages and without a server."""
    api, current = shared_api
    current.services = services
    return api


@pytest.fixture
async def client(api: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the API. Every response must be documented and must not be a 500."""
    documentation = api.openapi()

    async def check(response: httpx.Response) -> None:
        await response.aread()
        check_answer(documentation, response)

    transport = httpx.ASGITransport(api, raise_app_exceptions=False)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://test", event_hooks={"response": [check]}
    ) as client:
        yield client


@pytest.fixture
async def jana(add_expert: AddExpert) -> UUID:
    """An expert with the slug `jana-muller`."""
    return await add_expert()


@pytest.fixture
async def omar(add_expert: AddExpert) -> UUID:
    """Another expert."""
    return await add_expert(name="Omar Haddad", email="omar@example.com")


@pytest.fixture
async def tokens(services: Services, jana: UUID, omar: UUID) -> Tokens:
    """Headers by caller: nobody, garbage, revoked, admin, reader, jana, omar and the customers.

    The customers are `grace`, who has booked nothing, and `jana_herself`, who has proven the expert's address.
    `stray` is the token of a booking that does not exist.
    """
    bearers = {}
    for name, role, expert in (
        ("admin", Role.ADMIN, None), ("reader", Role.READER, None), ("revoked", Role.ADMIN, None),
        ("jana", Role.EXPERT, "jana-muller"), ("omar", Role.EXPERT, "omar-haddad"),
    ):  # fmt: skip
        bearers[name] = await services.tokens.create(TokenRequest(name=name, role=role, expert=expert))
    await services.tokens.revoke("revoked")
    bearers["garbage"] = "eb_" + "x" * 43
    bearers["grace"] = await token_of_customer(services, "grace@example.com")
    bearers["jana_herself"] = await token_of_customer(services, "jana@example.com")
    bearers["stray"] = services.tokens.for_booking(uuid4())
    return {"nobody": {}, **{name: {"Authorization": f"Bearer {secret}"} for name, secret in bearers.items()}}


@pytest.fixture
def post(client: httpx.AsyncClient, jana: UUID) -> Post:
    """POST a booking with Jana; `post(email="x")` changes one field."""

    async def post(**changes: Any) -> httpx.Response:
        return await client.post("/bookings", json=booking_of(jana, **changes))

    return post


async def token_of_customer(services: Services, email: str) -> str:
    """The token that a customer's program gets for a link."""
    proof, _ = await services.access.redeem_link(await services.access.link_for(email), "program")
    return proof.access_token


def bearer(token: str) -> dict[str, str]:
    """Headers with this bearer token."""
    return {"Authorization": f"Bearer {token}"}


def booking_of(expert_id: UUID, **changes: Any) -> Json:
    """A valid booking request with these changes."""
    return {
        "expertId": str(expert_id), "startsAt": NINE, "name": "Ada Lovelace", "email": "ada@example.com",
        "phone": "+44 20 7946 0000", **changes,
    }  # fmt: skip


def check_problem(response: httpx.Response, status: int, code: str) -> Json:
    """Check the status, code and shape of a problem response and return its body."""
    assert (response.status_code, response.headers["content-type"]) == (status, PROBLEM), response.text
    body: Json = response.json()
    assert body["code"] == code
    assert body["status"] == status
    assert {"type", "title", "status", "detail", "code"} <= set(body)
    assert set(body) <= {"type", "title", "status", "detail", "code", "errors", "reason", "figures", "alternatives",
                         "override", "conflicts"}  # fmt: skip
    assert body["detail"].endswith((".", "…"))
    # A refused time comes with a reason and alternatives.
    assert {"reason", "figures", "alternatives"} <= set(body) or code not in ("slot_taken", "slot_not_offered")
    return body


def wrong_fields(response: httpx.Response) -> set[str]:
    """The fields that a 422 response reports."""
    body = check_problem(response, 422, "validation_failed")
    assert all(set(error) == {"field", "message"} and error["message"] for error in body["errors"])
    return {error["field"] for error in body["errors"]}


def check_answer(documentation: Json, response: httpx.Response) -> None:
    """Check that the operation documents this status and that the body matches the schema."""
    assert response.status_code != 500, response.text
    if response.status_code >= 400 and response.request.method != "HEAD":
        assert response.headers["content-type"] == PROBLEM, response.text
    operation = operation_of(documentation, response.request)
    if operation is None:
        return
    documented = operation["responses"].get(str(response.status_code))
    assert documented, f"{response.request.method} {response.request.url}: {response.status_code} is not documented"
    if "content" not in documented:
        assert response.content == b""
        return
    kind = response.headers["content-type"].partition(";")[0]
    value = response.text if kind in ("text/calendar", "text/csv") else response.json()
    check_schema(documentation, documented["content"][kind]["schema"], value, "answer")


def operation_of(documentation: Json, request: httpx.Request) -> Json | None:
    """The documented operation for this request, if any."""
    for path, operations in documentation["paths"].items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", path), request.url.path):
            operation: Json | None = operations.get(request.method.lower())
            return operation
    return None


def check_schema(documentation: Json, schema: Json, value: Any, where: str) -> None:
    """Validate against the part of JSON Schema that the documentation uses. Undocumented keys are errors."""
    if "$ref" in schema:
        schema = documentation["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        wrong = []
        for alternative in schema["anyOf"]:
            try:
                return check_schema(documentation, alternative, value, where)
            except AssertionError as error:
                wrong.append(error)
        raise AssertionError(wrong)
    kinds = {
        "object": dict, "array": list, "string": str, "integer": int, "number": (int, float), "boolean": bool,
        "null": type(None),
    }  # fmt: skip
    assert "type" not in schema or isinstance(value, kinds[schema["type"]]), (
        f"{where}: {value!r} is not of type {schema['type']}"
    )
    assert value in schema.get("enum", [value]), f"{where}: {value!r}"
    assert value == schema.get("const", value), f"{where}: {value!r}"
    if schema.get("type") == "object" and schema.get("additionalProperties") is not True:
        known = schema.get("properties", {})
        if schema.get("additionalProperties") is True:
            return None
        assert set(schema.get("required", ())) <= set(value) <= set(known), f"{where}: {sorted(value)}"
        for key, inner in value.items():
            check_schema(documentation, known[key], inner, f"{where}.{key}")
    for number, item in enumerate(value if schema.get("type") == "array" else ()):
        check_schema(documentation, schema.get("items", {}), item, f"{where}[{number}]")
    return None
