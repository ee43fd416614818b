"""Calendar files, parsed by the `icalendar` library and line by line by RFC 5545."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from icalendar import Calendar, Event

from expert_booking.domain.email_schedule import Audience
from expert_booking.domain.lifecycle import Status
from expert_booking.mail.ics import Entry, Party, invitation, publication
from tests.mail.samples import BOOKING, HOUR, INSTALLATION, NINE, NOW

ENTRY = Entry(
    booking_id=BOOKING, installation=INSTALLATION, audience=Audience.CUSTOMER, status=Status.CONFIRMED, starts_at=NINE,
    ends_at=NINE + HOUR, sequence=2, changed_at=NOW, session_title="Consultation", expert_name="Jana Müller",
    customer_name="Ada Lovelace", customer_email="ada@example.com", customer_phone="+44 20 7946 0000",
    notes="My first session.", url="https://site.example/booking/1",
    manage_url="https://site.example/booking/1?key=k",
)  # fmt: skip
ORGANIZER, ADA = Party("Jana Müller", "booking@site.example"), Party("Ada Lovelace", "ada@example.com")
CALENDAR_PROPERTIES = ["BEGIN", "VERSION", "PRODID", "CALSCALE", "METHOD"]
EVENT_PROPERTIES = {
    "BEGIN", "UID", "SEQUENCE", "STATUS", "DTSTAMP", "LAST-MODIFIED", "DTSTART", "DTEND", "SUMMARY", "DESCRIPTION",
    "URL", "ORGANIZER", "ATTENDEE", "END",
}  # fmt: skip
# Text that people can type, and text that only psql can write.
HOSTILE_TEXT = st.lists(
    st.one_of(
        st.characters(),
        st.sampled_from("\r\n\t ,;:\"\\^'N=\u2028\u2029\x0b\x0c\x1e\x85\x00😀é\u202e\ud800"),
        st.sampled_from(
            ["\r\nATTENDEE:mailto:mallory@example.com", "END:VEVENT", "\\N", "\\n", '";X-EVIL=1:', "x" * 74]
        ),
    ),
    max_size=60,
).map("".join)


def content_lines(file: bytes) -> list[str]:
    """The unfolded lines of a file. Also checks the folding."""
    assert file.endswith(b"\r\n")
    raw = file.removesuffix(b"\r\n").split(b"\r\n")
    for line in raw:
        assert b"\r" not in line
        assert b"\n" not in line
        assert len(line) <= 75, line
        line.decode()  # no character is split
        assert not re.search(rb"[\x00-\x08\x0a-\x1f\x7f]", line)
    return file.decode().removesuffix("\r\n").replace("\r\n ", "").split("\r\n")


def properties(file: bytes) -> dict[str, str]:
    """The properties of a file with one event by name. Values include the parameters."""
    lines = content_lines(file)
    assert [name_of(line) for line in lines[:5]] == CALENDAR_PROPERTIES
    assert lines[-1] == "END:VCALENDAR"
    event = lines[5:-1]
    assert (event[0], event[-1]) == ("BEGIN:VEVENT", "END:VEVENT")
    names = [name_of(line) for line in event]
    assert len(names) == len(set(names)), names
    assert set(names) <= EVENT_PROPERTIES, names
    return {name: line[len(name) :] for name, line in zip(names, event, strict=True)} | {"METHOD": lines[4][6:]}


def name_of(line: str) -> str:
    """The name of the property."""
    return re.split("[:;]", line, maxsplit=1)[0]


def text_of(value: str) -> str:
    """Unescape a TEXT value by RFC 5545."""
    assert value.startswith(":")
    signs = {"n": "\n", "N": "\n", "\\": "\\", ",": ",", ";": ";"}
    assert not re.search(r"(?<!\\)(\\\\)*[,;]", value)
    return re.sub(r"\\(.)", lambda escaped: signs[escaped[1]], value[1:])


def invitation_file(entry: Entry = ENTRY, attendee: Party = ADA, organizer: Party = ORGANIZER) -> bytes:
    """The calendar file of an email."""
    return invitation(entry, organizer=organizer, attendee=attendee)


def event_of(file: bytes) -> Event:
    """The event of a file, as the library parses it."""
    [event] = Calendar.from_ical(file).walk("VEVENT")
    assert isinstance(event, Event)
    return event


def test_calendar_entry_has_all_required_properties() -> None:
    event = event_of(invitation_file())
    assert (event["UID"], event["SEQUENCE"], event["STATUS"]) == (f"{BOOKING}@{INSTALLATION}", 2, "CONFIRMED")
    assert (event.decoded("DTSTART"), event.decoded("DTEND")) == (NINE, NINE + HOUR)
    assert (event.decoded("DTSTAMP"), event.decoded("LAST-MODIFIED")) == (NOW, NOW)
    assert event["SUMMARY"] == "Consultation with Jana Müller"
    assert event["DESCRIPTION"] == "Manage your booking: https://site.example/booking/1?key=k"
    assert event["URL"] == "https://site.example/booking/1"
    assert (event["ORGANIZER"], event["ORGANIZER"].params["CN"]) == ("mailto:booking@site.example", "Jana Müller")
    assert event["ATTENDEE"] == "mailto:ada@example.com"
    assert event["ATTENDEE"].params["RSVP"] == "FALSE"


def test_times_are_written_in_utc_for_every_zone() -> None:
    found = properties(invitation_file())
    assert (found["DTSTART"], found["DTEND"]) == (":20261124T080000Z", ":20261124T090000Z")
    assert (found["DTSTAMP"], found["LAST-MODIFIED"]) == (":20261123T080000Z", ":20261123T080000Z")


@pytest.mark.parametrize(
    ("starts_at", "written"),
    [(datetime(2026, 10, 25, 0, 30, tzinfo=UTC), "20261025T003000Z"),
     (datetime(2026, 10, 25, 1, 30, tzinfo=UTC), "20261025T013000Z"),
     (datetime(2027, 3, 28, 0, 30, tzinfo=UTC), "20270328T003000Z")],
)  # fmt: skip
def test_repeated_and_skipped_hours_in_berlin_are_exact(starts_at: datetime, written: str) -> None:
    found = properties(invitation_file(replace(ENTRY, starts_at=starts_at, ends_at=starts_at + HOUR)))
    assert found["DTSTART"] == f":{written}"
    event = event_of(invitation_file(replace(ENTRY, starts_at=starts_at, ends_at=starts_at + HOUR)))
    assert event.decoded("DTEND") - event.decoded("DTSTART") == timedelta(hours=1)


@pytest.mark.parametrize(
    ("status", "method", "written"),
    [("pending", "REQUEST", "TENTATIVE"), ("confirmed", "REQUEST", "CONFIRMED"), ("completed", "REQUEST", "CONFIRMED"),
     ("no_show", "REQUEST", "CONFIRMED"), ("cancelled", "CANCEL", "CANCELLED"), ("declined", "CANCEL", "CANCELLED"),
     ("expired", "CANCEL", "CANCELLED")],
)  # fmt: skip
def test_status_and_method_match_the_booking(status: str, method: str, written: str) -> None:
    found = properties(invitation_file(replace(ENTRY, status=Status(status))))
    assert (found["METHOD"], found["STATUS"]) == (f":{method}", f":{written}")


@pytest.mark.parametrize(
    ("audience", "status", "answer"),
    [(Audience.EXPERT, Status.PENDING, "NEEDS-ACTION"), (Audience.EXPERT, Status.CONFIRMED, "ACCEPTED"),
     (Audience.CUSTOMER, Status.PENDING, "ACCEPTED")],
)  # fmt: skip
def test_expert_is_needs_action_only_while_an_answer_is_due(audience: Audience, status: Status, answer: str) -> None:
    attendee = event_of(invitation_file(replace(ENTRY, audience=audience, status=status)))["ATTENDEE"]
    assert attendee.params["PARTSTAT"] == answer


def test_expert_file_has_the_customers_details_and_no_key() -> None:
    entry = replace(ENTRY, audience=Audience.EXPERT, manage_url=ENTRY.url)
    event = event_of(invitation_file(entry))
    assert event["SUMMARY"] == "Consultation with Ada Lovelace"
    assert event["DESCRIPTION"].splitlines() == [
        "Customer: Ada Lovelace", "Email: ada@example.com", "Phone: +44 20 7946 0000", "Notes:", "My first session.",
        "Manage this booking: https://site.example/booking/1",
    ]  # fmt: skip


def test_customer_input_appears_only_in_the_expert_file() -> None:
    assert b"first session" not in invitation_file()
    assert b"20 7946" not in invitation_file()


def test_published_file_has_no_attendees() -> None:
    file = publication([ENTRY], organizer="booking@site.example")
    found = properties(file)
    assert found["METHOD"] == ":PUBLISH"
    assert "ATTENDEE" not in found
    assert {name: found[name] for name in ("UID", "SEQUENCE", "DTSTART", "DTEND", "DTSTAMP")} == {
        name: properties(invitation_file())[name] for name in ("UID", "SEQUENCE", "DTSTART", "DTEND", "DTSTAMP")
    }


def test_feed_has_a_name_and_a_refresh_interval_and_is_byte_identical() -> None:
    entries = [ENTRY, replace(ENTRY, booking_id=UUID(int=1))]
    file = publication(entries, organizer="booking@site.example", name="Jana, Müller")
    lines = content_lines(file)
    assert {"NAME:Jana\\, Müller", "X-WR-CALNAME:Jana\\, Müller"} < set(lines)
    assert {"REFRESH-INTERVAL;VALUE=DURATION:PT15M", "X-PUBLISHED-TTL:PT15M"} < set(lines)
    assert lines.count("BEGIN:VEVENT") == 2
    assert file == publication(entries, organizer="booking@site.example", name="Jana, Müller")
    assert content_lines(publication([], organizer="booking@site.example", name="x"))[-1] == "END:VCALENDAR"


def test_another_site_has_other_uids() -> None:
    other = replace(ENTRY, installation=UUID(int=7))
    assert other.uid != ENTRY.uid
    assert replace(ENTRY, starts_at=NOW, sequence=9, status=Status.CANCELLED).uid == ENTRY.uid


def test_long_lines_are_folded_without_splitting_characters() -> None:
    entry = replace(ENTRY, audience=Audience.EXPERT, notes="😀é" * 1000, customer_name="Ü" * 120)
    found = properties(invitation_file(entry, Party("Ü" * 120, "ada@example.com")))
    assert "😀é" * 1000 in text_of(found["DESCRIPTION"])
    assert text_of(found["SUMMARY"]) == "Consultation with " + "Ü" * 120


@pytest.mark.parametrize(
    "typed",
    [
        "a,b;c",
        "C:\\Notes\\new",
        "back\\slash",
        "two\nlines",
        'quote"d',
        "caret^",
        "colon:",
        "percent%2C",
        "\\,",
        "a\\nb",
    ],
)
def test_ical_special_characters_round_trip(typed: str) -> None:
    entry = replace(ENTRY, audience=Audience.EXPERT, notes=typed, customer_name=typed)
    found = properties(invitation_file(entry))
    assert typed in text_of(found["DESCRIPTION"])
    assert text_of(found["SUMMARY"]) == "Consultation with " + typed.replace("\n", " ")
    # The library reads the same.
    event = event_of(invitation_file(entry))
    assert event["SUMMARY"] == "Consultation with " + typed.replace("\n", " ")


def test_quoted_name_stays_one_parameter() -> None:
    file = invitation_file(organizer=Party('"Jana";X-EVIL=1:mailto:mallory@example.com, Dr.', "booking@site.example"))
    organizer = event_of(file)["ORGANIZER"]
    assert organizer == "mailto:booking@site.example"
    assert dict(organizer.params) == {"CN": "'Jana';X-EVIL=1:mailto:mallory@example.com, Dr."}


@pytest.mark.parametrize(
    ("address", "written"),
    [("ada+x@example.com", "mailto:ada+x@example.com"), ("a?b=c&d@example.com", "mailto:a%3Fb%3Dc%26d@example.com"),
     ("a%b@example.com", "mailto:a%25b@example.com"), ("jürgen@example.com", "mailto:j%C3%BCrgen@example.com")],
)  # fmt: skip
def test_uri_characters_in_an_address_are_escaped(address: str, written: str) -> None:
    assert event_of(invitation_file(attendee=Party("", address)))["ATTENDEE"] == written


@given(HOSTILE_TEXT, HOSTILE_TEXT, HOSTILE_TEXT, HOSTILE_TEXT)
def test_user_input_never_becomes_a_line_or_a_property(name: str, title: str, notes: str, expert_name: str) -> None:
    for audience in Audience:
        entry = replace(
            ENTRY, audience=audience, customer_name=name, session_title=title, notes=notes, expert_name=expert_name,
            customer_phone=name, customer_email=title,
        )  # fmt: skip
        file = invitation_file(entry, Party(name, "ada@example.com"), Party(expert_name, "booking@site.example"))
        found = properties(file)
        assert set(found) == EVENT_PROPERTIES | {"METHOD"}
        assert (found["UID"], found["METHOD"]) == (f":{BOOKING}@{INSTALLATION}", ":REQUEST")
        assert found["ORGANIZER"].endswith(":mailto:booking@site.example")
        assert found["ATTENDEE"].endswith(":mailto:ada@example.com")
        assert "\n" not in text_of(found["SUMMARY"])
        event = event_of(file)
        assert event["ATTENDEE"] == "mailto:ada@example.com"
        assert set(event["ATTENDEE"].params) <= {"CN", "CUTYPE", "PARTSTAT", "ROLE", "RSVP"}
        assert set(event["ORGANIZER"].params) <= {"CN"}
        feed = content_lines(publication([entry], organizer="booking@site.example", name=expert_name))
        assert [line for line in feed if line.startswith("METHOD")] == ["METHOD:PUBLISH"]
        assert sum(line.startswith("BEGIN:") for line in feed) == 2
