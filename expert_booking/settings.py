"""The settings, read from environment variables with the prefix EXPERT_BOOKING_ or from a `.env` file."""

import os
import re
import secrets
import stat
from contextlib import suppress
from datetime import timedelta
from email.utils import parseaddr
from itertools import pairwise
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Annotated, Final
from urllib.parse import urlsplit

from platformdirs import user_data_path
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from expert_booking.db.engine import is_database_url
from expert_booking.domain.addresses import customer_key
from expert_booking.domain.holds import HoldRules
from expert_booking.domain.limits import BookingLimits
from expert_booking.domain.phone_numbers import REGIONS
from expert_booking.domain.site import DEMO_SENDER, Site
from expert_booking.logs import LogFormat, LogLevel
from expert_booking.mail.send import SmtpServer, smtp_server

# Placeholders that examples use instead of a secret.
_PLACEHOLDER: Final = re.compile(
    r"(please[-_ ]?)?(change|replace)[-_ ]?(me|this|it)|(your|my)[-_ ]?(own[-_ ]?)?(secret|password|key|token)|qwert|<"
    r"|((example|insecure|default|super|top|secret|password|key|token)[-_ !0-9]*)+$",
    re.IGNORECASE,
)


# Characters of the operator's own text about privacy.
_MAX_PRIVACY_TEXT: Final = 100_000


class SettingsError(Exception):
    """A setting is invalid. The message names the variable and says what it should be."""


def _database_url(url: str) -> str:
    if url.startswith(("postgresql://", "postgres://", "postgresql+psycopg://")):
        url = "postgresql+psycopg://" + url.split("://", 1)[1]
        if is_database_url(url):
            return url
    raise ValueError(
        "should look like postgresql://user:password@host:5432/database, with special characters of the password"
        " encoded (%40 for @)"
    )


def _redis_url(url: str) -> str:
    if not url.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError("should look like redis://:password@host:6379")
    return url


def _base_url(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ValueError("should look like https://booking.example.com")
    return url.rstrip("/")


def _page_url(url: str) -> str:
    if not re.fullmatch(r"https?://[!-~]+", url):
        raise ValueError("should look like https://example.com/imprint")
    return url


def _smtp_url(url: str) -> str:
    smtp_server(url)  # raises ValueError with a readable message
    return url


def _sender(text: str) -> str:
    try:
        customer_key(parseaddr(text)[1])
    except ValueError as error:
        raise ValueError("should look like Expert Booking <booking@example.com>") from error
    if not text.isprintable():
        raise ValueError("should be one line without control characters")
    return text


def _addresses(text: object) -> object:
    if not isinstance(text, str):
        return text
    try:
        return frozenset(customer_key(one.strip()) for one in text.split(",") if one.strip())
    except ValueError as error:
        raise ValueError("should look like ada@example.com, ben@example.com") from error


def _strong_secret(text: str) -> str:
    """Return the text. Raises ValueError if it is obviously easy to guess."""
    steps = {second - first for first, second in pairwise(map(ord, text))}  # few in aaaa, abcd, 1212
    repeated = any(text[length:] == text[:-length] for length in range(1, len(text) // 2 + 1))
    if len(set(text)) < 8 or len(steps) < 4 or repeated or _PLACEHOLDER.match(text):
        raise ValueError("should be random, and this is easy to guess; make one with `openssl rand -base64 36`")
    return text


def _region(code: str) -> str:
    if code not in REGIONS:
        raise ValueError("should be a country code such as DE or GB")
    return code


def _upper(text: object) -> object:
    return text.upper() if isinstance(text, str) else text


def _hours(text: object) -> object:
    if not isinstance(text, str):
        return text
    try:
        hours = [float(one) for one in text.split(",") if one.strip()]
    except ValueError as error:
        raise ValueError("should be hours such as 24, 1") from error
    if not all(0 < one <= 24 * 14 for one in hours) or len(hours) > 5:
        raise ValueError("should be at most five numbers of hours, each up to 336, such as 24, 1")
    return tuple(timedelta(minutes=round(60 * one)) for one in hours)


def _data_dir() -> Path:
    try:
        return user_data_path("expert-booking", appauthor=False)
    except RuntimeError:  # the user of a service has no home directory
        return Path.cwd() / "expert-booking"


Secret = Annotated[str, Field(min_length=16), AfterValidator(_strong_secret)]


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="EXPERT_BOOKING_", env_file=".env", extra="ignore", frozen=True)

    database_url: Annotated[str, AfterValidator(_database_url)] | None = None
    listen_database_url: Annotated[str, AfterValidator(_database_url)] | None = None
    data_dir: Path = Field(default_factory=_data_dir)
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65_535)] = 8080
    base_url: Annotated[str, AfterValidator(_base_url)] | None = None
    secret_key: Secret | None = None
    demo: bool = True
    phone_required: bool = True
    default_region: Annotated[str, BeforeValidator(_upper), AfterValidator(_region)] | None = None
    hold_minutes: Annotated[float, Field(gt=0, le=60)] = 5
    hold_longest_minutes: Annotated[float, Field(gt=0, le=240)] = 20
    holds_per_network: Annotated[int, Field(ge=1, le=10_000)] = 20
    holds_per_minute: Annotated[int, Field(ge=1, le=100_000)] = 60
    bookings_per_network: Annotated[int, Field(ge=0, le=100_000)] = 40
    live_bookings_per_expert: Annotated[int, Field(ge=0, le=100_000)] = 3
    live_bookings_per_customer: Annotated[int, Field(ge=0, le=100_000)] = 10
    changes_per_hour: Annotated[int, Field(ge=0, le=100_000)] = 12
    sockets_per_network: Annotated[int, Field(ge=1, le=100_000)] = 200
    unconnected_pages_per_network: Annotated[int, Field(ge=1, le=100_000)] = 100
    smtp_url: Annotated[str, AfterValidator(_smtp_url)] | None = None
    mail_from: Annotated[str, AfterValidator(_sender)] | None = None
    admin_emails: Annotated[frozenset[str], NoDecode, BeforeValidator(_addresses)] = frozenset()
    reminder_hours: Annotated[tuple[timedelta, ...], NoDecode, BeforeValidator(_hours)] = (
        timedelta(hours=24),
        timedelta(hours=1),
    )
    emails_per_address: Annotated[int, Field(ge=0, le=10_000)] = 8
    complete_after_hours: Annotated[float, Field(ge=0, le=24 * 365)] = 24
    retention_days: Annotated[int, Field(ge=1, le=36_500)] | None = None
    privacy_file: Path | None = None
    imprint_url: Annotated[str, AfterValidator(_page_url)] | None = None
    terms_url: Annotated[str, AfterValidator(_page_url)] | None = None
    redis_url: Annotated[str, AfterValidator(_redis_url)] | None = None
    pool_size: Annotated[int, Field(ge=1, le=100)] = 6
    log_format: LogFormat = "text"
    log_level: Annotated[LogLevel, BeforeValidator(_upper)] = "WARNING"
    metrics_token: Secret | None = None

    @property
    def hold_rules(self) -> HoldRules:
        """How long slots are held, and how many holds are allowed."""
        return HoldRules(self.hold_minutes, self.hold_longest_minutes, self.holds_per_network, self.holds_per_minute)

    @property
    def booking_limits(self) -> BookingLimits:
        """How many bookings and changes the public may make."""
        return BookingLimits(
            per_network=self.bookings_per_network,
            live_per_expert=self.live_bookings_per_expert,
            live_per_customer=self.live_bookings_per_customer,
            changes_per_hour=self.changes_per_hour,
        )

    @property
    def site(self) -> Site:
        """The settings that the services need. Raises SettingsError, as `secret` does."""
        return Site(
            secret=self.secret(),
            url=self.public_url,
            sender=self.mail_from or DEMO_SENDER,
            admins=self.admin_emails,
            reminders=self.reminder_hours,
            emails_per_address=self.emails_per_address,
            sends_email=self.smtp_url is not None or self.mailbox,
            complete_after=timedelta(hours=self.complete_after_hours) or None,
            retention=None if self.retention_days is None else timedelta(days=self.retention_days),
            imprint_url=self.imprint_url or "",
            terms_url=self.terms_url or "",
        )

    def privacy_text(self) -> str:
        """The operator's own text for the page about privacy, in Markdown; empty without one. Raises SettingsError."""
        if self.privacy_file is None:
            return ""
        try:
            with self.privacy_file.open(encoding="utf-8") as file:
                text = file.read(_MAX_PRIVACY_TEXT + 1)
        except OSError as error:
            raise SettingsError(
                f"EXPERT_BOOKING_PRIVACY_FILE: cannot read {self.privacy_file} ({os.strerror(error.errno or 0)})."
            ) from error
        except ValueError as error:
            raise SettingsError(f"EXPERT_BOOKING_PRIVACY_FILE: {self.privacy_file} should be UTF-8 text.") from error
        if len(text) > _MAX_PRIVACY_TEXT:
            raise SettingsError(
                f"EXPERT_BOOKING_PRIVACY_FILE: {self.privacy_file} should have at most {_MAX_PRIVACY_TEXT} characters."
            )
        return text

    @property
    def smtp(self) -> SmtpServer | None:
        """The mail server; None if emails go to the mailbox page, or nowhere."""
        return None if self.smtp_url is None else smtp_server(self.smtp_url)

    @property
    def mailbox(self) -> bool:
        """Whether emails go to a page, for browsers on this machine that know the URL printed at the start."""
        here = self.host in ("127.0.0.1", "::1", "localhost") and self.base_url is None
        return self.embedded and self.demo and self.smtp_url is None and here

    @property
    def embedded(self) -> bool:
        """Whether the product runs its own PostgreSQL."""
        return self.database_url is None

    @property
    def public_url(self) -> str:
        """The URL of the site, for links, cookies and the line printed at the start."""
        host = "localhost" if self.host in ("127.0.0.1", "0.0.0.0", "::", "::1") else self.host  # noqa: S104
        return self.base_url or f"http://{host}:{self.port}"

    @property
    def is_public(self) -> bool:
        """Whether other machines reach the site, judging by its URL."""
        url = urlsplit(self.base_url or "")
        return url.scheme == "https" or url.hostname not in (None, "localhost", "127.0.0.1", "::1")

    def check(self) -> None:
        """Check settings against each other. Raises SettingsError."""
        if not self.embedded and self.secret_key is None:
            raise SettingsError(
                "EXPERT_BOOKING_SECRET_KEY is required with EXPERT_BOOKING_DATABASE_URL: "
                "at least 16 random characters, the same for every process."
            )
        if self.listen_database_url is not None and self.embedded:
            raise SettingsError(
                "EXPERT_BOOKING_LISTEN_DATABASE_URL needs EXPERT_BOOKING_DATABASE_URL, which names the pooler."
            )
        if self.smtp_url is not None and self.mail_from is None:
            raise SettingsError(
                "EXPERT_BOOKING_MAIL_FROM is required with EXPERT_BOOKING_SMTP_URL: "
                "the sender of all emails, such as Expert Booking <booking@example.com>."
            )
        if self.hold_longest_minutes < self.hold_minutes:
            raise SettingsError(
                f"EXPERT_BOOKING_HOLD_LONGEST_MINUTES is {self.hold_longest_minutes:g} and should be at least "
                f"EXPERT_BOOKING_HOLD_MINUTES, which is {self.hold_minutes:g}."
            )
        self.privacy_text()

    def secret(self) -> str:
        """The key that signs cookies and links: the configured one, or a generated one in the data folder.

        Raises SettingsError if a database is configured without a key, since several processes must share one.
        """
        if self.secret_key is not None:
            return self.secret_key
        self.check()
        return _stored_secret(self.data_dir / "secret.key")


def read_settings() -> Settings:
    """Read the settings. Raises SettingsError with one sentence that names all invalid variables."""
    try:
        return Settings()
    except ValidationError as error:
        wrong = (f"EXPERT_BOOKING_{'_'.join(map(str, e['loc'])).upper()}: {_message(e['msg'])}" for e in error.errors())
        raise SettingsError("; ".join(wrong) + ".") from error


def _message(message: str) -> str:
    message = message.removeprefix("Value error, ")
    return message[0].lower() + message[1:]


def _stored_secret(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        # Written to a temporary file and linked into place: if two processes start together, one of them wins,
        # and neither reads an incomplete key.
        with NamedTemporaryFile("w", dir=path.parent, prefix=".secret-") as file:  # mode 0600
            file.write(secrets.token_urlsafe(48))
            file.flush()
            with suppress(FileExistsError):
                path.hardlink_to(file.name)
    return _read_secret(path)


def _read_secret(path: Path) -> str:
    """The key in this file. Raises SettingsError if another user may have written it, or if it is easy to guess."""
    trusted = {0, os.geteuid()}
    if os.geteuid() == 0:  # root may run this in the data folder of an ordinary user
        trusted.add(path.parent.stat().st_uid)
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)) as file:
            status = os.fstat(file.fileno())
            trusted_file = stat.S_ISREG(status.st_mode) and status.st_uid in trusted and not status.st_mode & 0o022
            secret = file.read().strip() if trusted_file else ""
        _strong_secret(secret)
    except (OSError, ValueError) as error:
        raise SettingsError(
            f"{path} should contain a random key, belong to you and be writable only by you. Restore it from a backup, "
            "or delete it to get a new one; all existing links and tokens then stop working."
        ) from error
    return secret
