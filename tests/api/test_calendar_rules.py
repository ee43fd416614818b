"""All rules of a calendar in one document: entity tags, errors, and previews."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from tests.api.conftest import NINE, Json, Post, Tokens, booking_of, check_problem, wrong_fields

Ask = Callable[..., Awaitable[httpx.Response]]
RULES: Json = {
    "timeZone": "Europe/Berlin",
    "windows": [
        {"weekday": 2, "opens": "09:00", "closes": "12:00", "validFrom": None, "validUntil": None},
        {"weekday": 5, "opens": "22:00", "closes": "02:00", "validFrom": "2027-06-01", "validUntil": "2027-08-31"},
    ],
    "overrides": [{"date": "2026-12-23", "kind": "hours", "windows": [{"opens": "14:00", "closes": "18:00"}]}],
    "daysOff": [{"firstDay": "2026-12-24", "lastDay": "2027-01-03", "reason": "Skiing"}],
    "country": "DE", "region": "BY", "closedOnHolidays": True,
}  # fmt: skip


@pytest.fixture
def ask(client: httpx.AsyncClient, tokens: Tokens) -> Ask:
    """Send a request for the rules of Jana's calendar, as Jana."""

    async def ask(method: str, body: Any = None, path: str = "", **headers: str) -> httpx.Response:
        content = {} if body is None else {"json": body}
        url = f"/experts/jana-muller/rules{path}"
        return await client.request(method, url, **content, headers={**tokens["jana"], **headers})

    return ask


async def test_rules_are_replaced_only_with_the_current_etag(ask: Ask) -> None:
    before = await ask("GET")
    etag = before.headers["etag"]
    assert (await ask("GET", **{"If-None-Match": etag})).status_code == 304
    changed = await ask("PUT", RULES, **{"If-Match": etag})
    assert (changed.status_code, changed.json()) == (200, RULES)
    now = await ask("GET")
    assert (now.json(), now.headers["etag"]) == (RULES, changed.headers["etag"])
    late = await ask("PUT", before.json(), **{"If-Match": etag})
    check_problem(late, 412, "plan_changed")
    assert late.headers["etag"] == now.headers["etag"]
    assert (await ask("GET")).json() == RULES
    assert (await ask("PUT", before.json())).json() == before.json()


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"overrides": [RULES["overrides"][0]] * 2}, "overrides.1.date"),
        ({"overrides": [{"date": "2026-12-23", "kind": "none", "windows": [{"opens": "09:00", "closes": "10:00"}]}]},
         "overrides.0.windows"),
        ({"overrides": [{"date": "23.12.2026", "kind": "none"}]}, "overrides.0.date"),
        ({"daysOff": [{"firstDay": "2026-12-24", "lastDay": "2026-12-23"}]}, "daysOff.0.lastDay"),
        ({"windows": [RULES["windows"][0]] * 2}, "windows.1.opens"),
        ({"country": "XX"}, "country"),
        ({"region": "TX"}, "region"),
        ({"country": None, "region": None}, "country"),
        ({"holidays": True}, "holidays"),
        ({"timeZone": "Mars/Olympus"}, "timeZone"),
    ],
)  # fmt: skip
async def test_invalid_rules_are_refused_with_the_field(ask: Ask, change: Json, field: str) -> None:
    before = (await ask("GET")).json()
    assert field in wrong_fields(await ask("PUT", {**RULES, **change}))
    assert f"rules.{field}" in wrong_fields(await ask("POST", {"rules": {**RULES, **change}}, "/preview"))
    assert (await ask("GET")).json() == before


async def test_a_preview_shows_slots_bookings_and_an_explanation_and_saves_nothing(
    ask: Ask, client: httpx.AsyncClient, post: Post, jana: Any
) -> None:
    booking = (await client.post("/bookings", json=booking_of(jana))).json()
    before = (await ask("GET")).json()
    closed = {**RULES, "windows": [], "overrides": [
        {"date": "2026-11-25", "kind": "hours", "windows": [{"opens": "10:00", "closes": "12:00"}]}
    ]}  # fmt: skip
    answer = (await ask("POST", {"rules": closed, "at": NINE}, "/preview")).json()
    assert [slot["startsAt"] for slot in answer["slots"]] == ["2026-11-25T09:00:00Z", "2026-11-25T10:00:00Z"]
    assert [(one["id"], one["name"]) for one in answer["affected"]] == [(booking["id"], "Ada Lovelace")]
    assert answer["explanation"]["reason"] == "outside_hours"
    later = (await ask("POST", {"rules": closed, "from": "2026-11-26", "to": "2026-11-30"}, "/preview")).json()
    assert (later["slots"], later["explanation"]) == ([], None)
    assert (await ask("GET")).json() == before
    for wrong in ({"from": "2026-11-26", "to": "2026-11-25"}, {"from": "2026-11-26", "to": "2027-11-25"}):
        assert wrong_fields(await ask("POST", {"rules": closed, **wrong}, "/preview")) == {"to"}
    other = {"rules": closed, "sessionTypeId": booking["id"]}
    check_problem(await ask("POST", other, "/preview"), 404, "session_type_not_found")
