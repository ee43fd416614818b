"""GET /experts, one expert, and the slots."""

import re
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest

from expert_booking.schemas import SlotPage
from tests.api.conftest import Post, check_problem, wrong_fields
from tests.conftest import AddExpert, Clock

CARD = {
    "id",
    "slug",
    "name",
    "category",
    "experience",
    "rating",
    "ratingCount",
    "headline",
    "languages",
    "timeZone",
    "photo",
    "nextAvailable",
}
INSTANT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"
Connection = psycopg.Connection[tuple[Any, ...]]


async def test_expert_list_has_the_agreed_shape(client: httpx.AsyncClient, add_expert: AddExpert) -> None:
    expert = await add_expert(rating=4.85, rating_count=12, experience=7, headline="Calm help")
    answer = await client.get("/experts")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {
        "experts": [
            {
                "id": str(expert), "slug": "jana-muller", "name": "Jana Müller", "category": "Career coaching",
                "experience": 7, "rating": 4.85, "ratingCount": 12, "headline": "Calm help", "languages": [],
                "timeZone": "Europe/Berlin", "photo": None, "nextAvailable": "2026-11-23T08:00:00Z",
            }
        ],
        "total": 1, "totalIsCapped": False, "page": 1, "limit": 20, "next": None, "previous": None, "facets": None,
    }  # fmt: skip


async def test_missing_rating_and_next_time_are_null(client: httpx.AsyncClient, add_expert: AddExpert) -> None:
    await add_expert(weekdays=())
    [card] = (await client.get("/experts")).json()["experts"]
    assert set(card) == CARD
    assert (card["rating"], card["nextAvailable"]) == (None, None)


async def test_expert_is_found_by_id_and_slug_with_bio_and_session_types(
    client: httpx.AsyncClient, add_expert: AddExpert
) -> None:
    expert = await add_expert(bio="Ten years.", title="Career talk", minutes=45)
    by_id, by_slug = await client.get(f"/experts/{expert}"), await client.get("/experts/jana-muller")
    assert by_id.json() == by_slug.json()
    body = by_id.json()
    assert set(body) == CARD | {"bio", "listed", "sessionTypes"}
    assert body["bio"] == "Ten years."
    [session_type] = body["sessionTypes"]
    assert set(session_type) == {
        "id",
        "title",
        "description",
        "minutes",
        "stepMinutes",
        "confirmation",
        "answerMinutes",
        "cancelNoticeMinutes",
        "rescheduleNoticeMinutes",
        "maxReschedules",
        "emailVerification",
        "price",
        "paymentNote",
        "locations",
        "questions",
        "beforeMinutes",
        "afterMinutes",
        "noticeMinutes",
        "horizonDays",
        "dailyCap",
        "active",
    }
    assert (session_type["title"], session_type["minutes"]) == ("Career talk", 45)


@pytest.mark.parametrize(
    "reference", ["nobody", str(UUID(int=0)), "JANA-MULLER", "%00", "%ff", "%F0%9F%A6%89", "x" * 3000, "%20", "..%5C"]
)
async def test_unknown_expert_is_a_not_found_problem(client: httpx.AsyncClient, jana: UUID, reference: str) -> None:
    check_problem(await client.get(f"/experts/{reference}"), 404, "expert_not_found")
    days = {"from": "2026-11-24", "to": "2026-11-24"}
    check_problem(await client.get(f"/experts/{reference}/slots", params=days), 404, "expert_not_found")


async def test_inactive_expert_is_hidden(client: httpx.AsyncClient, jana: UUID, sql: Connection) -> None:
    sql.execute("UPDATE expert SET active = false")
    assert (await client.get("/experts")).json()["total"] == 0
    for path in (f"/experts/{jana}", "/experts/jana-muller"):
        check_problem(await client.get(path), 404, "expert_not_found")
        check_problem(
            await client.get(f"{path}/slots", params={"from": "2026-11-24", "to": "2026-11-24"}),
            404,
            "expert_not_found",
        )


async def test_expert_list_can_be_searched_filtered_sorted_and_paged(
    client: httpx.AsyncClient, add_expert: AddExpert
) -> None:
    for name, category, rating, years in (
        ("Anna", "Tax", 4.9, 3), ("Bela", "Tax", 4.1, 9), ("Cleo", "Law", None, 20), ("Dora", "Law", 4.5, 1),
    ):  # fmt: skip
        await add_expert(name=name, category=category, rating=rating, rating_count=1, experience=years)

    async def names(**params: Any) -> list[str]:
        return [expert["name"] for expert in (await client.get("/experts", params=params)).json()["experts"]]

    assert await names() == ["Anna", "Dora", "Bela", "Cleo"]
    assert await names(sort="rating") == ["Anna", "Dora", "Bela", "Cleo"]
    assert await names(sort="experience") == ["Cleo", "Bela", "Anna", "Dora"]
    assert await names(sort="name") == ["Anna", "Bela", "Cleo", "Dora"]
    assert await names(search="  dOr ") == ["Dora"]
    assert await names(category="Law") == ["Dora", "Cleo"]
    assert await names(minRating="4.5") == ["Anna", "Dora"]
    assert await names(sort="name", limit=1, page=3) == ["Cleo"]
    assert await names(page=2) == []
    body = (await client.get("/experts", params={"category": "Tax", "limit": 1, "page": 2})).json()
    assert (body["total"], body["page"], body["limit"]) == (2, 2, 1)


@pytest.mark.parametrize(
    ("params", "fields"),
    [
        ({"page": "0"}, {"page"}),
        ({"page": "-1"}, {"page"}),
        ({"page": "1.5"}, {"page"}),
        ({"page": "9" * 30}, {"page"}),
        ({"page": "9" * 5000}, {"page"}),
        ({"page": "100001"}, {"page"}),
        ({"page": ""}, {"page"}),
        ({"limit": "0"}, {"limit"}),
        ({"limit": "101"}, {"limit"}),
        ({"limit": "many"}, {"limit"}),
        ({"minRating": "5.1"}, {"minRating"}),
        ({"minRating": "-1"}, {"minRating"}),
        ({"minRating": "nan"}, {"minRating"}),
        ({"minRating": "inf"}, {"minRating"}),
        ({"minRating": "1e999"}, {"minRating"}),
        ({"sort": "price"}, {"sort"}),
        ({"search": "x" * 101}, {"search"}),
        ({"search": "a\x00b"}, {"search"}),
        ({"search": "a\x1bb"}, {"search"}),
        ({"category": "x" * 81}, {"category"}),
        ({"category": "a\x00b"}, {"category"}),
        ({"language": "German"}, {"language"}),
        ({"minutes": "4"}, {"minutes"}),
        ({"minutes": "481"}, {"minutes"}),
        ({"freeOn": "tomorrow"}, {"freeOn"}),
        ({"freeOn": "2026-11-22"}, {"freeOn"}),
        ({"freeOn": "2027-01-23"}, {"freeOn"}),
        ({"freeBefore": "2026-11-23"}, {"freeBefore"}),
        ({"freeBefore": "1000"}, {"freeBefore"}),
        ({"timeZone": "Berlin"}, {"timeZone"}),
        ({"facets": "perhaps"}, {"facets"}),
        ({"after": "x"}, {"after"}),
        ({"before": "bmFtZTpbMCwiYSJd"}, {"before"}),
        ({"after": "x" * 1001}, {"after"}),
        ({"page": "0", "limit": "1000", "sort": "x", "minRating": "x"}, {"page", "limit", "sort", "minRating"}),
    ],
)
async def test_invalid_list_parameters_are_all_reported(
    client: httpx.AsyncClient, params: dict[str, str], fields: set[str]
) -> None:
    assert wrong_fields(await client.get("/experts", params=params)) == fields


@pytest.mark.parametrize("query", ["search=%ff", "search=%ED%A0%80", "search=%F0%9F%A6%89", "search='%22;--",
                                   "page=1&page=2", "search=%25_%5C", "limit=100", "page=100000",
                                   "minRating=5"])  # fmt: skip
async def test_unusual_list_parameters_are_harmless(client: httpx.AsyncClient, query: str) -> None:
    assert (await client.get(f"/experts?{query}")).status_code == 200


async def test_expert_list_has_cursors_and_totals(client: httpx.AsyncClient, add_expert: AddExpert) -> None:
    for name, category in (("Anna", "Tax"), ("Bela", "Law"), ("Cleo", "Tax"), ("Dora", "Zen")):
        await add_expert(name=name, category=category, languages=["de"])

    async def page(**params: Any) -> Any:
        asked = {"sort": "name", "limit": 2, "category": ["Tax", "Law"], "facets": True, **params}
        return (await client.get("/experts", params=asked)).json()

    first = await page()
    assert [expert["name"] for expert in first["experts"]] == ["Anna", "Bela"]
    assert first["facets"]["categories"] == [{"value": value, "experts": n} for value, n in
                                             (("Law", 1), ("Tax", 2), ("Zen", 1))]  # fmt: skip
    last = await page(after=first["next"], search="", language="de", minutes=60)
    assert ([expert["name"] for expert in last["experts"]], last["next"]) == (["Cleo"], None)
    assert (await page(before=last["previous"]))["experts"] == first["experts"]
    foreign = await client.get("/experts", params={"sort": "rating", "after": first["next"]})
    assert wrong_fields(foreign) == {"after"}


# --- slots ------------------------------------------------------------------------------------------------------


async def slots(client: httpx.AsyncClient, reference: object, since: str, until: str, **params: str) -> Any:
    """The body of a 200 response."""
    answer = await client.get(f"/experts/{reference}/slots", params={"from": since, "to": until, **params})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_slots_have_the_agreed_shape(client: httpx.AsyncClient, jana: UUID, post: Post) -> None:
    await post(startsAt="2026-11-24T09:00:00Z")
    body = await slots(client, jana, "2026-11-24", "2026-11-24")
    assert set(body) == {"expertId", "sessionTypeId", "timeZone", "slots"}
    assert (body["expertId"], body["timeZone"]) == (str(jana), "Europe/Berlin")
    assert len(body["slots"]) == 8
    assert body["slots"][:2] == [
        {"startsAt": "2026-11-24T08:00:00Z", "endsAt": "2026-11-24T09:00:00Z", "state": "open"},
        {"startsAt": "2026-11-24T09:00:00Z", "endsAt": "2026-11-24T10:00:00Z", "state": "booked"},
    ]
    assert all(re.fullmatch(INSTANT, slot["startsAt"]) for slot in body["slots"])


async def test_slots_are_serialised_as_their_model_would(client: httpx.AsyncClient, jana: UUID, post: Post) -> None:
    await post(startsAt="2026-11-24T09:00:00Z")
    days = {"from": "2026-11-24", "to": "2026-11-25", "timeZone": "Asia/Tokyo"}
    answer = await client.get("/experts/jana-muller/slots", params=days)
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.text == SlotPage.model_validate_json(answer.content).model_dump_json(by_alias=True)


async def test_slot_dates_are_in_the_requested_time_zone(client: httpx.AsyncClient, jana: UUID) -> None:
    auckland = await slots(client, "jana-muller", "2026-11-25", "2026-11-25", timeZone="Pacific/Auckland")
    assert auckland["timeZone"] == "Pacific/Auckland"
    # 25 November in Auckland is from 11:00Z on the 24th until 11:00Z on the 25th.
    starts = [slot["startsAt"] for slot in auckland["slots"]]
    assert starts == [*(f"2026-11-24T{hour}:00:00Z" for hour in range(11, 16)),
                      *(f"2026-11-25T{hour:02}:00:00Z" for hour in range(8, 11))]  # fmt: skip


async def test_past_slots_and_slots_within_notice_are_omitted(
    client: httpx.AsyncClient, add_expert: AddExpert, clock: Clock
) -> None:
    expert = await add_expert(notice_minutes=60)
    clock.now = datetime(2026, 11, 24, 10, 30, tzinfo=UTC)
    body = await slots(client, expert, "2026-11-20", "2026-11-24")
    assert [slot["startsAt"][11:16] for slot in body["slots"]] == ["12:00", "13:00", "14:00", "15:00"]


async def test_no_slots_beyond_the_horizon(client: httpx.AsyncClient, add_expert: AddExpert) -> None:
    expert = await add_expert(horizon_days=3)
    body = await slots(client, expert, "2026-11-26", "2027-01-20")
    assert {slot["startsAt"][:10] for slot in body["slots"]} == {"2026-11-26"}


async def test_at_most_62_days_of_slots_can_be_requested(client: httpx.AsyncClient, jana: UUID) -> None:
    assert len((await slots(client, jana, "2026-11-24", "2027-01-24"))["slots"]) > 400
    too_long = await client.get(f"/experts/{jana}/slots", params={"from": "2026-11-24", "to": "2027-01-25"})
    assert "62 days" in check_problem(too_long, 422, "validation_failed")["errors"][0]["message"]


async def test_session_type_has_its_own_slots_and_foreign_types_are_not_found(
    client: httpx.AsyncClient, jana: UUID, omar: UUID, sql: Connection
) -> None:
    row = sql.execute(
        "INSERT INTO session_type (expert_id, title, minutes, step_minutes) VALUES (%s, 'Short', 30, 30) RETURNING id",
        [jana],
    ).fetchone()
    assert row is not None
    body = await slots(client, jana, "2026-11-24", "2026-11-24", sessionTypeId=str(row[0]))
    assert (body["sessionTypeId"], len(body["slots"])) == (str(row[0]), 16)
    for foreign in (row[0], uuid4()):
        days = {"from": "2026-11-24", "to": "2026-11-24", "sessionTypeId": str(foreign)}
        check_problem(await client.get(f"/experts/{omar}/slots", params=days), 404, "session_type_not_found")


@pytest.mark.parametrize(
    ("params", "fields"),
    [
        ({}, {"from", "to"}),
        ({"from": "2026-11-24"}, {"to"}),
        ({"from": "24.11.2026", "to": "soon"}, {"from", "to"}),
        ({"from": "0001-01-01", "to": "0001-01-02"}, {"from", "to"}),
        ({"from": "9999-12-31", "to": "9999-12-31"}, {"from", "to"}),
        ({"from": "2026-02-30", "to": "2026-03-01"}, {"from"}),
        ({"from": "99999999999999999999", "to": "2026-11-24"}, {"from"}),
        ({"from": "2026-11-24\x00", "to": "2026-11-24"}, {"from"}),
        ({"from": "2026-11-25", "to": "2026-11-24"}, {"to"}),
        ({"from": "1795507200", "to": "1795507200"}, {"from", "to"}),
        ({"from": "2026-11-24", "to": "2026-11-24", "timeZone": "Europe/Atlantis"}, {"timeZone"}),
        ({"from": "2026-11-24", "to": "2026-11-24", "timeZone": "../../etc/passwd"}, {"timeZone"}),
        ({"from": "2026-11-24", "to": "2026-11-24", "timeZone": "posixrules"}, {"timeZone"}),
        ({"from": "2026-11-24", "to": "2026-11-24", "timeZone": ""}, {"timeZone"}),
        ({"from": "2026-11-24", "to": "2026-11-24", "timeZone": "x" * 5000}, {"timeZone"}),
        ({"from": "2026-11-24", "to": "2026-11-24", "timeZone": "Europe/Berlin\x00"}, {"timeZone"}),
        ({"from": "2026-11-24", "to": "2026-11-24", "sessionTypeId": "first"}, {"sessionTypeId"}),
    ],
)
async def test_invalid_slot_parameters_are_all_reported(
    client: httpx.AsyncClient, jana: UUID, params: dict[str, str], fields: set[str]
) -> None:
    assert wrong_fields(await client.get(f"/experts/{jana}/slots", params=params)) == fields


@pytest.mark.parametrize("days", [("1970-01-01", "1970-02-01"), ("2200-12-01", "2200-12-31")])
@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Etc/GMT+12", "Europe/Berlin"])
async def test_distant_dates_have_no_slots(
    client: httpx.AsyncClient, jana: UUID, days: tuple[str, str], zone: str
) -> None:
    assert (await slots(client, jana, *days, timeZone=zone))["slots"] == []
