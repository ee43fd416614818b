"""Which addresses belong to the same customer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expert_booking.domain.addresses import customer_key

KELVIN, CYRILLIC_A, TURKISH_I, LONG_S = "\N{KELVIN SIGN}", "\N{CYRILLIC SMALL LETTER A}", "\u0130", "\u017f"


@pytest.mark.parametrize(
    ("typed", "key"),
    [
        ("Ada@Example.COM", "ada@example.com"),
        ("ADA.LOVELACE+Booking@example.com", "ada.lovelace+booking@example.com"),
        ("ada@BÜCHER.de", "ada@xn--bcher-kva.de"),
        ("ada@XN--BCHER-KVA.de", "ada@xn--bcher-kva.de"),
        ("ada@straße.de", "ada@xn--strae-oqa.de"),
        ("Émile@example.com", "Émile@example.com"),
    ],
)
def test_customer_key_is_lower_case_ascii_with_the_domain_in_idna(typed: str, key: str) -> None:
    assert customer_key(typed) == key


@pytest.mark.parametrize(
    ("mine", "lookalike"),
    [
        ("kate@example.com", f"{KELVIN}ate@example.com"),
        ("Kate@example.com", f"{KELVIN}ate@example.com"),
        ("kate@example.com", f"k{CYRILLIC_A}te@example.com"),
        ("ian@example.com", f"{TURKISH_I}an@example.com"),
        ("susan@example.com", f"{LONG_S}usan@example.com"),
        ("kate@example.com", f"kate@ex{CYRILLIC_A}mple.com"),
        ("ada@strasse.de", "ada@straße.de"),
        ("ada.love@example.com", "adalove@example.com"),
        ("ada@example.com", "ada+x@example.com"),
        ("émile@example.com", "Émile@example.com"),
    ],
)
def test_lookalike_addresses_stay_different_customers(mine: str, lookalike: str) -> None:
    assert customer_key(mine) != customer_key(lookalike)


def test_composed_and_decomposed_accents_are_equal() -> None:
    assert customer_key("e\N{COMBINING ACUTE ACCENT}mile@example.com") == customer_key("émile@example.com")


@pytest.mark.parametrize(
    "typed",
    ["", "ada", "@example.com", "ada@", "ada@@example.com", "ada@localhost", "Ada <ada@example.com>", "a b@example.com",
     "ada@example..com", ".ada@example.com", "ada@[127.0.0.1]", "ada@example.com\n", "ada@exa\x00mple.com",
     f"ada@{'a' * 250}.com", "ada@example.com, eve@example.com", "\ud800@example.com"],
)  # fmt: skip
def test_invalid_address_is_refused_with_a_sentence(typed: str) -> None:
    with pytest.raises(ValueError, match=r"\w+ \w+"):
        customer_key(typed)


ADDRESSES = st.builds(
    "{}@{}.com".format,
    st.from_regex(r"[A-Za-z0-9]{1,20}", fullmatch=True),
    st.from_regex("[A-Za-z]{1,20}", fullmatch=True),
)


@given(address=ADDRESSES)
def test_ascii_case_never_matters_and_the_key_is_idempotent(address: str) -> None:
    key = customer_key(address)
    assert key == customer_key(address.upper()) == customer_key(address.lower()) == customer_key(key)
