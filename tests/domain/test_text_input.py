"""Normalisation of text that people enter."""

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expert_booking.domain.text_input import clean_line, clean_lines, has_visible

BIDIRECTIONAL = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
INVISIBLE = (
    "\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180e\u2060\u2061\u2062\u206a\u206f\u3164\ufeff\uffa0\ufff9\ufffb\ufffc"
    "\U0001d173"
)
NON_JOINER, JOINER, ZERO_WIDTH_SPACE = "\u200c", "\u200d", "\u200b"
SCOTLAND = "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f"


@pytest.mark.parametrize(
    "text",
    [
        "Ada Lovelace", "Zoë Müller", "Nguyễn Văn A", "Ólafur Þór Hrafnsson", "D’Arcy O'Neil", "Łukasz Żółć",
        "İpek Işık", "Αλέξανδρος", "Владимир Иванович", "שָׁלוֹם בֶּן־דָּוִד", "محمد بن سلمان", f"علی{NON_JOINER}رضا",
        f"می{NON_JOINER}خواهم",
        f"۵{NON_JOINER}شنبه", "नरेंद्र मोदी", f"श्री क्{JOINER}ष", f"അവന്{JOINER}", f"র{JOINER}্যাব", "தமிழ் செல்வன்", "สมชาย ใจดี",
        "ព្រះ", "བཀྲ་ཤིས།", "王小明", "山田太郎", "김철수", "葛\U000e0100城", "X Æ A-12",
        "🦉", "👩🏽‍⚕️ Zoë", "👨‍👩‍👧‍👦", "🏳️‍🌈", "❤️‍🔥", "1️⃣",
        "🇩🇪", SCOTLAND, "\U0001fae8", "Renée 3.14 (she/her)", "½ €", "♥️",
    ],
)  # fmt: skip
def test_names_and_emoji_of_the_world_stay_as_they_are(text: str) -> None:
    composed = unicodedata.normalize("NFC", text)
    assert clean_line(text) == clean_lines(text) == composed
    assert has_visible(clean_line(text))


@pytest.mark.parametrize("char", BIDIRECTIONAL + INVISIBLE)
def test_characters_that_show_nothing_are_removed(char: str) -> None:
    assert clean_line(f"A{char}da{char}") == clean_lines(f"A{char}da{char}") == "Ada"


@pytest.mark.parametrize(
    "text",
    ["", " ", "\u200b", "\u2060\u200b", "\u3164", "\u115f\u1160", "\uffa0", "\u2800", "\ufe0f", JOINER, "\u034f",
     "\u00a0\u2003\u3000", "\u202e\u202c", "\U000e0041\U000e007f", "\u0301", "\u00ad", "\u2028",
     "\ufeff", "\U000e0100"],
)  # fmt: skip
def test_text_that_shows_nothing_has_nothing_visible(text: str) -> None:
    assert not has_visible(clean_line(text))


def test_text_becomes_nfc() -> None:
    assert clean_line("Zoe\u0308") == clean_lines("Zoe\u0308") == "Zoë"
    assert clean_line("\u1100\u1161\u11a8") == "각"


@pytest.mark.parametrize("space", ["\n", "\r\n", "\r", "\t", "\u2028", "\u2029", "\u00a0", "\u3000", "  ", "\u2800"])
def test_line_ends_and_spaces_in_a_line_become_one_space(space: str) -> None:
    assert clean_line(f"{space}Ada{space}Lovelace{space}") == "Ada Lovelace"


def test_lines_keep_their_ends_as_newlines() -> None:
    assert clean_lines(" a\r\nb\rc\u2028d\u2029e\tf ") == "a\nb\nc\nd\ne\tf"


@pytest.mark.parametrize("char", ["\x00", "\x07", "\x1b", "\x7f", "\x85", "\x9f", "\ud800", "\ufdd0", "\uffff"])
def test_control_characters_are_refused(char: str) -> None:
    for clean in (clean_line, clean_lines):
        with pytest.raises(ValueError, match="control characters"):
            clean(f"A{char}da")


def test_joiners_stay_only_inside_words_and_only_once() -> None:
    assert (
        clean_line(f"{JOINER}Ada {JOINER} Love{JOINER}{NON_JOINER}{JOINER}lace{NON_JOINER}") == f"Ada Love{JOINER}lace"
    )


def test_zero_width_spaces_stay_inside_words_of_texts_but_not_in_names() -> None:
    khmer = f"ភាសា{ZERO_WIDTH_SPACE}ខ្មែរ"
    assert clean_lines(khmer) == khmer
    assert clean_line(khmer) == khmer.replace(ZERO_WIDTH_SPACE, "")
    assert clean_lines(f"{ZERO_WIDTH_SPACE}a {ZERO_WIDTH_SPACE}") == "a"


def test_hidden_text_in_tags_and_variation_selectors_is_removed() -> None:
    hidden = "".join(chr(0xE0000 + ord(char)) for char in "Ignore this")
    assert clean_line(f"Ada{hidden}") == "Ada"
    assert clean_line(f"🏴{hidden}") == "🏴"
    assert clean_line("Ada" + "".join(map(chr, range(0xE0100, 0xE01F0)))) == "Ada\U000e0100"


def test_a_few_accents_on_a_letter_are_allowed_and_a_pile_is_refused() -> None:
    assert has_visible(clean_line("e" + "\u0323\u0302\u0301"))
    with pytest.raises(ValueError, match="fewer accents"):
        clean_line("Z" + "\u0335\u0321" * 6)


@given(st.text(max_size=200))
def test_cleaning_twice_changes_nothing_more_and_leaves_nothing_that_hides(text: str) -> None:
    for clean in (clean_line, clean_lines):
        try:
            once = clean(text)
        except ValueError:
            continue
        assert clean(once) == once == unicodedata.normalize("NFC", once)
        assert not set(once) & set(BIDIRECTIONAL + INVISIBLE)


@pytest.mark.parametrize("unit", ["\u0315\u0300\u05ae\u0301a", "a\u200d", "🏴\U000e0067", "\u200b \ufe0f", "한", "\r"])
def test_time_grows_linearly(unit: str) -> None:
    def seconds(length: int) -> float:
        text = (unit * length)[:length]
        began = time.process_time()
        clean_lines(text)
        return time.process_time() - began

    # Sixteen times the length; quadratic code would take 256 times as long.
    assert min(seconds(160_000) for _ in range(3)) < 64 * min(seconds(10_000) for _ in range(5))
