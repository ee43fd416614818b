"""Keys open only what they were made for and cannot be made without the secret."""

import hmac
import string
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from uuid import UUID

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from expert_booking.domain.signed_keys import SignedKeys

KEYS, OTHERS = SignedKeys("the secret of this site"), SignedKeys("the secret of another site")
OPENS: dict[str, tuple[Callable[[UUID], str], Callable[[str], UUID | None]]] = {
    "booking": (KEYS.booking, KEYS.booking_of),
    "feed": (KEYS.feed, KEYS.feed_of),
    "link": (KEYS.link, KEYS.link_of),
    "not booked": (KEYS.not_booked, KEYS.not_booked_of),
    "reminders": (KEYS.reminders, KEYS.reminders_of),
    "verification": (KEYS.verification, KEYS.verification_of),
}
purposes = st.sampled_from(sorted(OPENS))
signs = st.text(string.ascii_letters + string.digits + "-_+/=. \n%\x00ä", min_size=1, max_size=3)


def opened(key: str) -> list[UUID]:
    """Everything that this text opens, for every purpose."""
    return [number for _, open_ in OPENS.values() if (number := open_(key)) is not None]


@given(purposes, st.uuids())
def test_key_opens_its_own_object_for_its_own_purpose_only(purpose: str, number: UUID) -> None:
    made, open_ = OPENS[purpose]
    key = made(number)
    assert made(number) == key
    assert open_(key) == number
    assert opened(key) == [number]
    assert set(key) <= set(string.ascii_letters + string.digits + "-_")  # can be used in a URL without escaping


@given(purposes, st.uuids(), st.integers(0, 48), st.integers(0, 3), signs)
def test_tampered_key_opens_nothing(purpose: str, number: UUID, at: int, cut: int, more: str) -> None:
    key = OPENS[purpose][0](number)
    mangled = key[:at] + more + key[at + cut :]
    assume(mangled != key)
    assert opened(mangled) == []


@given(purposes, st.uuids(), st.integers(0, 47), st.sampled_from(string.ascii_letters + string.digits + "-_"))
def test_only_one_encoding_of_a_key_is_accepted(purpose: str, number: UUID, at: int, sign: str) -> None:
    key = OPENS[purpose][0](number)
    plain = key.replace("-", "+").replace("_", "/")
    for same in (plain, key + "=", key + "====", f"{key[:at]}\n{key[at:]}", f" {key}"):
        assert same == key or opened(same) == []
    another = key[:at] + sign + key[at + 1 :]
    assert another == key or (urlsafe_b64decode(another) != urlsafe_b64decode(key) and opened(another) == [])


@given(st.uuids(), st.uuids())
def test_proof_of_one_object_is_not_valid_for_another(one: UUID, another: UUID) -> None:
    assume(one != another)
    # An id takes 16 bytes, so its last characters are shared with the proof: try all byte borders.
    for border in range(20, 24):
        assert opened(KEYS.link(another)[:border] + KEYS.link(one)[border:]) in ([], [another])
    swapped = urlsafe_b64decode(KEYS.link(another))[:16] + urlsafe_b64decode(KEYS.link(one))[16:]
    assert opened(swapped.hex()) == []


@given(st.uuids(), st.integers(1, 2**24 - 1), st.integers(1, 2**24 - 1))
def test_booking_has_a_different_key_for_each_version(number: UUID, version: int, another: int) -> None:
    key = KEYS.booking(number, version)
    assert (KEYS.booking_of(key), KEYS.version_of(key)) == (number, version)
    assert (KEYS.booking(number, another) == key) == (version == another)
    assert OTHERS.booking_of(key) is None
    # The holder of a key cannot change its version.
    raw = bytearray(urlsafe_b64decode(key))
    raw[16:-20] = another.to_bytes(3)
    forged = urlsafe_b64encode(raw).decode()
    assert forged == key or opened(forged) == []


@given(st.uuids())
def test_long_code_has_eight_letters_and_digits_in_any_case(number: UUID) -> None:
    code = KEYS.long_code(number)
    assert len(code) == 8
    assert set(code) <= set(string.ascii_uppercase + string.digits) - set("IO01")
    assert KEYS.is_long_code(number, code)
    assert KEYS.is_long_code(number, code.lower())
    assert not any(KEYS.is_long_code(number, text) for text in (KEYS.code(number), code[:7], code + "2", "", "\ud800"))
    assert code != OTHERS.long_code(number)


def test_address_mark_differs_by_address_and_secret() -> None:
    marks = {KEYS.mark(f"person{n}@example.com") for n in range(100)}
    assert len(marks) == 100
    assert KEYS.mark("ada@example.com") == KEYS.mark("ada@example.com") != OTHERS.mark("ada@example.com")


@given(purposes, st.uuids())
def test_another_secret_opens_nothing(purpose: str, number: UUID) -> None:
    key = OPENS[purpose][0](number)
    assert [OTHERS.booking_of(key), OTHERS.feed_of(key), OTHERS.link_of(key)] == [None] * 3


@given(st.text(max_size=60))
def test_any_text_is_handled_without_an_error(text: str) -> None:
    assert opened(text) == []
    assert not KEYS.is_code(UUID(int=1), text) or text == KEYS.code(UUID(int=1))


@pytest.mark.parametrize("text", ["", "\ud800" * 48, "ä" * 48, "A" * 48, "=" * 48, "A" * 47 + "=", "x" * 100_000])
def test_malformed_keys_are_refused(text: str) -> None:
    assert opened(text) == []


@given(st.uuids())
def test_code_has_six_digits_and_wrong_codes_are_refused(number: UUID) -> None:
    code = KEYS.code(number)
    assert len(code) == 6
    assert code.isdigit()
    assert code.isascii()
    assert KEYS.is_code(number, code)
    wrong = f"{(int(code) + 1) % 1_000_000:06}"
    assert not any(KEYS.is_code(number, text) for text in (wrong, code[:5], code + "0", "", "\ud800"))


def test_codes_are_evenly_distributed() -> None:
    codes = [KEYS.code(UUID(int=number)) for number in range(3000)]
    assert len(set(codes)) > 2950
    assert {code[0] for code in codes} == set(string.digits)
    assert codes != [OTHERS.code(UUID(int=number)) for number in range(3000)]


def test_key_reveals_nothing_of_the_secret() -> None:
    assert b"secret" not in urlsafe_b64decode(KEYS.booking(UUID(int=7)))
    # Other signatures with the secret use another key.
    number = UUID(int=7)
    naive = hmac.digest(b"the secret of this site", b"link" + number.bytes, "sha256")[:20]
    assert urlsafe_b64decode(KEYS.link(number))[16:] != naive


@given(st.uuids())
def test_verification_code_has_six_digits_and_depends_on_booking_and_secret(number: UUID) -> None:
    code = KEYS.verification_code(number)
    assert len(code) == 6
    assert set(code) <= set(string.digits)
    assert KEYS.is_verification_code(number, code)
    assert not KEYS.is_verification_code(number, code[:5] + ("1" if code[5] == "0" else "0"))
    assert not any(KEYS.is_verification_code(number, wrong) for wrong in ("", "ä", code + "0"))
    codes = {each.verification_code(UUID(int=one)) for each in (KEYS, OTHERS) for one in range(10)}
    assert len(codes) > 15
