"""Signing in without an account: what a mail holds proves the address, here and now, and until one signs out."""

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
    AT_ONCE,
    HOUR,
    Connection,
    book_button,
    book_on,
    connected,
    fill_in,
    holds,
    in_days,
    iso,
    says,
    slot,
    until,
    watches,
)
from tests.browser.test_accessible import AUDIT, CONTRAST
from tests.browser.test_manage import button, news, row, shows, stayed, stays, to_reschedule
from tests.server import SECRET_KEY, ServerProcess

KEYS = SignedKeys(SECRET_KEY)
SAID = "If this address is known here, a mail with a link and a code is on its way to"


@pytest.fixture(autouse=True)
def patience(sql: Connection) -> None:
    """All tests ask from one network; what earlier ones have asked for is long ago."""
    sql.execute("UPDATE access_request SET created_at = created_at - interval '2 hours'")


@pytest.fixture
def email(jana: Expert) -> str:
    """An address that no other test knows."""
    return f"{jana.slug}.ada@example.com"


def link_for(sql: Connection, email: str, next_path: str = "", *, minutes: int = 15) -> str:
    """The path of a link to prove this address, as a mail has it."""
    now = datetime.now(UTC)
    found = sql.execute(
        "INSERT INTO access_request (email, customer_key, next_path, created_at, expires_at)"
        " VALUES (%s, lower(%s), %s, %s, %s) RETURNING id",
        [email, email, next_path, now, now + timedelta(minutes=minutes)],
    ).fetchone()
    assert found is not None
    return f"/sign-in/{KEYS.link(found[0])}"


def asked(sql: Connection, email: str) -> UUID:
    """The last request for this address."""
    found = sql.execute(
        "SELECT id FROM access_request WHERE email = %s ORDER BY created_at DESC LIMIT 1", [email]
    ).fetchone()
    assert found is not None
    return UUID(str(found[0]))


def proofs(sql: Connection, email: str) -> int:
    """How many browsers prove this address."""
    found = sql.execute("SELECT count(*) FROM access_proof WHERE email = %s", [email]).fetchone()
    assert found is not None
    return int(found[0])


def mail_is(sql: Connection, number: str, **columns: Any) -> None:
    """Write down the fate of the mails about a booking, as the outbox does."""
    for column, value in columns.items():
        sql.execute(f"UPDATE message SET {column} = %s WHERE booking_id = %s", [value, number])
    sql.execute("SELECT pg_notify('expert_booking_mail', %s)", [number])


async def ask(page: Page, email: str) -> None:
    """Have a mail sent there."""
    await page.get_by_label("E-mail").fill(email)
    await button(page, "Send me a mail").click()
    await expect(page.get_by_label("Code")).to_be_focused()


async def signed_in(page: Page, sql: Connection, email: str, next_path: str = "") -> None:
    """Sign this browser in, by a link."""
    await page.goto(link_for(sql, email, next_path))
    await button(page, "Sign in").click()
    await page.wait_for_url(f"**{next_path or '/my-bookings'}")


def whose(page: Page) -> Any:
    """Where the page says who has signed in."""
    return page.locator("[data-signed-in]")


def card(page: Page, number: str) -> Any:
    """A booking in the list."""
    return page.locator(f'li[data-booking="{number}"]')


# --- by code and by link ----------------------------------------------------------------------------------------------


async def test_a_code_shows_the_bookings_of_an_address_wherever_they_were_made(
    visit: Visit, jana: Expert, sql: Connection, email: str
) -> None:
    elsewhere, page = await visit(), await visit("/my-bookings")
    number = await book_on(elsewhere, jana.slug, in_days(3), email=email)
    await expect(page.get_by_text("Nothing booked here yet")).to_be_visible()
    await ask(page, email.upper().replace("@EXAMPLE.COM", "@example.com"))
    await expect(page.get_by_text(SAID)).to_be_visible()
    code = KEYS.code(asked(sql, email.upper().replace("@EXAMPLE.COM", "@example.com")))
    await page.reload()  # whoever comes back from the mail finds the field again
    await page.get_by_label("Code").fill(f"{code[:3]} {code[3:]}")
    await page.keyboard.press("Enter")
    await expect(whose(page)).to_contain_text("Signed in as")
    await expect(card(page, number)).to_be_visible()
    await page.goto(f"/booking/{number}")
    await shows(page, "pending")


async def test_a_code_of_letters_and_digits_is_taken_however_it_is_typed(
    visit: Visit, sql: Connection, email: str
) -> None:
    page = await visit("/sign-in")
    await ask(page, email)
    await button(page, "Other address").click()
    await ask(page, email)
    code = KEYS.long_code(asked(sql, email)).lower()
    await page.get_by_label("Code").fill(f" {code[:4]}-{code[4:]} ")
    await page.keyboard.press("Enter")
    await expect(whose(page)).to_contain_text(email)


async def test_a_form_keeps_its_time_while_its_browser_signs_in_and_out_in_another_tab(
    visit: Visit, jana: Expert, sql: Connection, email: str
) -> None:
    form = await visit(f"/book/{jana.slug}?at={iso(in_days(3))}")
    await holds(form)
    await fill_in(form, **ADA)
    held = "SELECT id, visitor FROM booking WHERE status = 'held' AND expert_id = %s"
    before = sql.execute(held, [jana.id]).fetchone()
    other = await form.context.new_page()
    for change in (lambda: signed_in(other, sql, email), lambda: button(other, "Sign out").click()):
        await stays(form)
        await change()
        # The form is loaded again, by the cookie as it is now, with what was typed.
        await form.wait_for_function("!window.stayed")
        await holds(form)
        await says(form, **ADA)
        now = sql.execute(held, [jana.id]).fetchone()
        assert before is not None
        assert now is not None
        assert now[0] == before[0]
        assert now[1] != before[1]
        before = now
    await book_button(form).click()
    await form.wait_for_url("**/booking/*")
    await shows(form, "pending")


async def test_an_address_that_nobody_knows_is_answered_with_the_same_words(
    visit: Visit, jana: Expert, sql: Connection, email: str
) -> None:
    await book_on(await visit(), jana.slug, in_days(3), email=email)
    said = []
    for address in (email, "nobody.at.all@example.com"):
        page = await visit("/sign-in")
        await ask(page, address)
        said.append((await page.locator(".sign-in").inner_text()).replace(address, "…"))
        asked(sql, address)  # fails where there is no request
    assert re.sub(r"in \d+ s", "in … s", said[0]) == re.sub(r"in \d+ s", "in … s", said[1])


async def test_what_is_no_address_is_answered_beside_the_field_and_stays_there(visit: Visit, excuse: Excuse) -> None:
    excuse("status of 422")
    page = await visit("/my-bookings")
    for typed, said in (("", "Please fill this in"), ("ada at example", "name@example.com")):
        await page.get_by_label("E-mail").fill(typed)
        await page.keyboard.press("Enter")
        await expect(page.locator("#email-error")).to_contain_text(said)
        await expect(page.get_by_label("E-mail")).to_have_value(typed)
        await expect(page.get_by_label("E-mail")).to_be_focused()


async def test_after_five_wrong_codes_only_the_link_still_works(
    visit: Visit, sql: Connection, email: str, excuse: Excuse
) -> None:
    excuse("status of 4")
    page = await visit("/sign-in")
    await ask(page, email)
    number = asked(sql, email)
    wrong = f"{(int(KEYS.code(number)) + 1) % 1_000_000:06}"
    for left in (4, 3, 2, 1):
        await page.get_by_label("Code").fill(wrong)
        await page.keyboard.press("Enter")
        await expect(page.locator("#code-error")).to_contain_text(f"You can try {left} more time")
    for code in (wrong, KEYS.code(number)):
        await page.get_by_label("Code").fill(code)
        await page.keyboard.press("Enter")
        await expect(page.locator("#code-error")).to_contain_text("too many wrong codes")
    assert proofs(sql, email) == 0
    await page.goto(f"/sign-in/{KEYS.link(number)}")
    await button(page, "Sign in").click()
    await expect(whose(page)).to_contain_text(email)


async def test_a_code_counts_only_in_the_browser_that_asked(
    visit: Visit, sql: Connection, email: str, rest: httpx.AsyncClient
) -> None:
    page = await visit("/sign-in")
    await ask(page, email)
    number = asked(sql, email)
    answer = await rest.post("/sign-in/code", json={"id": str(number), "code": KEYS.code(number)})
    assert (answer.status_code, answer.json()["code"]) == (404, "link_not_valid")
    assert proofs(sql, email) == 0


async def test_asking_too_often_is_said_and_another_address_can_be_given(
    visit: Visit, sql: Connection, email: str, excuse: Excuse
) -> None:
    excuse("status of 429")
    page = await visit("/sign-in")
    for _ in range(5):
        await ask(page, email)
        await button(page, "Other address").click()
    await page.get_by_label("E-mail").fill(email)
    await page.keyboard.press("Enter")
    await expect(page.locator("#email-error")).to_contain_text("many requests already")
    await ask(page, f"other.{email}")


async def test_a_link_opened_in_another_browser_signs_that_one_in_and_leads_to_where_it_was_asked_for(
    visit: Visit, jana: Expert, sql: Connection, email: str, excuse: Excuse
) -> None:
    excuse("status of 404")
    number = await book_on(await visit(), jana.slug, in_days(3), email=email)
    asking = await visit(f"/booking/{number}")
    await asking.get_by_role("link", name="Sign in").click()
    await ask(asking, email)
    other = await visit(f"/sign-in/{KEYS.link(asked(sql, email))}")
    await expect(other.get_by_role("heading", level=1)).to_contain_text(email)
    await button(other, "Sign in").click()
    await other.wait_for_url(f"**/booking/{number}")
    await shows(other, "pending")


async def test_the_page_of_a_link_needs_no_script(visit: Visit, sql: Connection, email: str) -> None:
    page = await visit(link_for(sql, email), java_script_enabled=False)
    await button(page, "Sign in").click()
    await page.wait_for_url("**/my-bookings")
    assert proofs(sql, email) == 1


async def test_whoever_only_looks_at_a_link_spends_nothing(
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
    await expect(whose(page)).to_contain_text(email)


@pytest.mark.parametrize("why", ["used", "over", "invented"])
async def test_a_link_that_counts_no_more_says_so_and_another_can_be_asked_for(
    visit: Visit, sql: Connection, email: str, excuse: Excuse, why: str
) -> None:
    excuse("status of 404")
    link = link_for(sql, email, minutes=-1 if why == "over" else 15)
    if why == "used":
        await signed_in(await visit(), sql, email)
        await (other := await visit(link)).locator(".sign-in").get_by_role("button").click()
        await expect(whose(other)).to_be_visible()
    page = await visit()
    answer = await page.goto(link[:-1] + ("A" if link[-1] != "A" else "B") if why == "invented" else link)
    assert answer is not None
    assert answer.status == 404
    await expect(page.locator('[data-refusal="link_not_valid"]')).to_be_visible()
    await ask(page, email)


async def test_a_link_that_is_used_while_its_page_is_open_is_refused_politely(
    visit: Visit, sql: Connection, email: str
) -> None:
    link = link_for(sql, email)
    late = await visit(link)
    first = await visit(link)
    await button(first, "Sign in").click()
    await expect(whose(first)).to_be_visible()
    await button(late, "Sign in").click()
    await expect(late.locator('[data-refusal="link_not_valid"]')).to_be_visible()
    assert proofs(sql, email) == 1


@pytest.mark.parametrize(
    "next_path", ["//evil.example", "/\\evil.example", "https://evil.example/", "javascript:hit()"]
)
async def test_signing_in_never_leads_out_of_the_house(
    visit: Visit, sql: Connection, email: str, next_path: str
) -> None:
    page = await visit(f"/sign-in?next={next_path}")
    await ask(page, email)
    await page.get_by_label("Code").fill(KEYS.code(asked(sql, email)))
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/my-bookings")
    await expect(whose(page)).to_contain_text(email)


def test_a_page_that_a_program_names_leads_out_of_the_house_no_more_than_others(
    server: ServerProcess, sql: Connection, email: str
) -> None:
    for sent, leads_to in (("//evil.example", "/my-bookings"), ("/booking/1", "/booking/1")):
        asking = httpx.post(f"{server.url}/sign-in/ask", json={"email": email, "nextPath": sent})
        link = KEYS.link(UUID(asking.json()["id"]))
        assert httpx.post(f"{server.url}/sign-in/link", data={"link": link}).headers["location"] == leads_to


# --- what is sent -----------------------------------------------------------------------------------------------------


def test_forms_of_other_sites_are_refused(server: ServerProcess, sql: Connection, email: str) -> None:
    link = link_for(sql, email).rpartition("/")[2]
    for said in (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Origin": server.url},
    ):
        asking = httpx.post(f"{server.url}/sign-in/ask", json={"email": email}, headers=said)
        assert (asking.status_code, asking.json()["code"]) == (403, "forbidden"), said
        form = httpx.post(f"{server.url}/sign-in/link", data={"link": link}, headers=said)
        assert (form.status_code, form.headers["location"]) == (303, "/sign-in")
    assert proofs(sql, email) == 0
    assert httpx.post(f"{server.url}/sign-in/link", data={"link": link}, headers={"Origin": server.url}).is_redirect
    assert proofs(sql, email) == 1


def test_odd_bodies_are_answered_and_never_break_anything(server: ServerProcess) -> None:
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


def test_the_cookie_is_kept_from_scripts_other_sites_and_plain_http(
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


def test_pages_of_people_are_kept_from_search_engines(server: ServerProcess) -> None:
    hidden = httpx.get(f"{server.url}/robots.txt").text
    for path in ("/sign-in", "/my-bookings", "/booking/", "/mailbox"):
        assert f"Disallow: {path}\n" in hidden


# --- signing out ------------------------------------------------------------------------------------------------------


async def test_signing_out_ends_it_in_this_browser_and_no_other(
    visit: Visit, jana: Expert, sql: Connection, email: str, excuse: Excuse
) -> None:
    excuse("status of 404")
    page, other = await visit(), await visit()
    number = await book_on(other, jana.slug, in_days(3), email=email)
    await book_on(page, jana.slug, in_days(4), email=f"bens.{email}")
    for one in (page, other):
        await signed_in(one, sql, email)
    cookies = await page.context.cookies()
    await button(page, "Sign out").click()
    await expect(page.get_by_label("E-mail")).to_be_visible()
    await expect(page.locator("[data-booking]")).to_have_count(0)  # nor what was booked in this browser
    await page.context.add_cookies([dict(cookie) for cookie in cookies])  # type: ignore[misc]  # an old copy
    answer = await page.goto(f"/booking/{number}")
    assert answer is not None
    assert answer.status == 404
    await other.reload()
    await expect(card(other, number)).to_be_visible()


async def test_signing_out_everywhere_is_asked_once_more_and_ends_open_pages_elsewhere(
    visit: Visit, jana: Expert, sql: Connection, email: str
) -> None:
    number = await book_on(await visit(), jana.slug, in_days(3), email=email)
    page, other = await visit(), await visit()
    for one in (page, other):
        await signed_in(one, sql, email)
    theirs = await other.context.new_page()
    await theirs.goto(f"/booking/{number}")
    moving = await other.context.new_page()
    await moving.goto(f"/booking/{number}/reschedule")
    await watches(moving, in_days(4))
    await slot(moving, in_days(4)).click()
    await button(theirs, "Cancel booking").click()
    for one in (other, theirs, moving):
        await stays(one)
    await page.get_by_text("Sign out everywhere", exact=True).click()
    await expect(page.get_by_text("This ends it in every browser")).to_be_visible()
    assert proofs(sql, email) == 2
    await button(page, "Yes, sign out everywhere").click()
    await expect(page.get_by_label("E-mail")).to_be_visible()
    assert proofs(sql, email) == 0
    # The browser that booked is forgotten, too: that is news, and pages that are still open show nothing any more.
    for one in (theirs, moving):
        await expect(one.locator('[data-refusal="booking_not_found"]')).to_be_visible()
    assert row(sql, number) == (in_days(3), "pending", 0)
    await expect(other.get_by_label("E-mail")).to_be_visible()
    await expect(other.locator("[data-booking]")).to_have_count(0)
    for one in (other, theirs, moving):
        assert email not in await one.locator("#main").inner_text()
        await stayed(one)


async def test_what_was_proven_and_is_no_more_changes_nothing_on_pages_that_have_not_heard_of_it(
    visit: Visit, jana: Expert, sql: Connection, email: str
) -> None:
    number = await book_on(await visit(), jana.slug, in_days(3), email=email)
    page = await visit()
    await signed_in(page, sql, email)
    await page.goto(f"/booking/{number}")
    moving = await page.context.new_page()
    await moving.goto(f"/booking/{number}/reschedule")
    await watches(moving, in_days(4))
    await slot(moving, in_days(4)).click()
    await button(page, "Cancel booking").click()
    sql.execute("DELETE FROM access_proof WHERE email = %s", [email])
    await button(page, "Yes, cancel it").click()
    await expect(page.locator('[data-refusal="booking_not_found"]')).to_be_visible()
    await button(moving, "Move it").click()
    await expect(moving.locator('[data-refusal="booking_not_found"]')).to_be_visible()
    assert row(sql, number) == (in_days(3), "pending", 0)


# --- what else opens a booking ----------------------------------------------------------------------------------------


async def test_the_link_in_a_mail_opens_its_booking_in_another_browser_to_move_and_to_cancel_it(
    visit: Visit, jana: Expert, sql: Connection, email: str, rest: httpx.AsyncClient
) -> None:
    at, to = in_days(3), in_days(4, 14)
    mine = await visit()
    number = await book_on(mine, jana.slug, at, email=email)
    await stays(mine)
    key = KEYS.booking(UUID(number))
    page = await visit(f"/booking/{number}?key={key}")
    await to_reschedule(page).click()
    await watches(page, to)
    await page.reload()
    await watches(page, to)
    await slot(page, to).click()
    await button(page, "Move it").click()
    await page.wait_for_url(f"**/booking/{number}*")
    await expect(news(page)).to_contain_text("has been moved")
    await expect(page).to_have_url(re.compile(rf"/booking/{number}\?key={key}$"))
    await expect(news(mine)).to_contain_text("has been moved")
    file = await page.get_by_role("link", name="Calendar file").get_attribute("href")
    answer = await rest.get(str(file))
    assert answer.headers["content-type"].startswith("text/calendar")
    assert "attachment" in answer.headers["content-disposition"]
    assert f"DTSTART:{to.astimezone(UTC):%Y%m%dT%H%M%SZ}" in answer.text
    await page.reload()
    await button(page, "Cancel booking").click()
    await button(page, "Yes, cancel it").click()
    await shows(page, "cancelled")
    await shows(mine, "cancelled")
    await stayed(mine)
    await expect(page.get_by_role("heading", name="Add to calendar")).to_have_count(0)


async def test_a_link_that_was_shared_by_mistake_is_ended_and_a_new_one_is_sent(
    visit: Visit, jana: Expert, sql: Connection, email: str, excuse: Excuse
) -> None:
    excuse("status of 404")
    mine = await visit()
    number = await book_on(mine, jana.slug, in_days(3), email=email)
    await stays(mine)
    key = KEYS.booking(UUID(number))
    theirs, page = await visit(f"/booking/{number}?key={key}"), await visit(f"/booking/{number}?key={key}")
    for one in (theirs, page):
        await connected(one)
    await button(page, "This link was shared by mistake").click()
    await expect(page.get_by_role("heading", name="End all links")).to_be_focused()
    await button(page, "Keep the links").click()
    await expect(button(page, "This link was shared by mistake")).to_be_focused()
    await button(page, "This link was shared by mistake").click()
    await button(page, "Yes, send a new link").click()
    # Who came by the link alone is out, and is told where the new one is.
    await expect(page.locator('[data-refusal="link_ended"]')).to_contain_text(f"sent a new link to {email}")
    await expect(theirs.locator('[data-refusal="booking_not_found"]')).to_be_visible()
    assert email not in await theirs.locator("#main").inner_text()
    answer = await page.goto(f"/booking/{number}?key={key}")
    assert answer is not None
    assert answer.status == 404
    await page.goto(f"/booking/{number}?key={KEYS.booking(UUID(number), 2)}")
    await shows(page, "pending")
    # The browser that booked stays, and may do the same.
    await stayed(mine)
    await button(mine, "This link was shared by mistake").click()
    await button(mine, "Yes, send a new link").click()
    await expect(news(mine)).to_contain_text(f"We've sent a new one to {email}")
    await expect(page.locator('[data-refusal="booking_not_found"]')).to_be_visible()
    await shows(mine, "pending")
    await stayed(mine)
    sent = sql.execute("SELECT kind, audience FROM message WHERE booking_id = %s ORDER BY id", [number]).fetchall()
    assert sent[-2:] == [("new_link", "customer")] * 2


async def test_nobody_else_sees_a_booking_or_learns_that_there_is_one(
    visit: Visit, jana: Expert, sql: Connection, email: str, rest: httpx.AsyncClient, excuse: Excuse
) -> None:
    excuse("status of 404")
    mine = await visit()
    number = await book_on(mine, jana.slug, in_days(3), email=email)
    second = await book_on(mine, jana.slug, in_days(4), email=email)
    page = await visit()
    await signed_in(page, sql, f"eve.{email}")
    unknown = str(UUID(int=UUID(number).int ^ 1))
    told = []
    for one in (number, unknown):
        for path in ("", "/reschedule", f"?key={KEYS.booking(UUID(second))}", f"/reschedule?key={number}"):
            answer = await page.goto(f"/booking/{one}{path}")
            assert answer is not None
            assert answer.status == 404
            await expect(page.locator('[data-refusal="booking_not_found"]')).to_be_visible()
            told.append((await page.locator("#main").inner_text(), path))
            assert (await page.locator("#main a").get_attribute("href")) == f"/sign-in?next=/booking/{one}"
        assert (await rest.get(f"/booking/{one}/calendar.ics")).status_code == 404
    assert told[:4] == told[4:]


async def test_links_to_calendars_on_the_web_carry_no_key(visit: Visit, jana: Expert, email: str) -> None:
    page = await visit()
    number = await book_on(page, jana.slug, in_days(3), email=email)
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


async def test_what_becomes_of_the_mail_is_said_while_the_customer_looks(
    visit: Visit, jana: Expert, sql: Connection, email: str
) -> None:
    page = await visit()
    number = await book_on(page, jana.slug, in_days(3), email=email)
    listed = await page.context.new_page()
    await listed.goto("/my-bookings")
    for one in (page, listed):
        await stays(one)
    await expect(page.locator("[data-mail]")).to_have_text(f"A mail to {email} is on its way.")
    now = datetime.now(UTC)
    for state, said, columns in (
        ("sent", f"was sent to {email}", {"sent_at": now}),
        ("failed", "could not be delivered", {"sent_at": None, "failed_at": now}),
    ):
        mail_is(sql, number, **columns)
        await expect(page.locator(f'[data-mail="{state}"]')).to_contain_text(said, timeout=2 * AT_ONCE)
        await expect(listed.locator(f'[data-mail="{state}"]')).to_be_visible(timeout=2 * AT_ONCE)
    for one in (page, listed):
        await stayed(one)


async def test_a_booking_made_elsewhere_is_found_when_one_comes_back_to_the_list(
    visit: Visit, jana: Expert, sql: Connection, email: str
) -> None:
    page = await visit()
    await signed_in(page, sql, email)
    await stays(page)
    number = await book_on(await visit(), jana.slug, in_days(3), email=email)
    await page.evaluate("dispatchEvent(new Event('focus'))")
    await expect(card(page, number)).to_be_visible()
    # From now on the expert is followed, and so is what is booked with them.
    second = await book_on(await visit(), jana.slug, in_days(4), email=email)
    await expect(card(page, second)).to_be_visible()
    await stayed(page)


async def test_an_expert_signs_in_sees_requests_as_they_come_and_answers_them_while_customers_look(
    visit: Visit, new_expert: NewExpert, sql: Connection
) -> None:
    omar = await new_expert()
    address = f"{omar.slug}.omar@example.com"
    sql.execute("UPDATE expert SET email = %s, email_key = %s WHERE id = %s", [address, address, omar.id])
    host, customer = await visit(), await visit()
    await signed_in(host, sql, address)
    await expect(host.get_by_text("Nothing is booked with you")).to_be_visible()
    await stays(host)
    first = await book_on(customer, omar.slug, in_days(3), name="Grace Hopper")
    await stays(customer)
    await expect(host.get_by_role("heading", name="Requests to answer")).to_be_visible()
    await expect(card(host, first)).to_contain_text("Grace Hopper")
    await stayed(host)
    await card(host, first).get_by_role("link").click()
    await expect(host.get_by_role("heading", level=1)).to_have_text("A request for your time")
    await expect(button(host, "Completed")).to_have_count(0)
    await button(host, "Confirm").click()
    await shows(host, "confirmed")
    await shows(customer, "confirmed")
    await stayed(customer)

    second = await book_on(customer, omar.slug, in_days(4))
    await host.goto(f"/booking/{second}")
    await button(host, "Decline").click()
    await host.get_by_label("Reason").fill("I am away.")
    await button(host, "Yes, decline it").click()
    await shows(host, "declined")
    await shows(customer, "declined")
    changes = sql.execute(
        "SELECT actor, to_status, reason FROM booking_change WHERE booking_id = ANY(%s) AND actor <> 'customer'"
        " ORDER BY id",
        [[UUID(first), UUID(second)]],
    ).fetchall()
    assert changes == [("expert", "confirmed", ""), ("expert", "declined", "I am away.")]


async def test_a_host_moves_a_booking_and_says_afterwards_what_became_of_it(
    visit: Visit, new_expert: NewExpert, sql: Connection
) -> None:
    omar = await new_expert(reschedule_notice_minutes=60 * 24 * 14)
    address = f"{omar.slug}.omar@example.com"
    sql.execute("UPDATE expert SET email = %s, email_key = %s WHERE id = %s", [address, address, omar.id])
    customer, host, to = await visit(), await visit(), in_days(4)
    number = await book_on(customer, omar.slug, in_days(3))
    await signed_in(host, sql, address)
    await host.goto(f"/booking/{number}")
    await to_reschedule(host).click()
    await watches(host, to)
    await slot(host, to).click()
    await button(host, "Move it").click()
    await host.wait_for_url(f"**/booking/{number}*")
    await expect(news(host)).to_contain_text("This booking has been moved")
    await expect(news(customer)).to_contain_text("Your booking has been moved")
    await button(host, "Confirm").click()
    await shows(host, "confirmed")
    past = datetime.now(UTC) - 2 * HOUR
    sql.execute(
        "UPDATE booking SET starts_at = %(at)s, ends_at = %(end)s, busy = tstzrange(%(at)s, %(end)s) WHERE id = %(id)s",
        {"at": past, "end": past + HOUR, "id": number},
    )
    await button(host, "No-show").wait_for()
    await button(host, "Completed").click()
    await shows(host, "completed")
    await shows(customer, "completed")


# --- calendars --------------------------------------------------------------------------------------------------------


async def test_the_address_of_a_calendar_is_shown_when_asked_for_replaced_and_given_up(
    visit: Visit, jana: Expert, sql: Connection, email: str
) -> None:
    await book_on(await visit(), jana.slug, in_days(3), email=email)
    page = await visit()
    await signed_in(page, sql, email)
    box = page.get_by_role("region", name="My bookings")
    address = box.get_by_role("textbox")
    await box.get_by_role("button", name="Subscribe").click()
    await expect(address).to_have_value(re.compile(r"/feeds/.+\.ics$"))
    first = await address.input_value()
    assert await box.get_by_role("link").get_attribute("href") == re.sub("^https?", "webcal", first)
    await box.get_by_role("button", name="New address").click()
    await box.get_by_role("button", name="Yes, a new address").click()
    await expect(box.get_by_text("The old one has ended")).to_be_visible()
    second = await address.input_value()
    assert second != first
    await box.get_by_role("button", name="Stop").click()
    await box.get_by_role("button", name="Yes, stop it").click()
    await expect(box.get_by_role("button", name="Subscribe")).to_be_focused()
    found = sql.execute("SELECT count(*) FROM feed WHERE customer_key = %s", [email]).fetchone()
    assert found == (0,)


# --- for everybody ----------------------------------------------------------------------------------------------------


async def test_signing_in_works_with_the_keyboard_alone(visit: Visit, sql: Connection, email: str) -> None:
    page = await visit("/sign-in")
    await page.get_by_label("E-mail").focus()
    await page.keyboard.type(email)
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Code")).to_be_focused()
    await page.keyboard.type(KEYS.code(asked(sql, email)))
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
    await expect(page.get_by_label("E-mail")).to_be_visible()
    assert proofs(sql, email) == 0


@pytest.mark.parametrize("width", [390, 1280])
async def test_all_its_pages_can_be_read_by_everybody(
    visit: Visit, new_expert: NewExpert, sql: Connection, excuse: Excuse, width: int
) -> None:
    excuse("status of 404")
    omar = await new_expert(name="Omar " + 12 * "Longname")
    address = f"{omar.slug}.{'long' * 12}@example.com"
    sql.execute("UPDATE expert SET email = %s, email_key = %s WHERE id = %s", [address, address, omar.id])
    viewport = {"width": width, "height": 900}
    customer, page = await visit(viewport=viewport), await visit(viewport=viewport)
    number = await book_on(customer, omar.slug, in_days(3), name="Ada " + 12 * "Longname", email=f"x.{address}")
    await book_on(customer, omar.slug, in_days(4), email=address)
    await readable(customer, f"/booking/{number}")
    await readable(customer, "/my-bookings")
    await readable(page, "/sign-in")
    await ask(page, address)
    await readable(page)
    await readable(page, link_for(sql, address))
    await readable(page, "/sign-in/nothing")
    await signed_in(page, sql, address)
    await page.get_by_role("button", name="Subscribe").first.click()
    await page.get_by_text("Sign out everywhere", exact=True).click()
    await page.get_by_role("button", name="Stop").click()
    await readable(page)
    await readable(page, f"/booking/{number}")
    await button(page, "Decline").click()
    await readable(page)


async def readable(page: Page, address: str = "") -> None:
    """Expect names, headings and contrast as they should be, and nothing that is wider than the window."""
    if address:
        await page.goto(address)
    if await page.locator("html.plain").count() == 0:
        await connected(page)
    assert await page.evaluate(AUDIT) == [], page.url
    wide, window = await page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert wide <= window, page.url
    for theme in ("dark", "light"):
        await page.emulate_media(color_scheme=theme, reduced_motion="reduce")
        await expect(page.locator("html")).to_have_attribute("data-theme", theme)
        assert (await page.evaluate(CONTRAST))["weak"] == [], page.url


async def test_closed_pages_of_who_has_signed_in_leave_nothing_behind(
    watched: WatchedServer, visit: Visit, jana: Expert, sql: Connection, email: str
) -> None:
    page = await visit(at=watched.url)
    number = await book_on(page, jana.slug, in_days(3), email=email)
    await signed_in(page, sql, email)
    await connected(page)
    await page.get_by_role("button", name="Subscribe").click()
    await page.get_by_role("textbox", name="Address").wait_for()
    alive = watched.resource_counts()
    assert alive["subscribers"] >= 2
    sql.execute("UPDATE booking SET status = 'confirmed' WHERE id = %s", [number])
    await page.close()
    await until(lambda: set(watched.resource_counts().values()) == {0}, f"nothing left of {alive}")
