"""Where sessions take place: offered, chosen, changed by the host, and shown to the two sides only."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest
from icalendar import Calendar

from expert_booking.bus import Bus
from expert_booking.db.engine import Database
from expert_booking.domain.email_schedule import Audience
from expert_booking.domain.site import Site
from expert_booking.schemas import Caller, Role
from expert_booking.services import Services
from expert_booking.services.mailbox import Mailbox
from tests.api.conftest import NINE, Json, Tokens, bearer, booking_of, check_problem, wrong_fields
from tests.conftest import Clock

Connection = psycopg.Connection[tuple[Any, ...]]
LINK = "https://video.example.com/jana"
VIDEO: Json = {"kind": "video", "text": LINK, "id": "video"}
PHONE: Json = {"kind": "phone", "text": "+49 30 123456", "id": "phone"}
OFFICE: Json = {"kind": "address", "text": "1 High Street\nLondon", "id": "office"}
ANYWHERE: Json = {"kind": "customer", "text": "In Berlin", "id": "anywhere"}
OTHER: Json = {"kind": "other", "text": "A walk in the park", "id": "walk"}
ALL = [VIDEO, PHONE, OFFICE, ANYWHERE, OTHER]
TEN = "2026-11-24T09:00:00Z"


async def offer(client: httpx.AsyncClient, jana: UUID, tokens: Tokens, locations: Sequence[Any]) -> httpx.Response:
    """Change the locations of Jana's only session type."""
    [kind] = (await client.get(f"/experts/{jana}/session-types", headers=tokens["jana"])).json()["sessionTypes"]
    path = f"/experts/{jana}/session-types/{kind['id']}"
    return await client.patch(path, json={"locations": locations}, headers=tokens["jana"])


async def booked(client: httpx.AsyncClient, jana: UUID, location: Json | None = None, **more: Any) -> Json:
    """A booking with this location."""
    made = await client.post("/bookings", json=booking_of(jana, location=location, **more))
    assert made.status_code == 201, made.text
    body: Json = made.json()
    return body


async def confirm(client: httpx.AsyncClient, made: Json, tokens: Tokens, status: str = "confirmed") -> Json:
    """Change the status of a booking as its expert."""
    path = f"/bookings/{made['id']}/status"
    body: Json = (await client.patch(path, json={"status": status}, headers=tokens["jana"])).json()
    return body


async def test_links_and_numbers_are_not_public(client: httpx.AsyncClient, jana: UUID, tokens: Tokens) -> None:
    changed = (await offer(client, jana, tokens, ALL)).json()
    assert changed["locations"] == [{**PHONE, "text": "+4930123456"} if one is PHONE else one for one in ALL]
    hosts = (await client.get(f"/experts/{jana}/session-types", headers=tokens["jana"])).json()["sessionTypes"]
    assert hosts[0]["locations"] == changed["locations"]
    public = [{**one, "text": ""} if one in (VIDEO, PHONE) else one for one in ALL]
    for who in ("omar", "reader", None):
        headers = tokens[who] if who else {}
        for path in (f"/experts/{jana}/session-types", f"/experts/{jana}"):
            [seen] = (await client.get(path, headers=headers)).json()["sessionTypes"]
            assert seen["locations"] == public


@pytest.mark.parametrize(
    ("locations", "wrong"),
    [
        ([{"kind": "video", "text": "http://example.com"}], {"locations.0.text"}),
        ([{"kind": "video", "text": "javascript:x"}, {"kind": "address"}], {"locations.0.text", "locations.1.text"}),
        ([{"kind": "phone", "text": "030 123456"}], {"locations.0.text"}),
        ([{"kind": "moon"}, {**VIDEO, "url": LINK}], {"locations.0.kind", "locations.1.url"}),
        ([{**OTHER, "text": "x" * 301}], {"locations.0.text"}),
        ([VIDEO, VIDEO], {"locations.1.id"}),
        ([{**VIDEO, "id": "a.b"}], {"locations.0.id"}),
        ([OTHER] * 6, {"locations"}),
        (None, {"locations"}),
    ],
)  # fmt: skip
async def test_wrong_locations_are_refused(
    client: httpx.AsyncClient, jana: UUID, tokens: Tokens, locations: Any, wrong: set[str]
) -> None:
    assert wrong_fields(await offer(client, jana, tokens, locations)) == wrong


async def test_locations_get_ids_of_their_own(client: httpx.AsyncClient, jana: UUID, tokens: Tokens) -> None:
    changed = (await offer(client, jana, tokens, [{"kind": "video"}, {"kind": "phone"}])).json()["locations"]
    assert len({one["id"] for one in changed}) == 2
    assert (await booked(client, jana, {"id": changed[1]["id"]}))["location"]["kind"] == "phone"


async def test_customer_chooses_one_of_several_locations(client: httpx.AsyncClient, jana: UUID, tokens: Tokens) -> None:
    await offer(client, jana, tokens, ALL)
    for choice, wrong in (
        ({"id": "cellar"}, "location"), ({"id": "anywhere"}, "location.text"),
        ({"id": "anywhere", "text": "\u200b "}, "location.text"), ({"id": "office", "kind": "video"}, "location.kind"),
    ):  # fmt: skip
        refused = await client.post("/bookings", json=booking_of(jana, location=choice))
        assert wrong_fields(refused) == {wrong}
    assert (await booked(client, jana, {"id": "office", "text": "Mars"}))["location"] == OFFICE
    assert (await booked(client, jana, startsAt=TEN))["location"] == {**VIDEO, "text": ""}


@pytest.mark.parametrize("way", ["held", "at once"])
async def test_only_location_is_taken_without_a_choice(
    client: httpx.AsyncClient, jana: UUID, tokens: Tokens, way: str
) -> None:
    await offer(client, jana, tokens, [OFFICE])
    hold = {"expertId": str(jana), "startsAt": NINE}
    more = {"holdId": (await client.post("/holds", json=hold)).json()["id"]} if way == "held" else {}
    assert (await booked(client, jana, **more))["location"] == OFFICE
    await offer(client, jana, tokens, [])
    assert (await booked(client, jana, startsAt=TEN))["location"] is None


async def test_link_is_shown_while_the_booking_is_confirmed_and_kept_on_rescheduling(
    client: httpx.AsyncClient, jana: UUID, tokens: Tokens
) -> None:
    await offer(client, jana, tokens, [VIDEO])
    made = await booked(client, jana)
    path, own = f"/bookings/{made['id']}", bearer(made["accessToken"])

    async def links() -> set[str]:
        seen = [await client.get(path, headers=one) for one in (own, tokens["jana"], tokens["admin"])]
        return {answer.json()["location"]["text"] for answer in seen}

    assert (made["location"], await links()) == ({**VIDEO, "text": ""}, {""})
    await confirm(client, made, tokens)
    assert await links() == {LINK}
    await offer(client, jana, tokens, [{**VIDEO, "text": "https://elsewhere.example"}])
    assert (await client.patch(path, json={"startsAt": TEN}, headers=own)).json()["location"]["text"] == LINK
    assert LINK not in (await client.get(f"/bookings?expertId={jana}")).text
    await confirm(client, made, tokens, "cancelled")
    assert await links() == {""}
    assert (await booked(client, jana))["location"]["text"] == ""


async def test_each_booking_has_a_room_of_its_own(client: httpx.AsyncClient, jana: UUID, tokens: Tokens) -> None:
    await offer(client, jana, tokens, [{**VIDEO, "text": "https://meet.example.com/{room}"}])
    links = []
    for start in (NINE, TEN):
        made = await booked(client, jana, startsAt=start)
        links.append((await confirm(client, made, tokens))["location"]["text"])
    assert len(set(links)) == 2
    assert all(link.startswith("https://meet.example.com/") and len(link) > 40 for link in links)


async def test_host_changes_the_location_of_a_booking_and_the_customer_is_told(
    client: httpx.AsyncClient, jana: UUID, tokens: Tokens, services: Services
) -> None:
    await offer(client, jana, tokens, [OFFICE])
    made = await booked(client, jana)
    await confirm(client, made, tokens)
    path, video = f"/bookings/{made['id']}", {"location": {"kind": "video", "text": LINK}}
    check_problem(await client.patch(path, json=video), 401, "proof_needed")
    check_problem(await client.patch(path, json=video, headers=bearer(made["accessToken"])), 403, "forbidden")
    check_problem(await client.patch(path, json=video, headers=tokens["omar"]), 403, "forbidden")
    for wrong, field in (({}, "startsAt"), ({**video, "startsAt": TEN}, "location"),
                         ({"location": {"kind": "video", "text": "x"}}, "location.text")):  # fmt: skip
        assert wrong_fields(await client.patch(path, json=wrong, headers=tokens["jana"])) == {field}
    changed = (await client.patch(path, json=video, headers=tokens["jana"])).json()
    assert changed["location"] == {"kind": "video", "text": LINK, "id": ""}
    last = (await client.get(f"{path}/changes", headers=tokens["jana"])).json()["changes"][-1]
    assert (last["actor"], last["fromStatus"], last["toStatus"], last["reason"]) == (
        "expert", "confirmed", "confirmed", "location changed",
    )  # fmt: skip
    kinds = [(message.kind, message.audience) for message in (await services.outbox.waiting())]
    assert kinds[-1] == ("relocated", Audience.CUSTOMER)
    assert kinds.count(("confirmed", Audience.CUSTOMER)) == 1
    await confirm(client, made, tokens, "cancelled")
    refused = await client.patch(path, json=video, headers=tokens["jana"])
    check_problem(refused, 409, "location_change_not_allowed")


async def test_calendar_file_has_the_location_and_the_link_of_a_confirmed_video_call(
    client: httpx.AsyncClient, tokens: Tokens, jana: UUID, services: Services
) -> None:
    await offer(client, jana, tokens, [VIDEO])
    made = await booked(client, jana)

    async def event() -> Any:
        booking = await services.bookings.get(UUID(made["id"]), Caller(role=Role.ADMIN))
        [found] = Calendar.from_ical(await services.feeds.booking_file(booking)).events
        return found

    before = await event()
    assert (before["LOCATION"], "CONFERENCE" in before) == ("Video call", False)
    await confirm(client, made, tokens)
    after = await event()
    assert (after["LOCATION"], str(after["CONFERENCE"])) == (LINK, LINK)
    assert after["CONFERENCE"].params["FEATURE"] == "VIDEO"


async def test_emails_have_the_link_once_confirmed_and_never_the_customers_own_words(
    client: httpx.AsyncClient, jana: UUID, tokens: Tokens, database: Database, clock: Clock, sql: Connection
) -> None:
    mailbox = Mailbox(database, Bus())
    site = Services(database, clock=clock, site=Site(secret="s" * 32), transport=mailbox)

    async def texts() -> dict[str, str]:
        """The new emails by recipient."""
        await site.outbox.drain()
        mails = [await mailbox.open(mail.id) for mail in await mailbox.latest()]
        sql.execute("DELETE FROM mailbox_mail")
        return {mail.recipient: mail.text + str(mail.calendar) for mail in mails}

    await offer(client, jana, tokens, [VIDEO, ANYWHERE])
    made = await booked(client, jana, {"id": "video"})
    requested = await texts()
    assert all("Video call" in text and LINK not in text for text in requested.values())
    await confirm(client, made, tokens)
    confirmed = await texts()
    assert len(confirmed) == 2
    assert all(LINK in text for text in confirmed.values())
    await booked(client, jana, {"id": "anywhere", "text": "Café Central"}, startsAt=TEN, email="ada@example.com")
    named = await texts()
    assert {"ada@example.com" in recipient: "Café Central" in text for recipient, text in named.items()} == {
        True: False, False: True,
    }  # fmt: skip
