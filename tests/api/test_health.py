"""Liveness and readiness."""

import httpx
import psycopg

from expert_booking.api import create_api
from expert_booking.db.engine import Database, driver_url
from expert_booking.services import Services
from tests.api.conftest import check_problem


async def get(url: str, path: str) -> httpx.Response:
    """GET a path from an API on this database."""
    database = Database(url)
    transport = httpx.ASGITransport(create_api(Services(database), secret="of no use here"), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.get(path)
    await database.close()
    return answer


async def test_server_on_a_current_schema_is_alive_and_ready(client: httpx.AsyncClient) -> None:
    assert (await client.get("/healthz")).json() == {"status": "alive"}
    assert (await client.get("/readyz")).json() == {"status": "ready"}


async def test_empty_database_is_not_ready_and_the_answer_names_the_command(empty_database_url: str) -> None:
    assert (await get(empty_database_url, "/healthz")).status_code == 200
    assert (
        "expert-booking migrate" in check_problem(await get(empty_database_url, "/readyz"), 503, "not_ready")["detail"]
    )


async def test_older_schema_is_not_ready_and_newer_schema_is(database_url: str) -> None:
    """While processes are replaced one by one, the schema is one version ahead of those still running."""
    with psycopg.connect(driver_url(database_url), autocommit=True) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
        check_problem(await get(database_url, "/readyz"), 503, "not_ready")
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    assert (await get(database_url, "/readyz")).status_code == 200


async def test_without_a_database_the_server_is_alive_but_not_ready() -> None:
    nowhere = "postgresql+psycopg://nobody@127.0.0.1:1/nothing"
    assert (await get(nowhere, "/healthz")).status_code == 200
    assert "reached" in check_problem(await get(nowhere, "/readyz"), 503, "not_ready")["detail"]


async def test_without_a_database_other_requests_get_503_with_retry_after() -> None:
    nowhere = "postgresql+psycopg://nobody@127.0.0.1:1/nothing"
    for path in ("/experts", "/experts/jana-muller", "/bookings?expertId=7d9f1f0e-5c0b-4f5e-9a57-0c1d2e3f4a5b"):
        check_problem(await get(nowhere, path), 503, "unavailable")
