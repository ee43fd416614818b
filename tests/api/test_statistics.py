"""`GET /experts/{expert}/statistics` and its CSV."""

import httpx
import pytest

from tests.api.conftest import Post, Tokens, check_problem, wrong_fields


async def test_hosts_read_statistics_by_slug(client: httpx.AsyncClient, tokens: Tokens, post: Post) -> None:
    await post()
    params = {"from": "2026-11-23", "to": "2026-11-29"}
    for who in ("jana", "admin"):
        answer = await client.get("/experts/jana-muller/statistics", params=params, headers=tokens[who])
        found = answer.json()
        assert (answer.status_code, found["from"], found["to"]) == (200, "2026-11-23", "2026-11-29")
        assert (found["total"]["bookings"], found["total"]["offeredMinutes"]) == (1, 7 * 8 * 60)
        assert found["hours"][1][9] == 1
        assert [week["week"] for week in found["weeks"]] == ["2026-11-23"]
        assert found["sessionTypes"][0]["bookedMinutes"] == 60
    text = await client.get("/experts/jana-muller/statistics.csv", params=params, headers=tokens["jana"])
    assert text.headers["content-disposition"] == 'attachment; filename="statistics.csv"'
    assert text.content.startswith(b"\xef\xbb\xbfgroup,label,bookings,")
    assert "week,2026-11-23,1," in text.text


@pytest.mark.parametrize("who", ["nobody", "garbage", "reader", "omar", "grace", "jana_herself"])
async def test_statistics_are_refused_to_others(
    client: httpx.AsyncClient, tokens: Tokens, post: Post, who: str
) -> None:
    for path in ("/experts/jana-muller/statistics?from=nonsense", "/experts/jana-muller/statistics.csv"):
        answer = await client.get(path, headers=tokens[who])
        status, code = (401, "proof_needed") if who in ("nobody", "garbage") else (403, "forbidden")
        check_problem(answer, status, code)


async def test_invalid_days_are_refused_by_name(client: httpx.AsyncClient, tokens: Tokens, post: Post) -> None:
    for query, fields in (("from=2026-11-24&to=2026-11-23", {"to"}), ("from=2020-01-01", {"from"}), ("x=1", {"x"})):
        answer = await client.get(f"/experts/jana-muller/statistics?{query}", headers=tokens["jana"])
        assert wrong_fields(answer) == fields
