"""`GET /bookings` with filters and cursors, `GET /bookings.csv` and `POST /bookings/actions`."""

import csv
from io import StringIO
from uuid import UUID

import httpx
import pytest

from tests.api.conftest import Json, Post, Tokens, check_problem, wrong_fields
from tests.conftest import Clock

CALLERS_WITHOUT_ACCESS = ("nobody", "garbage", "revoked", "omar", "grace", "jana_herself", "stray")


@pytest.fixture
async def booked(post: Post) -> list[Json]:
    """Three bookings with Jana, an hour apart."""
    customers = (("Zoë Müller", "zoe@example.com"), ("=SUM(A1)", "ada@example.com"), ("@home", "bob@example.com"))
    return [
        (await post(name=name, email=email, startsAt=f"2026-11-24T{8 + hour:02}:00:00Z")).json()
        for hour, (name, email) in enumerate(customers)
    ]


async def test_hosts_search_filter_and_page(
    client: httpx.AsyncClient, tokens: Tokens, jana: UUID, booked: list[Json]
) -> None:
    async def ids(**params: str | int | list[str]) -> list[str]:
        answer = await client.get("/bookings", params={"expertId": str(jana), **params}, headers=tokens["jana"])
        assert answer.status_code == 200, answer.text
        return [one["id"] for one in answer.json()["bookings"]]

    first, second, third = (one["id"] for one in booked)
    assert await ids() == [third, second, first]
    assert await ids(sort="start") == [first, second, third]
    assert await ids(search="muller") == [first]
    assert await ids(status=["declined", "pending"], sort="start") == [first, second, third]
    assert await ids(status="confirmed") == []
    assert await ids(**{"from": "2026-11-25"}) == []
    assert await ids(**{"from": "2026-11-24", "to": "2026-11-24", "sort": "created"}) == [first, second, third]
    assert await ids(sessionTypeId=booked[0]["sessionTypeId"], limit=1) == [third]
    params: dict[str, str | int] = {"expertId": str(jana), "limit": 2}
    one = (await client.get("/bookings", params=params, headers=tokens["jana"])).json()
    assert (one["total"], one["totalIsCapped"], one["previous"]) == (3, False, None)
    two = (await client.get("/bookings", params={**params, "after": one["next"]}, headers=tokens["jana"])).json()
    assert ([each["id"] for each in two["bookings"]], two["next"]) == ([first], None)
    back = (await client.get("/bookings", params={**params, "before": two["previous"]}, headers=tokens["jana"])).json()
    assert back["bookings"] == one["bookings"]


@pytest.mark.parametrize(
    ("params", "fields"),
    [
        ({"after": "nonsense"}, {"after"}), ({"after": "x", "before": "y"}, {"before"}),
        ({"from": "2026-11-25", "to": "2026-11-24"}, {"to"}), ({"status": "held"}, {"status.0"}),
        ({"sort": "name", "search": "x" * 101}, {"search", "sort"}), ({"search": "ab"}, {"search"}),
        ({"timeZone": "Mars"}, {"timeZone"}),
    ],
)  # fmt: skip
async def test_invalid_filters_are_refused_by_name(
    client: httpx.AsyncClient, tokens: Tokens, params: dict[str, str], fields: set[str]
) -> None:
    assert wrong_fields(await client.get("/bookings", params=params, headers=tokens["admin"])) == fields


@pytest.mark.parametrize("who", CALLERS_WITHOUT_ACCESS)
async def test_filters_and_exports_are_refused_to_others(
    client: httpx.AsyncClient, tokens: Tokens, jana: UUID, booked: list[Json], who: str
) -> None:
    for path in (f"/bookings?expertId={jana}&search=muller", f"/bookings?expertId={jana}&status=pending",
                 f"/bookings.csv?expertId={jana}", "/bookings.csv"):  # fmt: skip
        check_problem(await client.get(path, headers=tokens[who]), 401, "proof_needed")


async def test_csv_is_rfc_4180_with_bom_and_without_formulas(
    client: httpx.AsyncClient, tokens: Tokens, jana: UUID, booked: list[Json]
) -> None:
    params = {"expertId": str(jana), "sort": "start"}
    answer = await client.get("/bookings.csv", params=params, headers=tokens["jana"])
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8; header=present"
    assert answer.headers["content-disposition"] == 'attachment; filename="bookings.csv"'
    assert answer.content.startswith(b"\xef\xbb\xbfid,status,")
    text = answer.content.decode("utf-8-sig")
    assert text.count("\r\n") == text.count("\n") == 4
    rows = list(csv.DictReader(StringIO(text, newline="")))
    assert [row["id"] for row in rows] == [one["id"] for one in booked]
    assert [row["name"] for row in rows] == ["Zoë Müller", "'=SUM(A1)", "'@home"]
    assert rows[0]["phone"] == "'+442079460000"
    assert (rows[0]["date"], rows[0]["start"], rows[0]["startsAt"]) == ("2026-11-24", "09:00", "2026-11-24T08:00:00Z")
    found = await client.get("/bookings.csv", params={**params, "search": "zoe"}, headers=tokens["jana"])
    assert found.text.count("\r\n") == 2
    assert wrong_fields(await client.get("/bookings.csv?page=2", headers=tokens["jana"])) == {"page"}


async def test_actions_answer_for_each_booking(
    client: httpx.AsyncClient, tokens: Tokens, booked: list[Json], clock: Clock
) -> None:
    ids = [one["id"] for one in booked]
    unknown = "00000000-0000-0000-0000-000000000001"
    action = {"action": "confirm", "ids": [*ids[:2], unknown], "reason": "Welcome"}
    for who in ("nobody", "garbage"):
        check_problem(await client.post("/bookings/actions", json=action, headers=tokens[who]), 401, "proof_needed")
    for who in ("reader", "grace"):
        check_problem(await client.post("/bookings/actions", json=action, headers=tokens[who]), 403, "forbidden")
    foreign = (await client.post("/bookings/actions", json=action, headers=tokens["omar"])).json()
    assert [one["error"]["code"] for one in foreign["results"]] == ["forbidden", "forbidden", "booking_not_found"]
    key = {**tokens["jana"], "Idempotency-Key": "once"}
    answer = await client.post("/bookings/actions", json=action, headers=key)
    done = answer.json()
    assert (answer.status_code, done["done"], done["refused"]) == (200, 2, 1)
    assert [one["booking"] and one["booking"]["status"] for one in done["results"]] == ["confirmed", "confirmed", None]
    assert done["results"][2]["error"]["code"] == "booking_not_found"
    again = await client.post("/bookings/actions", json=action, headers=key)
    assert (again.json(), again.headers["Idempotent-Replayed"]) == (done, "true")
    changes = (await client.get(f"/bookings/{ids[0]}/changes", headers=tokens["jana"])).json()["changes"]
    assert [change["reason"] for change in changes] == ["", "Welcome"]


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({"action": "explode", "ids": ["x"], "reason": "y" * 501}, {"action", "ids.0", "reason"}),
        ({"action": "confirm", "ids": []}, {"ids"}),
        ({"action": "confirm", "ids": ["00000000-0000-0000-0000-000000000001"] * 101}, {"ids"}),
        ({"action": "confirm", "ids": ["00000000-0000-0000-0000-000000000001"] * 2}, {"ids"}),
        ({"action": "confirm"}, {"ids"}),
    ],
)
async def test_invalid_actions_are_refused_by_field(
    client: httpx.AsyncClient, tokens: Tokens, body: Json, fields: set[str]
) -> None:
    assert wrong_fields(await client.post("/bookings/actions", json=body, headers=tokens["jana"])) == fields
