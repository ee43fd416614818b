"""Hours as people type them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expert_booking.domain.hour_texts import hours_text, parse_hours
from expert_booking.domain.hours import Window


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("09:00–12:30, 14:00–18:00", "09:00–12:30, 14:00–18:00"),
        ("9-12.30,14-18", "09:00–12:30, 14:00–18:00"),
        (" 14:00 - 18:00 ; 9:00 - 12:30 ", "09:00–12:30, 14:00–18:00"),
        ("9am to 5pm", "09:00–17:00"),
        ("9-5pm", "09:00–17:00"),
        ("1-5pm", "13:00–17:00"),
        ("12pm-1pm and 12am-1am", "00:00–01:00, 12:00–13:00"),
        ("0900–1730", "09:00–17:30"),
        ("9h30-12h", "09:30–12:00"),
        ("9 bis 17 Uhr", "09:00–17:00"),
        ("22:00–02:00", "22:00–02:00"),
        ("09:07-09:52", "09:07–09:52"),
        ("18:00-24:00", "18:00–24:00"),
        ("18:00-0:00", "18:00–24:00"),
        ("08:00–08:00", "08:00–08:00"),
        ("All day", "00:00–24:00"),
        ("closed", ""),
        ("–", ""),
        ("", ""),
    ],
)
def test_hours_are_read_as_people_type_them(text: str, hours: str) -> None:
    assert hours_text(parse_hours(text)) == hours


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nine to five", "“nine” is not a time"),
        ("9", "“9” is not a range of hours"),
        ("9-12-14", "is not a range of hours"),
        ("9-25", "“25” is not a time"),
        ("9-12:75", "“12:75” is not a time"),
        ("13pm-14pm", "“13pm” is not a time"),
        ("24:00-02:00", "open at 00:00"),
        ("9-12, 11-13", "09:00–12:00 and 11:00–13:00 overlap."),
        ("9-10," * 100, "fewer hours"),
        (", ".join(f"00:{n:02}-00:{n + 1:02}" for n in range(0, 44, 2)), "fewer hours"),
    ],
)
def test_what_cannot_be_read_is_named(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_hours(text)


@given(st.lists(st.tuples(st.integers(0, 1439), st.integers(1, 1440)), max_size=5))
def test_written_hours_are_read_again(spans: list[tuple[int, int]]) -> None:
    windows: list[Window] = []
    for opens, minutes in sorted(spans):
        if not windows or windows[-1].closes <= opens:
            windows.append(Window(opens, opens + minutes))
    assert parse_hours(hours_text(windows)) == tuple(windows)


@given(st.text(max_size=60) | st.from_regex(r"[0-9:.\-– ,apm]{0,40}", fullmatch=True))
def test_any_text_is_read_or_refused_with_a_sentence(text: str) -> None:
    message = "."
    try:
        parse_hours(text)
    except ValueError as error:
        message = str(error)
    assert message.endswith(".")
