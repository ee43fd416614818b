"""Phone numbers as people type them, as they are stored, and as they are shown."""

import time

import pytest

from expert_booking.domain.phone_numbers import REGIONS, e164, example, international


@pytest.mark.parametrize(
    ("typed", "region", "stored", "shown"),
    [
        ("+49 30 1234567", None, "+49301234567", "+49 30 1234567"),
        ("+49 (30) 12/345-67", None, "+49301234567", "+49 30 1234567"),
        ("+44 (0)20 7946 0000", None, "+442079460000", "+44 20 7946 0000"),
        ("+44 20 7946 0000", "DE", "+442079460000", "+44 20 7946 0000"),
        ("0170 1234567", "DE", "+491701234567", "+49 170 1234567"),
        ("020 7946 0000", "GB", "+442079460000", "+44 20 7946 0000"),
        ("(202) 555-0143", "US", "+12025550143", "+1 202-555-0143"),
        ("202.555.0143", "US", "+12025550143", "+1 202-555-0143"),
        ("0049 170 1234567", "FR", "+491701234567", "+49 170 1234567"),
        ("0049 170 1234567", None, "+491701234567", "+49 170 1234567"),
        ("＋４９ ３０ １２３４５６７", None, "+49301234567", "+49 30 1234567"),
        ("٠١٧٠١٢٣٤٥٦٧", "DE", "+491701234567", "+49 170 1234567"),
        ("+39 06 6981 2345", None, "+390669812345", "+39 06 6981 2345"),
        ("+49 30 1234567 ext. 12", None, "+49301234567;ext=12", "+49 30 1234567 ext. 12"),
        ("030 1234567 x12", "DE", "+49301234567;ext=12", "+49 30 1234567 ext. 12"),
        ("+49301234567;ext=12", None, "+49301234567;ext=12", "+49 30 1234567 ext. 12"),
        ("+44 20 7946 0000", "XX", "+442079460000", "+44 20 7946 0000"),
    ],
)
def test_number_is_stored_as_e164_and_shown_in_international_format(
    typed: str, region: str | None, stored: str, shown: str
) -> None:
    assert e164(typed, region) == stored
    assert international(stored) == shown
    assert e164(shown, None) == stored


@pytest.mark.parametrize(
    ("typed", "region", "message"),
    [
        ("0170 1234567", None, "Please add the country code, such as +49 30 1234567."),
        ("0170 1234567", "AQ", "Please add the country code, such as +49 30 1234567."),
        ("12345", None, "Please add the country code, such as +49 30 1234567."),
        ("0170 1234567", "US", "not a valid number with the country code +1. If yours is different, please add it."),
        ("110", "DE", "not a valid number with the country code +49"),
        ("+49 1", None, "not a valid phone number"),
        ("+999 12345678", None, "not a valid phone number"),
        ("+1 000 000 0000", "US", "not a valid phone number"),
        ("call me", "DE", "Please enter a phone number such as +49 30 1234567."),
        ("1-800-FLOWERS", "US", "Please enter a phone number such as"),
        ("+49 30 1234567 or 7654321", "DE", "Please enter a phone number such as"),
        ("+", "DE", "Please enter a phone number such as"),
        ("...", "DE", "Please enter a phone number such as"),
    ],
)
def test_number_that_cannot_be_dialled_is_refused_with_the_reason(typed: str, region: str | None, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("+", r"\+")):
        e164(typed, region)


@pytest.mark.parametrize("stored", ["030/1234567", "+44 1234", "call me", "", "+", "<b>"])
def test_numbers_stored_by_older_versions_are_shown_as_they_are(stored: str) -> None:
    assert international(stored) == stored


@pytest.mark.parametrize("region", sorted(REGIONS - {"TA"}))  # Tristan da Cunha has no mobile numbers
def test_example_of_every_region_is_a_number_there(region: str) -> None:
    number = example(region)
    assert number is not None
    assert e164(number, region).startswith("+")


def test_no_region_has_no_example() -> None:
    assert example(None) is None
    assert example("AQ") is None


def test_a_number_takes_well_under_a_millisecond() -> None:
    e164("+44 20 7946 0000", None)
    began = time.process_time()
    for _ in range(100):
        e164("+44 20 7946 0000", None)
    assert time.process_time() - began < 0.1  # 55 µs each on a quiet machine


def test_no_typed_text_takes_long() -> None:
    began = time.process_time()
    for text in (" " * 40 + "x", "+" + "1 " * 19 + "x" * 2, "1" * 39 + "a", "(" * 40):
        with pytest.raises(ValueError, match=r"Please|valid"):
            e164(text, "DE")
    assert time.process_time() - began < 0.1
