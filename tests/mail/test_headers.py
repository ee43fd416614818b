"""Header values stay on one line for any input."""

from email.message import EmailMessage

import pytest

from expert_booking.mail.headers import mail_address, name_and_address, put_address, put_text


@pytest.mark.parametrize(
    "evil", ["a\r\nBcc: b@example.com", "a\nBcc: b@example.com", "a\rBcc: b", "a\x85\u2028Bcc: b", "a\x00\x1f\x7fb"]
)
def test_line_breaks_are_removed_from_headers(evil: str) -> None:
    message = EmailMessage()
    put_text(message, "Subject", evil)
    put_address(message, "To", evil, "ada@example.com")
    message.set_content("x")
    headers = bytes(message).partition(b"\n\n")[0].replace(b"\n ", b" ").splitlines()
    assert [line.partition(b":")[0].decode() for line in headers] == message.keys()
    assert message["Subject"].isprintable()
    assert "Bcc" not in message


@pytest.mark.parametrize("text", ["=?utf-8?q?=0D=0ABcc:_x?=", "x" * 300, "x " * 100, "é" * 200, "a=?b", ""])
def test_header_text_round_trips(text: str) -> None:
    message = EmailMessage()
    put_text(message, "Subject", text)
    assert message["Subject"] == text.strip()
    assert max(map(len, message.as_string().splitlines())) <= 78


def test_very_long_address_is_written_without_a_name() -> None:
    message = EmailMessage()
    put_address(message, "To", "Ada", "a" * 64 + "@example.com")
    assert message["To"] == "a" * 64 + "@example.com"


@pytest.mark.parametrize(
    ("typed", "address"),
    [("Ada.L+x@Example.COM", "Ada.L+x@example.com"), ("ada@bücher.example", "ada@xn--bcher-kva.example"),
     ("Jürgen@Example.com", "jürgen@example.com")],
)  # fmt: skip
def test_domain_of_an_address_is_written_in_idna(typed: str, address: str) -> None:
    # The local part belongs to its server and stays as typed if it is ASCII.
    assert mail_address(typed).lower() == address.lower()
    assert mail_address(typed).rpartition("@")[2].isascii()


@pytest.mark.parametrize(
    "wrong", ["", "ada", "ada@", "@example.com", "a b@example.com", "a@b@example.com", "a@x.com\r\n"]
)
def test_invalid_address_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        mail_address(wrong)


def test_sender_may_have_a_name() -> None:
    assert name_and_address("The Site <a@b.example>") == ("The Site", "a@b.example")
    assert name_and_address("a@b.example") == ("", "a@b.example")
