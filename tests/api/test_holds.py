"""POST and DELETE /holds, and booking a held time."""

import asyncio
import json
from collections import Counter
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest

from tests.api.conftest import NINE, Json, Post, Tokens, booking_of, check_problem, wrong_fields
from tests.conftest import Clock

Connection = psycopg.Connection[tuple[Any, ...]]
TEN = "2026-11-24T09:00:00Z"
UNKNOWN = UUID(int=1)
UNTIL = "2026-11-23T08:05:00Z"  # five minutes from now
HOLD = {"id", "expertId", "sessionTypeId", "startsAt", "endsAt", "holdUntil"}


async def hold(client: httpx.AsyncClient, expert_id: UUID, starts_at: str = NINE, **more: Any) -> httpx.Response:
    """Request a hold."""
    return await client.post("/holds", json={"expertId": str(expert_id), "startsAt": starts_at, **more})


async def state_of(client: httpx.AsyncClient, expert_id: UUID, starts_at: str = NINE) -> str:
    """The state of this slot in the list of slots."""
    query = {"from": starts_at[:10], "to": starts_at[:10]}
    slots = (await client.get(f"/experts/{expert_id}/slots", params=query)).json()["slots"]
    return {slot["startsAt"]: str(slot["state"]) for slot in slots}[starts_at]


async def test_hold_has_the_agreed_shape_and_a_location(client: httpx.AsyncClient, jana: UUID) -> None:
    held = await hold(client, jana)
    body = held.json()
    assert (held.status_code, held.headers["location"]) == (201, f"/holds/{body['id']}")
    assert set(body) == HOLD
    assert (body["expertId"], body["startsAt"], body["endsAt"]) == (str(jana), NINE, TEN)
    assert body["holdUntil"] == UNTIL


async def test_holding_a_held_slot_returns_the_nearest_free_slots(
    client: httpx.AsyncClient, jana: UUID, post: Post
) -> None:
    own_hold = (await hold(client, jana)).json()
    assert await state_of(client, jana) == "held"
    for answer in (await hold(client, jana), await post()):
        body = check_problem(answer, 409, "slot_taken")
        assert (body["reason"], body["detail"]) == ("held", "Someone else is booking this time right now.")
        assert body["figures"] == {"busyFrom": NINE, "busyUntil": TEN}
        assert body["alternatives"] == [f"2026-11-24T{hour:02}:00:00Z" for hour in range(9, 15)]
        assert own_hold["id"] not in answer.text
    assert (await hold(client, jana, body["alternatives"][0])).status_code == 201


async def test_one_of_thirty_concurrent_holds_succeeds(client: httpx.AsyncClient, jana: UUID) -> None:
    answers = await asyncio.gather(*(hold(client, jana) for _ in range(30)))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 29}


@pytest.mark.parametrize(
    ("starts_at", "reason"),
    [("2026-11-20T08:00:00Z", "past"), ("2026-11-24T07:00:00Z", "outside_hours"), ("2026-11-24T08:30:00Z", "off_grid"),
     ("2027-11-24T08:00:00Z", "beyond_horizon")],
)  # fmt: skip
async def test_only_offered_times_can_be_held(
    client: httpx.AsyncClient, jana: UUID, starts_at: str, reason: str
) -> None:
    body = check_problem(await hold(client, jana, starts_at), 422, "slot_not_offered")
    assert (body["reason"], [error["field"] for error in body["errors"]]) == (reason, ["startsAt"])
    assert len(body["alternatives"]) == 6
    assert (await hold(client, jana, body["alternatives"][0])).status_code == 201


async def test_unknown_experts_and_session_types_are_not_found(client: httpx.AsyncClient, jana: UUID) -> None:
    check_problem(await hold(client, uuid4()), 404, "expert_not_found")
    check_problem(await hold(client, jana, sessionTypeId=str(uuid4())), 404, "session_type_not_found")


async def test_invalid_fields_are_all_reported(client: httpx.AsyncClient) -> None:
    assert wrong_fields(await client.post("/holds", json={})) == {"expertId", "startsAt"}
    wrong = {"expertId": 1, "sessionTypeId": "x", "startsAt": "2026-11-24T08:00:00"}
    assert wrong_fields(await client.post("/holds", json=wrong)) == {"expertId", "sessionTypeId", "startsAt"}
    long = json.dumps({"expertId": "x" * 70_000})
    too_long = await client.post("/holds", content=long, headers={"Content-Type": "application/json"})
    check_problem(too_long, 413, "body_too_large")


async def test_released_hold_frees_its_slot_and_is_not_found_again(client: httpx.AsyncClient, jana: UUID) -> None:
    address = (await hold(client, jana)).headers["location"]
    released = await client.delete(address)
    assert (released.status_code, released.content) == (204, b"")
    assert await state_of(client, jana) == "open"
    check_problem(await client.delete(address), 404, "hold_not_found")
    assert (await hold(client, jana)).status_code == 201


async def test_booking_is_not_a_hold_even_if_it_was_one(
    client: httpx.AsyncClient, jana: UUID, post: Post, sql: Connection
) -> None:
    was_held = await post(holdId=(await hold(client, jana)).json()["id"])
    never_was = await post(startsAt=TEN)
    for made in (was_held, never_was):
        check_problem(await client.delete(f"/holds/{made.json()['id']}"), 404, "hold_not_found")
    assert sql.execute("SELECT DISTINCT status FROM booking").fetchall() == [("pending",)]


@pytest.mark.parametrize("reference", ["1", "nobody", "%00", "%ff", "x" * 3000, "' OR 1=1 --", str(UNKNOWN)])
async def test_unknown_hold_is_not_found(client: httpx.AsyncClient, reference: str) -> None:
    check_problem(await client.delete(f"/holds/{reference}"), 404, "hold_not_found")


@pytest.mark.parametrize(("method", "path"), [("GET", "/holds"), ("GET", f"/holds/{UNKNOWN}"), ("DELETE", "/holds")])
async def test_holds_are_not_listed_as_bookings(client: httpx.AsyncClient, method: str, path: str) -> None:
    check_problem(await client.request(method, path), 405, "method_not_allowed")


async def test_holds_per_network_are_limited_but_bookings_are_not(
    client: httpx.AsyncClient, jana: UUID, clock: Clock, post: Post, sql: Connection
) -> None:
    times = [f"2026-11-{day}T{hour:02}:00:00Z" for day in (24, 25, 26) for hour in range(8, 16)]
    held = [await hold(client, jana, start) for start in times[:20]]
    assert {answer.status_code for answer in held} == {201}
    refused = await hold(client, jana, times[20])
    body = check_problem(refused, 429, "too_many_holds")
    assert body["detail"].endswith("You can still book without a hold.")
    assert int(refused.headers["retry-after"]) > 0
    assert (await post(startsAt=times[20])).status_code == 201
    assert (await client.delete(held[0].headers["location"])).status_code == 204
    assert (await hold(client, jana, times[21])).status_code == 201
    check_problem(await hold(client, jana, times[22]), 429, "too_many_holds")
    clock.advance(minutes=5)
    assert (await hold(client, jana, times[22])).status_code == 201
    kept = {bytes(origin) for (origin,) in sql.execute("SELECT hold_origin FROM booking WHERE status = 'held'")}
    assert [len(origin) for origin in kept] == [32]
    assert b"127.0.0.1" not in kept.pop()


async def test_limit_of_holds_is_per_network(client: httpx.AsyncClient, api: Any, jana: UUID) -> None:
    for hour in range(8, 16):
        for day in (24, 25, 26):
            await hold(client, jana, f"2026-11-{day}T{hour:02}:00:00Z")
    transport = httpx.ASGITransport(api, client=("2001:db8::1", 5))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as elsewhere:
        assert (await hold(elsewhere, jana, "2026-11-27T08:00:00Z")).status_code == 201
    check_problem(await hold(client, jana, "2026-11-27T09:00:00Z"), 429, "too_many_holds")


# --- booking a held time ----------------------------------------------------------------------------------------


async def test_hold_id_is_enough_to_book_it(client: httpx.AsyncClient, jana: UUID, post: Post) -> None:
    held = (await hold(client, jana)).json()
    check_problem(await post(), 409, "slot_taken")
    check_problem(await post(holdId=str(uuid4())), 409, "slot_taken")
    made = await post(holdId=held["id"])
    assert (made.status_code, made.json()["status"], made.json()["startsAt"]) == (201, "pending", NINE)
    assert await state_of(client, jana) == "booked"
    check_problem(await post(holdId=held["id"]), 409, "slot_taken")


async def test_expired_hold_can_be_booked_if_its_time_is_still_free(
    client: httpx.AsyncClient, jana: UUID, post: Post, clock: Clock, sql: Connection
) -> None:
    held = (await hold(client, jana)).json()
    clock.advance(minutes=5)
    assert await state_of(client, jana) == "open"
    assert (await post(holdId=held["id"])).status_code == 201
    live = "SELECT count(*) FROM booking WHERE status IN ('held', 'pending', 'confirmed')"
    assert sql.execute(live).fetchone() == (1,)


async def test_expired_hold_on_a_taken_time_returns_the_nearest_free_slots(
    client: httpx.AsyncClient, jana: UUID, post: Post, clock: Clock
) -> None:
    held = (await hold(client, jana)).json()
    clock.advance(minutes=5)
    assert (await post(email="faster@example.com")).status_code == 201
    body = check_problem(await post(holdId=held["id"]), 409, "slot_taken")
    assert (body["reason"], body["detail"]) == ("busy", "Someone else has just booked this time.")
    assert body["alternatives"][0] == TEN
    assert (await post(startsAt=TEN, holdId=held["id"])).status_code == 201


@pytest.mark.parametrize("change", ["time", "expert", "session"])
async def test_hold_of_another_time_is_an_invalid_field(
    client: httpx.AsyncClient, jana: UUID, omar: UUID, tokens: Tokens, change: str
) -> None:
    held = (await hold(client, jana)).json()
    kind = {"title": "Short talk", "minutes": 30, "stepMinutes": 30}
    short = (await client.post(f"/experts/{jana}/session-types", json=kind, headers=tokens["jana"])).json()["id"]
    other: Json = {"time": {"startsAt": TEN}, "expert": {"expertId": str(omar)}, "session": {"sessionTypeId": short}}
    request = {**booking_of(jana), "holdId": held["id"], **other[change]}
    answer = await client.post("/bookings", json=request)
    assert wrong_fields(answer) == {"holdId"}
    assert answer.json()["errors"][0]["message"] == "This hold is for a different time."


@pytest.mark.parametrize("value", ["", "x", 5, ["x"], "\x00"])
async def test_malformed_hold_id_is_an_invalid_field(post: Post, value: Any) -> None:
    assert wrong_fields(await post(holdId=value)) == {"holdId"}


async def test_held_time_can_be_booked_after_its_notice_has_begun(
    client: httpx.AsyncClient, jana: UUID, post: Post, clock: Clock, sql: Connection
) -> None:
    held = (await hold(client, jana)).json()
    clock.advance(minutes=4)
    sql.execute("UPDATE session_type SET notice_minutes = 1439")  # the notice period has begun since the hold
    assert check_problem(await post(), 422, "slot_not_offered")["reason"] == "min_notice"
    assert (await post(holdId=held["id"])).status_code == 201
