"""Blocks, the schedule and the customers of an expert, through the API."""

from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest

from tests.api.conftest import Json, Post, Tokens, check_problem, wrong_fields

Connection = psycopg.Connection[tuple[Any, ...]]
TEN, ELEVEN = "2026-11-24T09:10:00Z", "2026-11-24T09:55:00Z"
CUSTOMERS = ("grace", "jana_herself", "stray")
NOTE = "Dentist, root canal"


def block_of(**changes: Any) -> Json:
    """A valid request with these changes."""
    return {"startsAt": TEN, "endsAt": ELEVEN, "note": NOTE, **changes}


async def test_block_is_made_listed_shown_and_deleted(
    client: httpx.AsyncClient, tokens: Tokens, jana: UUID, post: Post
) -> None:
    path = "/experts/jana-muller/blocks"
    made = await client.post(path, json=block_of(), headers=tokens["jana"])
    [block] = made.json()["blocks"]
    assert (made.status_code, block["startsAt"], block["note"], block["seriesId"]) == (201, TEN, NOTE, None)
    assert made.headers["location"] == f"/experts/{jana}/blocks/{block['id']}"
    assert (await client.get(path, headers=tokens["admin"])).json() == {"blocks": [block]}
    window = {"from": "2026-11-23T00:00:00Z", "to": "2026-11-30T00:00:00Z"}
    shown = (await client.get("/experts/jana-muller/schedule", params=window, headers=tokens["jana"])).json()
    assert [(one["kind"], one["note"]) for one in shown["entries"]] == [("block", NOTE)]
    check_problem(await post(startsAt="2026-11-24T09:00:00Z"), 409, "slot_taken")
    assert (await client.delete(f"{path}/{block['id']}", headers=tokens["jana"])).status_code == 204
    check_problem(await client.delete(f"{path}/{block['id']}", headers=tokens["jana"]), 404, "block_not_found")
    assert (await post(startsAt="2026-11-24T09:00:00Z")).status_code == 201


async def test_weekly_block_reports_its_conflicts_and_is_deleted_as_a_whole(
    client: httpx.AsyncClient, tokens: Tokens, post: Post, sql: Connection
) -> None:
    path, booked = "/experts/jana-muller/blocks", (await post(startsAt="2026-12-01T09:00:00Z")).json()
    weekly = block_of(repeatWeekly=True, repeatUntil="2026-12-15")
    refused = check_problem(await client.post(path, json=weekly, headers=tokens["jana"]), 409, "block_conflict")
    assert refused["conflicts"] == [
        {"wantedStartsAt": "2026-12-01T09:10:00Z", "bookingId": booked["id"], "startsAt": booked["startsAt"],
         "endsAt": booked["endsAt"], "status": "pending", "customerName": "Ada Lovelace"}
    ]  # fmt: skip
    made = (await client.post(path, json={**weekly, "skipConflicts": True}, headers=tokens["jana"])).json()
    assert [block["startsAt"][:10] for block in made["blocks"]] == ["2026-11-24", "2026-12-08", "2026-12-15"]
    assert made["conflicts"] == refused["conflicts"]
    gone = f"{path}/{made['blocks'][1]['id']}?series=true"
    assert (await client.delete(gone, headers=tokens["jana"])).status_code == 204
    assert sql.execute("SELECT count(*) FROM booking WHERE status = 'blocked'").fetchone() == (0,)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"startsAt": "2026-11-24T09:10:30Z"}, "startsAt"),
        ({"endsAt": "2026-11-24T09:55:00.5Z"}, "endsAt"),
        ({"endsAt": TEN}, "endsAt"),
        ({"endsAt": "2026-11-24T09:00:00Z"}, "endsAt"),
        ({"endsAt": "2026-11-26T09:11:00Z"}, "endsAt"),
        ({"note": "n" * 501}, "note"),
        ({"repeatUntil": "2026-12-01"}, "repeatUntil"),
        ({"repeatWeekly": True, "repeatUntil": "2026-11-23"}, "repeatUntil"),
        ({"status": "confirmed"}, "status"),
    ],
)
async def test_wrong_fields_of_a_block_are_named(
    client: httpx.AsyncClient, tokens: Tokens, jana: UUID, changes: Json, field: str
) -> None:
    path = f"/experts/{jana}/blocks"
    assert wrong_fields(await client.post(path, json=block_of(**changes), headers=tokens["jana"])) == {field}


@pytest.mark.parametrize("who", ["nobody", "garbage", "revoked", "reader", "omar", *CUSTOMERS])
async def test_others_neither_see_nor_change_blocks_schedules_and_customers(
    client: httpx.AsyncClient, tokens: Tokens, jana: UUID, sql: Connection, post: Post, who: str
) -> None:
    path = f"/experts/{jana}"
    [block] = (await client.post(f"{path}/blocks", json=block_of(), headers=tokens["jana"])).json()["blocks"]
    await post(startsAt="2026-11-24T10:00:00Z")
    window = {"from": "2026-11-23T00:00:00Z", "to": "2026-11-30T00:00:00Z"}
    answers = [
        await client.post(f"{path}/blocks", json=block_of(startsAt=ELEVEN, endsAt="2026-11-24T11:00:00Z"),
                          headers=tokens[who]),
        await client.get(f"{path}/blocks", headers=tokens[who]),
        await client.delete(f"{path}/blocks/{block['id']}", headers=tokens[who]),
        await client.get(f"{path}/schedule", params=window, headers=tokens[who]),
        await client.get(f"{path}/customers", params={"q": "a"}, headers=tokens[who]),
    ]  # fmt: skip
    expected = (401, "proof_needed") if who in ("nobody", "garbage", "revoked") else (403, "forbidden")
    for answer in answers:
        check_problem(answer, *expected)
        assert NOTE not in answer.text
        assert "Ada" not in answer.text
    assert sql.execute("SELECT count(*) FROM booking WHERE status = 'blocked'").fetchone() == (1,)


async def test_note_of_a_block_is_in_no_public_answer(
    client: httpx.AsyncClient, tokens: Tokens, jana: UUID, post: Post
) -> None:
    [block] = (await client.post(f"/experts/{jana}/blocks", json=block_of(), headers=tokens["jana"])).json()["blocks"]
    answers = [
        await post(startsAt="2026-11-24T09:00:00Z"),
        await client.post("/holds", json={"expertId": str(jana), "startsAt": "2026-11-24T09:00:00Z"}),
        await client.get(f"/experts/{jana}/slots", params={"from": "2026-11-24", "to": "2026-11-24"}),
        await client.get("/bookings", params={"expertId": str(jana)}),
        await client.get(f"/bookings/{block['id']}", headers=tokens["admin"]),
    ]
    assert [answer.status_code for answer in answers] == [409, 409, 200, 200, 404]
    assert all("Dentist" not in answer.text for answer in answers)
    assert answers[3].json()["bookings"] == [{"startsAt": TEN, "endsAt": ELEVEN, "status": "blocked"}]
    mine = await client.get("/bookings", params={"expertId": str(jana)}, headers=tokens["jana"])
    assert mine.json()["total"] == 0


async def test_customers_are_searched_by_name_or_address(
    client: httpx.AsyncClient, tokens: Tokens, jana: UUID, post: Post
) -> None:
    await post()
    found = await client.get(f"/experts/{jana}/customers", params={"q": "love"}, headers=tokens["jana"])
    assert found.json() == {
        "customers": [{"name": "Ada Lovelace", "email": "ada@example.com", "phone": "+442079460000", "timeZone": None,
                       "lastStartsAt": "2026-11-24T08:00:00Z"}]
    }  # fmt: skip
    assert wrong_fields(await client.get(f"/experts/{jana}/customers", headers=tokens["jana"])) == {"q"}


async def test_ranges_of_lists_are_checked(client: httpx.AsyncClient, tokens: Tokens, jana: UUID) -> None:
    path = f"/experts/{jana}"
    for params, field in (
        ({"from": "2026-11-24", "to": "2026-11-23"}, "to"),
        ({"from": "2026-11-24", "to": "2028-11-23"}, "to"),
    ):
        answer = await client.get(f"{path}/blocks", params=params, headers=tokens["jana"])
        assert wrong_fields(answer) == {field}
    window = {"from": "2026-11-24T00:00:00Z", "to": "2027-11-24T00:00:00Z"}
    assert wrong_fields(await client.get(f"{path}/schedule", params=window, headers=tokens["jana"])) == {"to"}
    assert wrong_fields(await client.get(f"{path}/schedule", headers=tokens["jana"])) == {"from", "to"}
    check_problem(await client.get(f"/experts/{uuid4()}/blocks", headers=tokens["admin"]), 404, "expert_not_found")
