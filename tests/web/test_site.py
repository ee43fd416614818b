"""What the door for people says to programs, and to browsers that ask for what is not there."""

from collections.abc import Callable

import httpx

from tests.serving import ServerProcess

PAGE = {"Accept": "text/html,application/xhtml+xml"}


def test_what_is_not_there_is_a_problem_for_programs_and_a_page_for_people(
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
            assert "This page is not here" in page.text
