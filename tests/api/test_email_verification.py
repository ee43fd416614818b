"""Confirming the email address of a booking over REST."""

from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest

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


@pytest.fixture
async def always(client: httpx.AsyncClient, jana: UUID, tokens: Tokens) -> str:
    """Jana's session type, which asks every customer for confirmation. Returns its address."""
    [kind] = (await client.get(f"/experts/{jana}/session-types", headers=tokens["jana"])).json()["sessionTypes"]
    address = f"/experts/{jana}/session-types/{kind['id']}"
    changed = await client.patch(address, json={"emailVerification": "always"}, headers=tokens["jana"])
    assert changed.json()["emailVerification"] == "always"
    return address


@pytest.fixture
async def made(always: str, post: Post) -> Json:
    """A booking that waits for confirmation."""
    answer = await post()
    assert answer.status_code == 201, answer.text
    body: Json = answer.json()
    return body


def code_of(services: Services, made: Json) -> str:
    """The code in the email."""
    return services.verification._keys.verification_code(UUID(made["id"]))


def wrong_code(services: Services, made: Json, number: int = 1) -> str:
    """A code that is not this booking's."""
    return f"{(int(code_of(services, made)) + number) % 1_000_000:06}"


async def verify(client: httpx.AsyncClient, made: Json, code: object, **headers: str) -> httpx.Response:
    """Send a code with the booking's token."""
    own = {**bearer(made["accessToken"]), **headers}
    return await client.post(f"/bookings/{made['id']}/verify", json={"code": code}, headers=own)


async def test_session_type_says_who_must_confirm(client: httpx.AsyncClient, jana: UUID, tokens: Tokens) -> None:
    address = f"/experts/{jana}/session-types"
    assert (await client.get(address)).json()["sessionTypes"][0]["emailVerification"] == "never"
    for value in ("never", "new_addresses", "always"):
        added = await client.post(address, json={"title": value, "emailVerification": value}, headers=tokens["jana"])
        assert (added.status_code, added.json()["emailVerification"]) == (201, value)
    wrong = await client.post(address, json={"title": "x", "emailVerification": "often"}, headers=tokens["jana"])
    assert wrong_fields(wrong) == {"emailVerification"}
    profile = (await client.get(f"/experts/{jana}")).json()["sessionTypes"]
    assert [one["emailVerification"] for one in profile] == ["never", "never", "new_addresses", "always"]


async def test_code_confirms_the_address_and_a_repeat_changes_nothing(
    client: httpx.AsyncClient, made: Json, services: Services
) -> None:
    assert (made["status"], made["awaitsVerification"], made["answerBy"]) == ("pending", True, None)
    assert made["verifyBy"] == "2026-11-23T08:30:00Z"
    code = code_of(services, made)
    verified = await verify(client, made, f" {code[:3]} {code[3:]}")
    body = verified.json()
    assert (verified.status_code, body["awaitsVerification"], body["verifyBy"]) == (200, False, None)
    assert body["answerBy"] is not None
    again = await verify(client, made, wrong_code(services, made))
    assert (again.status_code, again.json()) == (200, body)
    read = await client.get(f"/bookings/{made['id']}", headers=bearer(made["accessToken"]))
    assert read.json() == body


async def test_wrong_codes_are_counted_down_and_the_fifth_ends_the_booking(
    client: httpx.AsyncClient, made: Json, services: Services, jana: UUID
) -> None:
    for left in (4, 3, 2, 1):
        body = check_problem(await verify(client, made, wrong_code(services, made)), 422, "code_wrong")
        assert body["figures"] == {"attemptsLeft": left}
        assert [error["field"] for error in body["errors"]] == ["code"]
    check_problem(await verify(client, made, wrong_code(services, made)), 409, "wrong_codes_used_up")
    check_problem(await verify(client, made, code_of(services, made)), 409, "verification_too_late")
    read = (await client.get(f"/bookings/{made['id']}", headers=bearer(made["accessToken"]))).json()
    assert (read["status"], read["awaitsVerification"]) == ("expired", False)
    assert (await client.post("/bookings", json=booking_of(jana))).status_code == 201


async def test_wrong_codes_count_with_idempotency_keys_too(
    client: httpx.AsyncClient, made: Json, services: Services, sql: Connection
) -> None:
    for _ in range(4):
        answer = await verify(client, made, wrong_code(services, made), **{"Idempotency-Key": "the-same"})
        check_problem(answer, 422, "code_wrong")
    answer = await verify(client, made, wrong_code(services, made), **{"Idempotency-Key": "the-same"})
    check_problem(answer, 409, "wrong_codes_used_up")
    assert sql.execute("SELECT status, wrong_codes FROM booking").fetchall() == [("expired", 5)]


@pytest.mark.parametrize("code", ["", "12345", "1234567", "abcdef", "１２３４５６", 123456, None])
async def test_codes_without_six_digits_are_invalid_and_use_no_attempt_up(
    client: httpx.AsyncClient, made: Json, code: object, sql: Connection
) -> None:
    assert wrong_fields(await verify(client, made, code)) == {"code"}
    assert sql.execute("SELECT wrong_codes FROM booking").fetchall() == [(0,)]


async def test_too_late_and_cancelled_are_409(
    client: httpx.AsyncClient, made: Json, services: Services, post: Post, clock: Clock
) -> None:
    cancelled = (await post(startsAt=TEN)).json()
    own = bearer(cancelled["accessToken"])
    done = await client.patch(f"/bookings/{cancelled['id']}/status", json={"status": "cancelled"}, headers=own)
    assert done.status_code == 200
    body = check_problem(await verify(client, cancelled, code_of(services, cancelled)), 409, "verification_too_late")
    assert "cancelled" in body["detail"]
    clock.advance(minutes=30)
    check_problem(await verify(client, made, code_of(services, made)), 409, "verification_too_late")


async def test_who_may_confirm_and_have_the_email_sent_again(
    client: httpx.AsyncClient, made: Json, services: Services, tokens: Tokens
) -> None:
    code = {"code": code_of(services, made)}
    refused = {
        "nobody": (401, "proof_needed"), "garbage": (401, "proof_needed"), "stray": (404, "booking_not_found"),
        "grace": (404, "booking_not_found"), "jana_herself": (404, "booking_not_found"), "jana": (403, "forbidden"),
        "omar": (403, "forbidden"), "admin": (403, "forbidden"), "reader": (403, "forbidden"),
    }  # fmt: skip
    for who, (status, problem) in refused.items():
        for path, body in (("verify", code), ("verification-email", None)):
            answer = await client.post(f"/bookings/{made['id']}/{path}", json=body, headers=tokens[who])
            check_problem(answer, status, problem)
    ada = bearer(await token_of_customer(services, "ada@example.com"))
    assert (await client.post(f"/bookings/{made['id']}/verify", json=code, headers=ada)).status_code == 200


async def test_email_is_sent_again_up_to_three_times(client: httpx.AsyncClient, made: Json, sql: Connection) -> None:
    path, own = f"/bookings/{made['id']}/verification-email", bearer(made["accessToken"])
    for _ in range(3):
        assert (await client.post(path, headers=own)).status_code == 204
    refused = await client.post(path, headers=own)
    check_problem(refused, 429, "too_many_verification_emails")
    assert int(refused.headers["Retry-After"]) > 0
    kinds = sql.execute("SELECT kind, audience, count(*) FROM message GROUP BY 1, 2").fetchall()
    assert kinds == [("verification", "customer", 4)]


async def test_tokens_that_vouch_for_the_address_book_without_confirmation(
    client: httpx.AsyncClient, always: str, jana: UUID, tokens: Tokens, services: Services
) -> None:
    callers = {
        "jana": False, "admin": False, "omar": True, "reader": True, "grace": True, "nobody": True,
        "ada": False,
    }  # fmt: skip
    own = {**tokens, "ada": bearer(await token_of_customer(services, "ada@example.com"))}
    for hour, (who, waits) in enumerate(callers.items(), start=8):
        body = booking_of(jana, startsAt=f"2026-11-24T{hour:02}:00:00Z")
        answer = await client.post("/bookings", json=body, headers=own[who])
        assert (answer.status_code, answer.json()["awaitsVerification"]) == (201, waits), who
    # As without a token, since booking needs none.
    for hour, who in enumerate(("garbage", "revoked"), start=8):
        body = booking_of(jana, startsAt=f"2026-11-25T{hour:02}:00:00Z")
        answer = await client.post("/bookings", json=body, headers=tokens[who])
        assert (answer.status_code, answer.json()["awaitsVerification"]) == (201, True)


async def test_host_cannot_answer_or_reschedule_and_the_expert_does_not_list_it(
    client: httpx.AsyncClient, made: Json, jana: UUID, tokens: Tokens
) -> None:
    for who in ("jana", "admin"):
        for status in ("confirmed", "declined"):
            path = f"/bookings/{made['id']}/status"
            answer = await client.patch(path, json={"status": status}, headers=tokens[who])
            check_problem(answer, 409, "status_change_not_allowed")
        answer = await client.patch(f"/bookings/{made['id']}", json={"startsAt": TEN}, headers=tokens[who])
        check_problem(answer, 409, "reschedule_not_allowed")
    listed = {
        who: (await client.get("/bookings", params={"expertId": str(jana)}, headers=tokens[who])).json()["bookings"]
        for who in ("nobody", "jana", "admin")
    }
    assert listed["nobody"] == [{"startsAt": NINE, "endsAt": TEN, "status": "pending"}]
    assert listed["jana"] == []
    assert [one["awaitsVerification"] for one in listed["admin"]] == [True]
    slots = await client.get(f"/experts/{jana}/slots", params={"from": "2026-11-24", "to": "2026-11-24"})
    assert {one["startsAt"]: one["state"] for one in slots.json()["slots"]}[NINE] == "booked"
