"""`Idempotency-Key`: a repeated POST takes effect once, whatever happens in between."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx
import psycopg
import pytest
from fastapi import FastAPI

from expert_booking.services import Services
from tests.api.conftest import NINE, Json, Tokens, booking_of, check_problem, wrong_fields
from tests.conftest import AddExpert, Clock
from tests.lost_answers import lost_answers
from tests.server import ServerProcess

Connection = psycopg.Connection[tuple[Any, ...]]
Serve = Callable[..., ServerProcess]
Send = Callable[..., Awaitable[httpx.Response]]
LATER = "2026-11-30T08:00:00Z"
REPLAYED = "idempotent-replayed"
# What a request without a body would document.
NO_BODY = {"content": {"application/json": {"examples": {"none": {"value": {}}}}}}


@pytest.fixture
def send(client: httpx.AsyncClient, jana: UUID) -> Send:
    """POST a booking with Jana under a key; `send("key", email="x")` changes one field."""

    async def send(key: str, *, headers: Json | None = None, **changes: Any) -> httpx.Response:
        return await client.post(
            "/bookings", json=booking_of(jana, **changes), headers={"Idempotency-Key": key, **(headers or {})}
        )

    return send


@pytest.fixture
async def from_address(api: FastAPI) -> AsyncIterator[Callable[[str], httpx.AsyncClient]]:
    """Make clients with a network address. Their responses are not checked against the documentation."""
    clients: list[httpx.AsyncClient] = []

    def at(address: str) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(api, raise_app_exceptions=False, client=(address, 50_000))
        clients.append(httpx.AsyncClient(transport=transport, base_url="http://test"))
        return clients[-1]

    yield at
    for client in clients:
        await client.aclose()


def is_replay(first: httpx.Response, repeated: httpx.Response) -> bool:
    """Whether the second response is marked as a replay and equals the first."""
    assert REPLAYED not in first.headers
    assert repeated.headers[REPLAYED] == "true"
    rest = {name: value for name, value in repeated.headers.items() if name != REPLAYED}
    return (first.status_code, dict(first.headers), first.content) == (repeated.status_code, rest, repeated.content)


def is_new(answer: httpx.Response) -> bool:
    """Whether this response is a new booking and not a replay."""
    return answer.status_code == 201 and REPLAYED not in answer.headers


def count(sql: Connection, table: str = "booking") -> int:
    """The number of rows."""
    row = sql.execute(f"SELECT count(*) FROM {table}").fetchone()
    assert row is not None
    return int(row[0])


# --- repeated requests ----------------------------------------------------------------------------------------------


async def test_repeated_request_returns_the_first_response_and_makes_one_booking(send: Send, sql: Connection) -> None:
    first = await send("8e03978e-40d5-43dd-bc93-6894a57f9324")
    assert is_new(first)
    assert first.headers["location"] == f"/bookings/{first.json()['id']}"
    for _ in range(3):
        assert is_replay(first, await send("8e03978e-40d5-43dd-bc93-6894a57f9324"))
    assert count(sql) == 1


async def test_ten_concurrent_repeats_get_the_same_response_and_make_one_booking(send: Send, sql: Connection) -> None:
    answers = await asyncio.gather(*(send("key") for _ in range(10)))
    [first] = [answer for answer in answers if REPLAYED not in answer.headers]
    assert first.status_code == 201
    assert all(is_replay(first, answer) for answer in answers if answer is not first)
    assert count(sql) == 1


async def test_quoted_and_unquoted_keys_are_equal(send: Send, sql: Connection) -> None:
    assert is_replay(await send('"key"'), await send("key"))
    assert is_new(await send('"KEY"', startsAt=LATER))


async def test_another_key_is_another_request(send: Send) -> None:
    assert is_new(await send("one"))
    check_problem(await send("two"), 409, "slot_taken")


async def test_reused_key_with_a_different_body_is_refused(
    client: httpx.AsyncClient, send: Send, jana: UUID, sql: Connection
) -> None:
    first = await send("key")
    check_problem(await send("key", startsAt=LATER), 422, "idempotency_key_reused")
    headers = {"Idempotency-Key": "key"}
    body = booking_of(jana)
    elsewhere = await client.post("/bookings?again", json=body, headers=headers)
    check_problem(elsewhere, 422, "idempotency_key_reused")
    assert is_replay(first, await send("key"))
    assert count(sql) == 1


async def test_every_post_operation_supports_the_header(
    client: httpx.AsyncClient, api: FastAPI, tokens: Tokens, jana: UUID, sql: Connection
) -> None:
    posts = {path: here["post"] for path, here in api.openapi()["paths"].items() if "post" in here}
    assert {"/bookings", "/experts", "/experts/{expert}/session-types", "/experts/{expert}/days-off"} <= set(posts)
    made = booking_of(jana, startsAt="2026-11-25T08:00:00Z", email="grace@example.com")
    booked = (await client.post("/bookings", json=made)).json()["id"]
    offered = (await client.get(f"/experts/{jana}")).json()["sessionTypes"][0]["id"]
    for hour, (path, operation) in enumerate(posts.items(), 8):
        examples = operation.get("requestBody", NO_BODY)["content"]["application/json"]["examples"]
        body = dict(next(iter(examples.values()))["value"])
        known = {"expertId": str(jana), "startsAt": f"2026-11-24T{hour:02}:00:00Z", "slug": "somebody-new"}
        if "endsAt" in body:
            del known["startsAt"]
        body |= {name: value for name, value in known.items() if name in body}
        for unknown in ("sessionTypeId", "holdId", "location", "answers"):
            body.pop(unknown, None)
        address = path.replace("{expert}", str(jana)).replace("{booking}", booked).replace("{session_type}", offered)
        headers = {**tokens["grace" if "/verif" in path else "admin"], "Idempotency-Key": path}
        first = await client.post(address, json=body, headers=headers)
        # The example's code belongs to no request, so the stored response is a 404.
        expected = {
            "/access-links": 202,
            "/access-links/redeem": 404,
            "/bookings/{booking}/access-token/revoke": 204,
            "/bookings/{booking}/emails": 204,
        }
        expected |= {
            "/bookings/actions": 200,
            "/experts/{expert}/rules/preview": 200,
            "/bookings/{booking}/verify": 200,
            "/bookings/{booking}/verification-email": 204,
        }
        assert first.status_code == expected.get(path, 201), (path, first.text)
        assert is_replay(first, await client.post(address, json=body, headers=headers)), path
        assert {"409", "422"} <= set(operation["responses"])
        assert "Idempotency-Key" in {parameter["name"] for parameter in operation["parameters"]}
    assert [count(sql, table) for table in ("day_off", "expert", "session_type")] == [1, 3, 5]


async def test_other_methods_ignore_the_header(client: httpx.AsyncClient, tokens: Tokens, send: Send) -> None:
    booking = (await send("key")).json()["id"]
    headers = {**tokens["admin"], "Idempotency-Key": "key"}
    for expected in (200, 409):
        answer = await client.patch(f"/bookings/{booking}/status", json={"status": "confirmed"}, headers=headers)
        assert (answer.status_code, REPLAYED in answer.headers) == (expected, False)


async def test_without_the_header_nothing_is_stored(client: httpx.AsyncClient, jana: UUID, sql: Connection) -> None:
    assert is_new(await client.post("/bookings", json=booking_of(jana)))
    check_problem(await client.post("/bookings", json=booking_of(jana)), 409, "slot_taken")
    assert count(sql, "kept_answer") == 0


@pytest.mark.parametrize("key", ["", " ", '""', '"', "two words", "k" * 256, '"' + "k" * 256 + '"', 'a"b', '"a', "a\\b",
                                 '"key";q=1', '"a", "b"', "ключ", "k\u00e9y", "k\x7fy"])  # fmt: skip
async def test_invalid_key_is_refused_by_field(
    client: httpx.AsyncClient, jana: UUID, sql: Connection, key: str
) -> None:
    headers = {b"idempotency-key": key.encode()}
    assert wrong_fields(await client.post("/bookings", json=booking_of(jana), headers=headers)) == {"Idempotency-Key"}
    assert count(sql) == 0


async def test_two_key_headers_are_refused(client: httpx.AsyncClient, jana: UUID) -> None:
    headers = [("Idempotency-Key", "one"), ("Idempotency-Key", "two")]
    assert wrong_fields(await client.post("/bookings", json=booking_of(jana), headers=headers)) == {"Idempotency-Key"}


async def test_longest_key_and_all_allowed_characters_are_accepted(send: Send) -> None:
    signs = "".join(chr(code) for code in range(33, 127) if chr(code) not in '"\\')
    for key, start in (("k" * 255, NINE), (signs, LATER)):
        assert is_replay(await send(key, startsAt=start), await send(key, startsAt=start))


# --- callers and keys -----------------------------------------------------------------------------------------------


async def test_keys_are_separate_for_each_caller(send: Send, tokens: Tokens, sql: Connection) -> None:
    hours = {who: f"2026-11-24T{hour:02}:00:00Z" for hour, who in enumerate(("nobody", "jana", "omar", "admin"), 8)}
    firsts = {who: await send("key", headers=tokens[who], startsAt=start) for who, start in hours.items()}
    assert all(is_new(first) for first in firsts.values())
    for who, start in hours.items():
        assert is_replay(firsts[who], await send("key", headers=tokens[who], startsAt=start))
    assert count(sql) == len(hours)


async def test_anonymous_callers_are_separated_by_network_without_storing_addresses(
    from_address: Callable[[str], httpx.AsyncClient], jana: UUID, sql: Connection
) -> None:
    async def post(address: str, start: str) -> httpx.Response:
        body = booking_of(jana, startsAt=start)
        return await from_address(address).post("/bookings", json=body, headers={"Idempotency-Key": "key"})

    first = await post("192.0.2.7", NINE)
    assert is_new(first)
    assert is_replay(first, await post("192.0.2.7", NINE))
    check_problem(await post("192.0.2.8", NINE), 409, "slot_taken")
    other = await post("2001:db8:1:2::1", LATER)
    assert is_new(other)
    assert is_replay(other, await post("2001:db8:1:2:ffff::1", LATER))
    written = sql.execute("SELECT caller, kept_answer::text FROM kept_answer").fetchall()
    assert len(written) == 2  # the refusal of another network is not stored
    assert all(len(caller) == 32 and b"192.0.2" not in caller and "192.0.2" not in text for caller, text in written)


async def test_stored_response_is_not_returned_to_a_revoked_token(
    client: httpx.AsyncClient, services: Services, tokens: Tokens
) -> None:
    async def add() -> httpx.Response:
        body = {"firstDay": "2026-12-24", "lastDay": "2027-01-03"}
        headers = {**tokens["jana"], "Idempotency-Key": "key"}
        return await client.post("/experts/jana-muller/days-off", json=body, headers=headers)

    assert is_replay(await add(), await add())
    await services.tokens.revoke("jana")
    check_problem(await add(), 401, "proof_needed")


async def test_invalid_token_is_ignored_where_none_is_needed(send: Send, tokens: Tokens) -> None:
    assert is_replay(await send("key", headers=tokens["garbage"]), await send("key"))


# --- concurrent requests --------------------------------------------------------------------------------------------


async def test_repeat_during_a_long_request_returns_a_conflict(send: Send, sql: Connection) -> None:
    with sql.transaction():
        sql.execute("LOCK TABLE booking IN EXCLUSIVE MODE")
        first = asyncio.create_task(send("key"))
        await until(lambda: waiting(sql) == 1)
        check_problem(await send("key"), 409, "request_in_flight")
        assert not first.done()
    made = await first
    assert is_new(made)
    assert is_replay(made, await send("key"))
    assert count(sql) == 1


def waiting(sql: Connection) -> int:
    """The number of connections that wait for a lock."""
    row = sql.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    ).fetchone()
    assert row is not None
    return int(row[0])


async def until(condition: Callable[[], bool]) -> None:
    """Wait until this is true."""
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the condition was not met within 20 s")


# --- expiry ---------------------------------------------------------------------------------------------------------


async def test_key_expires_after_24_hours(send: Send, tokens: Tokens, clock: Clock, sql: Connection) -> None:
    admin = tokens["admin"]
    first = await send("key", startsAt=LATER, headers=admin)
    clock.advance(hours=24, seconds=-1)
    assert is_replay(first, await send("key", startsAt=LATER, headers=admin))
    clock.advance(seconds=1)
    renewed = await send("key", startsAt=LATER, headers=admin)
    check_problem(renewed, 409, "slot_taken")
    assert is_replay(renewed, await send("key", startsAt=LATER, headers=admin))


# --- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["admin", "jana", "reader"])
async def test_refusal_of_a_token_is_replayed_even_if_the_time_has_become_free(
    send: Send, tokens: Tokens, sql: Connection, who: str
) -> None:
    await send("theirs")
    refused = await send("mine", headers=tokens[who])
    check_problem(refused, 409, "slot_taken")
    sql.execute("UPDATE booking SET status = 'cancelled'")
    assert is_replay(refused, await send("mine", headers=tokens[who]))
    assert is_new(await send("again", headers=tokens[who]))


@pytest.mark.parametrize("who", ["nobody", "garbage", "grace", "stray"])
async def test_refusal_of_an_anonymous_request_is_not_stored(
    send: Send, tokens: Tokens, sql: Connection, who: str
) -> None:
    await send("theirs")
    kept = count(sql, "kept_answer")
    for _ in range(2):
        refused = await send("mine", headers=tokens[who])
        check_problem(refused, 409, "slot_taken")
        assert REPLAYED not in refused.headers
    check_problem(await send("mine", headers=tokens[who], sessionTypeId=str(uuid4())), 404, "session_type_not_found")
    assert count(sql, "kept_answer") == kept
    sql.execute("UPDATE booking SET status = 'cancelled'")
    made = await send("mine", headers=tokens[who])
    assert is_new(made)
    assert is_replay(made, await send("mine", headers=tokens[who]))
    check_problem(await send("mine", headers=tokens[who], startsAt=LATER), 422, "idempotency_key_reused")


async def test_ten_concurrent_anonymous_refusals_are_not_stored(send: Send, sql: Connection) -> None:
    await send("theirs")
    for answer in await asyncio.gather(*(send("mine") for _ in range(10))):
        check_problem(answer, 409, "slot_taken")
    assert count(sql, "kept_answer") == 1


async def test_not_found_and_not_offered_are_replayed_to_a_token(
    send: Send, tokens: Tokens, jana: UUID, sql: Connection
) -> None:
    talk, admin = str(uuid4()), tokens["admin"]
    missing = await send("one", sessionTypeId=talk, headers=admin)
    check_problem(missing, 404, "session_type_not_found")
    sql.execute("INSERT INTO session_type (id, expert_id, title, minutes, step_minutes)"
                " VALUES (%s, %s, 'Talk', 60, 60)", [talk, jana])  # fmt: skip
    assert is_replay(missing, await send("one", sessionTypeId=talk, headers=admin))
    late = "2026-11-24T19:00:00Z"
    closed = await send("two", startsAt=late, headers=admin)
    check_problem(closed, 422, "slot_not_offered")
    sql.execute("UPDATE availability_rule SET closes_minute = 1440")
    assert is_replay(closed, await send("two", startsAt=late, headers=admin))
    assert is_new(await send("three", startsAt=late, headers=admin))


async def test_validation_error_can_be_corrected_under_the_same_key(
    client: httpx.AsyncClient, tokens: Tokens, send: Send
) -> None:
    assert wrong_fields(await send("key", email="x", name="")) == {"email", "name"}
    assert is_new(await send("key"))
    # The same for errors that only the service detects.
    hours = [{"weekday": 1, "opens": "09:00", "closes": "12:00"}, {"weekday": 1, "opens": "11:00", "closes": "13:00"}]
    comparable = {"name": "Ida", "category": "Law", "timeZone": "Europe/Berlin", "email": "ida@example.com"}
    length = {"title": "Talk", "minutes": 60, "stepMinutes": 60}
    headers = {**tokens["admin"], "Idempotency-Key": "another"}
    wrong = {**comparable, "sessionTypes": [length], "windows": hours}
    assert wrong_fields(await client.post("/experts", json=wrong, headers=headers)) == {"windows.1.opens"}
    assert is_new(await client.post("/experts", json={**wrong, "windows": hours[:1]}, headers=headers))


async def test_invalid_and_oversized_bodies_are_refused_and_not_stored(client: httpx.AsyncClient, send: Send) -> None:
    headers = {"Idempotency-Key": "key", "Content-Type": "application/json"}
    assert wrong_fields(await client.post("/bookings", content="{", headers=headers)) == {"body"}
    long = await client.post("/bookings", content="x" * 70_000, headers=headers)
    check_problem(long, 413, "body_too_large")
    assert is_new(await send("key"))


async def test_client_disconnect_while_sending_is_no_error_and_stores_nothing(api: FastAPI, sql: Connection) -> None:
    scope = {
        "type": "http", "method": "POST", "path": "/bookings", "raw_path": b"/bookings", "query_string": b"",
        "root_path": "", "scheme": "http", "server": ("test", 80), "client": ("192.0.2.7", 50_000),
        "headers": [(b"idempotency-key", b"key"), (b"content-type", b"application/json")],
    }  # fmt: skip
    incoming = [{"type": "http.request", "body": b'{"expert', "more_body": True}, {"type": "http.disconnect"}]

    async def receive() -> Json:
        return incoming.pop(0)

    async def discard(_: Any) -> None:
        pass

    await api(scope, receive, discard)
    assert (count(sql), count(sql, "kept_answer")) == (0, 0)


@pytest.mark.parametrize(("who", "status"), [("nobody", 401), ("garbage", 401), ("revoked", 401), ("omar", 403)])
async def test_unauthorized_request_stores_nothing(
    client: httpx.AsyncClient, tokens: Tokens, sql: Connection, who: str, status: int
) -> None:
    body = {"firstDay": "2026-12-24", "lastDay": "2027-01-03"}
    headers = {**tokens[who], "Idempotency-Key": "key"}
    for _ in range(2):
        answer = await client.post("/experts/jana-muller/days-off", json=body, headers=headers)
        assert (answer.status_code, REPLAYED in answer.headers) == (status, False)
    assert (count(sql, "day_off"), count(sql, "kept_answer")) == (0, 0)


@contextmanager
def failing_inserts(sql: Connection, how: str) -> Iterator[None]:
    """Make every INSERT of a booking fail after it was written."""
    sql.execute(f"CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {how}; RETURN NULL; END $$")
    sql.execute("CREATE TRIGGER zz_fail AFTER INSERT ON booking FOR EACH ROW EXECUTE FUNCTION fail()")
    yield
    sql.execute("DROP FUNCTION fail CASCADE")


@pytest.mark.parametrize(
    ("how", "status"),
    [
        ("RAISE EXCEPTION 'something that nobody has thought of'", 500),
        ("PERFORM pg_terminate_backend(pg_backend_pid())", 503),
    ],
)
async def test_request_is_repeated_from_scratch_after_a_server_error(
    from_address: Callable[[str], httpx.AsyncClient], jana: UUID, sql: Connection, how: str, status: int
) -> None:
    client, headers = from_address("192.0.2.7"), {"Idempotency-Key": "key"}
    with failing_inserts(sql, how):
        for _ in range(2):
            assert (await client.post("/bookings", json=booking_of(jana), headers=headers)).status_code == status
    assert (count(sql), count(sql, "kept_answer")) == (0, 0)
    assert is_new(await client.post("/bookings", json=booking_of(jana), headers=headers))


# --- several processes ----------------------------------------------------------------------------------------------


async def first_free(server: ServerProcess, expert: UUID) -> str:
    """The expert's next free start, by the servers' real clock."""
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        start: str = (await client.get(f"/experts/{expert}")).json()["nextAvailable"]
    return start


async def book_at(server: ServerProcess, key: str, body: Json) -> httpx.Response:
    """POST a booking to one server."""
    async with httpx.AsyncClient(base_url=server.url, timeout=60) as client:
        return await client.post("/bookings", json=body, headers={"Idempotency-Key": key})


def comparable(answer: httpx.Response) -> tuple[int, str | None, bytes]:
    """The parts of a response that are equal on all servers."""
    return answer.status_code, answer.headers.get("location"), answer.content


async def test_ten_concurrent_posts_to_two_servers_get_the_same_response(
    serve: Serve, add_expert: AddExpert, sql: Connection
) -> None:
    expert = await add_expert()
    servers = [serve(), serve()]
    body = booking_of(expert, startsAt=await first_free(servers[0], expert))
    answers = await asyncio.gather(*(book_at(servers[number % 2], "key", body) for number in range(10)))
    assert len({comparable(answer) for answer in answers}) == 1
    assert [REPLAYED in answer.headers for answer in answers].count(False) == 1
    assert (answers[0].status_code, count(sql)) == (201, 1)


async def test_response_survives_a_kill_between_commit_and_answer(
    serve: Serve, add_expert: AddExpert, database_url: str, tmp_path: Path, sql: Connection
) -> None:
    expert, other = await add_expert(), serve()
    body = booking_of(expert, startsAt=await first_free(other, expert))
    async with lost_answers(database_url, after=(b"ada@example.com", b"COMMIT")) as url:
        with ServerProcess(tmp_path, url) as doomed:
            await asyncio.to_thread(doomed.wait_until_alive)
            requests = asyncio.create_task(book_at(doomed, "key", body))
            await until(lambda: count(sql) == 1)
            # Committed, but the process has not received the confirmation and so has not responded.
            await asyncio.sleep(0.2)
            assert not requests.done()
            doomed.kill()
            with pytest.raises(httpx.TransportError):
                await requests
    repeated = await book_at(other, "key", body)
    assert (repeated.status_code, repeated.headers[REPLAYED]) == (201, "true")
    assert sql.execute("SELECT id::text FROM booking").fetchall() == [(repeated.json()["id"],)]
    assert repeated.headers["location"] == f"/bookings/{repeated.json()['id']}"


async def test_after_a_kill_under_load_every_retry_ends_with_one_booking(
    serve: Serve, add_expert: AddExpert, sql: Connection
) -> None:
    experts = [await add_expert(name=f"Expert {number}") for number in range(30)]
    doomed, other = serve(), serve()
    start = await first_free(other, experts[0])
    crowd = {str(uuid4()): booking_of(expert, startsAt=start) for expert in experts}

    async def ask(server: ServerProcess, key: str) -> httpx.Response | None:
        try:
            return await book_at(server, key, crowd[key])
        except httpx.TransportError:
            return None

    requests = {key: asyncio.create_task(ask(doomed, key)) for key in crowd}
    await asyncio.wait(requests.values(), return_when=asyncio.FIRST_COMPLETED)
    doomed.kill()
    firsts = {key: await answer for key, answer in requests.items()}
    assert Counter(first.status_code if first else 0 for first in firsts.values())[0] > 0
    for key, first in firsts.items():
        repeated = await ask(other, key)
        assert repeated is not None
        assert repeated.status_code == 201
        assert first is None or comparable(first) == comparable(repeated)
    assert count(sql) == len(crowd)


# --- encryption of responses ----------------------------------------------------------------------------------------


async def test_stored_rows_reveal_neither_caller_nor_token(
    client: httpx.AsyncClient, send: Send, services: Services, sql: Connection
) -> None:
    made = await send("key", name="Augusta King", email="Augusta@example.com", notes="very private")
    proof = await client.post(
        "/access-links/redeem",
        json={"link": await services.access.link_for("augusta@example.com")},
        headers={"Idempotency-Key": "key-of-the-link"},
    )
    assert (is_new(made), proof.status_code) == (True, 200)
    rows = sql.execute("SELECT kept_answer::text, coalesce(body, ''), fingerprint FROM kept_answer").fetchall()
    assert len(rows) == 2
    written = "".join(str(row) + bytes.fromhex(row[1].hex()).decode(errors="replace") for row in rows).lower()
    tokens = (made.json()["accessToken"], proof.json()["accessToken"])
    for secret in (*tokens, made.json()["id"], "augusta", "very private", "20 7946 0000", "location"):
        assert secret.lower() not in written
        assert secret.encode().hex() not in written
    requests = b"POST /bookings?\n" + made.request.content
    assert hashlib.sha256(requests).hexdigest() not in written  # so guesses cannot be verified


async def test_unencrypted_response_of_an_older_version_is_refused_and_not_redone(send: Send, sql: Connection) -> None:
    await send("key")
    sql.execute("""UPDATE kept_answer SET headers = '{"content-type": "application/json"}', body = '{"id": "1"}'""")
    check_problem(await send("key"), 409, "answer_not_readable")
    check_problem(await send("key", startsAt=LATER), 409, "answer_not_readable")
    sql.execute("UPDATE kept_answer SET body = NULL, status = NULL, headers = NULL")
    check_problem(await send("key"), 409, "answer_not_readable")
    assert count(sql) == 1
