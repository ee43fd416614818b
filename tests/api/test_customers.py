"""Exporting and erasing a customer over REST: for admins only, with the same answers for every address."""

from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest

from tests.api.conftest import Json, Post, Tokens, check_problem, wrong_fields
from tests.api.test_permissions import ALL_CALLERS, refused

Connection = psycopg.Connection[tuple[Any, ...]]
AUGUSTA = "/customers/augusta@example.com"
NOBODY = "/customers/nobody@example.com"
NOTHING = {"erased": 0, "cancelled": 0, "kept": 0}


@pytest.fixture
async def booking(post: Post) -> Json:
    """A booking with Jana."""
    made = await post(name="Augusta King", email="Augusta@example.com", notes="very private")
    body: Json = made.json()
    return body


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("who", [who for who in ALL_CALLERS if who != "admin"])
async def test_only_admins_export_and_erase_and_others_learn_nothing(
    client: httpx.AsyncClient, tokens: Tokens, booking: Json, sql: Connection, who: str, method: str
) -> None:
    # Unknown parameters of GET are refused before anything else, for every caller and address.
    misspelt = [f"{AUGUSTA}?keepUpcomming=true"] if method == "DELETE" else []
    paths = (AUGUSTA, NOBODY, "/customers/no-address", *misspelt)
    answers = [await client.request(method, path, headers=tokens[who]) for path in paths]
    for answer in answers:
        if who in ("nobody", "garbage", "revoked"):
            refused(answer, who)
        else:
            check_problem(answer, 403, "forbidden")
    assert len({answer.content for answer in answers}) == 1
    assert sql.execute("SELECT name, status FROM booking").fetchone() == ("Augusta King", "pending")


async def test_admin_exports_everything_stored_about_an_address(
    client: httpx.AsyncClient, tokens: Tokens, booking: Json
) -> None:
    answer = await client.get("/customers/AUGUSTA@example.com", headers=tokens["admin"])
    data = answer.json()
    assert answer.headers["cache-control"] == "no-store"
    [exported] = data["bookings"]
    assert {key: exported[key] for key in booking if key not in ("accessToken", "mail")} == {
        key: value for key, value in booking.items() if key not in ("accessToken", "mail")
    }
    assert [change["toStatus"] for change in exported["history"]] == ["pending"]
    assert {email["audience"] for email in exported["emails"]} == {"customer", "expert"}
    unknown = (await client.get(NOBODY, headers=tokens["admin"])).json()
    assert set(unknown) == set(data)
    assert not any(value for key, value in unknown.items() if key not in ("email", "exportedAt"))


async def test_admin_erases_a_customer_and_a_second_time_is_harmless(
    client: httpx.AsyncClient, tokens: Tokens, booking: Json
) -> None:
    answer = await client.delete(AUGUSTA, headers=tokens["admin"])
    assert (answer.status_code, answer.json()) == (200, {"erased": 1, "cancelled": 1, "kept": 0})
    for path in (AUGUSTA, NOBODY):
        again = await client.delete(path, headers=tokens["admin"])
        assert (again.status_code, again.json()) == (200, NOTHING)
    seen = (await client.get(f"/bookings/{booking['id']}", headers=tokens["admin"])).json()
    assert (seen["status"], seen["name"], seen["email"], seen["notes"]) == ("cancelled", None, None, "")
    changes = (await client.get(f"/bookings/{booking['id']}/changes", headers=tokens["jana"])).json()["changes"]
    assert [(change["actor"], change["toStatus"]) for change in changes] == [
        ("customer", "pending"), ("admin", "cancelled"),
    ]  # fmt: skip
    own = {"Authorization": f"Bearer {booking['accessToken']}"}
    check_problem(await client.get(f"/bookings/{booking['id']}", headers=own), 404, "booking_not_found")


async def test_upcoming_bookings_are_kept_on_request(client: httpx.AsyncClient, tokens: Tokens, booking: Json) -> None:
    answer = await client.delete(AUGUSTA, params={"keepUpcoming": "true"}, headers=tokens["admin"])
    assert answer.json() == {"erased": 0, "cancelled": 0, "kept": 1}
    seen = (await client.get(f"/bookings/{booking['id']}", headers=tokens["admin"])).json()
    assert (seen["status"], seen["name"]) == ("pending", "Augusta King")


@pytest.mark.parametrize("query", ["keepUpcomming=true", "keep=true", "keepUpcoming=perhaps"])
async def test_misspelt_parameter_erases_nothing(
    client: httpx.AsyncClient, tokens: Tokens, booking: Json, sql: Connection, query: str
) -> None:
    assert wrong_fields(await client.delete(f"{AUGUSTA}?{query}", headers=tokens["admin"])) == {query.partition("=")[0]}
    assert sql.execute("SELECT name, status FROM booking").fetchone() == ("Augusta King", "pending")


@pytest.mark.parametrize("address", ["ada", "ada@", "a%00@example.com", "a" * 300 + "@example.com"])
async def test_invalid_address_is_refused_next_to_its_field(
    client: httpx.AsyncClient, tokens: Tokens, address: str
) -> None:
    for method in ("GET", "DELETE"):
        answer = await client.request(method, f"/customers/{address}", headers=tokens["admin"])
        assert wrong_fields(answer) == {"email"}


async def test_every_valid_address_can_be_named_in_the_path(
    client: httpx.AsyncClient, tokens: Tokens, post: Post, jana: UUID
) -> None:
    hour = 8
    for address in ("a+b@example.com", "o'neil@example.com", "a&b=c?d@example.com", "jörg@exämple.de"):
        await post(email=address, startsAt=f"2026-11-24T{hour:02}:00:00Z")
        hour += 1
        path = httpx.URL("http://test/customers/").join(f"/customers/{_quoted(address)}")
        assert (await client.delete(path, headers=tokens["admin"])).json()["erased"] == 1, address


def _quoted(address: str) -> str:
    return "".join(f"%{byte:02X}" for byte in address.encode())
