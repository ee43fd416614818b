"""Phone numbers: read what people type, store it as E.164, and show it in the international format."""

import re
import unicodedata
from functools import lru_cache
from typing import Final

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberFormat, PhoneNumberType

REGIONS: Final = frozenset(phonenumbers.SUPPORTED_REGIONS)

# Digits of any script with the usual separators, and an extension. Without this check the library also reads letters
# as the digits of a keypad.
_TYPED: Final = re.compile(
    r"\+?[\d\s().,/\-\u2010-\u2015\u2212]+((;ext=|ext\.?|extension|x|#)\s*\d{1,7})?", re.IGNORECASE
)
_UNREADABLE: Final = "Please enter a phone number such as +49 30 1234567."
_NO_COUNTRY_CODE: Final = "Please add the country code, such as +49 30 1234567."
_INVALID: Final = "This is not a valid phone number. Please check it."
_INVALID_HERE: Final = "This is not a valid number with the country code +{}. If yours is different, please add it."


def e164(text: str, region: str | None) -> str:
    """The number in E.164, such as `+49301234567`, with `;ext=12` after it if it has an extension.

    A number without a country code is read as one of `region`, an ISO 3166 code. Raises ValueError with a message for
    people.
    """
    text = unicodedata.normalize("NFKC", text).strip()
    if not _TYPED.fullmatch(text) or not any(map(str.isdigit, text)):
        raise ValueError(_UNREADABLE)
    region = region if region in REGIONS else None
    if region is None and text.startswith("00"):  # how most countries dial +
        text = f"+{text[2:]}"
    number = _parse(text, region)
    if number is not None:
        return _stored(number)
    if text.startswith("+"):
        raise ValueError(_INVALID)
    if region is None:
        raise ValueError(_NO_COUNTRY_CODE)
    raise ValueError(_INVALID_HERE.format(phonenumbers.country_code_for_region(region)))


@lru_cache(maxsize=1024)
def international(stored: str) -> str:
    """A stored number for people: `+49 30 1234567 ext. 12`. One that is not E.164 is returned as it is."""
    number = _parse(stored, None) if stored.startswith("+") else None
    return stored if number is None else phonenumbers.format_number(number, PhoneNumberFormat.INTERNATIONAL)


@lru_cache
def example(region: str | None) -> str | None:
    """A mobile number as people of this region write it; None without a region."""
    number = phonenumbers.example_number_for_type(region, PhoneNumberType.MOBILE) if region in REGIONS else None
    return None if number is None else phonenumbers.format_number(number, PhoneNumberFormat.NATIONAL)


def _parse(text: str, region: str | None) -> PhoneNumber | None:
    try:
        number = phonenumbers.parse(text, region)
    except NumberParseException:
        return None
    return number if phonenumbers.is_valid_number(number) else None


def _stored(number: PhoneNumber) -> str:
    extension = f";ext={number.extension}" if number.extension else ""
    return phonenumbers.format_number(number, PhoneNumberFormat.E164) + extension
