"""Emails are written without the standard library, which must read exactly what was written."""

from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expert_booking.domain.email_schedule import Audience, MessageKind
from expert_booking.domain.lifecycle import Actor
from expert_booking.mail.compose import compose_booking_email
from expert_booking.mail.message import Headers, base64_part, email, multipart, text_part
from tests.mail.samples import EVERY_EMAIL, INSTALLATION, NOW, SITE, booking_email, parsed

TEXT = st.text(st.one_of(st.characters(), st.sampled_from("=. \t\r\n-_é😀\x00\u2028\x85")), max_size=400)


def lines_of(text: str) -> list[str]:
    """The lines of a text, as bytes.splitlines() finds them."""
    return [line.decode() for line in text.encode(errors="replace").splitlines()]


@given(TEXT)
def test_text_of_any_kind_is_read_as_it_was_written(text: str) -> None:
    part = message_from_bytes(text_part("plain", text), EmailMessage, policy=policy.default)
    assert not part.defects
    assert lines_of(part.get_content()) == lines_of(text)


@given(TEXT)
def test_lines_have_at_most_76_characters_of_ascii_and_end_with_crlf(text: str) -> None:
    body = text_part("plain", text).partition(b"\r\n\r\n")[2]
    assert body == b"" or body.endswith(b"\r\n")
    for line in body.split(b"\r\n"):
        assert len(line) <= 76
        assert line.isascii()
        assert b"\r" not in line
        assert b"\n" not in line
        assert not line.endswith((b" ", b"\t"))
        assert line != b"."


@given(st.binary(max_size=400))
def test_any_file_is_read_as_it_was_written(content: bytes) -> None:
    part = message_from_bytes(base64_part("application/ics", content), EmailMessage, policy=policy.default)
    assert part.get_content() == content


@given(st.lists(TEXT, min_size=1, max_size=3))
def test_no_text_ends_its_part(texts: list[str]) -> None:
    body = multipart("alternative", [text_part("plain", text) for text in texts], "seed")
    message = parsed(email("a@example.com", "b@example.com", Headers(), body))
    assert [lines_of(part.get_content()) for part in message.iter_parts()] == list(map(lines_of, texts))


@pytest.mark.parametrize(("kind", "actor", "audience"), EVERY_EMAIL)
def test_standard_library_writes_the_same_headers_and_parts(
    kind: MessageKind, actor: Actor | None, audience: Audience
) -> None:
    # Names in ASCII: in long headers with others, the standard library of Python 3.11 repeats words.
    content = booking_email(kind, audience, actor, expert_name="Jana Muller")
    written = compose_booking_email(content, SITE, installation=INSTALLATION, message_id="<1@site.example>", now=NOW)
    assert max(map(len, bytes(written).split(b"\r\n"))) <= 998
    ours = parsed(written)
    theirs = EmailMessage(policy=policy.SMTP)
    for name, value in ours.items():
        if not name.startswith(("Content-", "MIME-")):
            theirs[name] = value
    for kind_of_text in ("plain", "html", "calendar"):
        part = next((part for part in ours.walk() if part.get_content_type() == f"text/{kind_of_text}"), None)
        if part is None:
            continue
        more = {"params": dict(part["Content-Type"].params.items() - {("charset", "utf-8")})}
        if kind_of_text == "plain":
            theirs.set_content(part.get_content())
        else:
            theirs.add_alternative(part.get_content(), subtype=kind_of_text, **(more if len(more["params"]) else {}))
    for part in ours.iter_attachments():
        theirs.add_attachment(part.get_content(), "application", "ics", filename=part.get_filename())
    assert outline(parsed_again(theirs)) == outline(ours)


def parsed_again(message: EmailMessage) -> EmailMessage:
    """What the standard library reads of an email that it has written."""
    return message_from_bytes(message.as_bytes(), EmailMessage, policy=policy.default)


def outline(message: EmailMessage) -> list[object]:
    """Headers and parts of an email: what a mail program sees."""
    # Where it folds a line, the standard library reads two spaces for one.
    headers = {
        name: " ".join(str(value).split())
        for name, value in message.items()
        if not name.startswith(("Content-", "MIME-"))
    }
    parts: list[object] = [headers]
    for part in message.walk():
        body = None if part.is_multipart() else part.get_content()
        text = body.replace("\r\n", "\n") if isinstance(body, str) else body
        parts.append((part.get_content_type(), part.get_content_disposition(), part.get_filename(), text))
    return parts
