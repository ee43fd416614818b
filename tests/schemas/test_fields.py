"""Field types of requests."""

from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from expert_booking.schemas import Email, Name, Notes, PersonName, RequestModel, Search
from expert_booking.schemas import __dict__ as all_names
from expert_booking.schemas.experts import Bio, Headline
from expert_booking.schemas.fields import Title

LONG_LOCAL_PART = "a" * 64


def read(kind: Any, text: str) -> Any:
    """Validate the text."""
    return TypeAdapter(kind).validate_python(text)


def message(kind: Any, text: str) -> str:
    """The message of the only error."""
    with pytest.raises(ValidationError) as refused:
        read(kind, text)
    [error] = refused.value.errors()
    return error["msg"].removeprefix("Value error, ")


@pytest.mark.parametrize("kind", [Name, PersonName, Title])
@pytest.mark.parametrize("text", ["\u200b", "\u2060\u200b", "\u3164", "\u2800", "\u202e", "\ufe0f", " \u00a0"])
def test_name_with_nothing_visible_is_refused(kind: Any, text: str) -> None:
    assert message(kind, text) == "Please fill this in."


@pytest.mark.parametrize("kind", [Name, PersonName, Title, Headline, Search])
def test_line_ends_in_names_become_spaces_and_directions_are_removed(kind: Any) -> None:
    assert read(kind, "Ada\r\nLove\u202elace\u2029X") == "Ada Lovelace X"


@pytest.mark.parametrize("kind", [Notes, Bio])
def test_texts_keep_their_lines_and_lose_directions(kind: Any) -> None:
    assert read(kind, "a\r\n\u2067b\u2069 e\u0301") == "a\nb é"
    assert read(kind, "\u2060\u200b") == ""


def test_length_counts_the_characters_that_are_kept() -> None:
    assert read(Name, "e\u0301" * 120) == "é" * 120
    assert read(Name, f" {'n' * 120} ") == "n" * 120
    assert message(Name, "n" * 121) == "Please use at most 120 characters."
    # U+0958 becomes two characters in NFC.
    assert message(Name, "\u0958" * 61) == "Please use at most 120 characters."
    assert message(Name, "\x00" * 1_000_000) == "Please use at most 120 characters."


@pytest.mark.parametrize("name", ["You have won, see www.evil.example", "http://", "evil.com/…", "a@b.c"])
def test_names_of_people_are_no_addresses_but_titles_may_be(name: str) -> None:
    assert message(PersonName, name) == "Please enter a name without a web or email address."
    assert read(Name, name) == name


def test_local_part_may_have_64_octets() -> None:
    assert read(Email, f"{LONG_LOCAL_PART}@example.com").startswith(LONG_LOCAL_PART)
    assert message(Email, f"{LONG_LOCAL_PART}a@example.com") == "Please use at most 64 bytes before the @."
    assert read(Email, f"{'é' * 32}@example.com")
    assert message(Email, f"{'é' * 33}@example.com") == "Please use at most 64 bytes before the @."


def test_email_keeps_letters_that_nfc_would_replace() -> None:
    kelvin = read(Email, "\N{KELVIN SIGN}ate@example.com")
    assert kelvin.key != read(Email, "Kate@example.com").key
    assert read(Email, "\u202aada@example.com\u202c ").key == "ada@example.com"


def test_every_request_and_query_refuses_unknown_fields() -> None:
    more = {"NewExpert", "NewSessionType", "WeeklyPlan", "WeeklyWindow", "DayWindow"}
    endings = ("Request", "Query", "Change", "RequestWithPhone")
    requests = {name: model for name, model in all_names.items() if name.endswith(endings) or name in more}
    del requests["StoredAccessRequest"]  # part of a response
    assert len(requests) >= 20
    assert [name for name, model in requests.items() if not issubclass(model, RequestModel)] == []
    assert [name for name, model in requests.items() if model.model_config["extra"] != "forbid"] == []
