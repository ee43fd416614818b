"""Running a calendar: permissions, responses and refusals. No input causes a server error."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.api.conftest import NINE, Json, Post, Tokens, booking_of, check_problem, wrong_fields

Connection = psycopg.Connection[tuple[Any, ...]]
Ask = Callable[..., Awaitable[httpx.Response]]

CUSTOMERS = ("grace", "jana_herself", "stray")
ALL_CALLERS = ("nobody", "garbage", "revoked", "admin", "reader", "jana", "omar", *CUSTOMERS)
MORNING: Json = {"weekday": 1, "opens": "09:00", "closes": "12:00"}
PLAN: Json = {"timeZone": "Europe/Berlin", "windows": [MORNING]}
NEW_TYPE: Json = {"title": "Short talk", "minutes": 30, "stepMinutes": 30, "noticeMinutes": 0}
NEW_EXPERT: Json = {
    "name": "Łukasz Nowak", "category": "Law", "timeZone": "Europe/Warsaw", "email": "lukasz@example.com",
    "country": "PL", "closedOnHolidays": True, "experience": 7, "languages": ["pl", "en"],
    "sessionTypes": [NEW_TYPE], "windows": [MORNING],
}  # fmt: skip
TERMS: Json = {
    "confirmation": "at_once", "answerMinutes": 90, "cancelNoticeMinutes": 1440, "rescheduleNoticeMinutes": 60,
    "maxReschedules": 2,
}  # fmt: skip
OFF: Json = {"firstDay": "2026-12-24", "lastDay": "2027-01-03", "reason": "Skiing with Eve"}
DAY: Json = {"kind": "hours", "windows": [{"opens": "14:00", "closes": "18:00"}]}


@pytest.fixture
def ask(client: httpx.AsyncClient, tokens: Tokens) -> Ask:
    """Send a request for Jana's calendar: `ask("PUT", "/availability", {...})`, as Jana by default."""

    async def ask(method: str, path: str, body: Any = None, *, who: str = "jana", **more: Any) -> httpx.Response:
        headers = {**tokens[who], **more.pop("headers", {})}
        content = {} if body is None else {"json": body}
        return await client.request(method, f"/experts/jana-muller{path}", **content, headers=headers, **more)

    return ask


@pytest.fixture
async def type_id(client: httpx.AsyncClient, jana: UUID) -> str:
    """The id of Jana's session type."""
    return str((await client.get(f"/experts/{jana}")).json()["sessionTypes"][0]["id"])


async def slots(client: httpx.AsyncClient, day: str = "2026-11-24", **params: str) -> list[str]:
    """The starts of Jana's open slots on a date."""
    answer = await client.get("/experts/jana-muller/slots", params={"from": day, "to": day, **params})
    return [slot["startsAt"] for slot in answer.json()["slots"] if slot["state"] == "open"]


# --- permissions ------------------------------------------------------------------------------------------------

CALLS: list[tuple[str, str, Any, int]] = [
    ("PATCH", "", {"headline": "New"}, 200),
    ("POST", "/session-types", NEW_TYPE, 201),
    ("PATCH", "/session-types/{type}", {"minutes": 45}, 200),
    ("POST", "/session-types/{type}/duplicate", None, 201),
    ("DELETE", "/session-types/{type}", None, 204),
    ("GET", "/availability", None, 200),
    ("PUT", "/availability", PLAN, 200),
    ("GET", "/overrides", None, 200),
    ("GET", "/overrides/2026-11-25", None, 200),
    ("PUT", "/overrides/2026-11-26", DAY, 200),
    ("DELETE", "/overrides/2026-11-25", None, 204),
    ("GET", "/days-off", None, 200),
    ("POST", "/days-off", OFF, 201),
    ("DELETE", "/days-off/{off}", None, 204),
    ("GET", f"/slots/explain?at={NINE}", None, 200),
    ("GET", "/rules", None, 200),
    ("PUT", "/rules", PLAN, 200),
    ("POST", "/rules/preview", {"rules": PLAN}, 200),
]


@pytest.fixture
async def prepared(ask: Ask, type_id: str) -> dict[str, str]:
    """Add an override of 2026-11-25 and days off to change."""
    assert (await ask("PUT", "/overrides/2026-11-25", DAY)).status_code == 200
    off = (await ask("POST", "/days-off", OFF)).json()["id"]
    return {"type": type_id, "off": off}


@pytest.mark.parametrize("who", ["admin", "jana"])
@pytest.mark.parametrize(("method", "path", "body", "status"), CALLS)
async def test_calendar_calls_are_for_the_expert_and_admins_only(
    ask: Ask, prepared: dict[str, str], sql: Connection, who: str, method: str, path: str, body: Any, status: int
) -> None:
    before = all_rows(sql)
    for other in ("nobody", "garbage", "revoked", "reader", "omar", *CUSTOMERS):
        answer = await ask(method, path.format(**prepared), body, who=other)
        known = other in ("reader", "omar", *CUSTOMERS)
        check_problem(answer, *((403, "forbidden") if known else (401, "proof_needed")))
    assert all_rows(sql) == before
    assert (await ask(method, path.format(**prepared), body, who=who)).status_code == status


@pytest.mark.parametrize(("method", "path", "body", "status"), CALLS)
async def test_inactive_expert_is_visible_only_to_the_expert_and_admins(
    ask: Ask, prepared: dict[str, str], sql: Connection, method: str, path: str, body: Any, status: int
) -> None:
    sql.execute("UPDATE expert SET active = false WHERE slug = 'jana-muller'")
    check_problem(await ask(method, path.format(**prepared), body, who="omar"), 404, "expert_not_found")
    # The expert's own token is refused until an admin reactivates the expert.
    check_problem(await ask(method, path.format(**prepared), body), 401, "proof_needed")
    assert (await ask(method, path.format(**prepared), body, who="admin")).status_code == status


@pytest.mark.parametrize(("method", "path", "body", "_"), CALLS)
async def test_unknown_expert_is_not_found(
    client: httpx.AsyncClient, tokens: Tokens, method: str, path: str, body: Any, _: int
) -> None:
    content = {} if body is None else {"json": body}
    for reference in ("nobody", str(uuid4()), "%00", "x" * 3000, "' OR 1=1 --"):
        url = f"/experts/{reference}" + path.format(type=uuid4(), off=uuid4())
        for who in ("admin", "jana"):
            answer = await client.request(method, url, headers=tokens[who], **content)
            check_problem(answer, 404, "expert_not_found")
        check_problem(await client.request(method, url, **content), 401, "proof_needed")


@pytest.mark.parametrize("who", ALL_CALLERS)
async def test_only_admins_add_experts(client: httpx.AsyncClient, tokens: Tokens, who: str) -> None:
    right, wrong = [await client.post("/experts", json=body, headers=tokens[who]) for body in (NEW_EXPERT, {})]
    if who == "admin":
        assert (right.status_code, wrong.status_code) == (201, 422)
        return
    for answer in (right, wrong):  # validation errors only for authorized callers
        check_problem(
            answer, *((403, "forbidden") if who in ("reader", "jana", "omar", *CUSTOMERS) else (401, "proof_needed"))
        )


async def test_validation_errors_are_shown_only_to_authorized_callers(ask: Ask) -> None:
    check_problem(await ask("PUT", "/availability", {}, who="nobody"), 401, "proof_needed")
    check_problem(await ask("PUT", "/availability", {}, who="omar"), 403, "forbidden")
    assert wrong_fields(await ask("PUT", "/availability", {})) == {"timeZone", "windows"}


async def test_public_view_of_an_expert_omits_private_fields(
    client: httpx.AsyncClient, tokens: Tokens, jana: UUID, sql: Connection
) -> None:
    shown = {who: (await client.get("/experts/jana-muller", headers=tokens[who])).json() for who in
             ("nobody", "reader", "omar", "jana", "admin", *CUSTOMERS)}  # fmt: skip
    assert all(shown[who] == shown["nobody"] for who in ("reader", "omar", *CUSTOMERS))
    assert "email" not in shown["nobody"]
    assert shown["jana"] == shown["admin"]
    assert shown["jana"].items() >= {**shown["nobody"], "email": "jana@example.com", "active": True}.items()
    check_problem(await client.get("/experts/jana-muller", headers=tokens["garbage"]), 401, "proof_needed")
    sql.execute("UPDATE expert SET active = false WHERE slug = 'jana-muller'")
    assert (await client.get(f"/experts/{jana}", headers=tokens["admin"])).json()["active"] is False
    check_problem(await client.get(f"/experts/{jana}", headers=tokens["jana"]), 401, "proof_needed")
    for who in ("nobody", "reader", "omar", *CUSTOMERS):
        check_problem(await client.get(f"/experts/{jana}", headers=tokens[who]), 404, "expert_not_found")


async def test_reason_of_a_day_off_is_private(ask: Ask, client: httpx.AsyncClient, jana: UUID) -> None:
    await ask("POST", "/days-off", {**OFF, "firstDay": "2026-11-24"})
    shown = [
        await client.get("/experts/jana-muller"),
        await client.get("/experts"),
        await client.get("/experts/jana-muller/slots", params={"from": "2026-11-24", "to": "2026-11-24"}),
        await client.post("/bookings", json=booking_of(jana)),
        await ask("GET", "/days-off", who="omar"),
        await ask("GET", "/slots/explain", params={"at": NINE}, who="reader"),
    ]
    assert [answer.status_code for answer in shown] == [200, 200, 200, 422, 403, 403]
    assert not [answer for answer in shown if "Skiing" in answer.text or "Eve" in answer.text]
    assert "Skiing with Eve" in (await ask("GET", f"/slots/explain?at={NINE}")).text


# --- experts ----------------------------------------------------------------------------------------------------


async def test_new_expert_has_hours_and_session_types(client: httpx.AsyncClient, tokens: Tokens) -> None:
    answer = await client.post("/experts", json=NEW_EXPERT, headers=tokens["admin"])
    body = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (201, f"/experts/{body['id']}")
    assert body["slug"] == "lukasz-nowak"
    for key in NEW_EXPERT.keys() - {"sessionTypes", "windows"}:
        assert body[key] == NEW_EXPERT[key], key
    assert (body["active"], body["region"]) == (True, None)
    assert body["nextAvailable"] == "2026-11-23T08:00:00Z"
    [kind] = body["sessionTypes"]
    assert {key: kind[key] for key in NEW_TYPE} == NEW_TYPE
    shown = (await client.get(answer.headers["location"])).json()
    assert shown == {key: body[key] for key in shown}
    plan = (await client.get(f"/experts/{body['id']}/availability", headers=tokens["admin"])).json()
    assert plan["windows"] == [{**MORNING, "validFrom": None, "validUntil": None}]


async def test_duplicate_slug_is_refused(client: httpx.AsyncClient, tokens: Tokens, ask: Ask) -> None:
    wanted = {**NEW_EXPERT, "slug": "jana-muller"}
    check_problem(await client.post("/experts", json=wanted, headers=tokens["admin"]), 409, "slug_taken")
    check_problem(await ask("PATCH", "", {"slug": "omar-haddad"}), 409, "slug_taken")
    assert (await ask("PATCH", "", {"slug": "jana-muller"})).status_code == 200
    assert (await ask("PATCH", "", {"slug": "jana"})).json()["slug"] == "jana"
    made = [await client.post("/experts", json=NEW_EXPERT, headers=tokens["admin"]) for _ in range(3)]
    assert [answer.json()["slug"] for answer in made] == ["lukasz-nowak", "lukasz-nowak-2", "lukasz-nowak-3"]


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"name": None, "category": " ", "email": "x"}, {"name", "category", "email"}),
        ({"timeZone": "Mars/Phobos"}, {"timeZone"}),
        ({"timeZone": ""}, {"timeZone"}),
        ({"experience": -1, "headline": "x" * 161, "bio": "x" * 5001}, {"experience", "headline", "bio"}),
        ({"languages": ["german"]}, {"languages.0"}),
        ({"languages": ["de"] * 21}, {"languages"}),
        ({"country": "XX"}, {"country"}),
        ({"country": "DE", "region": "Atlantis"}, {"region"}),
        ({"country": None, "closedOnHolidays": True}, {"country"}),
        ({"slug": "Jana"}, {"slug"}),
        ({"slug": "a--b"}, {"slug"}),
        ({"slug": str(UUID(int=5))}, {"slug"}),
        ({"name": "a\x00b", "bio": "a\x1bb"}, {"name", "bio"}),
    ],
)
async def test_invalid_expert_fields_are_all_reported(
    client: httpx.AsyncClient, tokens: Tokens, ask: Ask, change: Json, fields: set[str]
) -> None:
    added = await client.post("/experts", json={**NEW_EXPERT, **change}, headers=tokens["admin"])
    assert wrong_fields(added) == fields
    assert wrong_fields(await ask("PATCH", "", change)) == fields


async def test_hours_and_session_types_of_a_new_expert_are_validated(client: httpx.AsyncClient, tokens: Tokens) -> None:
    wrong = {"windows": [MORNING, {**MORNING, "opens": "9"}], "sessionTypes": [{**NEW_TYPE, "stepMinutes": 0}]}
    answer = await client.post("/experts", json={**NEW_EXPERT, **wrong}, headers=tokens["admin"])
    assert wrong_fields(answer) == {"windows.1.opens", "sessionTypes.0.stepMinutes"}
    twice = await client.post("/experts", json={**NEW_EXPERT, "windows": [MORNING] * 2}, headers=tokens["admin"])
    assert wrong_fields(twice) == {"windows.1.opens"}
    many = await client.post("/experts", json={**NEW_EXPERT, "sessionTypes": [NEW_TYPE] * 51}, headers=tokens["admin"])
    assert wrong_fields(many) == {"sessionTypes"}


async def test_patch_changes_only_the_given_fields(ask: Ask, client: httpx.AsyncClient) -> None:
    before = (await ask("PATCH", "", {"headline": "Old"})).json()
    after = (await ask("PATCH", "", {"headline": "", "experience": 3, "country": "DE", "region": "BY"})).json()
    assert after == {**before, "headline": "", "experience": 3, "country": "DE", "region": "BY"}
    off = await ask("PATCH", "", {"active": False}, who="admin")
    assert off.json() == {**after, "active": False, "nextAvailable": None}
    check_problem(await client.get("/experts/jana-muller"), 404, "expert_not_found")
    assert (await ask("PATCH", "", {"active": True}, who="admin")).json() == after


async def test_region_is_checked_against_the_stored_country(ask: Ask) -> None:
    await ask("PATCH", "", {"country": "DE", "region": "BY", "closedOnHolidays": True})
    assert wrong_fields(await ask("PATCH", "", {"country": "FR"})) == {"region"}
    assert wrong_fields(await ask("PATCH", "", {"country": None})) == {"country"}
    assert wrong_fields(await ask("PATCH", "", {"region": "XX"})) == {"region"}
    assert (await ask("PATCH", "", {"region": None})).json()["closedOnHolidays"] is True
    assert (await ask("PATCH", "", {"country": None, "closedOnHolidays": False})).json()["country"] is None


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"body"}),
        ([], {"body"}),
        (None, {"body"}),
        ("x", {"body"}),
        ({"rating": 5}, {"rating"}),
        ({"sessionTypes": [], "windows": []}, {"sessionTypes", "windows"}),
        ({"nmae": "x", "email": "x"}, {"nmae", "email"}),
        ({"x" * 500: 1}, {"x" * 80}),
        ({"\ud800": 1}, {"body"}),
        ({"active": None, "name": None, "timeZone": None, "slug": None, "languages": None, "closedOnHolidays": None},
         {"active", "name", "timeZone", "slug", "languages", "closedOnHolidays"}),
    ],
)  # fmt: skip
async def test_empty_or_unknown_changes_are_refused(ask: Ask, sql: Connection, body: Any, fields: set[str]) -> None:
    before = all_rows(sql)
    answer = await ask("PATCH", "", content=json.dumps(body), headers={"Content-Type": "application/json"})
    assert wrong_fields(answer) == fields
    assert all_rows(sql) == before


# --- session types ----------------------------------------------------------------------------------------------


async def test_session_types_are_added_changed_and_deleted(ask: Ask, type_id: str) -> None:
    added = await ask("POST", "/session-types", {**NEW_TYPE, "dailyCap": 3, "description": "Two\nlines"})
    short = added.json()
    path = f"/session-types/{short['id']}"
    assert added.status_code == 201
    assert added.headers["location"].endswith(path)
    assert {key: short[key] for key in NEW_TYPE} == NEW_TYPE
    assert (short["dailyCap"], short["position"], short["active"]) == (3, 2, True)
    changed = await ask("PATCH", path, {"position": 1, "dailyCap": None, "title": "Talk", "horizonDays": 366})
    assert changed.json() == {**short, "position": 1, "dailyCap": None, "title": "Talk", "horizonDays": 366}
    listed = (await ask("GET", "/session-types")).json()["sessionTypes"]
    assert [found["id"] for found in listed] == [type_id, short["id"]]
    assert (await ask("PATCH", f"/session-types/{type_id}", {"position": 2})).status_code == 200
    listed = (await ask("GET", "/session-types")).json()["sessionTypes"]
    assert [found["id"] for found in listed] == [short["id"], type_id]
    deleted = await ask("DELETE", path)
    assert (deleted.status_code, deleted.content) == (204, b"")
    check_problem(await ask("DELETE", path), 404, "session_type_not_found")
    check_problem(await ask("PATCH", path, {"minutes": 45}), 404, "session_type_not_found")


async def test_session_types_are_reordered_all_at_once(ask: Ask, type_id: str) -> None:
    others = [(await ask("POST", "/session-types", {**NEW_TYPE, "title": title})).json()["id"] for title in "AB"]
    wanted = [others[1], type_id, others[0]]
    answer = await ask("PUT", "/session-types/order", {"ids": wanted})
    listed = (await ask("GET", "/session-types")).json()
    assert (answer.status_code, answer.json()) == (200, listed)
    assert [(kind["id"], kind["position"]) for kind in listed["sessionTypes"]] == [
        (one, place) for place, one in enumerate(wanted, 1)
    ]
    check_problem(await ask("PUT", "/session-types/order", {"ids": wanted}, who="omar"), 403, "forbidden")
    for wrong in (wanted[:2], [*wanted, wanted[0]], [*wanted[:2], str(uuid4())], ["x"], "x"):
        refused = await ask("PUT", "/session-types/order", {"ids": wrong})
        assert {field.split(".")[0] for field in wrong_fields(refused)} == {"ids"}


async def test_copy_of_a_session_type_has_all_its_fields_and_is_switched_off(ask: Ask, type_id: str) -> None:
    fields = {"title": "T" * 118, "price": {"amount": 5, "currency": "EUR"}, "minutes": 45, "dailyCap": 3,
              "locations": [{"id": "v", "kind": "video", "text": "https://video.example.com"}],
              "questions": [{"id": "q", "kind": "number", "text": "How old are you?"}], **TERMS}  # fmt: skip
    original = (await ask("PATCH", f"/session-types/{type_id}", fields)).json()
    answer = await ask("POST", f"/session-types/{type_id}/duplicate")
    copy = answer.json()
    assert answer.headers["Location"].endswith(copy["id"])
    assert copy == {**original, "id": copy["id"], "title": f"Copy of {'T' * 112}", "active": False, "position": 2}
    check_problem(await ask("POST", f"/session-types/{uuid4()}/duplicate"), 404, "session_type_not_found")


async def test_price_of_a_session_type_is_set_changed_and_removed(
    ask: Ask, client: httpx.AsyncClient, jana: UUID, type_id: str
) -> None:
    path = f"/session-types/{type_id}"
    free, dear = {"amount": 0, "currency": "EUR"}, {"amount": 4500, "currency": "EUR"}
    for price in (dear, free, None):
        changed = (await ask("PATCH", path, {"price": price, "paymentNote": "By bank\r\ntransfer"})).json()
        [public] = (await client.get(f"/experts/{jana}")).json()["sessionTypes"]
        for seen in (changed, public):
            assert (seen["price"], seen["paymentNote"]) == (price, "By bank\ntransfer")
    added = await ask("POST", "/session-types", {**NEW_TYPE, "price": dear})
    assert added.json()["price"] == dear
    assert (await ask("PATCH", path, {"title": "Talk"})).json()["price"] is None


@pytest.mark.parametrize(
    ("price", "wrong"),
    [
        ({"amount": -1, "currency": "EUR"}, {"price.amount"}),
        ({"amount": 45.5, "currency": "EUR"}, {"price.amount"}),
        ({"amount": "45", "currency": "DEM"}, {"price.amount", "price.currency"}),
        ({"amount": 45}, {"price.currency"}),
        ({"amount": 45, "currency": "eur", "tax": 1}, {"price.currency", "price.tax"}),
        (45, {"price"}),
    ],
)
async def test_wrong_price_is_refused_by_its_field(ask: Ask, type_id: str, price: Any, wrong: set[str]) -> None:
    assert wrong_fields(await ask("PATCH", f"/session-types/{type_id}", {"price": price})) == wrong


async def test_public_sees_active_session_types_and_hosts_see_all(ask: Ask, sql: Connection) -> None:
    await ask("POST", "/session-types", {**NEW_TYPE, "active": False})
    seen = {who: await ask("GET", "/session-types", who=who) for who in ALL_CALLERS}
    for who in ("garbage", "revoked"):
        check_problem(seen.pop(who), 401, "proof_needed")
    counts = {who: len(answer.json()["sessionTypes"]) for who, answer in seen.items()}
    assert counts == {**dict.fromkeys(("nobody", "reader", "omar", *CUSTOMERS), 1), "admin": 2, "jana": 2}
    sql.execute("UPDATE expert SET active = false")
    check_problem(await ask("GET", "/session-types", who="nobody"), 404, "expert_not_found")
    assert len((await ask("GET", "/session-types", who="admin")).json()["sessionTypes"]) == 2
    check_problem(await ask("GET", "/session-types"), 401, "proof_needed")


async def test_session_type_with_bookings_cannot_be_deleted(ask: Ask, post: Post, type_id: str) -> None:
    await post()
    refused = check_problem(await ask("DELETE", f"/session-types/{type_id}"), 409, "session_type_in_use")
    assert "active" in refused["detail"]
    assert (await ask("PATCH", f"/session-types/{type_id}", {"active": False})).json()["active"] is False
    check_problem(await post(), 404, "session_type_not_found")


async def test_session_type_of_another_expert_is_not_found(ask: Ask, client: httpx.AsyncClient, omar: UUID) -> None:
    of_omar = (await client.get(f"/experts/{omar}")).json()["sessionTypes"][0]["id"]
    for reference in (of_omar, str(uuid4()), "1", "%00"):
        path = f"/session-types/{reference}"
        check_problem(await ask("PATCH", path, {"minutes": 45}), 404, "session_type_not_found")
        check_problem(await ask("DELETE", path), 404, "session_type_not_found")


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"minutes": 4, "stepMinutes": 0}, {"minutes", "stepMinutes"}),
        ({"minutes": 481, "stepMinutes": 1441}, {"minutes", "stepMinutes"}),
        ({"beforeMinutes": -1, "afterMinutes": 481}, {"beforeMinutes", "afterMinutes"}),
        ({"noticeMinutes": -1, "horizonDays": 0, "dailyCap": 0}, {"noticeMinutes", "horizonDays", "dailyCap"}),
        ({"noticeMinutes": 86401, "horizonDays": 367, "dailyCap": 101}, {"noticeMinutes", "horizonDays", "dailyCap"}),
        ({"title": "", "description": "x" * 1001}, {"title", "description"}),
        ({"title": "x" * 121, "position": 1001}, {"title", "position"}),
        ({"minutes": 30.5, "stepMinutes": "x", "active": "maybe"}, {"minutes", "stepMinutes", "active"}),
        ({"minutes": 10**30, "position": 0}, {"minutes", "position"}),
        ({"title": "a\x00"}, {"title"}),
        ({"confirmation": "maybe", "answerMinutes": 14, "maxReschedules": -1},
         {"confirmation", "answerMinutes", "maxReschedules"}),
        ({"confirmation": 1, "answerMinutes": 86401, "maxReschedules": 101},
         {"confirmation", "answerMinutes", "maxReschedules"}),
        ({"cancelNoticeMinutes": -1, "rescheduleNoticeMinutes": 86401},
         {"cancelNoticeMinutes", "rescheduleNoticeMinutes"}),
        ({"cancelNoticeMinutes": "a day", "rescheduleNoticeMinutes": 1.5, "maxReschedules": 10**30},
         {"cancelNoticeMinutes", "rescheduleNoticeMinutes", "maxReschedules"}),
        ({"confirmation": None, "answerMinutes": None, "cancelNoticeMinutes": None, "rescheduleNoticeMinutes": None},
         {"confirmation", "answerMinutes", "cancelNoticeMinutes", "rescheduleNoticeMinutes"}),
        ({"minutes": None, "stepMinutes": None, "title": None, "active": None, "description": None, "noticeMinutes":
          None, "horizonDays": None, "beforeMinutes": None, "afterMinutes": None},
         {"minutes", "stepMinutes", "title", "active", "description", "noticeMinutes", "horizonDays", "beforeMinutes",
          "afterMinutes"}),
    ],
)  # fmt: skip
async def test_invalid_session_types_are_refused_with_all_fields(
    ask: Ask, type_id: str, change: Json, fields: set[str]
) -> None:
    assert wrong_fields(await ask("POST", "/session-types", {**NEW_TYPE, **change})) == fields
    assert wrong_fields(await ask("PATCH", f"/session-types/{type_id}", change)) == fields


async def test_terms_are_set_changed_and_public(ask: Ask, client: httpx.AsyncClient) -> None:
    added = (await ask("POST", "/session-types", {**NEW_TYPE, **TERMS})).json()
    path = f"/session-types/{added['id']}"
    assert {key: added[key] for key in TERMS} == TERMS
    change = {
        "confirmation": "by_expert",
        "answerMinutes": 15,
        "cancelNoticeMinutes": 0,
        "rescheduleNoticeMinutes": 86_400,
    }
    assert (await ask("PATCH", path, {**change, "maxReschedules": None})).json() == {
        **added,
        **change,
        "maxReschedules": None,
    }
    assert (await ask("PATCH", path, {"maxReschedules": 0})).json()["maxReschedules"] == 0
    expected = {**change, "maxReschedules": 0}
    for address in ("/experts/jana-muller", "/experts/jana-muller/session-types"):
        shown = (await client.get(address)).json()["sessionTypes"][1]
        assert {key: shown[key] for key in expected} == expected


async def test_default_terms_need_confirmation_in_two_days_and_allow_changes_until_start(
    ask: Ask, client: httpx.AsyncClient, tokens: Tokens
) -> None:
    usual = {"confirmation": "by_expert", "answerMinutes": 2880, "cancelNoticeMinutes": 0, "rescheduleNoticeMinutes": 0,
             "maxReschedules": None}  # fmt: skip
    added = (await ask("POST", "/session-types", NEW_TYPE)).json()
    assert {key: added[key] for key in usual} == usual
    wanted = {**NEW_EXPERT, "sessionTypes": [{**NEW_TYPE, **TERMS}]}
    [own] = (await client.post("/experts", json=wanted, headers=tokens["admin"])).json()["sessionTypes"]
    assert {key: own[key] for key in TERMS} == TERMS


async def test_terms_decide_the_initial_status_and_the_cut_offs_of_a_booking(
    ask: Ask, post: Post, type_id: str
) -> None:
    asked = (await post()).json()
    assert (asked["status"], asked["answerBy"], asked["cancelUntil"], asked["reschedulesLeft"]) == (
        "pending",
        NINE,
        NINE,
        None,
    )
    await ask("PATCH", f"/session-types/{type_id}", TERMS)
    made = (await post(startsAt="2026-11-25T08:00:00Z")).json()
    assert (made["status"], made["answerBy"], made["reschedulesLeft"]) == ("confirmed", None, 2)
    assert (made["cancelUntil"], made["rescheduleUntil"]) == (NINE, "2026-11-25T07:00:00Z")


async def test_number_of_session_types_is_limited(ask: Ask) -> None:
    made = [await ask("POST", "/session-types", NEW_TYPE) for _ in range(50)]
    assert Counter(answer.status_code for answer in made) == {201: 49, 409: 1}
    check_problem(made[-1], 409, "too_many")


# --- weekly hours -----------------------------------------------------------------------------------------------


async def test_weekly_hours_are_read_and_replaced_as_a_whole(ask: Ask, client: httpx.AsyncClient) -> None:
    before = await ask("GET", "/availability")
    assert before.json() == {
        "timeZone": "Europe/Berlin",
        "windows": [
            {"weekday": day, "opens": "09:00", "closes": "17:00", "validFrom": None, "validUntil": None}
            for day in range(1, 8)
        ],
    }
    wanted = [
        {"weekday": 2, "opens": "09:00", "closes": "10:00", "validFrom": None, "validUntil": None},
        {"weekday": 2, "opens": "22:00", "closes": "02:00", "validFrom": "2026-11-01", "validUntil": "2026-12-31"},
        {"weekday": 4, "opens": "00:00", "closes": "24:00", "validFrom": None, "validUntil": "2200-12-31"},
        {"weekday": 6, "opens": "10:00", "closes": "10:00", "validFrom": "1970-01-01", "validUntil": None},
        {"weekday": 7, "opens": "18:00", "closes": "24:00", "validFrom": None, "validUntil": None},
    ]
    put = await ask("PUT", "/availability", {"timeZone": "Europe/Berlin", "windows": wanted[::-1]})
    assert put.json() == {"timeZone": "Europe/Berlin", "windows": wanted}
    after = await ask("GET", "/availability")
    assert (after.json(), after.headers["etag"]) == (put.json(), put.headers["etag"])
    assert await slots(client) == [NINE, "2026-11-24T21:00:00Z", "2026-11-24T22:00:00Z"]
    assert (await slots(client, "2026-11-25")) == ["2026-11-24T23:00:00Z", "2026-11-25T00:00:00Z"]
    assert (await ask("PUT", "/availability", {**PLAN, "windows": []})).json()["windows"] == []
    assert await slots(client) == []


@pytest.mark.parametrize("midnight", ["24:00", "00:00"])
async def test_midnight_may_be_written_in_two_ways_and_is_returned_in_one(ask: Ask, midnight: str) -> None:
    windows = [{"weekday": 1, "opens": "00:00", "closes": midnight}]
    assert (await ask("PUT", "/availability", {**PLAN, "windows": windows})).json()["windows"][0]["closes"] == "24:00"


@pytest.mark.parametrize(
    ("windows", "fields"),
    [
        ([MORNING, {**MORNING, "opens": "9:00", "closes": "25:00"}], {"windows.1.opens", "windows.1.closes"}),
        ([{**MORNING, "opens": "24:00"}], {"windows.0.opens"}),
        ([{**MORNING, "closes": "12:60"}], {"windows.0.closes"}),
        ([{**MORNING, "closes": "12:00:00"}], {"windows.0.closes"}),
        ([{**MORNING, "closes": "١٢:٠٠"}], {"windows.0.closes"}),
        ([{**MORNING, "closes": "12:00\n"}], {"windows.0.closes"}),
        ([{**MORNING, "opens": 540, "closes": None}], {"windows.0.opens", "windows.0.closes"}),
        ([{**MORNING, "weekday": 0}, {**MORNING, "weekday": 8}], {"windows.0.weekday", "windows.1.weekday"}),
        ([{}], {"windows.0.weekday", "windows.0.opens", "windows.0.closes"}),
        ([{**MORNING, "validFrom": "2026-02-30"}], {"windows.0.validFrom"}),
        ([{**MORNING, "validFrom": "2026-06-02", "validUntil": "2026-06-01"}], {"windows.0.validUntil"}),
        ([{**MORNING, "validFrom": 5, "validUntil": "1969-12-31"}], {"windows.0.validFrom", "windows.0.validUntil"}),
        ([MORNING, {**MORNING, "opens": "11:00"}], {"windows.1.opens"}),
        ([MORNING, MORNING, MORNING], {"windows.1.opens", "windows.2.opens"}),
        ([{**MORNING, "weekday": 7, "opens": "22:00", "closes": "09:01"}, MORNING], {"windows.1.opens"}),
        ([MORNING] * 201, {"windows"}),
        ([None, "x", 5], {"windows.0", "windows.1", "windows.2"}),
        (None, {"windows"}),
        ({}, {"windows"}),
        ("x", {"windows"}),
    ],
)
async def test_invalid_hours_are_refused_with_their_index(
    ask: Ask, sql: Connection, windows: Any, fields: set[str]
) -> None:
    before = all_rows(sql)
    assert wrong_fields(await ask("PUT", "/availability", {**PLAN, "windows": windows})) == fields
    assert all_rows(sql) == before


async def test_overlapping_hours_are_refused_with_the_index_they_overlap(ask: Ask) -> None:
    late = {"weekday": 7, "opens": "22:00", "closes": "09:01"}
    answer = await ask("PUT", "/availability", {**PLAN, "windows": [late, MORNING]})
    [error] = check_problem(answer, 422, "validation_failed")["errors"]
    assert error["message"] == "These hours overlap Sunday 22:00–09:01 (windows.0)."


async def test_seasons_that_do_not_meet_may_share_hours(ask: Ask) -> None:
    seasons = [{**MORNING, "validUntil": "2026-12-31"}, {**MORNING, "validFrom": "2027-01-01"}]
    assert (await ask("PUT", "/availability", {**PLAN, "windows": seasons})).status_code == 200


@pytest.mark.parametrize("zone", ["Mars/Phobos", "", "europe/berlin", "../../etc/passwd", None, 5, "x" * 5000, "a\x00"])
async def test_unknown_time_zone_is_refused(ask: Ask, zone: Any) -> None:
    assert wrong_fields(await ask("PUT", "/availability", {**PLAN, "timeZone": zone})) == {"timeZone"}


async def test_at_most_200_windows_are_accepted(ask: Ask) -> None:
    clock = [f"{minute // 60:02}:{minute % 60:02}" for minute in range(0, 1440, 30)]
    windows = [
        {"weekday": day, "opens": opens, "closes": closes}
        for day in range(1, 8)
        for opens, closes in pairwise(clock[:30])
    ]
    answer = await ask("PUT", "/availability", {**PLAN, "windows": windows[:200]})
    assert len(answer.json()["windows"]) == 200


async def test_known_etag_of_the_weekly_hours_returns_304(ask: Ask) -> None:
    first = await ask("GET", "/availability")
    etag = first.headers["etag"]
    for known in (etag, f"W/{etag}", f'"x", {etag}', "*"):
        again = await ask("GET", "/availability", headers={"If-None-Match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    for unknown in ('"x"', etag.strip('"'), ""):
        assert (await ask("GET", "/availability", headers={"If-None-Match": unknown})).status_code == 200
    await ask("PATCH", "", {"timeZone": "Asia/Tokyo"})
    assert (await ask("GET", "/availability", headers={"If-None-Match": etag})).headers["etag"] != etag


async def test_stale_if_match_returns_412(ask: Ask, sql: Connection) -> None:
    etag = (await ask("GET", "/availability")).headers["etag"]
    changed = await ask("PUT", "/availability", PLAN, headers={"If-Match": etag})
    assert changed.status_code == 200
    before = all_rows(sql)
    for outdated in (etag, '"x"', "x", "", f"W/{changed.headers['etag']}"):
        late = await ask("PUT", "/availability", {**PLAN, "windows": []}, headers={"If-Match": outdated})
        check_problem(late, 412, "plan_changed")
        assert late.headers["etag"] == changed.headers["etag"]
    assert all_rows(sql) == before
    for fitting in (late.headers["etag"], "*", f'"x", {late.headers["etag"]}'):
        again = await ask("PUT", "/availability", PLAN, headers={"If-Match": fitting})
        assert again.headers["etag"] == late.headers["etag"]
    assert (await ask("PUT", "/availability", {**PLAN, "windows": []})).status_code == 200


async def test_one_of_ten_concurrent_conditional_changes_succeeds(ask: Ask) -> None:
    etag = (await ask("GET", "/availability")).headers["etag"]
    plans = [{**PLAN, "windows": [{**MORNING, "opens": f"0{n}:00"}]} for n in range(10)]
    answers = await asyncio.gather(*(ask("PUT", "/availability", plan, headers={"If-Match": etag}) for plan in plans))
    assert Counter(answer.status_code for answer in answers) == {200: 1, 412: 9}
    [won] = [answer.json() for answer in answers if answer.status_code == 200]
    now = await ask("GET", "/availability")
    assert now.json() == won
    assert {answer.headers["etag"] for answer in answers} == {now.headers["etag"]}


async def test_concurrent_unconditional_replacements_all_succeed_and_one_remains_whole(ask: Ask) -> None:
    plans = [{**PLAN, "windows": [{**MORNING, "weekday": day} for day in range(1, 2 + n % 7)]} for n in range(10)]
    answers = await asyncio.gather(*(ask("PUT", "/availability", plan) for plan in plans))
    assert {answer.status_code for answer in answers} == {200}
    assert (await ask("GET", "/availability")).json() in [answer.json() for answer in answers]


async def test_time_zone_change_shifts_open_slots_but_no_booking(
    ask: Ask, client: httpx.AsyncClient, post: Post, tokens: Tokens
) -> None:
    booking = (await post()).json()
    before = await slots(client, timeZone="UTC")
    assert (before[0], before[-1]) == ("2026-11-24T09:00:00Z", "2026-11-24T15:00:00Z")
    for response in (
        await ask("PATCH", "", {"timeZone": "America/New_York"}),
        await ask("PUT", "/availability", {**(await ask("GET", "/availability")).json(), "timeZone": "Asia/Kolkata"}),
    ):
        assert response.status_code == 200
        kept = (await client.get(f"/bookings/{booking['id']}", headers=tokens["jana"])).json()
        assert {**kept, "expertTimeZone": "", "accessToken": ""} == {**booking, "expertTimeZone": "", "accessToken": ""}
    after = await slots(client, timeZone="UTC")
    assert (after[0], after[-1]) == ("2026-11-24T03:30:00Z", "2026-11-24T10:30:00Z")
    assert not [start for start in after if "07:00" < start[11:16] < "09:00"]  # next to the booking at 08:00


# --- single dates -----------------------------------------------------------------------------------------------


async def test_override_replaces_extends_or_removes_the_hours_of_a_date(ask: Ask, client: httpx.AsyncClient) -> None:
    path = "/overrides/2026-11-24"
    check_problem(await ask("GET", path), 404, "override_not_found")
    put = await ask("PUT", path, DAY)
    assert put.json() == {"date": "2026-11-24", **DAY}
    assert (await ask("GET", path)).json() == put.json()
    assert [start[11:13] for start in await slots(client)] == ["13", "14", "15", "16"]
    await ask("PUT", path, {"kind": "extra", "windows": [{"opens": "22:00", "closes": "01:00"}]})
    assert [start[11:13] for start in await slots(client)] == [*(f"{hour:02}" for hour in range(8, 16)), "21", "22"]
    assert (await ask("PUT", path, {"kind": "none"})).json() == {"date": "2026-11-24", "kind": "none", "windows": []}
    assert await slots(client) == []
    assert (await ask("DELETE", path)).status_code == 204
    assert len(await slots(client)) == 8
    check_problem(await ask("DELETE", path), 404, "override_not_found")


async def test_overrides_are_listed_by_date(ask: Ask) -> None:
    for day in ("2027-11-24", "2026-12-01", "2026-11-22", "2026-11-24"):
        await ask("PUT", f"/overrides/{day}", {"kind": "none"})

    async def listed(**params: str) -> list[str]:
        return [found["date"] for found in (await ask("GET", "/overrides", params=params)).json()["overrides"]]

    assert await listed() == ["2026-11-24", "2026-12-01", "2027-11-24"]
    assert await listed(**{"from": "2026-01-01", "to": "2026-11-30"}) == ["2026-11-22", "2026-11-24"]
    assert await listed(to="2026-11-24") == ["2026-11-24"]
    wrong = await ask("GET", "/overrides", params={"from": "2026-12-01", "to": "2026-11-30"})
    assert wrong_fields(wrong) == {"to"}
    assert wrong_fields(await ask("GET", "/overrides", params={"from": "x", "to": "1"})) == {"from", "to"}


@pytest.mark.parametrize("day", ["tomorrow", "2026-02-30", "2026-13-01", "24.11.2026", "1969-12-31", "2201-01-01",
                                 "1795478400", "%00", "2026-11-24T09:00:00Z", "x" * 2000])  # fmt: skip
async def test_invalid_date_is_refused(ask: Ask, day: str) -> None:
    for method, body in (("GET", None), ("PUT", DAY), ("DELETE", None)):
        assert wrong_fields(await ask(method, f"/overrides/{day}", body)) == {"date"}


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"kind"}),
        ({"kind": "closed"}, {"kind"}),
        ({"kind": "hours"}, {"windows"}),
        ({"kind": "extra", "windows": []}, {"windows"}),
        ({"kind": "none", "windows": DAY["windows"]}, {"windows"}),
        ({"kind": "hours", "windows": None}, {"windows"}),
        ({"kind": "hours", "windows": [{"opens": "x", "closes": "25:00"}]}, {"windows.0.opens", "windows.0.closes"}),
        ({"kind": "hours", "windows": [{"opens": "09:00", "closes": "12:00"}, {"opens": "11:00", "closes": "13:00"}]},
         {"windows.1.opens"}),
        ({"kind": "hours", "windows": DAY["windows"] * 49}, {"windows"}),
        ([], {"body"}),
    ],
)  # fmt: skip
async def test_invalid_overrides_are_refused(ask: Ask, body: Any, fields: set[str]) -> None:
    assert wrong_fields(await ask("PUT", "/overrides/2026-11-24", body)) == fields
    check_problem(await ask("GET", "/overrides/2026-11-24"), 404, "override_not_found")


async def test_days_off_close_their_dates_until_deleted(ask: Ask, client: httpx.AsyncClient) -> None:
    added = await ask("POST", "/days-off", {"firstDay": "2026-11-24", "lastDay": "2026-11-25"})
    body = added.json()
    assert body == {"id": body["id"], "firstDay": "2026-11-24", "lastDay": "2026-11-25", "reason": ""}
    assert added.headers["location"].endswith(f"/days-off/{body['id']}")
    assert (await slots(client), await slots(client, "2026-11-25")) == ([], [])
    assert len(await slots(client, "2026-11-26")) == 8
    assert (await ask("DELETE", f"/days-off/{body['id']}")).status_code == 204
    assert len(await slots(client)) == 8
    for reference in (body["id"], "1", "%00"):
        check_problem(await ask("DELETE", f"/days-off/{reference}"), 404, "days_off_not_found")


async def test_current_and_future_days_off_are_listed(ask: Ask) -> None:
    for first, last in (("2026-12-24", "2026-12-31"), ("2026-11-01", "2026-11-22"), ("2026-11-20", "2026-11-23")):
        await ask("POST", "/days-off", {"firstDay": first, "lastDay": last})

    async def listed(**params: str) -> list[str]:
        return [found["lastDay"] for found in (await ask("GET", "/days-off", params=params)).json()["daysOff"]]

    assert await listed() == ["2026-11-23", "2026-12-31"]
    assert await listed(**{"from": "2026-11-22"}) == ["2026-11-22", "2026-11-23", "2026-12-31"]
    assert wrong_fields(await ask("GET", "/days-off", params={"from": "x"})) == {"from"}


async def test_days_off_of_another_expert_are_not_found(ask: Ask, client: httpx.AsyncClient, tokens: Tokens) -> None:
    off = (await client.post("/experts/omar-haddad/days-off", json=OFF, headers=tokens["omar"])).json()["id"]
    check_problem(await ask("DELETE", f"/days-off/{off}"), 404, "days_off_not_found")
    check_problem(await ask("DELETE", f"/days-off/{off}", who="admin"), 404, "days_off_not_found")


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"lastDay": "2026-12-23"}, {"lastDay"}),
        ({"lastDay": "2030-01-01"}, {"lastDay"}),
        ({"firstDay": None, "lastDay": None}, {"firstDay", "lastDay"}),
        ({"firstDay": "x", "lastDay": 5}, {"firstDay", "lastDay"}),
        ({"firstDay": "1969-12-31", "lastDay": "2201-01-01"}, {"firstDay", "lastDay"}),
        ({"reason": "x" * 201}, {"reason"}),
        ({"reason": "a\x00"}, {"reason"}),
        ({"reason": None}, {"reason"}),
        ({"reason": ["x"]}, {"reason"}),
    ],
)
async def test_invalid_days_off_are_refused(ask: Ask, change: Json, fields: set[str]) -> None:
    assert wrong_fields(await ask("POST", "/days-off", {**OFF, **change})) == fields


# --- explanations -----------------------------------------------------------------------------------------------


async def test_bookable_time_has_no_obstacles(ask: Ask, jana: UUID, type_id: str) -> None:
    assert (await ask("GET", "/slots/explain", params={"at": "2026-11-24T09:00:00+01:00"})).json() == {
        "at": NINE, "expertId": str(jana), "sessionTypeId": type_id, "timeZone": "Europe/Berlin",
        "localTime": "2026-11-24T09:00:00+01:00", "offered": True, "reason": None,
        "message": "This time can be booked.", "obstacles": [],
    }  # fmt: skip


async def test_all_reasons_are_returned_most_important_first(ask: Ask, post: Post, type_id: str) -> None:
    await ask("PATCH", f"/session-types/{type_id}", {"dailyCap": 1})
    await post()
    await ask("PATCH", f"/session-types/{type_id}", {"noticeMinutes": 2 * 1440})
    await ask("POST", "/days-off", {**OFF, "firstDay": "2026-11-24"})
    body = (await ask("GET", "/slots/explain", params={"at": "2026-11-24T08:30:00Z"})).json()
    assert (body["offered"], body["reason"]) == (False, "min_notice")
    assert body["message"] == body["obstacles"][0]["message"]
    assert {found["reason"]: found["figures"] for found in body["obstacles"]} == {
        "min_notice": {"noticeMinutes": 2880, "bookableFrom": "2026-11-25T08:00:00Z"},
        "day_off": {"firstDay": "2026-11-24", "lastDay": "2027-01-03"},
        "busy": {"busyFrom": NINE, "busyUntil": "2026-11-24T09:00:00Z"},
        "day_full": {"day": "2026-11-24", "booked": 1, "dailyCap": 1},
    }
    assert [found["note"] for found in body["obstacles"]] == [None, "Skiing with Eve", None, None]


async def test_past_time_is_explained_by_current_rules(ask: Ask) -> None:
    await ask("POST", "/days-off", {"firstDay": "2025-12-24", "lastDay": "2025-12-31", "reason": "Long ago"})
    await ask("PUT", "/availability", {**PLAN, "windows": [{**MORNING, "weekday": 5, "validUntil": "2025-12-01"}]})

    async def reasons(at: str) -> list[str]:
        body = (await ask("GET", "/slots/explain", params={"at": at})).json()
        return [found["reason"] for found in body["obstacles"]]

    assert await reasons("2025-12-26T09:00:00Z") == ["past", "day_off"]
    assert await reasons("2025-11-28T08:00:00Z") == ["past"]
    assert await reasons("2025-12-05T08:00:00Z") == ["past", "outside_hours"]
    assert await reasons("1970-01-01T00:00:00Z") == ["past", "outside_hours"]


async def test_inactive_session_types_and_experts_are_explained(ask: Ask, type_id: str) -> None:
    await ask("PATCH", f"/session-types/{type_id}", {"active": False})
    for params in ({"at": NINE}, {"at": NINE, "sessionTypeId": type_id}):
        assert (await ask("GET", "/slots/explain", params=params)).json()["reason"] == "inactive"
    await ask("DELETE", f"/session-types/{type_id}")
    check_problem(await ask("GET", "/slots/explain", params={"at": NINE}), 404, "session_type_not_found")
    await ask("PATCH", "", {"active": False}, who="admin")
    check_problem(await ask("GET", "/slots/explain", params={"at": NINE}, who="admin"), 404, "session_type_not_found")


async def test_session_type_to_explain_can_be_chosen(ask: Ask) -> None:
    short = (await ask("POST", "/session-types", NEW_TYPE)).json()["id"]
    half_past = "2026-11-24T08:30:00Z"
    assert (await ask("GET", "/slots/explain", params={"at": half_past})).json()["reason"] == "off_grid"
    chosen = await ask("GET", "/slots/explain", params={"at": half_past, "sessionTypeId": short})
    assert (chosen.json()["offered"], chosen.json()["sessionTypeId"]) == (True, short)
    other = await ask("GET", "/slots/explain", params={"at": half_past, "sessionTypeId": str(uuid4())})
    check_problem(other, 404, "session_type_not_found")


@pytest.mark.parametrize(
    ("params", "fields"),
    [
        ({}, {"at"}),
        ({"at": "2026-11-24T09:00:00"}, {"at"}),
        ({"at": "now", "sessionTypeId": "1"}, {"at", "sessionTypeId"}),
        ({"at": "2201-01-01T00:00:00Z"}, {"at"}),
        ({"at": "1764000000"}, {"at"}),
    ],
)
async def test_invalid_instant_is_refused(ask: Ask, params: dict[str, str], fields: set[str]) -> None:
    assert wrong_fields(await ask("GET", "/slots/explain", params=params)) == fields


@pytest.mark.parametrize("zone", ["Pacific/Apia", "Pacific/Pago_Pago", "Australia/Lord_Howe", "America/Santiago"])
async def test_extreme_instants_are_explained_in_every_zone(ask: Ask, zone: str) -> None:
    await ask("PATCH", "", {"timeZone": zone, "country": "CN", "closedOnHolidays": True})
    for at in ("1970-01-01T00:00:00Z", "2200-12-31T23:59:59.999999Z"):
        assert (await ask("GET", "/slots/explain", params={"at": at})).json()["offered"] is False


# --- daily caps -------------------------------------------------------------------------------------------------


async def test_daily_cap_holds_with_concurrent_posts_and_after_a_cancellation(
    ask: Ask, client: httpx.AsyncClient, jana: UUID, type_id: str, tokens: Tokens
) -> None:
    await ask("PATCH", f"/session-types/{type_id}", {"dailyCap": 1})
    hours = [f"2026-11-24T{hour:02}:00:00Z" for hour in range(8, 16)]
    answers = await asyncio.gather(*(client.post("/bookings", json=booking_of(jana, startsAt=hour)) for hour in hours))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 422: 7}
    for answer in answers:
        if answer.status_code == 422:
            problem = check_problem(answer, 422, "slot_not_offered")
            assert problem["reason"] == "day_full"
            assert problem["figures"] == {"day": "2026-11-24", "booked": 1, "dailyCap": 1}
    assert await slots(client) == []
    [booking] = [answer.json() for answer in answers if answer.status_code == 201]
    cancelled = {"status": "cancelled"}
    await client.patch(f"/bookings/{booking['id']}/status", json=cancelled, headers=tokens["jana"])
    again = await client.post("/bookings", json=booking_of(jana, startsAt=hours[3]))
    assert again.status_code == 201


# --- hostile input ----------------------------------------------------------------------------------------------

HOSTILE_BODIES = [b"", b"null", b"[]", b"5", b'"x"', b"{", b"{}", b"[{}]", b"\xff", b"[" * 5000,
         b'{"windows": ' + b"9" * 5000 + b"}",
         b'{"windows": [' + b"{}," * 20000 + b"{}]}", b'{"windows": NaN, "minutes": Infinity}', b'{"minutes": 1e400}',
         b'{"title": "\\ud800", "name": "\\ud800", "reason": "\\udfff", "timeZone": "\\ud800"}',
         b'{"\\ud800": 1, "\\u0000": 2}', b'{"timeZone": {}, "windows": {"0": {}}, "kind": [], "firstDay": {}}',
         b'{"windows": [{"weekday": true, "opens": "0\\u0000:00", "closes": "99:99", "validFrom": "0000-00-00"}]}',
         b'{"firstDay": "9999-12-31", "lastDay": "0001-01-01"}', b'{"position": 99999999999999999999}',
         b'{"name": "' + b"x" * 70000 + b'"}']  # fmt: skip


@pytest.mark.parametrize(("method", "path", "_body", "_status"), [call for call in CALLS if call[2] is not None])
async def test_hostile_input_never_causes_a_server_error(
    ask: Ask, type_id: str, sql: Connection, method: str, path: str, _body: Any, _status: int
) -> None:
    before = all_rows(sql)
    headers = {"Content-Type": "application/json"}
    for body in HOSTILE_BODIES:
        answer = await ask(method, path.format(type=type_id, off=uuid4()), content=body, headers=headers)
        assert answer.status_code in (413, 422), answer.text
        assert len(answer.content) < 20_000, body[:50]
    assert all_rows(sql) == before


keys = st.sampled_from([
    "timeZone", "windows", "kind", "firstDay", "lastDay", "reason", "title", "minutes", "dailyCap", "position", "name",
    "weekday", "opens", "closes", "validFrom", "validUntil", "country", "region", "slug", "languages", "active",
])  # fmt: skip
leaves = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8), st.dates().map(str),
    st.sampled_from(["09:00", "24:00", "00:00", "Europe/Berlin", "hours", "none", "extra", "DE", 1, 7, 60]),
)  # fmt: skip
bodies = st.dictionaries(
    keys, leaves | st.lists(st.dictionaries(keys, leaves, max_size=5), max_size=3), min_size=1, max_size=8
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(call=st.sampled_from([call for call in CALLS if call[2] is not None]), changes=bodies, alone=st.booleans())
async def test_invalid_bodies_never_cause_a_server_error(
    ask: Ask, type_id: str, call: tuple[str, str, Any, int], changes: Json, alone: bool
) -> None:
    method, path, right, _ = call
    body = json.dumps(changes if alone else {**right, **changes}, default=str)
    headers = {"Content-Type": "application/json"}
    answer = await ask(method, path.format(type=type_id, off=uuid4()), content=body, headers=headers)
    assert answer.status_code in (200, 201, 409, 422), (answer.status_code, answer.text)


def all_rows(sql: Connection) -> list[Any]:
    """All rows that these calls can change."""
    tables = ("expert", "session_type", "availability_rule", "override", "day_off", "booking")
    return [sql.execute(f"SELECT * FROM {table} ORDER BY 1, 2").fetchall() for table in tables]
