"""Prices of sessions: an amount in a currency of ISO 4217."""

from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Final

from babel.core import get_global

# ISO 4217 divides most currencies by 100. CLDR differs for some, because their coins are no longer used.
_WHOLE: Final = frozenset(
    ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF",
     "XPF")
)  # fmt: skip
_THOUSANDTHS: Final = frozenset(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"))


@dataclass(frozen=True, slots=True)
class Price:
    """A price. `amount` counts the currency's minor unit (ISO 4217): 4500 is €45.00 or ¥4,500. 0 means free."""

    amount: int
    currency: str

    @property
    def value(self) -> Decimal:
        """The amount in the currency itself: 45.00 for 4500 cents."""
        return Decimal(self.amount).scaleb(-minor_digits(self.currency))


def minor_digits(currency: str) -> int:
    """The number of decimal places of a currency: 2 for EUR, 0 for JPY."""
    return 0 if currency in _WHOLE else 3 if currency in _THOUSANDTHS else 2


@cache
def currencies() -> tuple[str, ...]:
    """The codes of all currencies that are legal tender somewhere, in alphabetical order."""
    used = (entry for entries in get_global("territory_currencies").values() for entry in entries)
    return tuple(sorted({code for code, _, until, is_tender in used if until is None and is_tender}))
