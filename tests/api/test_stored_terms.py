"""A booking keeps the title and terms it was made with, even if its session type changes."""

from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest

from expert_booking.bus import Bus
from expert_booking.db.engine import Database
from expert_booking.domain.site import Site
from expert_booking.schemas import Caller, Role
from expert_booking.services import Services
from expert_booking.services.mailbox import Mailbox
from tests.api.conftest import NINE, Json, Tokens, bearer, booking_of, check_problem
from tests.conftest import Clock

Connection = psycopg.Connection[tuple[Any, ...]]
TEN = "2026-11-24T09:00:00Z"
STRICT: Json = {
    "title": "Another title", "cancelNoticeMinutes": 7 * 24 * 60, "rescheduleNoticeMinutes": 7 * 24 * 60,
    "maxReschedules": 0,
}  # fmt: skip


async def change_session_type(client: httpx.AsyncClient, jana: UUID, tokens: Tokens, **changes: Any) -> None:
    """Change Jana's only session type."""
    [kind] = (await client.get(f"/experts/{jana}/session-types", headers=tokens["jana"])).json()["sessionTypes"]
    address = f"/experts/{jana}/session-types/{kind['id']}"
    answer = await client.patch(address, json=changes or STRICT, headers=tokens["jana"])
    assert answer.status_code == 200, answer.text


async def booked(client: httpx.AsyncClient, jana: UUID, way: str) -> Json:
    """A booking made under terms that allow cancelling and rescheduling until the start."""
    more = {}
    if way == "held":
        held = await client.post("/holds", json={"expertId": str(jana), "startsAt": NINE})
        more = {"holdId": held.json()["id"]}
    made = await client.post("/bookings", json=booking_of(jana, **more))
    assert made.status_code == 201, made.text
    body: Json = made.json()
    assert (body["cancelUntil"], body["rescheduleUntil"], body["reschedulesLeft"]) == (NINE, NINE, None)
    return body


@pytest.mark.parametrize("way", ["held", "at once"])
async def test_customer_cancels_by_the_terms_stored_with_the_booking(
    client: httpx.AsyncClient, jana: UUID, tokens: Tokens, clock: Clock, way: str
) -> None:
    made = await booked(client, jana, way)
    own = bearer(made["accessToken"])
    await change_session_type(client, jana, tokens)
    now = (await client.get(f"/bookings/{made['id']}", headers=own)).json()
    assert (now["cancelUntil"], now["rescheduleUntil"], now["reschedulesLeft"], now["sessionTitle"]) == (
        NINE, NINE, None, "Consultation",
    )  # fmt: skip
    cancelled = await client.patch(f"/bookings/{made['id']}/status", json={"status": "cancelled"}, headers=own)
    assert (cancelled.status_code, cancelled.json().get("status")) == (200, "cancelled"), cancelled.text


@pytest.mark.parametrize("way", ["held", "at once"])
async def test_customer_reschedules_by_the_stored_terms_and_keeps_them(
    client: httpx.AsyncClient, jana: UUID, tokens: Tokens, way: str
) -> None:
    made = await booked(client, jana, way)
    own, address = bearer(made["accessToken"]), f"/bookings/{made['id']}"
    await change_session_type(client, jana, tokens)
    for start in (TEN, NINE):
        rescheduled = await client.patch(address, json={"startsAt": start}, headers=own)
        assert rescheduled.status_code == 200, rescheduled.text
        body = rescheduled.json()
        assert (body["cancelUntil"], body["rescheduleUntil"], body["reschedulesLeft"]) == (start, start, None)
        assert body["sessionTitle"] == "Consultation"


async def test_stricter_stored_terms_apply_too(client: httpx.AsyncClient, jana: UUID, tokens: Tokens) -> None:
    await change_session_type(client, jana, tokens)
    made = (await client.post("/bookings", json=booking_of(jana))).json()
    loose = {"title": "Consultation", "cancelNoticeMinutes": 0, "rescheduleNoticeMinutes": 0, "maxReschedules": None}
    await change_session_type(client, jana, tokens, **loose)
    own, address = bearer(made["accessToken"]), f"/bookings/{made['id']}"
    cancelled = await client.patch(f"{address}/status", json={"status": "cancelled"}, headers=own)
    check_problem(cancelled, 409, "cancel_too_late")
    check_problem(await client.patch(address, json={"startsAt": TEN}, headers=own), 409, "no_reschedules_left")
    assert (await client.get(address, headers=own)).json()["sessionTitle"] == "Another title"


async def test_held_time_is_booked_on_the_terms_at_the_time_of_the_hold(
    client: httpx.AsyncClient, jana: UUID, tokens: Tokens
) -> None:
    held = (await client.post("/holds", json={"expertId": str(jana), "startsAt": NINE})).json()
    await change_session_type(client, jana, tokens)
    made = (await client.post("/bookings", json=booking_of(jana, holdId=held["id"]))).json()
    assert (made["cancelUntil"], made["reschedulesLeft"], made["sessionTitle"]) == (NINE, None, "Consultation")


async def test_emails_and_calendars_show_the_stored_title_and_terms(
    client: httpx.AsyncClient, jana: UUID, tokens: Tokens, database: Database, clock: Clock
) -> None:
    made = await booked(client, jana, "at once")
    await change_session_type(client, jana, tokens)
    mailbox = Mailbox(database, Bus())
    services = Services(database, clock=clock, site=Site(secret="a secret"), transport=mailbox)
    await services.outbox.drain()
    mails = [await mailbox.open(mail.id) for mail in await mailbox.latest()]
    assert len(mails) == 2
    calendars = [mail.calendar.decode() for mail in mails if mail.calendar]
    booking = await services.bookings.get(UUID(made["id"]), Caller(role=Role.ADMIN))
    calendars.append((await services.feeds.booking_file(booking)).decode())
    for text in (*(mail.text for mail in mails), *calendars):
        assert "Consultation" in text
        assert "Another title" not in text
    [to_customer] = [mail.text for mail in mails if "ada@example.com" in mail.recipient]
    assert "until the start" in to_customer


async def test_inserts_without_terms_get_those_of_the_session_type(
    client: httpx.AsyncClient, jana: UUID, tokens: Tokens, sql: Connection
) -> None:
    """Imports, psql and processes of the previous version insert no terms."""
    await change_session_type(
        client, jana, tokens, cancelNoticeMinutes=60, rescheduleNoticeMinutes=30, maxReschedules=2,
        price={"amount": 4500, "currency": "JPY"}, paymentNote="In cash.",
    )  # fmt: skip
    sql.execute(
        "INSERT INTO booking (expert_id, session_type_id, starts_at, ends_at, busy, name, email, customer_key)"
        " SELECT expert_id, id, %(at)s, %(end)s, tstzrange(%(at)s, %(end)s), 'Eve', 'eve@example.com',"
        " 'eve@example.com' FROM session_type WHERE expert_id = %(expert)s",
        {"at": NINE, "end": TEN, "expert": jana},
    )
    columns = "title, cancel_notice_minutes, reschedule_notice_minutes, max_reschedules, price_amount, price_currency"
    [booked] = sql.execute(f"SELECT {columns}, payment_note FROM booking").fetchall()
    assert booked == ("Consultation", 60, 30, 2, 4500, "JPY", "In cash.")


@pytest.mark.parametrize("way", ["held", "at once"])
async def test_booking_keeps_the_price_it_was_made_with(
    client: httpx.AsyncClient, jana: UUID, tokens: Tokens, way: str
) -> None:
    price = {"amount": 4500, "currency": "EUR"}
    await change_session_type(client, jana, tokens, price=price, paymentNote="By bank transfer.")
    made = await booked(client, jana, way)
    await change_session_type(client, jana, tokens, price={"amount": 9000, "currency": "USD"}, paymentNote="In cash.")
    path, own = f"/bookings/{made['id']}", bearer(made["accessToken"])
    later = (await client.patch(path, json={"startsAt": TEN}, headers=own)).json()
    now = (await client.get(path, headers=own)).json()
    for seen in (made, later, now):
        assert (seen["price"], seen["paymentNote"]) == (price, "By bank transfer.")
