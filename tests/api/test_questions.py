"""Questions of session types, and the answers of customers: validated, kept, and sensitive ones kept private."""

import json
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest

from expert_booking.bus import Bus
from expert_booking.db.engine import Database
from expert_booking.domain.lifecycle import Actor
from expert_booking.domain.site import Site
from expert_booking.schemas import Caller, Role
from expert_booking.services import Services
from expert_booking.services.feeds import FeedOwner
from expert_booking.services.mailbox import Mailbox
from tests.api.conftest import NINE, Json, Tokens, bearer, booking_of, token_of_customer, wrong_fields
from tests.conftest import Clock

Connection = psycopg.Connection[tuple[Any, ...]]
SECRET = "I am allergic to nuts"
TEN = "2026-11-24T09:00:00Z"
GOAL: Json = {"id": "goal", "kind": "long_text", "text": "What is your goal?", "required": True}
QUESTIONS: list[Json] = [
    GOAL,
    {"id": "team", "kind": "short_text", "text": "Team"},
    {"id": "met", "kind": "choice", "text": "Have we met?", "options": ["No", "In a talk"]},
    {"id": "days", "kind": "choices", "text": "Which days suit you?", "options": ["Mon", "Tue", "Wed"]},
    {"id": "first", "kind": "yes_no", "text": "First time?"},
    {"id": "age", "kind": "number", "text": "Age"},
    {"id": "health", "kind": "short_text", "text": "Allergies", "sensitive": True},
]
DEFAULTS: Json = {"required": False, "sensitive": False, "options": []}


async def ask(client: httpx.AsyncClient, jana: UUID, tokens: Tokens, questions: Any = QUESTIONS) -> httpx.Response:
    """Change the questions of Jana's only session type."""
    [kind] = (await client.get(f"/experts/{jana}/session-types", headers=tokens["jana"])).json()["sessionTypes"]
    path = f"/experts/{jana}/session-types/{kind['id']}"
    return await client.patch(path, json={"questions": questions}, headers=tokens["jana"])


async def booked(client: httpx.AsyncClient, jana: UUID, answers: Json, **more: Any) -> Json:
    """A booking with these answers, and one to the required question."""
    made = await client.post("/bookings", json=booking_of(jana, answers={"goal": "A job", **answers}, **more))
    assert made.status_code == 201, made.text
    body: Json = made.json()
    return body


def values(booking: Json) -> Json:
    """The values of the answers by question."""
    return {answer["id"]: answer["value"] for answer in booking["answers"]}


async def test_questions_are_kept_in_order_with_their_ids(
    client: httpx.AsyncClient, jana: UUID, tokens: Tokens
) -> None:
    changed = (await ask(client, jana, tokens)).json()["questions"]
    assert changed == [{**DEFAULTS, **question} for question in QUESTIONS]
    [public] = (await client.get(f"/experts/{jana}")).json()["sessionTypes"]
    assert public["questions"] == changed
    without = [{name: value for name, value in question.items() if name != "id"} for question in QUESTIONS]
    again = (await ask(client, jana, tokens, without)).json()["questions"]
    assert len({question["id"] for question in again}) == len(QUESTIONS)


@pytest.mark.parametrize(
    ("questions", "wrong"),
    [
        ([{**GOAL, "text": " \u200b"}], {"questions.0.text"}),
        ([{**GOAL, "text": "x" * 201}], {"questions.0.text"}),
        ([{**GOAL, "kind": "date"}, {"kind": "number"}], {"questions.0.kind", "questions.1.text"}),
        ([{"kind": "choice", "text": "?", "options": ["A"]}], {"questions.0.options"}),
        ([{"kind": "choices", "text": "?", "options": ["A", "A"]}], {"questions.0.options"}),
        ([{**GOAL, "options": ["A", "B"]}], {"questions.0.options"}),
        ([{"kind": "choice", "text": "?", "options": ["x"] * 21}], {"questions.0.options"}),
        ([GOAL, GOAL], {"questions.1.id"}),
        ([{"kind": "number", "text": "?"}] * 11, {"questions"}),
        ([{**GOAL, "required": "yes", "hint": "?"}], {"questions.0.required", "questions.0.hint"}),
    ],
)
async def test_wrong_questions_are_refused(
    client: httpx.AsyncClient, jana: UUID, tokens: Tokens, questions: Any, wrong: set[str]
) -> None:
    assert wrong_fields(await ask(client, jana, tokens, questions)) == wrong


@pytest.mark.parametrize(
    ("answers", "wrong"),
    [
        ({}, {"answers.goal"}),
        ({"goal": " \u200b "}, {"answers.goal"}),
        ({"goal": None, "met": "Yes", "days": ["Sun"]}, {"answers.goal", "answers.met", "answers.days"}),
        ({"goal": "x" * 2001, "team": "x" * 201}, {"answers.goal", "answers.team"}),
        ({"goal": 5, "first": "yes", "age": "old"}, {"answers.goal", "answers.first", "answers.age"}),
        ({"goal": "A", "age": True, "met": ["No"], "days": "Mon"}, {"answers.age", "answers.met", "answers.days"}),
        ({"goal": "A", "age": 10**16, "days": [["Mon"]]}, {"answers.age", "answers.days"}),
        ({"goal": "A", "age": "1e3"}, {"answers.age"}),
        ({"goal": "A", "shoe": "42"}, {"answers.shoe"}),
        ({"goal": "A\ud800"}, {"answers.goal"}),
        ([], {"answers"}),
        ({str(n): "" for n in range(21)}, {"answers"}),
    ],
)
async def test_wrong_or_missing_answer_is_refused_by_its_field(
    client: httpx.AsyncClient, jana: UUID, tokens: Tokens, answers: Any, wrong: set[str]
) -> None:
    await ask(client, jana, tokens)
    body = json.dumps(booking_of(jana, answers=answers))
    refused = await client.post("/bookings", content=body, headers={"Content-Type": "application/json"})
    assert wrong_fields(refused) == wrong


@pytest.mark.parametrize("way", ["held", "at once"])
async def test_answers_are_cleaned_and_keep_the_wording_of_their_questions(
    client: httpx.AsyncClient, jana: UUID, tokens: Tokens, way: str
) -> None:
    await ask(client, jana, tokens)
    hold = {"expertId": str(jana), "startsAt": NINE}
    more = {"holdId": (await client.post("/holds", json=hold)).json()["id"]} if way == "held" else {}
    given = {"goal": " One\r\nTwo ", "team": "A\nB", "met": "No", "days": ["Wed", "Mon", "Mon"], "first": False,
             "age": " 3,50 "}  # fmt: skip
    made = await booked(client, jana, given, **more)
    assert values(made) == {
        "goal": "One\nTwo", "team": "A B", "met": "No", "days": ["Mon", "Wed"], "first": False, "age": 3.5,
    }  # fmt: skip
    await ask(client, jana, tokens, [{**GOAL, "text": "Another question?"}])
    seen = (await client.get(f"/bookings/{made['id']}", headers=tokens["jana"])).json()["answers"]
    assert seen == made["answers"]
    assert seen[0] == {"id": "goal", "kind": "long_text", "question": "What is your goal?", "value": "One\nTwo",
                       "sensitive": False}  # fmt: skip


async def test_unanswered_optional_questions_are_left_out(
    client: httpx.AsyncClient, jana: UUID, tokens: Tokens
) -> None:
    await ask(client, jana, tokens)
    nothing = {"team": " ", "met": "", "days": [], "first": None, "age": "", "health": None}
    assert values(await booked(client, jana, nothing)) == {"goal": "A job"}
    zero = await booked(client, jana, {"age": 0}, startsAt=TEN)
    assert values(zero) == {"goal": "A job", "age": 0}


async def test_program_of_a_host_need_not_answer(client: httpx.AsyncClient, jana: UUID, tokens: Tokens) -> None:
    await ask(client, jana, tokens)
    made = await client.post("/bookings", json=booking_of(jana), headers=tokens["jana"])
    assert (made.status_code, made.json()["answers"]) == (201, [])
    stranger = await client.post("/bookings", json=booking_of(jana, startsAt=TEN), headers=tokens["omar"])
    assert wrong_fields(stranger) == {"answers.goal"}


async def test_sensitive_answer_is_shown_only_to_those_who_have_signed_in(
    client: httpx.AsyncClient, jana: UUID, tokens: Tokens, services: Services
) -> None:
    await ask(client, jana, tokens)
    made = await booked(client, jana, {"health": SECRET}, email="ada@example.com")
    path, own = f"/bookings/{made['id']}", bearer(made["accessToken"])
    proven = bearer(await token_of_customer(services, "ada@example.com"))
    assert values(made) == {"goal": "A job", "health": None}
    assert SECRET not in (await client.get(path, headers=own)).text
    assert SECRET not in (await client.patch(path, json={"startsAt": TEN}, headers=own)).text
    for signed_in in (tokens["jana"], tokens["admin"], tokens["reader"], proven):
        assert values((await client.get(path, headers=signed_in)).json())["health"] == SECRET
    for listed, who in ((f"/bookings?expertId={jana}", tokens["jana"]), ("/bookings?email=ada@example.com", proven)):
        assert SECRET in (await client.get(listed, headers=who)).text
    for headers in ({}, own):
        assert "A job" not in (await client.get(f"/bookings?expertId={jana}", headers=headers)).text
    confirmed = await client.patch(f"{path}/status", json={"status": "confirmed"}, headers=tokens["jana"])
    assert values(confirmed.json())["health"] == SECRET


async def test_sensitive_answers_never_travel_by_email_or_feed(
    client: httpx.AsyncClient, jana: UUID, tokens: Tokens, database: Database, clock: Clock, sql: Connection
) -> None:
    site = Services(database, clock=clock, site=Site(secret="s" * 32), transport=Mailbox(database, Bus()))
    await ask(client, jana, tokens)
    made = await booked(client, jana, {"health": SECRET, "age": 41}, email="ada@example.com")
    await client.patch(f"/bookings/{made['id']}/status", json={"status": "confirmed"}, headers=tokens["jana"])
    await site.outbox.drain()
    box = Mailbox(database, Bus())
    mails = [await box.open(mail.id) for mail in await box.latest()]
    whole = {mail.id: mail.text + mail.html + str(mail.calendar) + mail.raw.decode() for mail in mails}
    assert len(whole) == 6  # the request, the confirmation and a reminder, to both
    assert not [text for text in whole.values() if SECRET in text]
    to_expert = [whole[mail.id] for mail in mails if "ada@" not in mail.recipient]
    to_customer = [whole[mail.id] for mail in mails if "ada@" in mail.recipient]
    assert all("What is your goal?" in text and "A job" in text and "Sign in" in text for text in to_expert)
    assert not [text for text in to_customer if "A job" in text]
    url = await site.feeds.open(FeedOwner(expert_id=jana))
    feed = (await site.feeds.content(url.rpartition("/")[2].removesuffix(".ics"))).body.decode().replace("\r\n ", "")
    assert "Age: 41" in feed
    assert SECRET not in feed


async def test_answers_are_exported_and_erased_with_the_customers_data(
    client: httpx.AsyncClient, jana: UUID, tokens: Tokens, services: Services, sql: Connection
) -> None:
    await ask(client, jana, tokens)
    made = await booked(client, jana, {"health": SECRET}, email="ada@example.com")
    data = await services.customers.data("ada@example.com")
    assert [answer.value for answer in data.bookings[0].answers] == ["A job", SECRET]
    await services.customers.erase("ada@example.com", by=Actor.CUSTOMER)
    assert sql.execute("SELECT answers FROM booking").fetchall() == [([],)]
    assert (await services.bookings.get(UUID(made["id"]), Caller(role=Role.ADMIN))).answers == []
