"""Sending to a real SMTP server: delivery and refusals."""

import asyncio
import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiosmtpd.smtp import AuthResult, LoginPassword
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from expert_booking.mail.headers import mail_address, put_address, put_text
from expert_booking.mail.message import Email, Headers, email, text_part
from expert_booking.mail.send import DeliveryError, SmtpServer, SmtpTransport, smtp_server
from tests.mail_server import MailServer
from tests.server import free_port


def sample_email(to: str = "ada@example.com", name: str = "") -> Email:
    """A sample email."""
    headers = Headers()
    put_text(headers, "Subject", "Grüße")
    put_address(headers, "From", "Site", "site@example.com")
    put_address(headers, "To", name, to)
    return email("site@example.com", to, headers, text_part("plain", "Schöne Grüße\n"))


async def refused(transport: SmtpTransport, what: Email | None = None) -> DeliveryError:
    """Send an email and return the error."""
    with pytest.raises(DeliveryError) as refusal:
        await transport.send(what or sample_email())
    assert "@" not in refusal.value.reason
    return refusal.value


async def test_email_arrives_as_written(mail_server: MailServer) -> None:
    await mail_server.transport().send(sample_email())
    [email], [(sender, recipients, _)] = mail_server.emails, mail_server.envelopes
    assert (sender, recipients) == ("site@example.com", ["ada@example.com"])
    assert (email["Subject"], email.get_content().rstrip()) == ("Grüße", "Schöne Grüße")


async def test_non_ascii_address_is_sent_with_smtputf8(mail_server: MailServer) -> None:
    await mail_server.transport().send(sample_email("жанна@example.com"))
    [(_, recipients, options)] = mail_server.envelopes
    assert recipients == ["жанна@example.com"]
    assert "SMTPUTF8" in options


async def test_non_ascii_domain_is_sent_in_idna(mail_server: MailServer) -> None:
    await mail_server.transport().send(sample_email(mail_address("ada@bücher-straße.example"), "Ada Bücher"))
    [email], [(_, recipients, options)] = mail_server.emails, mail_server.envelopes
    assert recipients == ["ada@xn--bcher-strae-46a18a.example"]
    assert "SMTPUTF8" not in options
    assert email["To"] == "Ada Bücher <ada@xn--bcher-strae-46a18a.example>"


async def test_emails_that_follow_each_other_use_one_connection(mail_server: MailServer) -> None:
    transport = mail_server.transport()
    for _ in range(3):
        await transport.send(sample_email())
    assert (len(mail_server.emails), mail_server.connections) == (3, 1)
    await transport.close()
    await transport.send(sample_email())
    assert (len(mail_server.emails), mail_server.connections) == (4, 2)
    await transport.close()


async def test_connection_that_the_server_has_closed_is_replaced(mail_server: MailServer) -> None:
    transport = mail_server.transport()
    await transport.send(sample_email())
    mail_server.stop()
    mail_server.start()
    await transport.send(sample_email())
    assert len(mail_server.emails) == 2
    await transport.close()


async def test_connection_is_not_used_again_after_a_refusal(mail_server: MailServer) -> None:
    transport = mail_server.transport()
    mail_server.message_reply = lambda _, __: "554 5.6.0 no"
    await refused(transport)
    mail_server.message_reply = lambda _, __: None
    await transport.send(sample_email())
    assert (len(mail_server.emails), mail_server.connections) == (1, 2)
    await transport.close()


async def test_server_without_smtputf8_refuses_a_non_ascii_address_permanently() -> None:
    server = MailServer(enable_SMTPUTF8=False).start()
    try:
        assert (await refused(server.transport(), sample_email("жанна@example.com"))).permanent
        assert server.emails == []
    finally:
        server.stop()


@pytest.mark.parametrize(
    ("answer", "permanent", "reason"),
    [
        ("450 4.2.1 ada@example.com is full", False, "450 4.2.1"),
        ("550 5.1.1 ada@example.com: no such person", True, "550 5.1.1"),
        ("550 ada@example.com unknown", True, "550"),
        ("530 5.7.0 sign in first", False, "530 5.7.0"),
    ],
)
async def test_recipient_refusal_is_reported_by_its_codes_only(
    mail_server: MailServer, answer: str, permanent: bool, reason: str
) -> None:
    mail_server.recipient_reply = lambda _: answer
    refusal = await refused(mail_server.transport())
    assert (refusal.permanent, refusal.reason) == (permanent, f"recipient refused: {reason}")


@pytest.mark.parametrize(
    ("answer", "refused_for_good"),
    [
        ("550 5.1.1 no such person", True),
        ("550 5.1.10 null MX", True),
        ("550 5.2.1 mailbox disabled", True),
        ("550 5.4.1 recipient address rejected", True),
        ("550 unknown", True),
        ("450 4.1.1 not now", False),
        ("552 5.2.2 mailbox full", False),
        ("553 5.1.8 sender's domain not found", False),
        ("554 5.7.1 relay access denied", False),
        ("550 5.7.1 your host is on a list", False),
        ("554 no", False),
        ("530 5.7.0 sign in first", False),
    ],
)
async def test_only_a_permanent_refusal_of_the_mailbox_is_about_the_address(
    mail_server: MailServer, answer: str, refused_for_good: bool
) -> None:
    mail_server.recipient_reply = lambda _: answer
    assert (await refused(mail_server.transport())).address_refused is refused_for_good


async def test_permanent_refusal_of_the_text_is_not_about_the_address(mail_server: MailServer) -> None:
    mail_server.message_reply = lambda *_: "550 5.1.1 we do not like it"
    refusal = await refused(mail_server.transport())
    assert (refusal.permanent, refusal.address_refused) == (True, False)


@pytest.mark.parametrize(
    ("answer", "permanent", "reason"),
    [("451 4.3.0 later, ada@example.com", False, "451 4.3.0"), ("554 5.6.0 we do not like it", True, "554 5.6.0")],
)
async def test_message_refusal_is_reported_by_its_codes_only(
    mail_server: MailServer, answer: str, permanent: bool, reason: str
) -> None:
    mail_server.message_reply = lambda *_: answer
    refusal = await refused(mail_server.transport())
    assert (refusal.permanent, refusal.reason) == (permanent, f"email refused: {reason}")


async def test_unreachable_server_is_a_temporary_failure() -> None:
    transport = SmtpTransport(smtp_server(f"smtp://127.0.0.1:{free_port()}"))
    assert not (await refused(transport)).permanent


async def test_silent_server_times_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        transport = SmtpTransport(smtp_server(f"smtp://127.0.0.1:{silent.getsockname()[1]}"), timeout=0.5)
        async with asyncio.timeout(20):
            refusal = await refused(transport)
    assert (refusal.permanent, refusal.reason) == (False, "timeout")


async def test_endless_response_times_out(mail_server: MailServer) -> None:
    mail_server.proceed.clear()
    async with asyncio.timeout(20):
        refusal = await refused(SmtpTransport(mail_server.address, timeout=0.5))
    assert (refusal.permanent, refusal.reason) == (False, "timeout")


# --- encryption -------------------------------------------------------------------------------------------------


@pytest.fixture
def certificate(tmp_path: Path) -> ssl.SSLContext:
    """A TLS context with a self-signed certificate."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    path = tmp_path / "server.pem"
    path.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


@pytest.fixture
def authenticated_server(certificate: ssl.SSLContext) -> Iterator[MailServer]:
    """A server that offers STARTTLS and requires a password."""

    def check_password(*arguments: object) -> AuthResult:
        given = arguments[-1]
        assert isinstance(given, LoginPassword)
        return AuthResult(success=given == LoginPassword(b"site", b"p@ss/word"), handled=False)

    server = MailServer(tls_context=certificate, authenticator=check_password, auth_required=True).start()
    yield server
    server.stop()


async def test_password_is_sent_to_a_local_server(authenticated_server: MailServer) -> None:
    await SmtpTransport(smtp_server(f"smtp://site:p%40ss%2Fword@127.0.0.1:{authenticated_server.port}")).send(
        sample_email()
    )
    assert len(authenticated_server.emails) == 1


async def test_wrong_password_is_retryable_and_not_quoted(authenticated_server: MailServer) -> None:
    refusal = await refused(SmtpTransport(smtp_server(f"smtp://site:wrong@127.0.0.1:{authenticated_server.port}")))
    assert not refusal.permanent
    assert refusal.reason.startswith("sign-in refused: 535")
    assert "wrong" not in refusal.reason


async def test_untrusted_certificate_is_refused(authenticated_server: MailServer) -> None:
    # Like a remote server, for which STARTTLS is required with a password.
    elsewhere = SmtpServer(
        "127.0.0.1", authenticated_server.port, "house", "p@ss/word", tls=False, starttls_needed=True
    )
    refusal = await refused(SmtpTransport(elsewhere))
    assert not refusal.permanent
    assert authenticated_server.emails == []


async def test_password_is_not_sent_without_tls_where_starttls_is_required(mail_server: MailServer) -> None:
    elsewhere = SmtpServer("127.0.0.1", mail_server.port, "house", "p@ss/word", tls=False, starttls_needed=True)
    assert not (await refused(SmtpTransport(elsewhere))).permanent
    assert mail_server.emails == []
