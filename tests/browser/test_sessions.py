"""Experts with several session types: the visitor chooses one, and the URL, board and form follow."""

import re
from uuid import UUID

import httpx
import pytest
from playwright.async_api import Locator, Page, expect

from expert_booking.schemas import SessionTypeRequest
from expert_booking.services import Services
from tests.browser.conftest import Excuse, Expert, NewExpert, Visit
from tests.browser.pages import (
    ADA,
    HOUR,
    LIVE_UPDATE_MS,
    Connection,
    book_button,
    book_on_page,
    booking_id,
    expect_form,
    expect_held,
    expect_slot,
    fill_in,
    in_days,
    insert_booking,
    iso,
    slot,
    wait_for_live_slot,
    wait_until_connected,
)
from tests.conftest import booking_request

HALF = HOUR / 2
SHORT, LONG, WHOLE = "First talk", "Consultation", "Deep dive"


@pytest.fixture
async def omar(new_expert: NewExpert) -> Expert:
    """An expert with three session types, nine to five: 30 minutes every half hour, 60 every hour, 90 once a day."""
    kinds = [
        SessionTypeRequest(title=SHORT, description="To get to know each other.", minutes=30, step_minutes=30,
                           notice_minutes=0),
        SessionTypeRequest(title=LONG, description="With a plan for two weeks.", minutes=60, notice_minutes=0),
        SessionTypeRequest(title=WHOLE, minutes=90, step_minutes=60, notice_minutes=0, daily_cap=1),
    ]  # fmt: skip
    return await new_expert(session_types=kinds)


@pytest.fixture
async def ids(services: Services, omar: Expert) -> dict[str, UUID]:
    """The ids of the session types, by title."""
    return {one.title: one.id for one in (await services.experts.profile(omar.slug)).session_types}


def session_link(page: Page, session: UUID) -> Locator:
    """Return the link that selects a session type."""
    return page.locator(f'[data-session-type="{session}"]')


async def expect_selected(page: Page, session: UUID) -> None:
    """Expect that only this session type is selected."""
    await expect(session_link(page, session)).to_have_attribute("aria-current", "true")
    await expect(page.locator("[data-session-type][aria-current]")).to_have_count(1)
    await expect(page.locator("[aria-busy=true]")).to_have_count(0)


async def test_session_types_are_listed_and_the_first_is_selected(
    visit: Visit, omar: Expert, ids: dict[str, UUID]
) -> None:
    page = await visit(omar.page)
    await expect(page.locator("[data-session-type]")).to_have_count(3)
    for title, length in ((SHORT, 30), (LONG, 60), (WHOLE, 90)):
        await expect(session_link(page, ids[title])).to_have_accessible_name(f"{title} {length} minutes")
        await expect(session_link(page, ids[title])).to_have_role("link")
    await expect(session_link(page, ids[LONG])).to_have_accessible_description("With a plan for two weeks.")
    await expect(page.get_by_text("30 to 90 minutes")).to_be_visible()
    await expect_selected(page, ids[SHORT])
    await expect_slot(page, in_days(3) + HALF, "open")


async def test_single_session_type_is_shown_without_a_choice(visit: Visit, jana: Expert) -> None:
    page = await visit(jana.page)
    await expect(page.get_by_role("heading", name="Consultation 60 minutes")).to_be_visible()
    await expect(page.get_by_role("heading", name="Choose a session")).to_have_count(0)
    await expect(page.locator("a[data-session-type]")).to_have_count(0)


async def test_selecting_a_session_type_updates_board_and_url_and_keeps_week_and_zone(
    visit: Visit, omar: Expert, ids: dict[str, UUID]
) -> None:
    page, at = await visit(omar.page, zone="Asia/Kathmandu"), in_days(10)
    week = f"{in_days(7, zone='Asia/Kathmandu'):%Y-%m-%d}"
    await wait_until_connected(page)
    await page.evaluate("window.stayed = true")
    await page.get_by_role("button", name="Later week").click()
    await expect_slot(page, at + HALF, "open")
    await session_link(page, ids[LONG]).click()
    await expect(slot(page, at + HALF)).to_have_count(0)
    await expect_slot(page, at, "open")
    await expect_selected(page, ids[LONG])
    await expect(page).to_have_url(re.compile(rf"\?from={week}&session={ids[LONG]}$"))
    board = page.get_by_role("region", name="Choose a time")
    await expect(board).to_contain_text("Consultation, 60 minutes.")
    await expect(board).to_contain_text("(UTC+5:45)")
    await expect(board.get_by_role("status").first).to_have_text("Showing times for Consultation, 60 minutes.")
    assert await page.evaluate("window.stayed")

    shared = await visit(page.url)
    await expect_selected(shared, ids[LONG])
    await expect_slot(shared, at, "open")
    await expect(slot(shared, at + HALF)).to_have_count(0)


async def test_back_and_forward_restore_the_selected_session_type(
    visit: Visit, omar: Expert, ids: dict[str, UUID]
) -> None:
    page, at = await visit(omar.page), in_days(3)
    await wait_for_live_slot(page, at)
    await page.evaluate("window.stayed = true")
    for title in (LONG, WHOLE):
        await session_link(page, ids[title]).click()
        await expect_selected(page, ids[title])
    await page.go_back()
    await expect_selected(page, ids[LONG])
    await page.go_back()
    await expect_selected(page, ids[SHORT])
    await expect(page).to_have_url(re.compile(rf"{omar.page}$"))
    await expect_slot(page, at + HALF, "open")
    await page.go_forward()
    await page.go_forward()
    await expect_selected(page, ids[WHOLE])
    assert await page.evaluate("window.stayed")


async def test_rapid_selection_ends_with_the_last_choice_and_its_events_only(
    visit: Visit, omar: Expert, ids: dict[str, UUID], sql: Connection
) -> None:
    page, other, at = await visit(omar.page), await visit(omar.page), in_days(3)
    await wait_for_live_slot(page, at)
    await wait_for_live_slot(other, at)  # another page keeps events of the first session type coming
    await page.evaluate(
        "(ids) => ids.forEach((id) => document.querySelector(`[data-session-type='${id}']`).click())",
        [str(ids[title]) for title in (LONG, WHOLE, SHORT, LONG, SHORT, WHOLE)],
    )
    await expect_selected(page, ids[WHOLE])
    await page.evaluate("window.heard = []; window.socket.on('slots', (event) => window.heard.push(event.room))")
    insert_session_booking(sql, omar, ids[SHORT], at)
    await expect_slot(page, at, "booked", within=LIVE_UPDATE_MS)
    await expect_slot(other, at, "booked", within=LIVE_UPDATE_MS)
    assert await page.evaluate("window.heard") == [f"slots:{omar.id}:{ids[WHOLE]}"]


async def test_events_of_a_previously_selected_session_type_are_ignored(
    visit: Visit, omar: Expert, ids: dict[str, UUID]
) -> None:
    page, at = await visit(omar.page), in_days(3)
    await wait_for_live_slot(page, at)
    await session_link(page, ids[LONG]).click()
    await expect_selected(page, ids[LONG])
    grid = "[...Array(99).keys()].map(window.getElement).find((part) => part?.requestBoard)"
    tell = (
        f"(event) => {{ event.version = {grid}.version + 1;"
        " window.socket.listeners('slots').forEach((hear) => hear(event)); }"
    )
    for title, state in ((SHORT, "open"), (LONG, "booked")):  # the second proves that the event would have been applied
        room = f"slots:{omar.id}:{ids[title]}"
        await page.evaluate(tell, {"room": room, "changes": [[iso(at), "booked"]]})
        await expect_slot(page, at, state)


async def test_booking_one_session_type_blocks_the_time_on_all_boards(
    visit: Visit, omar: Expert, ids: dict[str, UUID], services: Services
) -> None:
    at = in_days(3)
    short, long, whole = [await visit(f"{omar.page}?session={ids[title]}") for title in (SHORT, LONG, WHOLE)]
    for page in (short, long, whole):
        await wait_for_live_slot(page, at)
    await services.bookings.book(booking_request(omar.id, at, session_type_id=ids[LONG]))
    for page, taken, free in ((short, at + HALF, at + HOUR), (long, at, at + HOUR), (whole, at - HOUR, at + HOUR)):
        await expect_slot(page, taken, "booked", within=LIVE_UPDATE_MS)
        await expect_slot(page, free, "open")


async def test_session_type_in_the_url_that_is_not_offered_falls_back_to_the_first(
    visit: Visit, omar: Expert, ids: dict[str, UUID], sql: Connection, jana: Expert
) -> None:
    sql.execute("UPDATE session_type SET active = false WHERE id = %s", [ids[WHOLE]])
    page, note = await visit(), '[data-refusal="session_type_not_found"]'
    for wrong in ("nonsense", UUID(int=0), ids[WHOLE], "%00", "'--"):
        answer = await page.goto(f"{omar.page}?session={wrong}")
        assert answer is not None
        assert answer.status == 200
        await expect(page.locator(note)).to_contain_text("Here are the times for First talk instead")
        await expect_selected(page, ids[SHORT])
        await expect_slot(page, in_days(3), "open")
    await wait_until_connected(page)
    await session_link(page, ids[LONG]).click()
    await expect_selected(page, ids[LONG])
    await expect(page.locator(note)).to_have_count(0)
    await page.goto(f"{jana.page}?session={ids[LONG]}")
    await expect(page.locator(note)).to_contain_text("Consultation")
    await page.goto(f"{omar.page}?session={str(ids[LONG]).upper()}")
    await expect_selected(page, ids[LONG])
    await expect(page.locator(note)).to_have_count(0)


@pytest.mark.parametrize("how", ["UPDATE session_type SET active = false", "DELETE FROM session_type"])
async def test_session_type_removed_while_shown_is_reported_and_others_remain(
    visit: Visit, omar: Expert, ids: dict[str, UUID], sql: Connection, how: str
) -> None:
    page, at = await visit(f"{omar.page}?session={ids[LONG]}"), in_days(3)
    await wait_for_live_slot(page, at)
    sql.execute(how + " WHERE id = %s", [ids[LONG]])  # type: ignore[arg-type]
    await expect(page.get_by_text("Consultation is no longer offered.")).to_be_visible()
    await expect(page.locator("[data-slot]")).to_have_count(0)
    await expect(session_link(page, ids[LONG])).to_have_count(0)
    await session_link(page, ids[SHORT]).click()
    await expect_selected(page, ids[SHORT])
    await expect_slot(page, at, "open")
    await expect(page.get_by_text("no longer offered")).to_have_count(0)


async def test_new_and_renamed_session_types_appear_on_an_open_page(
    visit: Visit, jana: Expert, sql: Connection
) -> None:
    page, at = await visit(jana.page), in_days(3)
    await wait_for_live_slot(page, at)
    sql.execute("UPDATE session_type SET title = 'Second opinion' WHERE expert_id = %s", [jana.id])
    await expect(page.get_by_role("heading", name="Second opinion 60 minutes")).to_be_visible()
    row = sql.execute(
        "INSERT INTO session_type (expert_id, position, title, description, minutes, step_minutes, before_minutes,"
        " after_minutes, notice_minutes, horizon_days, active)"
        " SELECT expert_id, 9, 'Just listening', '', 20, 20, 0, 0, 0, 60, true FROM session_type WHERE expert_id = %s"
        " RETURNING id", [jana.id]).fetchone()  # fmt: skip
    assert row is not None
    await session_link(page, row[0]).click()
    await expect_selected(page, row[0])
    await expect_slot(page, at + HOUR / 3, "open")


async def test_form_is_for_the_selected_session_type_and_links_back_to_it(
    visit: Visit, omar: Expert, ids: dict[str, UUID], sql: Connection
) -> None:
    page, at = await visit(f"{omar.page}?session={ids[WHOLE]}"), in_days(3)
    await wait_for_live_slot(page, at)
    await slot(page, at).click()
    await expect(page).to_have_url(f"/book/{omar.slug}?at={iso(at).replace(':', '%3A')}&session={ids[WHOLE]}")
    summary = page.get_by_role("complementary", name="Your session")
    await expect(summary).to_contain_text("Deep dive · 90 min")
    await expect(summary).to_contain_text("10:00–11:30")
    await page.get_by_role("link", name="Other times").click()
    await expect_selected(page, ids[WHOLE])
    await slot(page, at).click()
    await page.wait_for_url("**/book/**")
    await fill_in(page, **ADA)
    await book_button(page).click()
    await expect(page.locator("section[data-booking]")).to_contain_text("Deep dive")
    rows = sql.execute("SELECT session_type_id, ends_at - starts_at FROM booking WHERE expert_id = %s", [omar.id])
    assert rows.fetchall() == [(ids[WHOLE], 3 * HALF)]


async def test_form_without_a_session_type_in_its_url_uses_the_first(
    visit: Visit, omar: Expert, ids: dict[str, UUID]
) -> None:
    page = await visit(f"/book/{omar.slug}?at={iso(in_days(3) + HALF)}")
    await expect(page.get_by_role("complementary")).to_contain_text("First talk · 30 min")
    await expect(page.locator("[data-refusal]")).to_have_count(0)
    await page.get_by_role("link", name="Other times").click()
    await expect_selected(page, ids[SHORT])


async def test_form_for_an_unknown_session_type_is_refused_with_a_link_to_the_expert(
    visit: Visit, omar: Expert, excuse: Excuse
) -> None:
    excuse("status of 404")
    page = await visit(f"/book/{omar.slug}?at={iso(in_days(3))}&session={UUID(int=0)}")
    await expect(page.locator('[data-refusal="session_type_not_found"]')).to_be_visible()
    await page.get_by_role("link", name=f"See {omar.name}'s calendar").click()
    await expect_slot(page, in_days(3), "open")


async def test_alternatives_are_of_the_same_session_type_and_keep_the_input(
    visit: Visit, omar: Expert, ids: dict[str, UUID], services: Services
) -> None:
    at = in_days(3)
    page = await visit(f"/book/{omar.slug}?at={iso(at)}&session={ids[LONG]}")
    await expect_held(page)
    await fill_in(page, **ADA)
    await page.get_by_role("button", name="Release this time").click()
    await expect(page.locator('[data-hold="released"]')).to_be_visible()
    await services.bookings.book(booking_request(omar.id, at + HALF, session_type_id=ids[SHORT]))
    refusal = page.locator('[data-refusal="slot_taken"]')
    await expect(refusal).to_have_attribute("data-reason", "busy")
    await expect(refusal.locator(f'[data-alternative="{iso(at - HALF)}"]')).to_have_count(0)
    await refusal.locator(f'[data-alternative="{iso(at + HOUR)}"]').click()
    await page.wait_for_url(f"**at={iso(at + HOUR)}&session={ids[LONG]}")
    await expect_form(page, **ADA)
    await expect(page.get_by_role("complementary")).to_contain_text("11:00–12:00")
    await page.goto(f"/book/{omar.slug}?at={iso(at)}&session={ids[SHORT]}")
    await expect(page.locator("[data-refusal]")).to_have_count(0)
    await expect_form(page, **ADA)


async def test_own_booking_that_blocks_another_session_type_is_shown_as_own(
    visit: Visit, omar: Expert, ids: dict[str, UUID]
) -> None:
    page, at = await visit(), in_days(3)
    number = await book_on_page(page, omar.slug, at + HALF)
    address = f"/book/{omar.slug}?at={iso(at)}&session={ids[LONG]}"
    await page.goto(address)
    await expect(page.get_by_role("alert")).to_contain_text("You have already booked this time")
    await expect(page.get_by_role("link", name="View your booking")).to_have_attribute("href", f"/booking/{number}")
    stranger = await visit(address)
    await expect(stranger.get_by_role("alert")).to_contain_text("Someone else has just booked this time")


async def test_form_whose_session_type_is_removed_says_so_and_keeps_the_input(
    visit: Visit, omar: Expert, ids: dict[str, UUID], sql: Connection
) -> None:
    for title, how in ((LONG, "UPDATE session_type SET active = false"), (WHOLE, "DELETE FROM session_type")):
        page = await visit(f"/book/{omar.slug}?at={iso(in_days(3))}&session={ids[title]}")
        await wait_until_connected(page)
        await fill_in(page, **ADA)
        sql.execute(how + " WHERE id = %s", [ids[title]])  # type: ignore[arg-type]
        refusal = page.locator("[data-refusal]")
        await expect(refusal).to_have_attribute("data-reason", "inactive")
        await expect(refusal).to_contain_text("cannot be booked at the moment")
        await book_button(page).click()
        await expect(book_button(page)).to_have_attribute("aria-disabled", "false")
        await expect(refusal.get_by_role("link")).to_have_attribute("href", omar.page)
        await expect_form(page, **ADA)


@pytest.mark.parametrize(
    ("change", "reason", "words"),
    [
        ("UPDATE expert SET active = false WHERE id = %(expert)s", "inactive", "cannot be booked"),
        ("INSERT INTO day_off (expert_id, first_day, last_day, reason)"
         " VALUES (%(expert)s, %(day)s, %(day)s, 'a secret')", "day_off", "takes no bookings on this day"),
        ("UPDATE session_type SET notice_minutes = 7200 WHERE expert_id = %(expert)s", "min_notice", "5 days of"),
        ("UPDATE session_type SET horizon_days = 2 WHERE expert_id = %(expert)s", "beyond_horizon", "too far ahead"),
        ("UPDATE availability_rule SET opens_minute = 900 WHERE expert_id = %(expert)s", "outside_hours", "outside"),
        ("UPDATE session_type SET step_minutes = 50 WHERE expert_id = %(expert)s", "off_grid", "do not start"),
    ],
)  # fmt: skip
async def test_form_explains_why_its_time_is_no_longer_free(
    visit: Visit, jana: Expert, sql: Connection, change: str, reason: str, words: str
) -> None:
    page = await visit(f"/book/{jana.slug}?at={iso(in_days(3))}")
    await wait_until_connected(page)
    sql.execute(change, {"expert": jana.id, "day": in_days(3).date()})  # type: ignore[arg-type]
    refusal = page.locator('[data-refusal="slot_not_offered"]')
    await expect(refusal).to_have_attribute("data-reason", reason)
    await expect(refusal).to_contain_text(words)
    assert "secret" not in await page.content()
    if reason != "inactive":
        await expect(page.locator("[data-alternative]").first).to_be_visible()


async def test_full_day_loses_its_free_times_until_a_booking_is_cancelled(
    visit: Visit, omar: Expert, ids: dict[str, UUID], rest: httpx.AsyncClient, admin: dict[str, str]
) -> None:
    at, other_day = in_days(3), in_days(4)
    day = [at + hours * HOUR for hours in (-1, 1, 2, 4)]
    watching = await visit(f"{omar.page}?session={ids[WHOLE]}")
    await wait_for_live_slot(watching, at)
    late = await visit(f"/book/{omar.slug}?at={iso(day[3])}&session={ids[WHOLE]}")
    await expect_held(late)
    await fill_in(late, **ADA)
    await late.get_by_role("button", name="Release this time").click()
    await expect(late.locator('[data-hold="released"]')).to_be_visible()
    booking = await visit(f"/book/{omar.slug}?at={iso(at)}&session={ids[WHOLE]}")
    await expect_held(booking)
    await fill_in(booking, **ADA)
    await book_button(booking).click()
    await expect_slot(watching, at, "booked", within=2 * LIVE_UPDATE_MS)
    await expect(slot(watching, day[3])).to_have_count(0, timeout=LIVE_UPDATE_MS)
    await expect(watching.locator('[data-state="open"]').first).to_be_visible()
    await expect_slot(watching, other_day, "open")
    refusal = late.locator('[data-refusal="slot_not_offered"][data-reason="day_full"]')
    await expect(refusal).to_contain_text("This day is full: 1 of 1 sessions are booked.")
    await expect_form(late, **ADA)
    # The expert's other session types have no such cap.
    await session_link(watching, ids[SHORT]).click()
    await expect_slot(watching, day[3], "open")
    await session_link(watching, ids[WHOLE]).click()
    await expect_selected(watching, ids[WHOLE])

    await booking.wait_for_url("**/booking/*")
    number = await booking_id(booking)
    answer = await rest.patch(f"/bookings/{number}/status", json={"status": "cancelled"}, headers=admin)
    assert answer.status_code == 200
    for start in (at, day[3]):
        await expect_slot(watching, start, "open", within=2 * LIVE_UPDATE_MS)
    await expect(late.locator("[data-refusal]")).to_have_count(0)


async def test_expert_changing_time_zone_shifts_free_times_and_shows_the_new_zone(
    visit: Visit, jana: Expert, sql: Connection
) -> None:
    page, at = await visit(jana.page), in_days(3)
    await wait_for_live_slot(page, at)
    insert_booking(sql, jana.id, at)
    sql.execute("UPDATE expert SET time_zone = 'Asia/Kathmandu' WHERE id = %s", [jana.id])
    there = in_days(3, 10, "Asia/Kathmandu")
    await expect_slot(page, there, "open", within=2 * LIVE_UPDATE_MS)
    await expect(page.get_by_text("the expert is in Asia/Kathmandu (UTC+5:45)")).to_be_visible()
    await expect(slot(page, at + HOUR)).to_have_count(0)


async def test_session_type_can_be_selected_with_the_keyboard_alone(
    visit: Visit, omar: Expert, ids: dict[str, UUID]
) -> None:
    page = await visit(omar.page)
    await wait_for_live_slot(page, in_days(3))
    await page.locator(".crumb").focus()
    for title in (SHORT, LONG):
        await page.keyboard.press("Tab")
        await expect(session_link(page, ids[title])).to_be_focused()
    outline = "(e) => getComputedStyle(e, '::after').outlineStyle"
    assert await session_link(page, ids[LONG]).evaluate(outline) == "solid"
    await page.keyboard.press("Enter")
    await expect_selected(page, ids[LONG])
    await expect(session_link(page, ids[LONG])).to_be_focused()
    for _ in range(40):
        await page.keyboard.press("Tab")
        if await page.evaluate("document.activeElement.dataset.slot"):
            break
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"**session={ids[LONG]}")


def insert_session_booking(sql: Connection, expert: Expert, session: UUID, at: object) -> None:
    """Book half an hour of one session type with plain SQL."""
    sql.execute(
        "INSERT INTO booking (expert_id, session_type_id, starts_at, ends_at, busy, status, name, email, customer_key)"
        " VALUES (%(expert)s, %(session)s, %(at)s, %(at)s::timestamptz + interval '30 minutes',"
        " tstzrange(%(at)s, %(at)s::timestamptz + interval '30 minutes'), 'pending', 'Bo', 'bo@example.com',"
        " 'bo@example.com')", {"expert": expert.id, "session": session, "at": at})  # fmt: skip
