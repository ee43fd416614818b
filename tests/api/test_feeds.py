"""GET and HEAD /feeds/{key}.ics, as calendar programs send them."""

from typing import Any
from uuid import UUID

import httpx
import pytest
from icalendar import Calendar

from expert_booking.services import Services
from expert_booking.services.feeds import FeedOwner
from tests.api.conftest import Post, Tokens, check_problem

ADA = FeedOwner(customer_key="ada@example.com")


@pytest.fixture
async def feed(services: Services, post: Post) -> str:
    """The path of Ada's feed, which has one booking."""
    assert (await post()).status_code == 201
    return path_of(await services.feeds.open(ADA))


def path_of(url: str) -> str:
    """The path of this URL."""
    return "/feeds/" + url.rpartition("/")[2]


async def test_calendar_needs_only_its_address_and_is_not_cached(client: httpx.AsyncClient, feed: str) -> None:
    answer = await client.get(feed)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/calendar; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-robots-tag"] == "noindex"
    [event] = Calendar.from_ical(answer.content).walk("VEVENT")
    assert event["SUMMARY"] == "Consultation with Jana Müller"


async def test_head_returns_the_headers_without_a_body(client: httpx.AsyncClient, feed: str) -> None:
    whole, head = await client.get(feed), await client.head(feed)
    for name in ("content-type", "etag", "cache-control", "x-robots-tag"):
        assert head.headers[name] == whole.headers[name]
    assert head.status_code == 200


@pytest.mark.parametrize("asked", ["{}", "W/{}", '"other", {}', '{},W/"x"', "*"])
async def test_known_etag_returns_304(client: httpx.AsyncClient, feed: str, asked: str) -> None:
    etag = (await client.get(feed)).headers["etag"]
    answer = await client.get(feed, headers={"If-None-Match": asked.format(etag)})
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
    assert answer.headers["cache-control"] == "no-store"


@pytest.mark.parametrize("asked", ['"other"', "", "x", ",,,", "5f0c", '"*"'])
async def test_unknown_etag_returns_the_calendar(client: httpx.AsyncClient, feed: str, asked: str) -> None:
    assert (await client.get(feed, headers={"If-None-Match": asked})).status_code == 200


async def test_rescheduling_changes_the_calendar(
    client: httpx.AsyncClient, feed: str, jana: UUID, tokens: Tokens
) -> None:
    etag = (await client.get(feed)).headers["etag"]
    [booking] = (await client.get("/bookings", params={"expertId": str(jana)}, headers=tokens["jana"])).json()[
        "bookings"
    ]
    rescheduled = await client.patch(
        f"/bookings/{booking['id']}", json={"startsAt": "2026-11-24T10:00:00Z"}, headers=tokens["jana"]
    )
    assert rescheduled.status_code == 200
    answer = await client.get(feed, headers={"If-None-Match": etag})
    assert answer.status_code == 200
    [event] = Calendar.from_ical(answer.content).walk("VEVENT")
    assert (event["UID"].split("@")[0], event["SEQUENCE"]) == (booking["id"], 1)


async def test_unknown_revoked_and_invalid_addresses_get_the_same_404(
    client: httpx.AsyncClient, services: Services, feed: str, add_expert: Any
) -> None:
    await services.feeds.renew(ADA)
    wrong = [feed, feed[:-5] + "x.ics", feed.upper().replace("FEEDS", "feeds").replace("ICS", "ics"), "/feeds/x.ics",
             "/feeds/%00.ics", "/feeds/%F0%9F%98%80.ics", "/feeds/" + "x" * 4000 + ".ics", "/feeds/..ics"]  # fmt: skip
    bodies = {(await client.get(path)).text for path in wrong}
    assert len(bodies) == 1
    for path in wrong:
        check_problem(await client.get(path), 404, "feed_not_found")
        assert "etag" not in (await client.get(path, headers={"If-None-Match": "*"})).headers
        assert (await client.head(path)).status_code == 404


async def test_calendar_is_read_only(client: httpx.AsyncClient, feed: str) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        check_problem(await client.request(method, feed), 405, "method_not_allowed")
    assert (await client.get(feed)).status_code == 200
