"""The environment, typed. Every variable has the prefix EXPERT_BOOKING_ and may stand in a `.env` file."""

import secrets
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Annotated

from platformdirs import user_data_path
from pydantic import AfterValidator, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from expert_booking.domain.holds import HoldRules


class WrongSetting(Exception):
    """A sentence that names the variable and says what it should be."""


def _database_url(url: str) -> str:
    if not url.startswith(("postgresql://", "postgres://", "postgresql+psycopg://")):
        raise ValueError("should look like postgresql://user:password@host:5432/database")
    return "postgresql+psycopg://" + url.split("://", 1)[1]


def _base_url(url: str) -> str:
    if not url.startswith(("http://", "https://")):
        raise ValueError("should look like https://booking.example.com")
    return url.rstrip("/")


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="EXPERT_BOOKING_", env_file=".env", extra="ignore", frozen=True)

    database_url: Annotated[str, AfterValidator(_database_url)] | None = None
    data_dir: Path = Field(default_factory=lambda: user_data_path("expert-booking", appauthor=False))
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65_535)] = 8080
    base_url: Annotated[str, AfterValidator(_base_url)] | None = None
    secret_key: Annotated[str, Field(min_length=16)] | None = None
    demo: bool = True
    phone_required: bool = True
    hold_minutes: Annotated[float, Field(gt=0, le=60)] = 5
    hold_longest_minutes: Annotated[float, Field(gt=0, le=240)] = 20
    holds_per_network: Annotated[int, Field(ge=1, le=10_000)] = 20
    pool_size: Annotated[int, Field(ge=1, le=100)] = 6

    @property
    def hold_rules(self) -> HoldRules:
        """How long and how often times are held."""
        return HoldRules(self.hold_minutes, self.hold_longest_minutes, self.holds_per_network)

    @property
    def embedded(self) -> bool:
        """Whether the product runs a PostgreSQL of its own."""
        return self.database_url is None

    @property
    def public_url(self) -> str:
        """Where people reach the product, for cookies and the line printed at the start."""
        host = "localhost" if self.host in ("127.0.0.1", "0.0.0.0", "::", "::1") else self.host  # noqa: S104
        return self.base_url or f"http://{host}:{self.port}"

    def check(self) -> None:
        """Raises WrongSetting where settings that are right by themselves do not go together."""
        if not self.embedded and self.secret_key is None:
            raise WrongSetting(
                "EXPERT_BOOKING_SECRET_KEY is needed together with EXPERT_BOOKING_DATABASE_URL: "
                "at least 16 random characters, the same for every process."
            )
        if self.hold_longest_minutes < self.hold_minutes:
            raise WrongSetting(
                f"EXPERT_BOOKING_HOLD_LONGEST_MINUTES is {self.hold_longest_minutes:g} and should be at least "
                f"EXPERT_BOOKING_HOLD_MINUTES, which is {self.hold_minutes:g}."
            )

    def secret(self) -> str:
        """The key that signs cookies: the given one or, on the embedded default, one kept in the data folder.

        Raises WrongSetting when a database is given and no key: several processes must share one.
        """
        if self.secret_key is not None:
            return self.secret_key
        self.check()
        return _kept_secret(self.data_dir / "secret.key")


def read_settings() -> Settings:
    """The settings of this process. Raises WrongSetting with one sentence for all wrong variables."""
    try:
        return Settings()
    except ValidationError as error:
        wrong = (f"EXPERT_BOOKING_{'_'.join(map(str, e['loc'])).upper()}: {_words(e['msg'])}" for e in error.errors())
        raise WrongSetting("; ".join(wrong) + ".") from error


def _words(message: str) -> str:
    message = message.removeprefix("Value error, ")
    return message[0].lower() + message[1:]


def _kept_secret(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        # Written aside and linked into place: of two first starts one wins, and nobody ever reads half a key.
        with NamedTemporaryFile("w", dir=path.parent, prefix=".secret-") as file:  # mode 0600
            file.write(secrets.token_urlsafe(48))
            file.flush()
            with suppress(FileExistsError):
                path.hardlink_to(file.name)
    return path.read_text().strip()
