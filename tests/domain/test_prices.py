"""Prices: minor units of ISO 4217, and how CLDR formats them."""

import pytest

from expert_booking.domain import formatting
from expert_booking.domain.prices import Price, currencies


@pytest.mark.parametrize(
    ("price", "written"),
    [
        (Price(4500, "EUR"), "€45.00"),
        (Price(123456789, "USD"), "$1,234,567.89"),
        (Price(4550, "GBP"), "£45.50"),
        (Price(9500, "JPY"), "¥9,500"),
        (Price(1500, "KWD"), "KWD\u00a01.500"),
        # CLDR has no decimals for it, but the amount is in thousandths.
        (Price(1500, "IQD"), "IQD\u00a01.5"),
        (Price(0, "CHF"), "Free"),
    ],
)
def test_price_is_formatted_for_its_currency(price: Price, written: str) -> None:
    assert formatting.price(price) == written


def test_currencies_are_those_in_use() -> None:
    codes = set(currencies())
    assert {"EUR", "USD", "JPY", "CHF", "XOF"} <= codes
    assert not {"DEM", "FRF", "XXX", "XAU"} & codes
