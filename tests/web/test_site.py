"""What the pages answer to programs and to browsers that request unknown paths."""

from collections.abc import Callable
from typing import Any

import httpx
import psycopg

from expert_booking.web.portraits import draw_portrait
from tests.conftest import AddExpert
from tests.server import ServerProcess

PAGE = {"Accept": "text/html,application/xhtml+xml"}


def test_unknown_paths_are_problem_json_for_programs_and_a_page_for_browsers(
    serve: Callable[..., ServerProcess],
) -> None:
    server = serve()
    for method, path, status, code in (
        ("GET", "/nowhere", 404, "not_found"),
        ("GET", "/portrait/nobody.svg", 404, "not_found"),
        ("GET", "/assets/nothing.css", 404, "not_found"),
        ("POST", "/my-bookings", 405, "method_not_allowed"),
    ):
        answer = httpx.request(method, server.url + path)
        assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), path
        assert (answer.json()["code"], answer.json()["status"]) == (code, status)
        if method == "GET":
            page = httpx.get(server.url + path, headers=PAGE)
            assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8"), path
            assert "Page not found" in page.text


def test_page_that_times_out_on_the_database_is_a_503_page_without_an_error_report(
    serve: Callable[..., ServerProcess], sql: psycopg.Connection[tuple[Any, ...]]
) -> None:
    server = serve()
    with sql.transaction():
        sql.execute("LOCK TABLE expert")
        page = httpx.get(f"{server.url}/expert/jana-muller", headers=PAGE, timeout=60)
    assert (page.status_code, page.headers["content-type"]) == (503, "text/html; charset=utf-8")
    assert "Just a moment" in page.text


async def test_portrait_is_drawn_from_the_key_of_the_expert(
    serve: Callable[..., ServerProcess], add_expert: AddExpert
) -> None:
    await add_expert(portrait="f:jana")
    async with httpx.AsyncClient(base_url=serve().url) as client:
        answer = await client.get("/portrait/jana-muller.svg")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/svg+xml")
    assert answer.text == draw_portrait("f:jana")
