"""Unknown fields in bodies and unknown query parameters are refused by name, on every endpoint."""

import re
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from fastapi import FastAPI

from tests.api.conftest import NINE, Tokens, booking_of, check_problem, wrong_fields

Connection = psycopg.Connection[tuple[Any, ...]]
# Programs that call these add parameters of their own, such as a number against caches.
OPEN = {"/healthz", "/readyz", "/feeds/{key}.ics"}
NO_FIELD = "This field does not exist or cannot be changed."
NO_PARAMETER = "This parameter does not exist."


async def ask(client: httpx.AsyncClient, method: str, path: str, **request: Any) -> list[tuple[str, str]]:
    """The fields and messages of a refused request."""
    body = check_problem(await client.request(method, path, **request), 422, "validation_failed")
    return [(error["field"], error["message"]) for error in body["errors"]]


async def test_misspelt_field_of_a_session_type_comes_first_with_a_suggestion(
    client: httpx.AsyncClient, jana: UUID, tokens: Tokens, sql: Connection
) -> None:
    path, admin = f"/experts/{jana}/session-types", tokens["admin"]
    before = sql.execute("SELECT count(*) FROM session_type").fetchone()
    assert await ask(client, "POST", path, json={"seatz": 5}, headers=admin) == [
        ("seatz", NO_FIELD), ("title", "Please fill this in."),
    ]  # fmt: skip
    assert await ask(client, "POST", path, json={"title": "X", "Minuts": 5}, headers=admin) == [
        ("Minuts", f"{NO_FIELD} Did you mean minutes?")
    ]
    assert await ask(client, "POST", path, json={"title": "X", "before_minuts": 5}, headers=admin) == [
        ("before_minuts", f"{NO_FIELD} Did you mean beforeMinutes?")
    ]
    assert sql.execute("SELECT count(*) FROM session_type").fetchone() == before


async def test_nested_fields_are_named_by_their_path(client: httpx.AsyncClient, tokens: Tokens) -> None:
    expert = {"name": "Ben", "category": "Law", "timeZone": "UTC", "email": "ben@example.com"}
    wrong = {"sessionTypes": [{"title": "A"}, {"title": "B", "minuten": 30}], "windows": [
        {"weekday": 1, "opens": "09:00", "closes": "10:00", "valid_form": None}]}  # fmt: skip
    assert await ask(client, "POST", "/experts", json={**expert, **wrong}, headers=tokens["admin"]) == [
        ("sessionTypes.1.minuten", f"{NO_FIELD} Did you mean minutes?"),
        ("windows.0.valid_form", f"{NO_FIELD} Did you mean validFrom?"),
    ]


async def test_names_in_snake_case_are_still_accepted(client: httpx.AsyncClient, jana: UUID) -> None:
    booking = {"expert_id": str(jana), "starts_at": NINE, "name": "Ada", "email": "ada@example.com",
               "phone": "+44 20 7946 0000", "time_zone": "Europe/London"}  # fmt: skip
    assert (await client.post("/bookings", json=booking)).status_code == 201
    assert (await client.get("/bookings", params={"expert_id": str(jana)})).status_code == 200


async def test_unknown_parameters_of_a_search_are_refused(client: httpx.AsyncClient, jana: UUID) -> None:
    assert await ask(client, "GET", "/bookings?weather=x") == [("weather", NO_PARAMETER)]
    assert await ask(client, "GET", f"/bookings?expertID={jana}") == [
        ("expertID", f"{NO_PARAMETER} Did you mean expertId?")
    ]
    assert await ask(client, "GET", "/experts?minrating=4&page=0") == [
        ("minrating", f"{NO_PARAMETER} Did you mean minRating?"),
        ("page", "Input should be greater than or equal to 1"),
    ]


async def test_every_endpoint_refuses_unknown_parameters(
    api: FastAPI, client: httpx.AsyncClient, jana: UUID, tokens: Tokens
) -> None:
    seen = 0
    for path, operations in api.openapi()["paths"].items():
        for method in operations:
            filled_in = re.sub(r"\{(\w+)\}", lambda name: str(jana) if name[1] == "expert" else str(uuid4()), path)
            filled_in = filled_in.replace("{date}", "2026-12-24")
            answer = await client.request(method.upper(), f"{filled_in}?zzz=1", headers=tokens["admin"])
            if path in OPEN:
                assert answer.status_code in (200, 404), (method, path)
                continue
            assert "zzz" in wrong_fields(answer), (method, path)
            seen += 1
    assert seen >= 25


async def test_every_body_refuses_unknown_fields(api: FastAPI) -> None:
    document = api.openapi()
    bodies = [
        model["$ref"].rpartition("/")[2]
        for operations in document["paths"].values() for operation in operations.values()
        if "requestBody" in operation and "image/jpeg" not in operation["requestBody"]["content"]
        for schema in [operation["requestBody"]["content"]["application/json"]["schema"]]
        for model in schema.get("anyOf", [schema])
    ]  # fmt: skip
    schemas = document["components"]["schemas"]
    assert len(bodies) >= 12
    assert [name for name in bodies if schemas[name].get("additionalProperties") is not False] == []


async def test_refused_parameter_changes_nothing(client: httpx.AsyncClient, jana: UUID, sql: Connection) -> None:
    assert wrong_fields(await client.post("/bookings?dryRun=true", json=booking_of(jana))) == {"dryRun"}
    assert wrong_fields(await client.post("/bookings", json=booking_of(jana, dryRun=True))) == {"dryRun"}
    headers = {"Idempotency-Key": "one"}
    assert wrong_fields(await client.post("/bookings", json=booking_of(jana, x=1), headers=headers)) == {"x"}
    assert sql.execute("SELECT count(*) FROM booking").fetchone() == (0,)


async def test_many_and_long_names_are_answered_briefly(client: httpx.AsyncClient, jana: UUID) -> None:
    many = {f"f{number}": 1 for number in range(3_000)}
    answer = await client.post("/bookings", json=booking_of(jana, **many, **{"n" * 9_000: 1}))
    assert len(check_problem(answer, 422, "validation_failed")["errors"]) == 100
    assert len(answer.content) < 20_000


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("%00=1", 422),
        ("%ff=1", 422),
        ("x", 422),
        ("[]=1", 422),
        ("%ED%A0%80=1", 422),
        ("=", 422),
        ("&&", 200),
        ("", 200),
    ],
)
async def test_unreadable_parameters_are_refused_too(
    client: httpx.AsyncClient, jana: UUID, query: str, status: int
) -> None:
    answer = await client.get(f"/experts/{jana}?{query}")
    assert answer.status_code == status
    assert status == 200 or len(answer.json()["errors"]) == 1
