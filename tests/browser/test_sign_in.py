"""Signing in without an account: a link or code from an email proves the address until the browser signs out."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
import pytest
from playwright.async_api import Page, expect

from expert_booking.domain.signed_keys import SignedKeys
from tests.browser.conftest import Excuse, Expert, NewExpert, Visit, WatchedServer
from tests.browser.pages import (
    ADA,
    HOUR,
    LIVE_UPDATE_MS,
    Connection,
    book_button,
    book_on_page,
    expect_form,
    expect_held,
    fill_in,
    in_days,
    insert_booking,
    iso,
    slot,
    wait_for_live_slot,
    wait_until,
    wait_until_connected,
)
from tests.browser.test_accessibility import AUDIT, CONTRAST
from tests.browser.test_manage_booking import (
    button,
    expect_not_reloaded,
    expect_status,
    mark_loaded,
    reschedule_link,
    row,
    status_message,
)
from tests.server import SECRET_KEY, ServerProcess

KEYS = SignedKeys(SECRET_KEY)
REQUEST_ACCEPTED = "If this address is known here, we're emailing a link and a code to"


@pytest.fixture(autouse=True)
def age_access_requests(sql: Connection) -> None:
    """Age earlier access requests: all tests share one network, whose limit they would otherwise reach."""
    sql.execute("UPDATE access_request SET created_at = created_at - interval '2 hours'")


@pytest.fixture
def email(jana: Expert) -> str:
    """An address that only this test uses."""
    return f"{jana.slug}.ada@example.com"


def link_for(sql: Connection, email: str, next_path: str = "", *, minutes: int = 15) -> str:
    """Create an access request and return the path of its link, as in the email."""
    now = datetime.now(UTC)
    found = sql.execute(
        "INSERT INTO access_request (email, customer_key, next_path, created_at, expires_at)"
        " VALUES (%s, lower(%s), %s, %s, %s) RETURNING id",
        [email, email, next_path, now, now + timedelta(minutes=minutes)],
    ).fetchone()
    assert found is not None
    return f"/sign-in/{KEYS.link(found[0])}"


def latest_request(sql: Connection, email: str) -> UUID:
    """Return the id of the last access request for this address."""
    found = sql.execute(
        "SELECT id FROM access_request WHERE email = %s ORDER BY created_at DESC LIMIT 1", [email]
    ).fetchone()
    assert found is not None
    return UUID(str(found[0]))


def proofs(sql: Connection, email: str) -> int:
    """Count the proofs of this address."""
    found = sql.execute("SELECT count(*) FROM access_proof WHERE email = %s", [email]).fetchone()
    assert found is not None
    return int(found[0])


def set_email_state(sql: Connection, number: str, **columns: Any) -> None:
    """Set the delivery state of a booking's emails, as the outbox does."""
    for column, value in columns.items():
        sql.execute(f"UPDATE message SET {column} = %s WHERE booking_id = %s", [value, number])
    sql.execute("SELECT pg_notify('expert_booking_mail', %s)", [number])


async def request_email(page: Page, email: str) -> None:
    """Request a sign-in email."""
    await page.get_by_label("Email", exact=True).fill(email)
    await button(page, "Email me a link").click()
    await expect(page.get_by_label("Code")).to_be_focused()


async def sign_in(page: Page, sql: Connection, email: str, next_path: str = "") -> None:
    """Sign this browser in with a link."""
    await page.goto(link_for(sql, email, next_path))
    await button(page, "Sign in").click()
    await page.wait_for_url(f"**{next_path or '/my-bookings'}")


def signed_in_note(page: Page) -> Any:
    """Return the element that shows the signed-in address."""
    return page.locator("[data-signed-in]")


def card(page: Page, number: str) -> Any:
    """Return a booking's card in the list."""
    return page.locator(f'li[data-booking="{number}"]')


# --- by code and by link ----------------------------------------------------------------------------------------------


async def test_code_shows_all_bookings_of_an_address_wherever_they_were_made(
    visit: Visit, jana: Expert, sql: Connection, email: str
) -> None:
    elsewhere, page = await visit(), await visit("/my-bookings")
    number = await book_on_page(elsewhere, jana.slug, in_days(3), email=email)
    await expect(page.get_by_text("No bookings yet")).to_be_visible()
    await request_email(page, email.upper().replace("@EXAMPLE.COM", "@example.com"))
    await expect(page.get_by_text(REQUEST_ACCEPTED)).to_be_visible()
    code = KEYS.code(latest_request(sql, email.upper().replace("@EXAMPLE.COM", "@example.com")))
    await page.reload()  # the code field is still there after returning from the email
    await page.get_by_label("Code").fill(f"{code[:3]} {code[3:]}")
    await page.keyboard.press("Enter")
    await expect(signed_in_note(page)).to_contain_text("Signed in as")
    await expect(card(page, number)).to_be_visible()
    await page.goto(f"/booking/{number}")
    await expect_status(page, "pending")


async def test_alphanumeric_code_is_accepted_in_any_spelling(visit: Visit, sql: Connection, email: str) -> None:
    page = await visit("/sign-in")
    await request_email(page, email)
    await button(page, "Use another address").click()
    await request_email(page, email)
    code = KEYS.long_code(latest_request(sql, email)).lower()
    await page.get_by_label("Code").fill(f" {code[:4]}-{code[4:]} ")
    await page.keyboard.press("Enter")
    await expect(signed_in_note(page)).to_contain_text(email)


async def test_form_keeps_its_hold_while_another_tab_signs_in_and_out(
    visit: Visit, jana: Expert, sql: Connection, email: str
) -> None:
    form = await visit(f"/book/{jana.slug}?at={iso(in_days(3))}")
    await expect_held(form)
    await fill_in(form, **ADA)
    held = "SELECT id, visitor FROM booking WHERE status = 'held' AND expert_id = %s"
    before = sql.execute(held, [jana.id]).fetchone()
    other = await form.context.new_page()
    for change in (lambda: sign_in(other, sql, email), lambda: button(other, "Sign out").click()):
        await mark_loaded(form)
        await change()
        # The form is reloaded with the new cookie and keeps its input.
        await form.wait_for_function("!window.stayed")
        await expect_held(form)
        await expect_form(form, **ADA)
        now = sql.execute(held, [jana.id]).fetchone()
        assert before is not None
        assert now is not None
        assert now[0] == before[0]
        assert now[1] != before[1]
        before = now
    await book_button(form).click()
    await form.wait_for_url("**/booking/*")
    await expect_status(form, "pending")


async def test_unknown_address_gets_the_same_response(visit: Visit, jana: Expert, sql: Connection, email: str) -> None:
    await book_on_page(await visit(), jana.slug, in_days(3), email=email)
    texts = []
    for address in (email, "nobody.at.all@example.com"):
        page = await visit("/sign-in")
        await request_email(page, address)
        texts.append((await page.locator(".sign-in").inner_text()).replace(address, "…"))
        latest_request(sql, address)  # fails if there is no request
    assert re.sub(r"in \d+ s", "in … s", texts[0]) == re.sub(r"in \d+ s", "in … s", texts[1])


async def test_invalid_address_is_reported_beside_the_field_and_kept(visit: Visit, excuse: Excuse) -> None:
    excuse("status of 422")
    page = await visit("/my-bookings")
    for typed, message in (("", "Please fill this in"), ("ada at example", "name@example.com")):
        await page.get_by_label("Email", exact=True).fill(typed)
        await page.keyboard.press("Enter")
        await expect(page.locator("#email-error")).to_contain_text(message)
        await expect(page.get_by_label("Email", exact=True)).to_have_value(typed)
        await expect(page.get_by_label("Email", exact=True)).to_be_focused()


async def test_after_five_wrong_codes_only_the_link_works(
    visit: Visit, sql: Connection, email: str, excuse: Excuse
) -> None:
    excuse("status of 4")
    page = await visit("/sign-in")
    await request_email(page, email)
    number = latest_request(sql, email)
    wrong = f"{(int(KEYS.code(number)) + 1) % 1_000_000:06}"
    for left in (4, 3, 2, 1):
        await page.get_by_label("Code").fill(wrong)
        await page.keyboard.press("Enter")
        await expect(page.locator("#code-error")).to_contain_text(f"You can try {left} more time")
    for code in (wrong, KEYS.code(number)):
        await page.get_by_label("Code").fill(code)
        await page.keyboard.press("Enter")
        await expect(page.locator("#code-error")).to_contain_text("Too many wrong codes")
    assert proofs(sql, email) == 0
    await page.goto(f"/sign-in/{KEYS.link(number)}")
    await button(page, "Sign in").click()
    await expect(signed_in_note(page)).to_contain_text(email)


async def test_code_is_valid_only_in_the_browser_that_requested_it(
    visit: Visit, sql: Connection, email: str, rest: httpx.AsyncClient
) -> None:
    page = await visit("/sign-in")
    await request_email(page, email)
    number = latest_request(sql, email)
    answer = await rest.post("/sign-in/code", json={"id": str(number), "code": KEYS.code(number)})
    assert (answer.status_code, answer.json()["code"]) == (404, "link_not_valid")
    assert proofs(sql, email) == 0


async def test_too_many_requests_are_refused_per_address(
    visit: Visit, sql: Connection, email: str, excuse: Excuse
) -> None:
    excuse("status of 429")
    page = await visit("/sign-in")
    for _ in range(5):
        await request_email(page, email)
        await button(page, "Use another address").click()
    await page.get_by_label("Email", exact=True).fill(email)
    await page.keyboard.press("Enter")
    await expect(page.locator("#email-error")).to_contain_text("several emails already")
    await request_email(page, f"other.{email}")


async def test_link_opened_in_another_browser_signs_in_there_and_continues_to_the_page(
    visit: Visit, jana: Expert, sql: Connection, email: str, excuse: Excuse
) -> None:
    excuse("status of 404")
    number = await book_on_page(await visit(), jana.slug, in_days(3), email=email)
    asking = await visit(f"/booking/{number}")
    await asking.get_by_role("link", name="Sign in").click()
    await request_email(asking, email)
    other = await visit(f"/sign-in/{KEYS.link(latest_request(sql, email))}")
    await expect(other.get_by_role("heading", level=1)).to_contain_text(email)
    await button(other, "Sign in").click()
    await other.wait_for_url(f"**/booking/{number}")
    await expect_status(other, "pending")


async def test_link_page_works_without_javascript(visit: Visit, sql: Connection, email: str) -> None:
    page = await visit(link_for(sql, email), java_script_enabled=False)
    await button(page, "Sign in").click()
    await page.wait_for_url("**/my-bookings")
    assert proofs(sql, email) == 1


async def test_viewing_a_link_does_not_use_it_up(
    visit: Visit, sql: Connection, email: str, rest: httpx.AsyncClient
) -> None:
    link = link_for(sql, email)
    for _ in range(3):
        assert email in (await rest.get(link)).text
        await rest.head(link)
        await rest.get(f"/sign-in?next={link}")
    assert proofs(sql, email) == 0
    page = await visit(link)
    await button(page, "Sign in").click()
    await expect(signed_in_note(page)).to_contain_text(email)


@pytest.mark.parametrize("why", ["used", "over", "invented"])
async def test_invalid_link_says_so_and_offers_a_new_one(
    visit: Visit, sql: Connection, email: str, excuse: Excuse, why: str
) -> None:
    excuse("status of 404")
    link = link_for(sql, email, minutes=-1 if why == "over" else 15)
    if why == "used":
        await sign_in(await visit(), sql, email)
        await (other := await visit(link)).locator(".sign-in").get_by_role("button").click()
        await expect(signed_in_note(other)).to_be_visible()
    page = await visit()
    answer = await page.goto(link[:-1] + ("A" if link[-1] != "A" else "B") if why == "invented" else link)
    assert answer is not None
    assert answer.status == 404
    await expect(page.locator('[data-refusal="link_not_valid"]')).to_be_visible()
    await request_email(page, email)


async def test_link_used_while_its_page_is_open_is_refused(visit: Visit, sql: Connection, email: str) -> None:
    link = link_for(sql, email)
    late = await visit(link)
    first = await visit(link)
    await button(first, "Sign in").click()
    await expect(signed_in_note(first)).to_be_visible()
    await button(late, "Sign in").click()
    await expect(late.locator('[data-refusal="link_not_valid"]')).to_be_visible()
    assert proofs(sql, email) == 1


@pytest.mark.parametrize(
    "next_path", ["//evil.example", "/\\evil.example", "https://evil.example/", "javascript:hit()"]
)
async def test_sign_in_never_redirects_to_another_site(
    visit: Visit, sql: Connection, email: str, next_path: str
) -> None:
    page = await visit(f"/sign-in?next={next_path}")
    await request_email(page, email)
    await page.get_by_label("Code").fill(KEYS.code(latest_request(sql, email)))
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/my-bookings")
    await expect(signed_in_note(page)).to_contain_text(email)


def test_next_path_sent_by_a_program_never_redirects_to_another_site(
    server: ServerProcess, sql: Connection, email: str
) -> None:
    for sent, leads_to in (("//evil.example", "/my-bookings"), ("/booking/1", "/booking/1")):
        asking = httpx.post(f"{server.url}/sign-in/ask", json={"email": email, "nextPath": sent})
        link = KEYS.link(UUID(asking.json()["id"]))
        assert httpx.post(f"{server.url}/sign-in/link", data={"link": link}).headers["location"] == leads_to


# --- requests -----------------------------------------------------------------------------------------------------


def test_cross_site_forms_are_refused(server: ServerProcess, sql: Connection, email: str) -> None:
    link = link_for(sql, email).rpartition("/")[2]
    for headers in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": server.url},
    ):
        asking = httpx.post(f"{server.url}/sign-in/ask", json={"email": email}, headers=headers)
        assert (asking.status_code, asking.json()["code"]) == (403, "forbidden"), headers
        form = httpx.post(f"{server.url}/sign-in/link", data={"link": link}, headers=headers)
        assert (form.status_code, form.headers["location"]) == (303, "/sign-in")
    assert proofs(sql, email) == 0
    assert httpx.post(f"{server.url}/sign-in/link", data={"link": link}, headers={"Origin": server.url}).is_redirect
    assert proofs(sql, email) == 1


def test_malformed_bodies_are_refused(server: ServerProcess) -> None:
    odd = (
        b"", b"null", b"[]", b"{", b"\xff\xfe", b"[" * 4000, b"link=%ff%00&link=%", b'{"email": 7}',
        b'{"email": "\\ud800@example.com"}', b'{"email": "a@example.com\\u0000", "nextPath": {}}',
        b'{"id": "x", "code": "1"}',
    )  # fmt: skip
    for body in odd:
        for path in ("/sign-in/ask", "/sign-in/code"):
            answer = httpx.post(server.url + path, content=body)
            assert answer.status_code == 422, (path, body)
            assert answer.headers["content-type"] == "application/problem+json"
            assert answer.json()["errors"]
        for path in ("/sign-in/link", "/sign-out"):
            assert httpx.post(server.url + path, content=body).status_code == 303, (path, body)
    long = httpx.post(f"{server.url}/sign-in/ask", content=b"x" * 5000)
    assert (long.status_code, long.json()["code"]) == (413, "body_too_large")
    assert httpx.post(f"{server.url}/sign-in/link", content=b"link=" + b"x" * 5000).status_code == 303


def test_cookie_is_httponly_samesite_and_secure_under_https(
    serve: Any, sql: Connection, email: str, server: ServerProcess
) -> None:
    for site, secure in ((server, False), (serve(BASE_URL="https://booking.example.com"), True)):
        link = link_for(sql, email).rpartition("/")[2]
        answer = httpx.post(f"{site.url}/sign-in/link", data={"link": link})
        cookie = answer.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=lax" in cookie
        assert ("; secure" in cookie) == secure
        assert answer.headers["cache-control"] == "no-store"


def test_private_pages_are_excluded_from_search_engines(server: ServerProcess) -> None:
    hidden = httpx.get(f"{server.url}/robots.txt").text
    for path in ("/sign-in", "/my-bookings", "/booking/", "/mailbox"):
        assert f"Disallow: {path}\n" in hidden


# --- signing out ------------------------------------------------------------------------------------------------------


async def test_signing_out_affects_only_this_browser(
    visit: Visit, jana: Expert, sql: Connection, email: str, excuse: Excuse
) -> None:
    excuse("status of 404")
    page, other = await visit(), await visit()
    number = await book_on_page(other, jana.slug, in_days(3), email=email)
    await book_on_page(page, jana.slug, in_days(4), email=f"bens.{email}")
    for one in (page, other):
        await sign_in(one, sql, email)
    cookies = await page.context.cookies()
    await button(page, "Sign out").click()
    await expect(page.get_by_label("Email", exact=True)).to_be_visible()
    await expect(page.locator("[data-booking]")).to_have_count(0)  # nor what was booked in this browser
    await page.context.add_cookies([dict(cookie) for cookie in cookies])  # type: ignore[misc]  # an old copy
    answer = await page.goto(f"/booking/{number}")
    assert answer is not None
    assert answer.status == 404
    await other.reload()
    await expect(card(other, number)).to_be_visible()


async def test_signing_out_everywhere_asks_first_and_ends_open_pages_elsewhere(
    visit: Visit, jana: Expert, sql: Connection, email: str
) -> None:
    number = await book_on_page(await visit(), jana.slug, in_days(3), email=email)
    page, other = await visit(), await visit()
    for one in (page, other):
        await sign_in(one, sql, email)
    theirs = await other.context.new_page()
    await theirs.goto(f"/booking/{number}")
    moving = await other.context.new_page()
    await moving.goto(f"/booking/{number}/reschedule")
    await wait_for_live_slot(moving, in_days(4))
    await slot(moving, in_days(4)).click()
    await button(theirs, "Cancel booking").click()
    for one in (other, theirs, moving):
        await mark_loaded(one)
    await page.get_by_text("Sign out everywhere", exact=True).click()
    await expect(page.get_by_text("This signs you out of every browser")).to_be_visible()
    assert proofs(sql, email) == 2
    await button(page, "Yes, sign out everywhere").click()
    await expect(page.get_by_label("Email", exact=True)).to_be_visible()
    assert proofs(sql, email) == 0
    # The binding of the browser that booked is revoked, too; the event clears its open pages.
    for one in (theirs, moving):
        await expect(one.locator('[data-refusal="booking_not_found"]')).to_be_visible()
    assert row(sql, number) == (in_days(3), "pending", 0)
    await expect(other.get_by_label("Email", exact=True)).to_be_visible()
    await expect(other.locator("[data-booking]")).to_have_count(0)
    for one in (other, theirs, moving):
        assert email not in await one.locator("#main").inner_text()
        await expect_not_reloaded(one)


async def test_revoked_proof_is_refused_on_pages_that_received_no_event(
    visit: Visit, jana: Expert, sql: Connection, email: str
) -> None:
    number = await book_on_page(await visit(), jana.slug, in_days(3), email=email)
    page = await visit()
    await sign_in(page, sql, email)
    await page.goto(f"/booking/{number}")
    moving = await page.context.new_page()
    await moving.goto(f"/booking/{number}/reschedule")
    await wait_for_live_slot(moving, in_days(4))
    await slot(moving, in_days(4)).click()
    await button(page, "Cancel booking").click()
    sql.execute("DELETE FROM access_proof WHERE email = %s", [email])
    await button(page, "Yes, cancel booking").click()
    await expect(page.locator('[data-refusal="booking_not_found"]')).to_be_visible()
    await button(moving, "Reschedule").click()
    await expect(moving.locator('[data-refusal="booking_not_found"]')).to_be_visible()
    assert row(sql, number) == (in_days(3), "pending", 0)


# --- other access to a booking ----------------------------------------------------------------------------------------


async def test_emailed_link_allows_rescheduling_and_cancelling_in_another_browser(
    visit: Visit, jana: Expert, sql: Connection, email: str, rest: httpx.AsyncClient
) -> None:
    at, to = in_days(3), in_days(4, 14)
    mine = await visit()
    number = await book_on_page(mine, jana.slug, at, email=email)
    await mark_loaded(mine)
    key = KEYS.booking(UUID(number))
    page = await visit(f"/booking/{number}?key={key}")
    await reschedule_link(page).click()
    await wait_for_live_slot(page, to)
    await page.reload()
    await wait_for_live_slot(page, to)
    await slot(page, to).click()
    await button(page, "Reschedule").click()
    await page.wait_for_url(f"**/booking/{number}*")
    await expect(status_message(page)).to_contain_text("has been rescheduled")
    await expect(page).to_have_url(re.compile(rf"/booking/{number}\?key={key}$"))
    await expect(status_message(mine)).to_contain_text("has been rescheduled")
    file = await page.get_by_role("link", name="Calendar file").get_attribute("href")
    answer = await rest.get(str(file))
    assert answer.headers["content-type"].startswith("text/calendar")
    assert "attachment" in answer.headers["content-disposition"]
    assert f"DTSTART:{to.astimezone(UTC):%Y%m%dT%H%M%SZ}" in answer.text
    await page.reload()
    await button(page, "Cancel booking").click()
    await button(page, "Yes, cancel booking").click()
    await expect_status(page, "cancelled")
    await expect_status(mine, "cancelled")
    await expect_not_reloaded(mine)
    await expect(page.get_by_role("heading", name="Add to calendar")).to_have_count(0)


async def test_replacing_shared_links_revokes_the_old_and_sends_a_new_one(
    visit: Visit, jana: Expert, sql: Connection, email: str, excuse: Excuse
) -> None:
    excuse("status of 404")
    mine = await visit()
    number = await book_on_page(mine, jana.slug, in_days(3), email=email)
    await mark_loaded(mine)
    key = KEYS.booking(UUID(number))
    theirs, page = await visit(f"/booking/{number}?key={key}"), await visit(f"/booking/{number}?key={key}")
    for one in (theirs, page):
        await wait_until_connected(one)
    await button(page, "This link was shared by mistake").click()
    await expect(page.get_by_role("heading", name="End all links")).to_be_focused()
    await button(page, "Keep the links").click()
    await expect(button(page, "This link was shared by mistake")).to_be_focused()
    await button(page, "This link was shared by mistake").click()
    await button(page, "Yes, send a new link").click()
    # Browsers that had only the link lose access, and the one that asked learns where the new link went.
    await expect(page.locator('[data-refusal="link_ended"]')).to_contain_text(f"sent a new link to {email}")
    await expect(theirs.locator('[data-refusal="booking_not_found"]')).to_be_visible()
    assert email not in await theirs.locator("#main").inner_text()
    answer = await page.goto(f"/booking/{number}?key={key}")
    assert answer is not None
    assert answer.status == 404
    await page.goto(f"/booking/{number}?key={KEYS.booking(UUID(number), 2)}")
    await expect_status(page, "pending")
    # The browser that booked keeps its access and may do the same.
    await expect_not_reloaded(mine)
    await button(mine, "This link was shared by mistake").click()
    await button(mine, "Yes, send a new link").click()
    await expect(status_message(mine)).to_contain_text(f"We've sent a new one to {email}")
    await expect(page.locator('[data-refusal="booking_not_found"]')).to_be_visible()
    await expect_status(mine, "pending")
    await expect_not_reloaded(mine)
    sent = sql.execute("SELECT kind, audience FROM message WHERE booking_id = %s ORDER BY id", [number]).fetchall()
    assert sent[-2:] == [("new_link", "customer")] * 2


async def test_strangers_cannot_see_a_booking_or_learn_that_it_exists(
    visit: Visit, jana: Expert, sql: Connection, email: str, rest: httpx.AsyncClient, excuse: Excuse
) -> None:
    excuse("status of 404")
    mine = await visit()
    number = await book_on_page(mine, jana.slug, in_days(3), email=email)
    second = await book_on_page(mine, jana.slug, in_days(4), email=email)
    page = await visit()
    await sign_in(page, sql, f"eve.{email}")
    unknown = str(UUID(int=UUID(number).int ^ 1))
    shown = []
    for one in (number, unknown):
        for path in ("", "/reschedule", f"?key={KEYS.booking(UUID(second))}", f"/reschedule?key={number}"):
            answer = await page.goto(f"/booking/{one}{path}")
            assert answer is not None
            assert answer.status == 404
            await expect(page.locator('[data-refusal="booking_not_found"]')).to_be_visible()
            shown.append((await page.locator("#main").inner_text(), path))
            assert (await page.locator("#main a").get_attribute("href")) == f"/sign-in?next=/booking/{one}"
        assert (await rest.get(f"/booking/{one}/calendar.ics")).status_code == 404
    assert shown[:4] == shown[4:]


async def test_web_calendar_links_contain_no_key(visit: Visit, jana: Expert, email: str) -> None:
    page = await visit()
    number = await book_on_page(page, jana.slug, in_days(3), email=email)
    key = KEYS.booking(UUID(number))
    await page.goto(f"/booking/{number}?key={key}")
    for name in ("Google", "Outlook"):
        link = page.get_by_role("link", name=name)
        address = await link.get_attribute("href")
        assert address is not None
        assert number in address
        assert key not in address
        assert await link.get_attribute("rel") == "noopener noreferrer"


# --- live -------------------------------------------------------------------------------------------------------------


async def test_email_delivery_state_is_shown_live(visit: Visit, jana: Expert, sql: Connection, email: str) -> None:
    page = await visit()
    number = await book_on_page(page, jana.slug, in_days(3), email=email)
    listed = await page.context.new_page()
    await listed.goto("/my-bookings")
    for one in (page, listed):
        await mark_loaded(one)
    await expect(page.locator("[data-mail]")).to_have_text(f"We're sending a confirmation to {email}.")
    now = datetime.now(UTC)
    for state, text, columns in (
        ("sent", f"sent a confirmation to {email}", {"sent_at": now}),
        ("failed", "couldn't deliver", {"sent_at": None, "failed_at": now}),
        ("over_limit", "has had many emails from us today", {"withheld": "over_limit"}),
        ("silenced", "we were asked not to email", {"withheld": "silenced"}),
        ("refused", "doesn't accept emails", {"withheld": "refused"}),
    ):
        set_email_state(sql, number, **columns)
        await expect(page.locator(f'[data-mail="{state}"]')).to_contain_text(text, timeout=2 * LIVE_UPDATE_MS)
        await expect(listed.locator(f'[data-mail="{state}"]')).to_be_visible(timeout=2 * LIVE_UPDATE_MS)
    for one in (page, listed):
        await expect_not_reloaded(one)


async def test_booking_made_elsewhere_appears_when_the_list_regains_focus(
    visit: Visit, jana: Expert, sql: Connection, email: str
) -> None:
    page = await visit()
    await sign_in(page, sql, email)
    await mark_loaded(page)
    number = await book_on_page(await visit(), jana.slug, in_days(3), email=email)
    await page.evaluate("dispatchEvent(new Event('focus'))")
    await expect(card(page, number)).to_be_visible()
    # From now on the page follows this expert's events, so new bookings appear.
    second = await book_on_page(await visit(), jana.slug, in_days(4), email=email)
    await expect(card(page, second)).to_be_visible()
    await expect_not_reloaded(page)


async def test_signed_in_expert_sees_and_answers_requests_live(
    visit: Visit, new_expert: NewExpert, sql: Connection
) -> None:
    omar = await new_expert()
    address = f"{omar.slug}.omar@example.com"
    sql.execute("UPDATE expert SET email = %s, email_key = %s WHERE id = %s", [address, address, omar.id])
    host, customer = await visit(), await visit()
    await sign_in(host, sql, address)
    await expect(host.get_by_text("No sessions booked with you")).to_be_visible()
    await mark_loaded(host)
    first = await book_on_page(customer, omar.slug, in_days(3), name="Grace Hopper")
    await mark_loaded(customer)
    await expect(host.get_by_role("heading", name="Requests to answer")).to_be_visible()
    await expect(card(host, first)).to_contain_text("Grace Hopper")
    await expect_not_reloaded(host)
    await card(host, first).get_by_role("link").click()
    await expect(host.get_by_role("heading", level=1)).to_have_text("New booking request")
    await expect(button(host, "Mark as completed")).to_have_count(0)
    await button(host, "Confirm").click()
    await expect_status(host, "confirmed")
    await expect_status(customer, "confirmed")
    await expect_not_reloaded(customer)

    second = await book_on_page(customer, omar.slug, in_days(4))
    await host.goto(f"/booking/{second}")
    await button(host, "Decline").click()
    await host.get_by_label("Reason").fill("I am away.")
    await button(host, "Yes, decline request").click()
    await expect_status(host, "declined")
    await expect_status(customer, "declined")
    changes = sql.execute(
        "SELECT actor, to_status, reason FROM booking_change WHERE booking_id = ANY(%s) AND actor <> 'customer'"
        " ORDER BY id",
        [[UUID(first), UUID(second)]],
    ).fetchall()
    assert changes == [("expert", "confirmed", ""), ("expert", "declined", "I am away.")]


async def test_host_reschedules_a_booking_and_marks_it_completed(
    visit: Visit, new_expert: NewExpert, sql: Connection
) -> None:
    omar = await new_expert(reschedule_notice_minutes=60 * 24 * 14)
    address = f"{omar.slug}.omar@example.com"
    sql.execute("UPDATE expert SET email = %s, email_key = %s WHERE id = %s", [address, address, omar.id])
    customer, host, to = await visit(), await visit(), in_days(4)
    number = await book_on_page(customer, omar.slug, in_days(3))
    await sign_in(host, sql, address)
    await host.goto(f"/booking/{number}")
    await reschedule_link(host).click()
    await wait_for_live_slot(host, to)
    await slot(host, to).click()
    await button(host, "Reschedule").click()
    await host.wait_for_url(f"**/booking/{number}*")
    await expect(status_message(host)).to_contain_text("This booking has been rescheduled")
    await expect(status_message(customer)).to_contain_text("Your booking has been rescheduled")
    await button(host, "Confirm").click()
    await expect_status(host, "confirmed")
    past = datetime.now(UTC) - 2 * HOUR
    sql.execute(
        "UPDATE booking SET starts_at = %(at)s, ends_at = %(end)s, busy = tstzrange(%(at)s, %(end)s) WHERE id = %(id)s",
        {"at": past, "end": past + HOUR, "id": number},
    )
    await button(host, "Mark as no-show").wait_for()
    await button(host, "Mark as completed").click()
    await expect_status(host, "completed")
    await expect_status(customer, "completed")


async def test_host_can_no_longer_cancel_once_the_session_has_ended(
    visit: Visit, new_expert: NewExpert, sql: Connection
) -> None:
    omar = await new_expert()
    address = f"{omar.slug}.omar@example.com"
    sql.execute("UPDATE expert SET email = %s, email_key = %s WHERE id = %s", [address, address, omar.id])
    number = insert_booking(sql, omar.id, datetime.now(UTC) - HOUR + timedelta(seconds=6), status="confirmed")
    host = await visit()
    await sign_in(host, sql, address)
    await host.goto(f"/booking/{number}")
    await mark_loaded(host)
    # The question is open and the reason is being typed when the session ends.
    await button(host, "Cancel booking").click()
    await host.get_by_label("Reason").fill("Because")
    await button(host, "Mark as completed").wait_for()
    for gone in (button(host, "Cancel booking"), button(host, "Yes, cancel booking"), reschedule_link(host)):
        await expect(gone).to_have_count(0)
    await expect_not_reloaded(host)
    assert row(sql, str(number))[1] == "confirmed"


# --- calendars --------------------------------------------------------------------------------------------------------


async def test_feed_address_is_shown_on_request_replaced_and_removed(
    visit: Visit, jana: Expert, sql: Connection, email: str
) -> None:
    await book_on_page(await visit(), jana.slug, in_days(3), email=email)
    page = await visit()
    await sign_in(page, sql, email)
    box = page.get_by_role("region", name="My bookings")
    address = box.get_by_role("textbox")
    await box.get_by_role("button", name="Subscribe").click()
    await expect(address).to_have_value(re.compile(r"/feeds/.+\.ics$"))
    first = await address.input_value()
    assert await box.get_by_role("link").get_attribute("href") == re.sub("^https?", "webcal", first)
    await box.get_by_role("button", name="New address").click()
    await box.get_by_role("button", name="Yes, create a new address").click()
    await expect(box.get_by_text("The old one no longer works")).to_be_visible()
    second = await address.input_value()
    assert second != first
    await box.get_by_role("button", name="Turn off").click()
    await box.get_by_role("button", name="Yes, turn it off").click()
    await expect(box.get_by_role("button", name="Subscribe")).to_be_focused()
    found = sql.execute("SELECT count(*) FROM feed WHERE customer_key = %s", [email]).fetchone()
    assert found == (0,)


# --- accessibility ----------------------------------------------------------------------------------------------------


async def test_signing_in_and_out_works_with_the_keyboard_alone(visit: Visit, sql: Connection, email: str) -> None:
    page = await visit("/sign-in")
    await page.get_by_label("Email", exact=True).focus()
    await page.keyboard.type(email)
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Code")).to_be_focused()
    await page.keyboard.type(KEYS.code(latest_request(sql, email)))
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/my-bookings")
    for _ in range(30):
        await page.keyboard.press("Tab")
        if await page.locator("summary").evaluate("(one) => one === document.activeElement"):
            break
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    await expect(button(page, "Yes, sign out everywhere")).to_be_focused()
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Email", exact=True)).to_be_visible()
    assert proofs(sql, email) == 0


@pytest.mark.parametrize("width", [390, 1280])
async def test_sign_in_and_console_pages_are_accessible(
    visit: Visit, new_expert: NewExpert, sql: Connection, excuse: Excuse, width: int
) -> None:
    excuse("status of 404")
    omar = await new_expert(name="Omar " + 12 * "Longname")
    address = f"{omar.slug}.{'long' * 12}@example.com"
    sql.execute("UPDATE expert SET email = %s, email_key = %s WHERE id = %s", [address, address, omar.id])
    viewport = {"width": width, "height": 900}
    customer, page = await visit(viewport=viewport), await visit(viewport=viewport)
    number = await book_on_page(customer, omar.slug, in_days(3), name="Ada " + 12 * "Longname", email=f"x.{address}")
    await book_on_page(customer, omar.slug, in_days(4), email=address)
    await expect_readable(customer, f"/booking/{number}")
    await expect_readable(customer, "/my-bookings")
    await expect_readable(page, "/sign-in")
    await request_email(page, address)
    await expect_readable(page)
    await expect_readable(page, link_for(sql, address))
    await expect_readable(page, "/sign-in/nothing")
    await sign_in(page, sql, address)
    await page.get_by_role("button", name="Subscribe").first.click()
    await page.get_by_text("Sign out everywhere", exact=True).click()
    await page.get_by_role("button", name="Turn off").click()
    await expect_readable(page)
    await expect_readable(page, f"/booking/{number}")
    await button(page, "Decline").click()
    await expect_readable(page)


async def expect_readable(page: Page, address: str = "") -> None:
    """Expect no accessibility problems, enough contrast, and nothing wider than the window."""
    if address:
        await page.goto(address)
    if await page.locator("html.plain").count() == 0:
        await wait_until_connected(page)
    assert await page.evaluate(AUDIT) == [], page.url
    wide, window = await page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide <= window, page.url
    for theme in ("dark", "light"):
        await page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        await expect(page.locator("html")).to_have_attribute("data-theme", theme)
        assert (await page.evaluate(CONTRAST))["weak"] == [], page.url


async def test_closed_pages_of_a_signed_in_visitor_leave_nothing_behind(
    watched: WatchedServer, visit: Visit, jana: Expert, sql: Connection, email: str
) -> None:
    page = await visit(at=watched.url)
    number = await book_on_page(page, jana.slug, in_days(3), email=email)
    await sign_in(page, sql, email)
    await wait_until_connected(page)
    await page.get_by_role("button", name="Subscribe").click()
    await page.get_by_role("textbox", name="Address").wait_for()
    alive = watched.resource_counts()
    assert alive["subscribers"] >= 2
    sql.execute("UPDATE booking SET status = 'confirmed' WHERE id = %s", [number])
    await page.close()
    await wait_until(lambda: set(watched.resource_counts().values()) == {0}, f"nothing left of {alive}")
