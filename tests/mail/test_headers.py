"""Header values stay on one line for any input."""

from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest

from expert_booking.mail.headers import mail_address, name_and_address, put_address, put_text
from expert_booking.mail.message import Headers


def parsed(headers: Headers) -> EmailMessage:
    """The headers as the receiver's program parses them."""
    read = message_from_bytes(bytes(headers) + b"\r\n", EmailMessage, policy=policy.default)
    assert not read.defects
    return read


@pytest.mark.parametrize(
    "evil", ["a\r\nBcc: b@example.com", "a\nBcc: b@example.com", "a\rBcc: b", "a\x85\u2028Bcc: b", "a\x00\x1f\x7fb"]
)
def test_line_breaks_are_removed_from_headers(evil: str) -> None:
    written = Headers()
    put_text(written, "Subject", evil)
    put_address(written, "To", evil, "ada@example.com")
    message = parsed(written)
    headers = bytes(written).replace(b"\r\n ", b" ").splitlines()
    assert [line.partition(b":")[0].decode() for line in headers] == message.keys() == ["Subject", "To"]
    assert message["Subject"].isprintable()
    assert "Bcc" not in message


@pytest.mark.parametrize("text", ["=?utf-8?q?=0D=0ABcc:_x?=", "x" * 300, "x " * 100, "é" * 200, "a=?b", ""])
def test_header_text_round_trips(text: str) -> None:
    headers = Headers()
    put_text(headers, "Subject", text)
    assert parsed(headers)["Subject"] == text.strip()
    assert max(map(len, bytes(headers).splitlines())) <= 78


def test_very_long_address_is_written_without_a_name() -> None:
    headers = Headers()
    put_address(headers, "To", "Ada", "a" * 64 + "@example.com")
    assert parsed(headers)["To"] == "a" * 64 + "@example.com"


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
