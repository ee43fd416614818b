"""The content of /openapi.json. conftest.py checks every response of the other tests against it."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from tests.api.conftest import PROBLEM, check_schema

CALENDAR_OPERATIONS = {
    "post /experts", "patch /experts/{expert}", "post /experts/{expert}/session-types",
    "put /experts/{expert}/session-types/order",
    "post /experts/{expert}/session-types/{session_type}/duplicate",
    "patch /experts/{expert}/session-types/{session_type}", "delete /experts/{expert}/session-types/{session_type}",
    "get /experts/{expert}/availability", "put /experts/{expert}/availability", "get /experts/{expert}/overrides",
    "get /experts/{expert}/overrides/{date}", "put /experts/{expert}/overrides/{date}",
    "delete /experts/{expert}/overrides/{date}", "get /experts/{expert}/days-off", "post /experts/{expert}/days-off",
    "delete /experts/{expert}/days-off/{days_off}", "get /experts/{expert}/slots/explain",
    "get /experts/{expert}/statistics", "get /experts/{expert}/statistics.csv",
    "put /experts/{expert}/photo", "delete /experts/{expert}/photo", "get /experts/{expert}/assistants",
    "put /experts/{expert}/assistants/{email}", "delete /experts/{expert}/assistants/{email}",
    "get /experts/{expert}/blocks", "post /experts/{expert}/blocks", "delete /experts/{expert}/blocks/{block}",
    "get /experts/{expert}/schedule", "get /experts/{expert}/customers",
    "get /experts/{expert}/rules", "put /experts/{expert}/rules", "post /experts/{expert}/rules/preview",
}  # fmt: skip

_MEDIA_TYPES = {"ics": "text/calendar", "csv": "text/csv"}


@pytest.fixture
def documentation(api: FastAPI) -> Any:
    """The OpenAPI document."""
    return api.openapi()


def operations(documentation: Any) -> list[tuple[str, Any]]:
    """All operations by method and path."""
    return [
        (f"{method} {path}", operation)
        for path, methods in documentation["paths"].items()
        for method, operation in methods.items()
    ]


def test_openapi_lists_exactly_these_operations(documentation: Any) -> None:
    assert {name for name, _ in operations(documentation)} == {
        "get /experts", "get /experts/{expert}", "get /experts/{expert}/slots", "post /bookings", "get /bookings",
        "get /bookings.csv", "post /bookings/actions",
        "get /bookings/{booking}", "patch /bookings/{booking}/status", "patch /bookings/{booking}",
        "get /bookings/{booking}/changes", "post /bookings/{booking}/access-token/revoke",
        "post /bookings/{booking}/verify", "post /bookings/{booking}/verification-email",
        "post /bookings/{booking}/emails", "get /bookings/{booking}/manage-link",
        "post /holds", "delete /holds/{hold}",
        "post /access-links", "post /access-links/redeem", "get /feeds/{key}.ics",
        "get /healthz", "get /readyz",
        "get /customers/{email}", "delete /customers/{email}", *CALENDAR_OPERATIONS,
        "get /experts/{expert}/session-types",
    }  # fmt: skip


def test_every_operation_and_response_has_a_description(documentation: Any) -> None:
    for name, operation in operations(documentation):
        assert operation["description"].strip().endswith("."), name
        for status, answer in operation["responses"].items():
            assert answer["description"], (name, status)


def test_every_response_has_a_schema_and_every_error_is_a_problem(documentation: Any) -> None:
    for name, operation in operations(documentation):
        for status, answer in operation["responses"].items():
            media_type = _MEDIA_TYPES.get(name.rpartition(".")[2], "application/json")
            expected = media_type if status < "400" else PROBLEM
            if status in ("204", "304"):
                assert "content" not in answer, (name, status)
                continue
            assert set(answer["content"]) == {expected}, (name, status)
            assert answer["content"][expected]["schema"], (name, status)


def test_examples_of_all_operations_match_their_schemas(documentation: Any) -> None:
    for name, operation in operations(documentation):
        if not any(prefix in name for prefix in ("/experts", "/bookings", "/holds", "/feeds", "/access-links")):
            continue
        for status, answer in operation["responses"].items():
            for content in answer.get("content", {}).values():
                examples = [example["value"] for example in content.get("examples", {}).values()]
                examples += [content["example"]] if "example" in content else []
                assert examples, (name, status)
                for example in examples:
                    check_schema(documentation, content["schema"], example, f"{name} {status}")
                    if status >= "400":
                        assert example["status"] == int(status), (name, status)


def test_schema_checker_rejects_wrong_values(documentation: Any) -> None:
    schema = {"$ref": "#/components/schemas/BusyView"}
    right = {"startsAt": "2026-11-24T09:00:00Z", "endsAt": "2026-11-24T10:00:00Z", "status": "pending"}
    check_schema(documentation, schema, right, "right")
    for wrong in (
        {**right, "name": "Ada"},
        {**right, "status": "maybe"},
        {"startsAt": "x"},
        {**right, "endsAt": 5},
        [],
    ):
        with pytest.raises(AssertionError):
            check_schema(documentation, schema, wrong, "wrong")


def test_times_have_format_date_time(documentation: Any) -> None:
    for schema in documentation["components"]["schemas"].values():
        for name, field in schema.get("properties", {}).items():
            if name in ("startsAt", "endsAt", "createdAt", "updatedAt", "holdUntil"):
                [known] = {one.get("format") for one in field.get("anyOf", [field])} - {None}
                assert known == "date-time", (schema["title"], name)


def test_operations_declare_whether_they_need_a_token(documentation: Any) -> None:
    guarded = {name for name, operation in operations(documentation) if operation.get("security")}
    assert guarded == CALENDAR_OPERATIONS | {
        "post /bookings", "get /bookings", "get /bookings.csv", "post /bookings/actions",
        "get /bookings/{booking}", "patch /bookings/{booking}/status",
        "patch /bookings/{booking}", "get /bookings/{booking}/changes",
        "post /bookings/{booking}/access-token/revoke",
        "post /bookings/{booking}/verify", "post /bookings/{booking}/verification-email",
        "post /bookings/{booking}/emails", "get /bookings/{booking}/manage-link",
        "get /experts/{expert}", "get /experts/{expert}/session-types",
        "get /customers/{email}", "delete /customers/{email}",
    }  # fmt: skip


def test_operations_that_read_the_database_document_503(documentation: Any) -> None:
    for name, operation in operations(documentation):
        assert ("503" in operation["responses"]) == (name != "get /healthz"), name


async def test_documentation_is_served_with_local_scripts(client: httpx.AsyncClient) -> None:
    assert (await client.get("/openapi.json")).json()["info"]["title"] == "Expert Booking"
    page = await client.get("/docs")
    assert page.status_code == 200
    assert "http://" not in page.text
    assert "https://" not in page.text
    assert (await client.get("/docs-assets/swagger-ui-bundle.js")).status_code == 200
