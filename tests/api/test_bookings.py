"""POST /bookings, alone and concurrently."""

import asyncio
import json
import re
from collections import Counter
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest

from tests.api.conftest import NINE, Json, Post, Tokens, booking_of, check_problem, wrong_fields

BOOKING = {
    "id", "expertId", "expertSlug", "expertName", "expertTimeZone", "sessionTypeId", "sessionTitle", "startsAt",
    "endsAt", "status",
    "name", "email", "phone", "notes", "timeZone", "answerBy", "verifyBy", "awaitsVerification",
    "cancelUntil", "rescheduleUntil", "reschedulesLeft", "createdAt", "updatedAt", "version", "mail", "wantedEmails",
    "price", "paymentNote", "location", "answers",
}  # fmt: skip
INSTANT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z"
Connection = psycopg.Connection[tuple[Any, ...]]


async def test_booking_has_the_agreed_shape_and_a_location(
    client: httpx.AsyncClient, jana: UUID, post: Post, tokens: Tokens
) -> None:
    made = await post(notes="My first.", timeZone="Europe/London")
    assert made.status_code == 201
    body = made.json()
    assert set(body) == BOOKING | {"accessToken"}
    assert (body["expertId"], body["expertSlug"], body["expertName"]) == (str(jana), "jana-muller", "Jana Müller")
    assert (body["startsAt"], body["endsAt"]) == (NINE, "2026-11-24T09:00:00Z")
    assert (body["status"], body["version"], body["sessionTitle"]) == ("pending", 1, "Consultation")
    assert (body["name"], body["email"], body["phone"]) == ("Ada Lovelace", "ada@example.com", "+442079460000")
    assert (body["notes"], body["timeZone"]) == ("My first.", "Europe/London")
    assert re.fullmatch(INSTANT, body["createdAt"])
    assert re.fullmatch(INSTANT, body["updatedAt"])
    assert made.headers["location"] == f"/bookings/{body['id']}"
    found = await client.get(made.headers["location"], headers=tokens["admin"])
    del body["accessToken"]
    assert (found.status_code, found.json()) == (200, body)


async def test_one_of_fifty_concurrent_posts_for_a_slot_succeeds(
    client: httpx.AsyncClient, jana: UUID, sql: Connection
) -> None:
    posts = (client.post("/bookings", json=booking_of(jana, email=f"p{n}@example.com")) for n in range(50))
    answers = await asyncio.gather(*posts)
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 49}
    for answer in answers:
        if answer.status_code == 409:
            check_problem(answer, 409, "slot_taken")
    assert sql.execute("SELECT count(*) FROM booking").fetchone() == (1,)


async def test_held_slot_is_taken(post: Post, jana: UUID, sql: Connection) -> None:
    sql.execute(
        "INSERT INTO booking (expert_id, session_type_id, starts_at, ends_at, busy, status, hold_until)"
        " SELECT expert_id, id, '2026-11-24 08:30+00', '2026-11-24 08:45+00',"
        " '[2026-11-24 08:30+00,2026-11-24 08:45+00)', 'held', '2100-01-01' FROM session_type"
    )
    taken = check_problem(await post(), 409, "slot_taken")
    busy = {"busyFrom": "2026-11-24T08:30:00Z", "busyUntil": "2026-11-24T08:45:00Z"}
    assert (taken["reason"], taken["figures"]) == ("held", busy)
    assert taken["detail"] == "Someone else is booking this time right now."


@pytest.mark.parametrize(
    ("starts_at", "reason", "figures"),
    [
        ("2026-11-20T08:00:00Z", "past", {"now": "2026-11-23T08:00:00Z"}),
        ("1970-01-01T00:00:00Z", "past", {"now": "2026-11-23T08:00:00Z"}),
        ("2026-11-24T07:00:00Z", "outside_hours", {"day": "2026-11-24", "hours": ["09:00–17:00"]}),
        ("2026-11-24T08:30:00Z", "off_grid",
         {"stepMinutes": 60, "before": "2026-11-24T08:00:00Z", "after": "2026-11-24T09:00:00Z"}),
        ("2026-11-24T08:00:00.000001Z", "off_grid",
         {"stepMinutes": 60, "before": "2026-11-24T08:00:00Z", "after": "2026-11-24T09:00:00Z"}),
        ("2027-11-24T08:00:00Z", "beyond_horizon", {"horizonDays": 60, "lastDay": "2027-01-22"}),
        ("2200-12-31T23:59:59Z", "beyond_horizon", {"horizonDays": 60, "lastDay": "2027-01-22"}),
    ],
)  # fmt: skip
async def test_time_not_offered_is_refused_with_reason_and_details(
    post: Post, starts_at: str, reason: str, figures: Json
) -> None:
    body = check_problem(await post(startsAt=starts_at), 422, "slot_not_offered")
    assert (body["reason"], body["figures"]) == (reason, figures)
    assert [error["field"] for error in body["errors"]] == ["startsAt"]


async def test_notice_and_inactive_expert_are_reasons(post: Post, sql: Connection) -> None:
    sql.execute("UPDATE session_type SET notice_minutes = 3000")
    soon = check_problem(await post(), 422, "slot_not_offered")
    assert (soon["reason"], soon["figures"]) == (
        "min_notice", {"noticeMinutes": 3000, "bookableFrom": "2026-11-25T10:00:00Z"},
    )  # fmt: skip
    sql.execute("UPDATE expert SET active = false")
    assert check_problem(await post(), 422, "slot_not_offered")["reason"] == "inactive"


async def test_day_off_holiday_and_full_day_are_reasons(post: Post, jana: UUID, sql: Connection) -> None:
    sql.execute("INSERT INTO day_off (expert_id, first_day, last_day, reason) VALUES"
                " (%s, '2026-11-25', '2026-11-27', 'hospital')", [jana])  # fmt: skip
    away = check_problem(await post(startsAt="2026-11-26T08:00:00Z"), 422, "slot_not_offered")
    assert (away["reason"], away["figures"]) == ("day_off", {"firstDay": "2026-11-25", "lastDay": "2026-11-27"})
    assert "hospital" not in str(away)
    sql.execute("UPDATE expert SET country = 'DE', closed_on_holidays = true")
    holiday = check_problem(await post(startsAt="2026-12-25T08:00:00Z"), 422, "slot_not_offered")
    assert (holiday["reason"], holiday["figures"]) == ("holiday", {"day": "2026-12-25", "holiday": "Christmas Day"})
    sql.execute("UPDATE session_type SET daily_cap = 1")
    assert (await post()).status_code == 201
    full = check_problem(await post(startsAt="2026-11-24T09:00:00Z"), 422, "slot_not_offered")
    assert (full["reason"], full["figures"]) == ("day_full", {"day": "2026-11-24", "booked": 1, "dailyCap": 1})


async def test_unknown_experts_and_session_types_are_not_found(post: Post) -> None:
    check_problem(await post(expertId=str(uuid4())), 404, "expert_not_found")
    check_problem(await post(sessionTypeId=str(uuid4())), 404, "session_type_not_found")


@pytest.mark.parametrize("written", ["2026-11-24T09:00:00+01:00", "2026-11-24T08:00Z", "2026-11-23T21:00:00-11:00",
                                     "2026-11-24t08:00:00z", "2026-11-24T08:00:00.000Z"])  # fmt: skip
async def test_start_may_have_any_utc_offset(post: Post, written: str) -> None:
    made = await post(startsAt=written)
    assert (made.status_code, made.json()["startsAt"]) == (201, NINE)


async def test_optional_fields_may_be_missing_or_null(post: Post) -> None:
    made = await post(notes="", timeZone=None, sessionTypeId=None)
    assert (made.status_code, made.json()["timeZone"]) == (201, None)


async def test_text_is_trimmed_and_unicode_is_accepted(post: Post) -> None:
    made = await post(name="  Zoë   李 🦉\t", notes="  a\r\nb\rc\n ", phone=" +49 (30) 12/345-67 ")
    assert made.status_code == 201
    body = made.json()
    assert (body["name"], body["notes"], body["phone"]) == ("Zoë 李 🦉", "a\nb\nc", "+49301234567")


async def test_sql_and_markup_are_stored_as_plain_text(post: Post, sql: Connection) -> None:
    hostile = "'); DROP TABLE booking; --"
    made = await post(name=hostile, notes="<script>alert(1)</script> :name %s {0}")
    assert made.json()["name"] == hostile
    assert sql.execute("SELECT name, notes FROM booking").fetchall() == [
        (hostile, "<script>alert(1)</script> :name %s {0}")
    ]


async def test_all_validation_errors_are_reported_together(client: httpx.AsyncClient) -> None:
    nothing = await client.post("/bookings", json={})
    assert wrong_fields(nothing) == {"expertId", "startsAt", "name", "email", "phone"}
    everything = await client.post(
        "/bookings",
        json={"expertId": "1", "sessionTypeId": "2", "startsAt": "soon", "name": "", "email": "x", "phone": "y",
              "notes": "n" * 2001, "timeZone": "Mars"},
    )  # fmt: skip
    assert wrong_fields(everything) == {
        "expertId", "sessionTypeId", "startsAt", "name", "email", "phone", "notes", "timeZone",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("startsAt", "2026-11-24T08:00:00"),
        ("startsAt", "2026-11-24"),
        ("startsAt", "08:00"),
        ("startsAt", ""),
        ("startsAt", None),
        ("startsAt", 1_795_507_200),
        ("startsAt", 1e300),
        ("startsAt", "1795507200"),
        ("startsAt", True),
        ("startsAt", "9999-12-31T23:59:59Z"),
        ("startsAt", "9999-12-31T23:59:59-12:00"),
        ("startsAt", "0001-01-01T00:00:00Z"),
        ("startsAt", "0001-01-01T00:00:00+14:00"),
        ("startsAt", "2026-11-24T08:00:00+99:00"),
        ("startsAt", "2026-11-24T24:00:00Z"),
        ("startsAt", "2026-02-30T08:00:00Z"),
        ("startsAt", "2026-11-24T08:00:00Z\x00"),
        ("startsAt", "x" * 10_000),
        ("expertId", 1),
        ("expertId", "jana-muller"),
        ("expertId", None),
        ("expertId", "\x00"),
        ("expertId", {"id": "x"}),
        ("sessionTypeId", "first"),
        ("name", ""),
        ("name", "   "),
        ("name", None),
        ("name", 42),
        ("name", True),
        ("name", ["Ada"]),
        ("name", {"first": "Ada"}),
        ("name", "n" * 121),
        ("name", "A\x00da"),
        ("name", "A\x07da"),
        ("name", "A\x7fda"),
        ("name", "A\x85da"),
        ("name", "\ud800"),
        ("name", "Ada\udfff"),
        ("email", ""),
        ("email", "ada"),
        ("email", "ada@localhost"),
        ("email", "ada@example.com\x00"),
        ("email", "ada\n@example.com"),
        ("email", "ada@example.com, eve@example.com"),
        ("email", "a" * 250 + "@example.com"),
        ("email", "\ud800@example.com"),
        ("email", "ada@\ud800.com"),
        ("email", 5),
        ("phone", ""),
        ("phone", "123"),
        ("phone", "call me"),
        ("phone", "+" * 20),
        ("phone", "1" * 16),
        ("phone", "1" * 41),
        ("phone", "+49 30 \x00 1234567"),
        ("phone", 49_301_234_567),
        ("phone", None),
        ("phone", "٠١٢٣٤٥٦٧"),
        ("notes", "n" * 2001),
        ("notes", "\x00"),
        ("notes", "\ud83d"),
        ("notes", None),
        ("notes", 7),
        ("timeZone", "Mars/Olympus"),
        ("timeZone", "../../etc/passwd"),
        ("timeZone", "europe/berlin"),
        ("timeZone", "localtime"),
        ("timeZone", "\x00"),
        ("timeZone", "\ud800"),
        ("timeZone", 1),
    ],
)
async def test_invalid_value_is_reported_by_field_and_books_nothing(
    client: httpx.AsyncClient, jana: UUID, sql: Connection, field: str, value: Any
) -> None:
    # Raw JSON, because the client refuses to send half a surrogate pair.
    content = json.dumps(booking_of(jana, **{field: value}), ensure_ascii=True)
    answer = await client.post("/bookings", content=content, headers={"Content-Type": "application/json"})
    assert wrong_fields(answer) == {field}
    assert sql.execute("SELECT count(*) FROM booking").fetchone() == (0,)


@pytest.mark.parametrize(
    "content",
    [b"", b"null", b"[]", b"42", b'"text"', b"{", b'{"name": }', b"\xff\xfe", b"\x00", b"{}{}", b"NaN",
     b"[" * 30_000, b'{"a":' * 10_000, b"[" * 10_000 + b"]" * 10_000, b'{"startsAt": ' + b"9" * 5_000 + b"}",
     b'{"startsAt": 1e999999}', b'\xef\xbb\xbf{"name": "Ada"}', '{"name": "\ud800"}'.encode("utf-8", "surrogatepass"),
     '{"name": "Ada"}'.encode("utf-16")],
    ids=lambda content: repr(content[:20]),
)  # fmt: skip
async def test_body_that_is_not_a_booking_is_refused(client: httpx.AsyncClient, content: bytes) -> None:
    answer = await client.post("/bookings", content=content, headers={"Content-Type": "application/json"})
    assert wrong_fields(answer)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_wrong_content_type_is_refused(client: httpx.AsyncClient, jana: UUID, kind: str) -> None:
    content = json.dumps(booking_of(jana))
    assert wrong_fields(await client.post("/bookings", content=content, headers={"Content-Type": kind}))


async def test_oversized_body_is_refused(client: httpx.AsyncClient, jana: UUID) -> None:
    content = json.dumps(booking_of(jana)) + " " * 60_000
    longest = await client.post("/bookings", content=content, headers={"Content-Type": "application/json"})
    assert longest.status_code == 201
    check_problem(await client.post("/bookings", json=booking_of(jana, more="x" * 70_000)), 413, "body_too_large")

    async def endless() -> Any:
        for _ in range(100):
            yield b" " * 10_000

    check_problem(
        await client.post("/bookings", content=endless(), headers={"Content-Type": "application/json"}),
        413, "body_too_large",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/", 404, "not_found"),
        ("GET", "/bookings/x/y/z", 404, "not_found"),
        ("DELETE", "/experts", 405, "method_not_allowed"),
        ("DELETE", "/bookings", 405, "method_not_allowed"),
        ("PUT", "/bookings/1", 405, "method_not_allowed"),
        ("GET", "/bookings/1/status", 405, "method_not_allowed"),
        ("POST", "/healthz", 405, "method_not_allowed"),
        ("BREW", "/experts", 405, "method_not_allowed"),
    ],
)
async def test_unknown_paths_and_methods_are_problems(
    client: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    answer = await client.request(method, path)
    check_problem(answer, status, code)
    assert ("allow" in answer.headers) == (status == 405)


async def test_get_requests_change_nothing(client: httpx.AsyncClient, jana: UUID, tokens: Tokens, post: Post,
                                             sql: Connection) -> None:  # fmt: skip
    made = (await post()).json()
    state = "SELECT xmin::text, * FROM booking"
    before = sql.execute(state).fetchall()
    for path in ("/experts", f"/experts/{jana}", f"/experts/{jana}/slots?from=2026-11-24&to=2026-11-30", "/bookings",
                 f"/bookings?expertId={jana}", f"/bookings/{made['id']}"):  # fmt: skip
        assert (await client.get(path, headers=tokens["admin"])).status_code == 200
    assert sql.execute(state).fetchall() == before
