"""The terms of session types and bookings, in their columns and as values of the domain."""

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

from expert_booking.db.engine import AnyRow
from expert_booking.db.tables import AGREED_TERMS
from expert_booking.domain.prices import Price
from expert_booking.domain.terms import Confirmation, EmailVerification, Terms

_PRICE: Final = ("price_amount", "price_currency")
_SIMPLE: Final = tuple(field.name for field in fields(Terms) if field.name != "price")
# The columns with the terms of a session type.
TERMS: Final = (*_SIMPLE, *_PRICE)
_AGREED: Final = tuple(name for name in AGREED_TERMS if name not in _PRICE)


def terms_of(row: AnyRow) -> Terms:
    """Return the terms in the columns of a session type."""
    values = {name: getattr(row, name) for name in _SIMPLE}
    values["confirmation"] = Confirmation(row.confirmation)
    values["email_verification"] = EmailVerification(row.email_verification)
    return Terms(**values, price=price_of(row))


def agreed_terms(row: AnyRow) -> Terms:
    """Return the terms in the columns of a booking."""
    return Terms(**{name: getattr(row, name) for name in _AGREED}, price=price_of(row))


def agreed_columns(terms: Terms) -> dict[str, Any]:
    """Return the columns of a booking with its copy of these terms, in the order of AGREED_TERMS."""
    amount, currency = (terms.price.amount, terms.price.currency) if terms.price else (None, None)
    price = {"price_amount": amount, "price_currency": currency}
    return {name: price[name] if name in price else getattr(terms, name) for name in AGREED_TERMS}


def price_of(row: AnyRow) -> Price | None:
    """Return the price of a session type or booking; None if none is stated."""
    return None if row.price_currency is None else Price(row.price_amount, row.price_currency)


def price_columns(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values with the two columns of a price instead of `price`, if that is among them."""
    if "price" not in values:
        return dict(values)
    price = values["price"] or {}
    rest = {name: value for name, value in values.items() if name != "price"}
    return {**rest, "price_amount": price.get("amount"), "price_currency": price.get("currency")}
