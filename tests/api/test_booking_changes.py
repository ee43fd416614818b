"""PATCH /bookings/{id} and /bookings/{id}/status, and the history at /bookings/{id}/changes."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest

from expert_booking.services import Services
from tests.api.conftest import NINE, Json, Post, Tokens, check_problem, wrong_fields
from tests.conftest import Clock

Connection = psycopg.Connection[tuple[Any, ...]]
Change = Callable[..., Awaitable[httpx.Response]]
CUSTOMERS = ("grace", "jana_herself", "stray")
ALL_CALLERS = ("nobody", "garbage", "revoked", "admin", "reader", "jana", "omar", *CUSTOMERS)
TEN, ELEVEN = "2026-11-24T09:00:00Z", "2026-11-24T10:00:00Z"
FIRST_BOOKING = "SELECT starts_at = '2026-11-24 08:00Z', version FROM booking ORDER BY created_at LIMIT 1"
REFUSED = {"nobody": (401, "proof_needed"), "garbage": (401, "proof_needed"), "revoked": (401, "proof_needed"),
           "reader": (403, "forbidden"), "omar": (403, "forbidden"),
           **dict.fromkeys(CUSTOMERS, (404, "booking_not_found"))}  # fmt: skip


@pytest.fixture
async def booking(post: Post) -> Json:
    """A booking with Jana at nine."""
    body: Json = (await post()).json()
    return body


@pytest.fixture
def reschedule(client: httpx.AsyncClient, tokens: Tokens, booking: Json) -> Change:
    """Reschedule the booking: `reschedule(TEN)`, as Jana by default."""

    async def reschedule(to: Any, *, who: str = "jana", **more: Any) -> httpx.Response:
        body = {"startsAt": to, **more}
        return await client.patch(f"/bookings/{booking['id']}", json=body, headers=tokens[who])

    return reschedule


@pytest.fixture
def change_status(client: httpx.AsyncClient, tokens: Tokens, booking: Json) -> Change:
    """Change the booking's status: `change_status("confirmed")`, as Jana by default."""

    async def change_status(to: str, *, who: str = "jana", **more: Any) -> httpx.Response:
        path, body = f"/bookings/{booking['id']}/status", {"status": to, **more}
        return await client.patch(path, json=body, headers=tokens[who])

    return change_status


@pytest.fixture
def changes(client: httpx.AsyncClient, tokens: Tokens, booking: Json) -> Change:
    """Get the booking's history."""

    async def changes(*, who: str = "jana") -> httpx.Response:
        return await client.get(f"/bookings/{booking['id']}/changes", headers=tokens[who])

    return changes


# --- rescheduling -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ALL_CALLERS)
async def test_only_the_expert_and_admins_reschedule_a_booking(
    client: httpx.AsyncClient, reschedule: Change, booking: Json, tokens: Tokens, sql: Connection, who: str
) -> None:
    answer = await reschedule(ELEVEN, who=who)
    if who in REFUSED:
        check_problem(answer, *REFUSED[who])
        assert sql.execute(FIRST_BOOKING).fetchone() == (True, 1)
        return
    body = answer.json()
    assert (answer.status_code, body["startsAt"], body["endsAt"]) == (200, ELEVEN, "2026-11-24T11:00:00Z")
    assert (body["version"], body["status"]) == (2, "pending")
    same = set(body) - {"startsAt", "endsAt", "version", "updatedAt", "answerBy", "cancelUntil", "rescheduleUntil"}
    assert {key: body[key] for key in same} == {key: booking[key] for key in same}
    assert (await client.get(f"/bookings/{booking['id']}", headers=tokens[who])).json() == body


@pytest.mark.parametrize("who", ["admin", "reader", "jana", "nobody"])
async def test_rescheduling_an_unknown_booking_reveals_nothing(
    client: httpx.AsyncClient, tokens: Tokens, who: str
) -> None:
    for reference in (str(uuid4()), "1", "%00", "x" * 3000):
        answer = await client.patch(f"/bookings/{reference}", json={"startsAt": TEN}, headers=tokens[who])
        if reference == "1" or len(reference) != 36:
            check_problem(answer, 404, "booking_not_found")
        else:
            check_problem(answer, *REFUSED.get(who, (404, "booking_not_found")))


async def test_rescheduling_frees_the_old_time(reschedule: Change, post: Post) -> None:
    assert (await reschedule(TEN)).status_code == 200
    assert (await post()).status_code == 201
    check_problem(await post(startsAt=TEN), 409, "slot_taken")


async def test_rescheduling_to_a_taken_time_keeps_the_old_time(reschedule: Change, post: Post, sql: Connection) -> None:
    await post(startsAt=TEN)
    body = check_problem(await reschedule(TEN), 409, "slot_taken")
    assert (body["reason"], body["figures"]) == ("busy", {"busyFrom": TEN, "busyUntil": ELEVEN})
    assert body["alternatives"] == [f"2026-11-24T{hour:02}:00:00Z" for hour in range(10, 16)]
    assert sql.execute(FIRST_BOOKING).fetchone() == (True, 1)
    check_problem(await post(), 409, "slot_taken")
    assert (await reschedule(body["alternatives"][0])).status_code == 200


async def test_rescheduling_to_a_held_time_is_refused(
    client: httpx.AsyncClient, reschedule: Change, jana: UUID, clock: Clock
) -> None:
    await client.post("/holds", json={"expertId": str(jana), "startsAt": TEN})
    assert check_problem(await reschedule(TEN), 409, "slot_taken")["reason"] == "held"
    clock.advance(minutes=5)
    assert (await reschedule(TEN)).status_code == 200


async def test_rescheduling_to_a_time_that_overlaps_the_old_one_succeeds(reschedule: Change, sql: Connection) -> None:
    sql.execute("UPDATE session_type SET step_minutes = 30")
    assert (await reschedule("2026-11-24T08:30:00Z")).json()["startsAt"] == "2026-11-24T08:30:00Z"


async def test_rescheduling_to_the_same_time_changes_nothing(reschedule: Change, changes: Change) -> None:
    assert (await reschedule(NINE)).json()["version"] == 1
    assert len((await changes()).json()["changes"]) == 1


@pytest.mark.parametrize(
    ("to", "reason"),
    [("2026-11-20T08:00:00Z", "past"), ("2026-11-24T07:00:00Z", "outside_hours"), ("2026-11-24T08:30:00Z", "off_grid"),
     ("2027-11-24T08:00:00Z", "beyond_horizon")],
)  # fmt: skip
async def test_rescheduling_to_a_time_not_offered_is_refused(
    reschedule: Change, sql: Connection, to: str, reason: str
) -> None:
    body = check_problem(await reschedule(to), 422, "slot_not_offered")
    assert (body["reason"], [error["field"] for error in body["errors"]]) == (reason, ["startsAt"])
    assert len(body["alternatives"]) == 6
    assert NINE not in body["alternatives"]
    assert sql.execute(FIRST_BOOKING).fetchone() == (True, 1)


@pytest.mark.parametrize("status", ["cancelled", "declined"])
async def test_finished_booking_is_not_rescheduled(reschedule: Change, change_status: Change, status: str) -> None:
    await change_status(status)
    body = check_problem(await reschedule(TEN), 409, "reschedule_not_allowed")
    assert body["detail"] == f"A booking that is {status} cannot be rescheduled."


async def test_one_of_two_bookings_rescheduled_to_the_same_time_succeeds(
    client: httpx.AsyncClient, reschedule: Change, post: Post, tokens: Tokens, sql: Connection
) -> None:
    other = (await post(startsAt=TEN)).json()["id"]
    both = reschedule(ELEVEN), client.patch(f"/bookings/{other}", json={"startsAt": ELEVEN}, headers=tokens["admin"])
    answers = await asyncio.gather(*both)
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 1}
    assert sql.execute("SELECT count(*) FROM booking WHERE status = 'pending'").fetchone() == (2,)


@pytest.mark.parametrize(
    ("body", "fields"),
    [({}, {"startsAt"}), ({"status": "confirmed"}, {"startsAt", "status"}), ({"startsAt": None}, {"startsAt"}),
     ({"startsAt": "tomorrow"}, {"startsAt"}), ({"startsAt": "2026-11-24T09:00:00"}, {"startsAt"}),
     ({"startsAt": TEN, "reason": "x" * 501}, {"reason"}), ({"startsAt": 5, "reason": "\x00"}, {"startsAt", "reason"}),
     ([], {"body"}), (None, {"body"})],
)  # fmt: skip
async def test_invalid_new_start_is_refused(
    client: httpx.AsyncClient, tokens: Tokens, booking: Json, sql: Connection, body: Any, fields: set[str]
) -> None:
    answer = await client.patch(f"/bookings/{booking['id']}", json=body, headers=tokens["jana"])
    assert wrong_fields(answer) == fields
    assert sql.execute(FIRST_BOOKING).fetchone() == (True, 1)


# --- changing status --------------------------------------------------------------------------------------------


async def test_answer_deadline_exists_until_the_booking_is_answered(change_status: Change, booking: Json) -> None:
    assert booking["answerBy"] == NINE  # two days from now would be after the start
    assert (await change_status("confirmed")).json()["answerBy"] is None


async def test_session_is_completed_only_after_its_end(change_status: Change, clock: Clock) -> None:
    await change_status("confirmed")
    clock.advance(hours=24, minutes=59)
    for to in ("completed", "no_show"):
        body = check_problem(await change_status(to), 409, "status_change_not_allowed")
        assert "after the session has ended" in body["detail"]
    clock.advance(minutes=1)
    assert (await change_status("completed")).json()["status"] == "completed"
    check_problem(await change_status("no_show"), 409, "status_change_not_allowed")


@pytest.mark.parametrize("who", ["jana", "admin", "customer"])
@pytest.mark.parametrize("status", ["pending", "confirmed"])
async def test_session_that_has_ended_cannot_be_cancelled(
    client: httpx.AsyncClient,
    change_status: Change,
    booking: Json,
    clock: Clock,
    sql: Connection,
    who: str,
    status: str,
) -> None:
    sql.execute("UPDATE booking SET status = %s", [status])
    path, cancel = f"/bookings/{booking['id']}/status", {"status": "cancelled"}
    headers = {"Authorization": f"Bearer {booking['accessToken']}"}

    async def cancelled() -> httpx.Response:
        if who == "customer":
            return await client.patch(path, json=cancel, headers=headers)
        return await change_status("cancelled", who=who)

    clock.advance(hours=25)  # the session ends
    body = check_problem(await cancelled(), 409, "status_change_not_allowed")
    assert body["detail"] == "This session has ended and can no longer be cancelled."
    assert sql.execute("SELECT status FROM booking").fetchone() == (status,)
    clock.advance(minutes=-1)
    answer = await cancelled()
    if who == "customer":  # too late since the start
        check_problem(answer, 409, "cancel_too_late")
    else:
        assert answer.json()["status"] == "cancelled"


@pytest.mark.parametrize("who", ["jana", "admin"])
async def test_host_cannot_reschedule_a_session_that_has_ended(
    client: httpx.AsyncClient, change_status: Change, booking: Json, tokens: Tokens, clock: Clock, who: str
) -> None:
    await change_status("confirmed")
    path, later = f"/bookings/{booking['id']}", {"startsAt": "2026-11-27T09:00:00Z"}
    clock.advance(hours=25)  # the session ends
    body = check_problem(await client.patch(path, json=later, headers=tokens[who]), 409, "reschedule_not_allowed")
    assert body["detail"] == "This session has ended and can no longer be rescheduled."
    clock.advance(minutes=-1)
    assert (await client.patch(path, json=later, headers=tokens[who])).json()["startsAt"] == later["startsAt"]


async def test_session_without_an_answer_is_completed_by_the_system(
    services: Services, change_status: Change, changes: Change, clock: Clock
) -> None:
    await change_status("confirmed")
    clock.advance(hours=25 + 24)
    await services.deadlines.complete_ended()
    last = (await changes()).json()["changes"][-1]
    assert (last["actor"], last["fromStatus"], last["toStatus"]) == ("system", "confirmed", "completed")
    assert last["reason"] == "completed automatically"
    check_problem(await change_status("no_show"), 409, "status_change_not_allowed")


@pytest.mark.parametrize("who", ["jana", "admin"])
async def test_transitions_of_the_system_are_refused_to_callers(
    client: httpx.AsyncClient, change_status: Change, jana: UUID, tokens: Tokens, who: str
) -> None:
    body = check_problem(await change_status("expired", who=who), 409, "status_change_not_allowed")
    assert body["detail"] == "Only the system can make a booking that is pending expired."
    held = (await client.post("/holds", json={"expertId": str(jana), "startsAt": TEN})).json()["id"]
    for to in ("pending", "confirmed", "expired"):
        answer = await client.patch(f"/bookings/{held}/status", json={"status": to}, headers=tokens[who])
        assert answer.status_code in (404, 409), answer.text


async def test_unanswered_request_expires_and_cannot_be_changed(
    services: Services, change_status: Change, changes: Change, clock: Clock
) -> None:
    clock.advance(hours=24)
    await services.deadlines.drain()
    check_problem(await change_status("confirmed"), 409, "status_change_not_allowed")
    last = (await changes()).json()["changes"][-1]
    assert (last["actor"], last["fromStatus"], last["toStatus"]) == ("system", "pending", "expired")
    assert last["reason"] == "not answered in time"


@pytest.mark.parametrize("reason", [None, 5, "x" * 501, "\x00", "\ud800", ["x"]])
async def test_invalid_reason_is_refused(client: httpx.AsyncClient, tokens: Tokens, booking: Json, reason: Any) -> None:
    content = json.dumps({"status": "confirmed", "reason": reason})
    headers = {**tokens["jana"], "Content-Type": "application/json"}
    answer = await client.patch(f"/bookings/{booking['id']}/status", content=content, headers=headers)
    assert wrong_fields(answer) == {"reason"}


async def test_one_of_concurrent_confirmation_and_decline_succeeds(change_status: Change, changes: Change) -> None:
    answers = await asyncio.gather(change_status("confirmed"), change_status("declined", who="admin"))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 409: 1}
    assert len((await changes()).json()["changes"]) == 2


# --- history ----------------------------------------------------------------------------------------------------


async def test_history_lists_every_change_with_actor_and_reason(
    change_status: Change, reschedule: Change, changes: Change
) -> None:
    await change_status("confirmed")
    await reschedule(ELEVEN, who="admin", reason="  The room is \r\n taken ")
    check_problem(await reschedule("2026-11-24T07:00:00Z"), 422, "slot_not_offered")
    await change_status("cancelled", reason="Ill")
    history = (await changes()).json()
    assert set(history) == {"changes"}
    assert [(c["actor"], c["fromStatus"], c["toStatus"], c["fromStartsAt"], c["toStartsAt"], c["reason"])
            for c in history["changes"]] == [
        ("customer", None, "pending", None, NINE, ""),
        ("expert", "pending", "confirmed", NINE, NINE, ""),
        ("admin", "confirmed", "confirmed", NINE, ELEVEN, "The room is \n taken"),
        ("expert", "confirmed", "cancelled", ELEVEN, ELEVEN, "Ill"),
    ]  # fmt: skip
    assert [c["at"] for c in history["changes"]] == sorted(c["at"] for c in history["changes"])


@pytest.mark.parametrize("who", ALL_CALLERS)
async def test_history_is_for_the_expert_and_admins_only(changes: Change, who: str) -> None:
    answer = await changes(who=who)
    if who in REFUSED:
        check_problem(answer, *REFUSED[who])
        assert "pending" not in answer.text
    else:
        assert len(answer.json()["changes"]) == 1


@pytest.mark.parametrize("reference", [str(UUID(int=1)), "1", "%00", "x" * 3000])
async def test_unknown_booking_has_no_history(client: httpx.AsyncClient, tokens: Tokens, reference: str) -> None:
    answer = await client.get(f"/bookings/{reference}/changes", headers=tokens["admin"])
    check_problem(answer, 404, "booking_not_found")


async def test_history_contains_no_names_or_addresses(post: Post, changes: Change) -> None:
    text = (await changes()).text
    assert not [personal for personal in ("Ada", "ada@", "7946 0000") if personal in text]
