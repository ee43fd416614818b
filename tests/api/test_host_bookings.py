"""What only hosts may send with bookings: by hand, `override`, `notify`, emails again and the customer's link."""

from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest

from tests.api.conftest import NINE, Json, Post, Tokens, bearer, booking_of, check_problem, wrong_fields

Connection = psycopg.Connection[tuple[Any, ...]]
EARLY = "2026-11-24T05:53:00Z"  # 06:53 in Berlin
OTHERS = ("nobody", "garbage", "revoked", "reader", "omar", "grace", "jana_herself", "stray")


def by_hand(expert: UUID, **changes: Any) -> Json:
    """A booking by hand, which needs only a name."""
    return {"expertId": str(expert), "startsAt": NINE, "name": "Walk In", **changes}


@pytest.mark.parametrize("who", ["jana", "admin"])
async def test_host_books_by_hand_with_only_a_name(
    client: httpx.AsyncClient, tokens: Tokens, jana: UUID, sql: Connection, who: str
) -> None:
    made = await client.post("/bookings", json=by_hand(jana), headers=tokens[who])
    body = made.json()
    assert (made.status_code, body["status"], body["email"], body["accessToken"]) == (201, "confirmed", None, None)
    assert sql.execute("SELECT changed_by FROM booking").fetchone() == ("admin" if who == "admin" else "expert",)


async def test_host_books_with_an_address_and_the_customer_gets_access(
    client: httpx.AsyncClient, tokens: Tokens, jana: UUID
) -> None:
    body = (await client.post("/bookings", json=by_hand(jana, email="ada@example.com"), headers=tokens["jana"])).json()
    assert body["mail"] == "waiting"
    read = await client.get(f"/bookings/{body['id']}", headers=bearer(body["accessToken"]))
    assert read.json()["name"] == "Walk In"


async def test_refusal_says_which_override_would_allow_it(
    client: httpx.AsyncClient, tokens: Tokens, jana: UUID, sql: Connection
) -> None:
    refused = await client.post("/bookings", json=by_hand(jana, startsAt=EARLY), headers=tokens["jana"])
    body = check_problem(refused, 422, "slot_not_offered")
    assert (body["reason"], body["override"]) == ("outside_hours", ["outside_hours"])
    allowed = by_hand(jana, startsAt=EARLY, override=body["override"], notify=False)
    made = (await client.post("/bookings", json=allowed, headers=tokens["jana"])).json()
    [change] = (await client.get(f"/bookings/{made['id']}/changes", headers=tokens["jana"])).json()["changes"]
    assert (change["actor"], change["override"]) == ("expert", ["outside_hours"])
    assert change["tokenId"] == str(sql.execute("SELECT id FROM token WHERE name = 'jana'").fetchone()[0])  # type: ignore[index]
    assert sql.execute("SELECT count(*) FROM message").fetchone() == (0,)
    taken = await client.post("/bookings", json=by_hand(jana, startsAt=EARLY, override=body["override"]),
                              headers=tokens["jana"])  # fmt: skip
    assert "override" not in check_problem(taken, 409, "slot_taken")


@pytest.mark.parametrize("who", OTHERS)
@pytest.mark.parametrize("more", [{"override": ["outside_hours"]}, {"override": []}, {"notify": True}])
async def test_others_may_not_send_what_is_for_hosts(
    client: httpx.AsyncClient, tokens: Tokens, jana: UUID, sql: Connection, who: str, more: Json
) -> None:
    answer = await client.post("/bookings", json=booking_of(jana, **more), headers=tokens[who])
    check_problem(answer, 403, "forbidden")
    assert sql.execute("SELECT count(*) FROM booking").fetchone() == (0,)


@pytest.mark.parametrize("who", OTHERS)
async def test_others_still_need_an_address_and_a_phone_number(
    client: httpx.AsyncClient, tokens: Tokens, jana: UUID, who: str
) -> None:
    answer = await client.post("/bookings", json=by_hand(jana), headers=tokens[who])
    assert wrong_fields(answer) == {"email", "phone"}


async def test_wrong_fields_of_a_booking_by_hand_are_named(
    client: httpx.AsyncClient, tokens: Tokens, jana: UUID
) -> None:
    async def wrong(**changes: Any) -> set[str]:
        return wrong_fields(await client.post("/bookings", json=by_hand(jana, **changes), headers=tokens["jana"]))

    assert await wrong(override=["overlap"]) == {"override.0"}
    assert await wrong(override="outside_hours") == {"override"}
    assert await wrong(name="", email="ada", phone="1", notfy=False) == {"name", "email", "phone", "notfy"}
    assert await wrong(startsAt="2026-11-24T08:00:30Z", override=["off_grid"]) == {"startsAt"}
    for expert in ("jana", None, {"id": 1}):
        body = {**by_hand(jana), "expertId": expert}
        assert "expertId" in wrong_fields(await client.post("/bookings", json=body, headers=tokens["admin"]))
    assert "expertId" in wrong_fields(await client.post("/bookings", json={}, headers=tokens["admin"]))
    assert wrong_fields(await client.post("/bookings", json=[], headers=tokens["admin"])) == {"body"}


async def test_host_reschedules_silently_off_the_grid(
    client: httpx.AsyncClient, tokens: Tokens, post: Post, sql: Connection
) -> None:
    made = (await post()).json()
    emails = sql.execute("SELECT count(*) FROM message").fetchone()
    path = f"/bookings/{made['id']}"
    refused = await client.patch(path, json={"startsAt": "2026-11-24T08:15:00Z"}, headers=tokens["jana"])
    override = check_problem(refused, 422, "slot_not_offered")["override"]
    assert override == ["off_grid"]
    change = {"startsAt": "2026-11-24T08:15:00Z", "override": override, "notify": False, "version": 1}
    moved = await client.patch(path, json=change, headers=tokens["jana"])
    assert (moved.status_code, moved.json()["startsAt"]) == (200, change["startsAt"])
    assert sql.execute("SELECT count(*) FROM message").fetchone() == emails
    # The same again: someone else has changed it in between.
    check_problem(await client.patch(path, json=change, headers=tokens["jana"]), 409, "changed_meanwhile")
    old = await client.patch(f"{path}/status", json={"status": "confirmed", "version": 1}, headers=tokens["jana"])
    check_problem(old, 409, "changed_meanwhile")
    done = {"status": "confirmed", "version": 2, "notify": False}
    assert (await client.patch(f"{path}/status", json=done, headers=tokens["jana"])).status_code == 200
    assert sql.execute("SELECT count(*) FROM message").fetchone() == emails


async def test_customer_may_send_a_version_but_nothing_for_hosts(client: httpx.AsyncClient, post: Post) -> None:
    made = (await post()).json()
    path, own = f"/bookings/{made['id']}", bearer(made["accessToken"])
    for more in ({"override": ["off_grid"]}, {"override": []}, {"notify": False}, {"notify": True}):
        answer = await client.patch(path, json={"startsAt": "2026-11-24T10:00:00Z", **more}, headers=own)
        check_problem(answer, 403, "forbidden")
    answer = await client.patch(f"{path}/status", json={"status": "cancelled", "notify": False}, headers=own)
    check_problem(answer, 403, "forbidden")
    stale = await client.patch(path, json={"startsAt": "2026-11-24T10:00:00Z", "version": 7}, headers=own)
    check_problem(stale, 409, "changed_meanwhile")
    moved = await client.patch(path, json={"startsAt": "2026-11-24T10:00:00Z", "version": 1}, headers=own)
    assert moved.status_code == 200


async def test_email_is_sent_again_three_times_an_hour(
    client: httpx.AsyncClient, tokens: Tokens, post: Post, jana: UUID
) -> None:
    made = (await post()).json()
    for _ in range(3):
        answer = await client.post(f"/bookings/{made['id']}/emails", headers=tokens["jana"])
        assert (answer.status_code, answer.content) == (204, b"")
    limited = await client.post(f"/bookings/{made['id']}/emails", headers=tokens["admin"])
    check_problem(limited, 429, "too_many_emails_again")
    assert limited.headers["retry-after"] == "3600"
    nobody = (await client.post("/bookings", json=by_hand(jana, startsAt="2026-11-24T10:00:00Z"),
                                headers=tokens["jana"])).json()  # fmt: skip
    check_problem(await client.post(f"/bookings/{nobody['id']}/emails", headers=tokens["jana"]), 409,
                  "email_not_possible")  # fmt: skip
    link = await client.get(f"/bookings/{nobody['id']}/manage-link", headers=tokens["jana"])
    check_problem(link, 409, "no_manage_link")


async def test_host_gets_the_link_of_the_customer(client: httpx.AsyncClient, tokens: Tokens, post: Post) -> None:
    made = (await post()).json()
    answer = await client.get(f"/bookings/{made['id']}/manage-link", headers=tokens["jana"])
    assert answer.headers["cache-control"] == "no-store"
    key = answer.json()["url"].partition("?key=")[2]
    assert made["accessToken"] == f"eb_booking_{key}"


@pytest.mark.parametrize("who", OTHERS)
async def test_others_send_no_emails_and_get_no_links(
    client: httpx.AsyncClient, tokens: Tokens, post: Post, sql: Connection, who: str
) -> None:
    made = (await post()).json()
    emails = sql.execute("SELECT count(*) FROM message").fetchone()
    if who in ("nobody", "garbage", "revoked"):
        expected = (401, "proof_needed")
    else:
        expected = (403, "forbidden") if who in ("reader", "omar") else (404, "booking_not_found")
    check_problem(await client.post(f"/bookings/{made['id']}/emails", headers=tokens[who]), *expected)
    check_problem(await client.get(f"/bookings/{made['id']}/manage-link", headers=tokens[who]), *expected)
    own = bearer(made["accessToken"])
    check_problem(await client.get(f"/bookings/{made['id']}/manage-link", headers=own), 403, "forbidden")
    assert sql.execute("SELECT count(*) FROM message").fetchone() == emails


async def test_repeated_request_with_a_key_books_by_hand_once(
    client: httpx.AsyncClient, tokens: Tokens, jana: UUID, sql: Connection
) -> None:
    headers = {**tokens["jana"], "Idempotency-Key": "one"}
    first, again = [await client.post("/bookings", json=by_hand(jana), headers=headers) for _ in range(2)]
    assert (again.status_code, again.content) == (201, first.content)
    assert sql.execute("SELECT count(*) FROM booking").fetchone() == (1,)
