"""Customers' programs prove an address or have a booking's token, and can read and change nothing else."""

import asyncio
from collections import Counter
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from fastapi import FastAPI

from expert_booking.services import Services
from tests.api.conftest import (
    NINE,
    Json,
    Post,
    Tokens,
    bearer,
    booking_of,
    check_problem,
    token_of_customer,
    wrong_fields,
)
from tests.conftest import Clock

Connection = psycopg.Connection[tuple[Any, ...]]
TEN = "2026-11-24T09:00:00Z"
ADA = "ada@example.com"
NEXT_WEEK = "2026-12-01T08:00:00Z"


async def request_link(client: httpx.AsyncClient, email: str = ADA, **headers: str) -> httpx.Response:
    """Request an access link by email."""
    return await client.post("/access-links", json={"email": email}, headers=headers)


async def redeem(client: httpx.AsyncClient, body: Json, **headers: str) -> httpx.Response:
    """Redeem a link or code for a token."""
    return await client.post("/access-links/redeem", json=body, headers=headers)


def wrong_code(services: Services, request_id: str, n: int = 1) -> str:
    """A code other than the one in the email."""
    return f"{(int(services.access.code(UUID(request_id))) + n) % 1_000_000:06}"


def key(name: object) -> dict[str, str]:
    """An `Idempotency-Key` header."""
    return {"Idempotency-Key": str(name)}


# --- from an address to a token -------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["link", "part of the link", "code"])
async def test_link_gives_access_to_the_bookings_of_its_address_only(
    client: httpx.AsyncClient, services: Services, post: Post, by: str
) -> None:
    customer_headers = (await post(email="Ada@Example.com")).json()
    await post(email="ben@example.com", startsAt=TEN)
    requested = await request_link(client)
    assert requested.status_code == 202
    assert set(requested.json()) == {"id", "expiresAt"}
    assert requested.json()["expiresAt"] == "2026-11-23T08:15:00Z"
    request_id = UUID(requested.json()["id"])
    link, code = services.access.link(request_id), services.access.code(request_id)
    given = {"link": {"link": link}, "code": {"id": str(request_id), "code": code}}
    given["part of the link"] = {"link": link.rpartition("/")[2]}

    proof = await redeem(client, given[by])
    assert proof.status_code == 200
    assert proof.json() == {
        "accessToken": proof.json()["accessToken"], "email": ADA, "expiresAt": "2026-12-23T08:00:00Z",
    }  # fmt: skip
    token = bearer(proof.json()["accessToken"])
    found = await client.get("/bookings", params={"email": "ADA@example.com"}, headers=token)
    assert [booking["id"] for booking in found.json()["bookings"]] == [customer_headers["id"]]
    assert "accessToken" not in found.json()["bookings"][0]
    for params in ({"email": "ben@example.com"}, {"email": "ada@example.org"}, {}):
        check_problem(await client.get("/bookings", params=params, headers=token), 401, "proof_needed")
    for credentials in given.values():
        check_problem(await redeem(client, credentials), 404, "link_not_valid")


async def test_address_is_normalised_before_it_is_compared(client: httpx.AsyncClient, services: Services) -> None:
    token = bearer(await token_of_customer(services, "Ada@BÜCHER.example"))
    answer = await client.get("/bookings", params={"email": "ADA@xn--bcher-kva.example"}, headers=token)
    assert (answer.json()["bookings"], answer.json()["total"]) == ([], 0)
    check_problem(
        await client.get("/bookings", params={"email": "ada@bucher.example"}, headers=token), 401, "proof_needed"
    )


async def test_known_and_unknown_addresses_get_the_same_answer(
    client: httpx.AsyncClient, tokens: Tokens, post: Post
) -> None:
    await post(email=ADA)
    answers = [await request_link(client, email) for email in (ADA, "nobody@example.com", "jana@example.com")]
    for answer in answers:
        body = {**answer.json(), "id": ""}
        assert body == {"id": "", "expiresAt": "2026-11-23T08:15:00Z"}
        assert UUID(answer.json()["id"]).version == 4
        assert (answer.status_code, answer.headers["content-length"]) == (202, answers[0].headers["content-length"])
    for email in (ADA, "nobody@example.com"):
        for _ in range(4):
            await request_link(client, email)
    refused = [await request_link(client, email) for email in (ADA, "nobody@example.com")]
    assert refused[0].content == refused[1].content
    assert refused[0].headers == refused[1].headers
    check_problem(refused[0], 429, "too_many_access_requests")
    assert refused[0].headers["retry-after"] == "3600"


@pytest.mark.parametrize(
    ("body", "fields"),
    [({}, {"email"}), ({"email": ""}, {"email"}), ({"email": "x"}, {"email"}),
     ({"email": "a\x00@b.example"}, {"email"}),
     ({"email": ["a@b.example"]}, {"email"}), ({"email": "a@b.example\r\nBcc: c@d.example"}, {"email"})],
)  # fmt: skip
async def test_invalid_address_is_refused_by_field(
    client: httpx.AsyncClient, sql: Connection, body: Json, fields: set[str]
) -> None:
    assert wrong_fields(await client.post("/access-links", json=body)) == fields
    assert sql.execute("SELECT count(*) FROM access_request").fetchone() == (0,)


@pytest.mark.parametrize(
    ("body", "field"),
    [({}, "body"), ({"link": "x", "code": "123456"}, "body"), ({"code": "123456"}, "body"),
     ({"id": str(uuid4())}, "body"),
     ({"link": "x", "id": str(uuid4())}, "body"), ({"id": "7", "code": "123456"}, "id"), ({"link": 7}, "link"),
     ({"id": str(uuid4()), "code": 123456}, "code"), ({"link": "x" * 501}, "link")],
)  # fmt: skip
async def test_incomplete_request_is_refused_by_field(client: httpx.AsyncClient, body: Json, field: str) -> None:
    assert wrong_fields(await redeem(client, body)) == {field}


@pytest.mark.parametrize("link", ["", "x", "\x00", "/", "https://elsewhere.example/", "A" * 48, "ä" * 48])
async def test_unknown_link_is_not_found(client: httpx.AsyncClient, link: str) -> None:
    check_problem(await redeem(client, {"link": link}), 404, "link_not_valid")


async def test_expired_link_is_refused(client: httpx.AsyncClient, services: Services, clock: Clock) -> None:
    link = await services.access.link_for(ADA)
    clock.advance(minutes=15)
    check_problem(await redeem(client, {"link": link}), 404, "link_not_valid")


# --- guessing codes -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("keyed", [False, True])
async def test_five_wrong_codes_lock_the_request_with_and_without_new_keys(
    client: httpx.AsyncClient, services: Services, sql: Connection, keyed: bool
) -> None:
    request_id = (await request_link(client)).json()["id"]

    async def guess(n: int) -> httpx.Response:
        return await redeem(
            client, {"id": request_id, "code": wrong_code(services, request_id, n)}, **key(n) if keyed else {}
        )

    for n in range(1, 5):
        body = check_problem(await guess(n), 422, "code_wrong")
        assert f"{5 - n} more time" in body["detail"]
    check_problem(await guess(5), 409, "codes_locked")
    assert sql.execute("SELECT wrong_codes FROM access_request").fetchone() == (5,)
    right = {"id": request_id, "code": services.access.code(UUID(request_id))}
    check_problem(await redeem(client, right, **key("right") if keyed else {}), 409, "codes_locked")
    assert (await redeem(client, {"link": services.access.link(UUID(request_id))})).status_code == 200


async def test_repeated_wrong_code_with_its_idempotency_key_counts_again(
    client: httpx.AsyncClient, services: Services, sql: Connection
) -> None:
    """Refusals of anonymous requests are not stored, and their count of wrong codes is not rolled back."""
    request_id = (await request_link(client)).json()["id"]
    body = {"id": request_id, "code": wrong_code(services, request_id)}
    for code in ("code_wrong",) * 4 + ("codes_locked",) * 2:
        answer = await redeem(client, body, **key("one"))
        assert (answer.json()["code"], "idempotent-replayed" in answer.headers) == (code, False)
    assert sql.execute("SELECT wrong_codes FROM access_request").fetchone() == (5,)
    assert sql.execute("SELECT count(*) FROM kept_answer").fetchone() == (0,)


@pytest.mark.parametrize("keyed", [False, True])
async def test_concurrent_wrong_codes_are_all_counted(
    client: httpx.AsyncClient, services: Services, keyed: bool
) -> None:
    request_id = (await request_link(client)).json()["id"]
    guesses = [{"id": request_id, "code": wrong_code(services, request_id, n)} for n in range(1, 13)]
    answers = await asyncio.gather(*(redeem(client, body, **key(body["code"]) if keyed else {}) for body in guesses))
    assert Counter(answer.json()["code"] for answer in answers) == {"code_wrong": 4, "codes_locked": 8}


# --- idempotency ----------------------------------------------------------------------------------------------------


async def test_lost_token_is_returned_again_only_for_the_same_key(
    client: httpx.AsyncClient, services: Services, sql: Connection
) -> None:
    body = {"link": await services.access.link_for(ADA)}
    answers = await asyncio.gather(*(redeem(client, body, **key("k")) for _ in range(6)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["accessToken"] for answer in answers}) == 1
    check_problem(await redeem(client, body, **key("another")), 404, "link_not_valid")
    check_problem(await redeem(client, body), 404, "link_not_valid")
    assert sql.execute("SELECT count(*) FROM access_proof").fetchone() == (1,)


async def test_repeated_request_with_its_key_sends_one_email(client: httpx.AsyncClient, sql: Connection) -> None:
    first, repeated = await request_link(client, **key("k")), await request_link(client, **key("k"))
    assert (first.status_code, repeated.content) == (202, first.content)
    assert sql.execute("SELECT count(*) FROM message").fetchone() == (1,)
    for n in range(4):
        await request_link(client, **key(n))
    check_problem(await request_link(client, **key("sixth")), 429, "too_many_access_requests")
    assert (await request_link(client, **key("k"))).content == first.content  # a replay, not a sixth request
    assert sql.execute("SELECT count(*) FROM message").fetchone() == (5,)


async def test_one_of_many_concurrent_redemptions_of_a_link_gets_a_token(
    client: httpx.AsyncClient, services: Services
) -> None:
    body = {"link": await services.access.link_for(ADA)}
    answers = await asyncio.gather(*(redeem(client, body, **key(n) if n % 2 else {}) for n in range(12)))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 404: 11}


# --- reading only ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_opening_a_link_with_get_does_not_use_it_up(
    client: httpx.AsyncClient, services: Services, post: Post, sql: Connection, method: str
) -> None:
    booking = (await post()).json()
    request_id = (await request_link(client)).json()["id"]
    link = services.access.link(UUID(request_id))
    tables = ("access_request", "access_proof", "booking", "message", "booking_change")
    before = [sql.execute(f"SELECT t::text FROM {table} t ORDER BY 1").fetchall() for table in tables]
    for path in (
        "/access-links", "/access-links/redeem", f"/access-links/{request_id}", f"/access-links?email={ADA}",
        f"/access-links/redeem?link={link}", f"/access-links/redeem?id={request_id}&code=123456",
        f"/bookings/{booking['id']}", f"/bookings/{booking['id']}/status?status=cancelled",
    ):  # fmt: skip
        for headers in ({}, bearer(booking["accessToken"]), key("k")):
            answer = await client.request(method, path, headers=headers)
            assert answer.status_code in (200, 401, 404, 405), (path, answer.status_code)
    assert [sql.execute(f"SELECT t::text FROM {table} t ORDER BY 1").fetchall() for table in tables] == before
    assert (await redeem(client, {"link": link})).status_code == 200


# --- rights of a customer's token -----------------------------------------------------------------------------------


@pytest.fixture
async def booking(post: Post) -> Json:
    """Ada's booking with Jana, including its `accessToken`."""
    body: Json = (await post(startsAt=NEXT_WEEK)).json()
    return body


@pytest.fixture(params=["of the booking", "of the customer"])
async def customer_headers(request: pytest.FixtureRequest, booking: Json, services: Services) -> dict[str, str]:
    """Headers that allow changing this booking as its customer."""
    if request.param == "of the booking":
        return bearer(booking["accessToken"])
    return bearer(await token_of_customer(services, "ADA@example.com"))


async def test_customer_reads_reschedules_and_cancels_a_booking(
    client: httpx.AsyncClient, booking: Json, customer_headers: dict[str, str], sql: Connection
) -> None:
    path = f"/bookings/{booking['id']}"
    read = await client.get(path, headers=customer_headers)
    assert (read.status_code, {**read.json(), "accessToken": booking["accessToken"]}) == (200, booking)
    rescheduled = await client.patch(path, json={"startsAt": "2026-12-01T09:00:00Z"}, headers=customer_headers)
    assert (rescheduled.status_code, rescheduled.json()["startsAt"]) == (200, "2026-12-01T09:00:00Z")
    cancelled = await client.patch(
        f"{path}/status", json={"status": "cancelled", "reason": "A cold"}, headers=customer_headers
    )
    assert (cancelled.status_code, cancelled.json()["status"]) == (200, "cancelled")
    actors = sql.execute("SELECT actor FROM booking_change ORDER BY id").fetchall()
    assert actors == [("customer",)] * 3
    check_problem(
        await client.patch(f"{path}/status", json={"status": "cancelled"}, headers=customer_headers),
        409,
        "status_change_not_allowed",
    )
    check_problem(
        await client.patch(path, json={"startsAt": NEXT_WEEK}, headers=customer_headers), 409, "reschedule_not_allowed"
    )
    assert (await client.get(path, headers=customer_headers)).json()["status"] == "cancelled"


async def test_customer_is_bound_by_the_terms(
    client: httpx.AsyncClient,
    services: Services,
    booking: Json,
    customer_headers: dict[str, str],
    sql: Connection,
    clock: Clock,
) -> None:
    path = f"/bookings/{booking['id']}"
    sql.execute("UPDATE booking SET cancel_notice_minutes = 1440, reschedule_notice_minutes = 120, max_reschedules = 1")
    rescheduled = await client.patch(path, json={"startsAt": "2026-12-01T09:00:00Z"}, headers=customer_headers)
    assert rescheduled.json()["reschedulesLeft"] == 0
    check_problem(
        await client.patch(path, json={"startsAt": NEXT_WEEK}, headers=customer_headers), 409, "no_reschedules_left"
    )
    sql.execute("UPDATE booking SET max_reschedules = NULL")
    clock.advance(days=7, hours=23.5)  # 90 minutes before the start
    body = check_problem(
        await client.patch(f"{path}/status", json={"status": "cancelled"}, headers=customer_headers),
        409,
        "cancel_too_late",
    )
    assert "1 day before" in body["detail"]
    body = check_problem(
        await client.patch(path, json={"startsAt": "2026-12-01T13:00:00Z"}, headers=customer_headers),
        409,
        "reschedule_too_late",
    )
    assert "2 hours before" in body["detail"]
    assert (await client.get(path, headers=customer_headers)).json()["startsAt"] == "2026-12-01T09:00:00Z"


@pytest.mark.parametrize("status", ["confirmed", "declined", "completed", "no_show", "expired", "held", "pending"])
async def test_customer_cannot_do_what_only_the_expert_may_do(
    client: httpx.AsyncClient, booking: Json, customer_headers: dict[str, str], sql: Connection, status: str
) -> None:
    answer = await client.patch(f"/bookings/{booking['id']}/status", json={"status": status}, headers=customer_headers)
    check_problem(answer, 409, "status_change_not_allowed")
    check_problem(await client.get(f"/bookings/{booking['id']}/changes", headers=customer_headers), 403, "forbidden")
    assert sql.execute("SELECT status, version FROM booking").fetchone() == ("pending", 1)


async def test_rescheduling_to_a_taken_time_keeps_the_old_time(
    client: httpx.AsyncClient, post: Post, booking: Json, customer_headers: dict[str, str]
) -> None:
    await post(startsAt="2026-12-01T09:00:00Z", email="ben@example.com")
    path = f"/bookings/{booking['id']}"
    check_problem(
        await client.patch(path, json={"startsAt": "2026-12-01T09:00:00Z"}, headers=customer_headers), 409, "slot_taken"
    )
    check_problem(
        await client.patch(path, json={"startsAt": "2026-12-01T03:00:00Z"}, headers=customer_headers),
        422,
        "slot_not_offered",
    )
    assert (await client.get(path, headers=customer_headers)).json()["startsAt"] == NEXT_WEEK


async def test_bookings_of_others_are_not_found(
    client: httpx.AsyncClient, post: Post, booking: Json, customer_headers: dict[str, str], sql: Connection
) -> None:
    bens = (await post(email="ben@example.com", startsAt=TEN)).json()["id"]
    for request_id in (bens, str(uuid4()), "1"):
        answers = [
            await client.get(f"/bookings/{request_id}", headers=customer_headers),
            await client.get(f"/bookings/{request_id}/changes", headers=customer_headers),
            await client.patch(f"/bookings/{request_id}", json={"startsAt": NINE}, headers=customer_headers),
            await client.patch(
                f"/bookings/{request_id}/status", json={"status": "cancelled"}, headers=customer_headers
            ),
        ]
        for answer in answers:
            check_problem(answer, 404, "booking_not_found")
    assert sql.execute("SELECT count(*) FROM booking WHERE version = 1").fetchone() == (2,)


async def test_booking_token_does_not_list_other_bookings_of_the_same_address(
    client: httpx.AsyncClient, post: Post, booking: Json
) -> None:
    another = (await post(startsAt=TEN)).json()
    token = bearer(booking["accessToken"])
    assert another["accessToken"] != booking["accessToken"]
    check_problem(await client.get("/bookings", params={"email": ADA}, headers=token), 401, "proof_needed")
    check_problem(await client.get(f"/bookings/{another['id']}", headers=token), 404, "booking_not_found")
    assert (await client.get(f"/bookings/{another['id']}", headers=bearer(another["accessToken"]))).status_code == 200


async def test_list_by_expert_shows_a_customer_the_public_view(
    client: httpx.AsyncClient, jana: UUID, booking: Json, customer_headers: dict[str, str]
) -> None:
    params = {"expertId": str(jana)}
    public, as_customer = (
        await client.get("/bookings", params=params),
        await client.get("/bookings", params=params, headers=customer_headers),
    )
    assert as_customer.json() == public.json()
    assert set(as_customer.json()["bookings"][0]) == {"startsAt", "endsAt", "status"}


async def test_revoked_token_is_refused(
    client: httpx.AsyncClient, services: Services, booking: Json, clock: Clock
) -> None:
    token = bearer(await token_of_customer(services, ADA))
    browser, _ = await services.access.redeem_link(await services.access.link_for(ADA), "browser")
    assert (await client.get(f"/bookings/{booking['id']}", headers=token)).status_code == 200
    await services.access.sign_out(browser.access_token, everywhere=True)
    check_problem(await client.get(f"/bookings/{booking['id']}", headers=token), 401, "proof_needed")
    # The booking's own token and the link in its emails are revoked too.
    customer_headers = bearer(booking["accessToken"])
    check_problem(await client.get(f"/bookings/{booking['id']}", headers=customer_headers), 404, "booking_not_found")


@pytest.mark.parametrize("by", ["accessToken", "customer", "expert", "admin"])
async def test_shared_booking_token_can_be_revoked(
    client: httpx.AsyncClient, services: Services, tokens: Tokens, booking: Json, sql: Connection, by: str
) -> None:
    customer_headers, customers = bearer(booking["accessToken"]), bearer(await token_of_customer(services, ADA))
    who = {"accessToken": customer_headers, "customer": customers, "expert": tokens["jana"], "admin": tokens["admin"]}[
        by
    ]
    path = f"/bookings/{booking['id']}"
    revoked = await client.post(f"{path}/access-token/revoke", headers=who)
    assert (revoked.status_code, revoked.content) == (204, b"")
    check_problem(await client.get(path, headers=customer_headers), 404, "booking_not_found")
    cancelled = await client.patch(f"{path}/status", json={"status": "cancelled"}, headers=customer_headers)
    check_problem(cancelled, 404, "booking_not_found")
    check_problem(await client.post(f"{path}/access-token/revoke", headers=customer_headers), 404, "booking_not_found")
    assert (await client.get(path, headers=customers)).status_code == 200
    assert sql.execute("SELECT audience FROM message WHERE kind = 'new_link'").fetchall() == [("customer",)]


async def test_only_authorized_callers_revoke_the_tokens_of_a_booking(
    client: httpx.AsyncClient, services: Services, tokens: Tokens, booking: Json
) -> None:
    refusals = {
        "nobody": (401, "proof_needed"), "garbage": (401, "proof_needed"), "reader": (403, "forbidden"),
        "omar": (403, "forbidden"), "grace": (404, "booking_not_found"), "stray": (404, "booking_not_found"),
    }  # fmt: skip
    for who, refusal in refusals.items():
        answer = await client.post(f"/bookings/{booking['id']}/access-token/revoke", headers=tokens[who])
        check_problem(answer, *refusal)
    customers = bearer(await token_of_customer(services, ADA))
    for _ in range(5):
        once = await client.post(f"/bookings/{booking['id']}/access-token/revoke", headers=customers | key("once"))
        assert once.status_code == 204
        answer = await client.post(f"/bookings/{booking['id']}/access-token/revoke", headers=customers)
    check_problem(answer, 429, "too_many_new_links")


async def test_customer_token_gives_no_access_to_other_operations(
    client: httpx.AsyncClient, api: FastAPI, tokens: Tokens, jana: UUID, booking: Json, sql: Connection
) -> None:
    """Every operation answers a customer as it answers the public, except 403 or 404 instead of 401."""
    tables = ("expert", "session_type", "availability_rule", "day_off", "token")
    before = [sql.execute(f"SELECT t::text FROM {table} t ORDER BY 1").fetchall() for table in tables]
    replace = {"{expert}": str(jana), "{booking}": booking["id"], "{hold}": str(uuid4()), "{date}": "2026-12-01"}
    requested = 0
    for path, operations in api.openapi()["paths"].items():
        for method, operation in operations.items():
            if path in ("/bookings", "/holds", "/access-links") and method == "post":
                continue  # open to everyone
            address = path
            for name, value in replace.items():
                address = address.replace(name, value)
            address = address.replace("{", "").replace("}", "")
            content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
            examples = content.get("examples", {})
            body = {"json": next(iter(examples.values()))["value"]} if examples else {}
            params = {"from": "2026-11-24", "to": "2026-11-25"} if path.endswith("/slots") else {}
            public = await client.request(method.upper(), address, params=params, **body)
            for who in ("grace", "jana_herself", "stray"):
                answer = await client.request(method.upper(), address, params=params, headers=tokens[who], **body)
                allowed = {401: {401, 403, 404}}.get(public.status_code, {public.status_code})
                assert answer.status_code in allowed, (who, method, path, answer.text)
                if public.status_code == 200:
                    assert answer.content == public.content, (who, method, path)
                requested += 1
    assert requested > 60
    assert [sql.execute(f"SELECT t::text FROM {table} t ORDER BY 1").fetchall() for table in tables] == before


async def test_booking_with_a_customer_token_works_as_without(
    client: httpx.AsyncClient, tokens: Tokens, jana: UUID
) -> None:
    response = await client.post("/bookings", json=booking_of(jana, email="ben@example.com"), headers=tokens["grace"])
    assert response.status_code == 201
    check_problem(
        await client.get(f"/bookings/{response.json()['id']}", headers=tokens["grace"]), 404, "booking_not_found"
    )
