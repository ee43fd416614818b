"""Photo, assistants and profile over REST: permissions, conditional changes and errors next to fields."""

from typing import Any
from uuid import UUID

import httpx
import pytest

from expert_booking.domain.photo_images import MAX_BYTES
from expert_booking.services import Services
from expert_booking.services.calendars import CalendarKey
from tests.api.conftest import Tokens, check_problem, wrong_fields
from tests.pictures import phone_photo, picture, png_of_size

JANA = "/experts/jana-muller"
FORBIDDEN_CALLERS = {
    "nobody": (401, "proof_needed"), "garbage": (401, "proof_needed"), "reader": (403, "forbidden"),
    "omar": (403, "forbidden"), "grace": (403, "forbidden"), "jana_herself": (403, "forbidden"),
}  # fmt: skip
CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("PUT", f"{JANA}/photo", {"content": picture()}),
    ("DELETE", f"{JANA}/photo", {}),
    ("GET", f"{JANA}/assistants", {}),
    ("PUT", f"{JANA}/assistants/mia@example.com", {}),
    ("DELETE", f"{JANA}/assistants/mia@example.com", {}),
]


@pytest.mark.parametrize(("method", "path", "body"), CALLS, ids=[f"{call[0]} {call[1]}" for call in CALLS])
async def test_only_hosts_change_photo_and_assistants(
    client: httpx.AsyncClient, tokens: Tokens, services: Services, jana: UUID, method: str, path: str, body: Any
) -> None:
    await services.assistants.add(CalendarKey(jana), "mia@example.com")
    for caller, (status, code) in FORBIDDEN_CALLERS.items():
        check_problem(await client.request(method, path, headers=tokens[caller], **body), status, code)
    for caller in ("jana", "admin"):
        answer = await client.request(method, path, headers=tokens[caller], **body)
        assert answer.is_success or caller == "admin", answer.text


async def test_photo_is_set_read_and_removed(client: httpx.AsyncClient, tokens: Tokens) -> None:
    assert (await client.get(JANA)).json()["photo"] is None
    put = await client.put(f"{JANA}/photo", content=phone_photo(), headers=tokens["jana"])
    assert put.status_code == 200
    assert set(put.json()) == {"small", "medium", "large"}
    assert (await client.get(JANA)).json()["photo"] == put.json()
    [card] = (await client.get("/experts?search=jana")).json()["experts"]
    assert card["photo"] == put.json()
    for _ in range(2):
        assert (await client.delete(f"{JANA}/photo", headers=tokens["jana"])).status_code == 204
    assert (await client.get(JANA)).json()["photo"] is None


@pytest.mark.parametrize("content", [b"", b"<svg/>", png_of_size(8200, 5000)], ids=["empty", "svg", "41 megapixels"])
async def test_refused_pictures_name_the_field(client: httpx.AsyncClient, tokens: Tokens, content: bytes) -> None:
    headers = {**tokens["jana"], "Content-Type": "image/jpeg"}
    assert wrong_fields(await client.put(f"{JANA}/photo", content=content, headers=headers)) == {"photo"}


async def test_a_photo_over_5_megabytes_is_not_read(client: httpx.AsyncClient, tokens: Tokens) -> None:
    body = check_problem(
        await client.put(f"{JANA}/photo", content=bytes(MAX_BYTES + 1), headers=tokens["jana"]), 413, "body_too_large"
    )
    assert "5 MB" in body["detail"]
    # Other bodies stay small.
    answer = await client.patch(JANA, content=b'{"bio": "' + bytes(70_000), headers=tokens["jana"])
    assert "64 kB" in check_problem(answer, 413, "body_too_large")["detail"]


async def test_assistants_are_added_listed_and_removed(client: httpx.AsyncClient, tokens: Tokens) -> None:
    path = f"{JANA}/assistants"
    for email in ("mia@example.com", "o'neill+x@example.com", "mia@example.com"):
        added = await client.put(f"{path}/{email}", headers=tokens["jana"])
    assert [one["email"] for one in added.json()["assistants"]] == ["mia@example.com", "o'neill+x@example.com"]
    assert (await client.delete(f"{path}/mia@example.com", headers=tokens["jana"])).status_code == 204
    slash = await client.put(f"{path}/a/b@example.com", headers=tokens["jana"])
    assert slash.json()["assistants"][0]["email"] == "a/b@example.com"
    check_problem(await client.delete(f"{path}/mia@example.com", headers=tokens["jana"]), 404, "assistant_not_found")
    assert wrong_fields(await client.put(f"{path}/nonsense", headers=tokens["jana"])) == {"email"}
    assert wrong_fields(await client.put(f"{path}/jana@example.com", headers=tokens["jana"])) == {"email"}


async def test_a_taken_slug_is_refused_next_to_its_field(client: httpx.AsyncClient, tokens: Tokens) -> None:
    await client.patch("/experts/omar-haddad", json={"slug": "omar"}, headers=tokens["omar"])
    for slug in ("omar", "omar-haddad"):
        body = check_problem(await client.patch(JANA, json={"slug": slug}, headers=tokens["jana"]), 409, "slug_taken")
        assert [error["field"] for error in body["errors"]] == ["slug"]
    assert (await client.get("/experts/omar-haddad")).json()["slug"] == "omar"
    slots = await client.get("/experts/omar-haddad/slots?from=2026-11-24&to=2026-11-24")
    assert slots.json()["slots"]


async def test_a_profile_is_changed_only_as_it_was_read(client: httpx.AsyncClient, tokens: Tokens) -> None:
    read = await client.get(JANA, headers=tokens["jana"])
    mine = {**tokens["jana"], "If-Match": read.headers["ETag"]}
    changed = await client.patch(JANA, json={"headline": "Mine"}, headers=mine)
    assert changed.headers["ETag"] == (await client.get(JANA, headers=tokens["jana"])).headers["ETag"]
    refused = await client.patch(JANA, json={"headline": "Again"}, headers=mine)
    check_problem(refused, 412, "profile_changed")
    assert refused.headers["ETag"] == changed.headers["ETag"]
    for header in ("*", changed.headers["ETag"]):
        again = await client.patch(JANA, json={"headline": header}, headers={**tokens["jana"], "If-Match": header})
        assert again.status_code == 200 or header != "*"
    assert "ETag" not in (await client.get(JANA)).headers


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"wantedEmails": ["letters"]}, "wantedEmails.0"), ({"wantedEmails": None}, "wantedEmails"),
        ({"listed": "yes"}, "listed"), ({"slug": "No Slug"}, "slug"), ({"bio": "x" * 5001}, "bio"),
    ],
)  # fmt: skip
async def test_wrong_fields_of_a_profile_are_named(
    client: httpx.AsyncClient, tokens: Tokens, change: dict[str, Any], field: str
) -> None:
    assert wrong_fields(await client.patch(JANA, json=change, headers=tokens["jana"])) == {field}


async def test_wanted_emails_and_listing_are_changed(client: httpx.AsyncClient, tokens: Tokens) -> None:
    change = {"wantedEmails": ["reminders", "bookings", "reminders"], "listed": False, "bio": "**Ten** years"}
    changed = (await client.patch(JANA, json=change, headers=tokens["jana"])).json()
    assert (changed["wantedEmails"], changed["listed"]) == (["bookings", "reminders"], False)
    assert (await client.get(JANA)).json()["bio"] == "**Ten** years"  # Markdown, as it was written
    assert "wantedEmails" not in (await client.get(JANA)).json()
    assert not (await client.get("/experts?search=jana")).json()["experts"]
