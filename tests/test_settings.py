"""Reading settings from the environment, and the messages about invalid ones."""

import os
import pwd
import stat
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from expert_booking.domain.holds import HoldRules
from expert_booking.settings import Settings, SettingsError, read_settings


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings from outside and no `.env` file."""
    for name in os.environ:
        if name.startswith("EXPERT_BOOKING_"):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def settings(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    """Read the settings with these variables."""
    for name, value in variables.items():
        monkeypatch.setenv(f"EXPERT_BOOKING_{name}", value)
    return read_settings()


def test_defaults_use_the_embedded_database() -> None:
    found = read_settings()
    assert found.embedded
    assert (found.host, found.port, found.demo, found.phone_required) == ("127.0.0.1", 8080, True, True)
    assert found.public_url == "http://localhost:8080"
    found.check()


@pytest.mark.parametrize("scheme", ["postgresql://", "postgres://", "postgresql+psycopg://"])
def test_common_database_url_schemes_are_accepted(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    found = settings(monkeypatch, DATABASE_URL=f"{scheme}ada:p%40ss@db:5433/booking?sslmode=require")
    assert found.database_url == "postgresql+psycopg://ada:p%40ss@db:5433/booking?sslmode=require"
    assert not found.embedded


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://localhost/x"),
        ("DATABASE_URL", "booking"),
        ("DATABASE_URL", ""),
        ("PORT", "0"),
        ("PORT", "65536"),
        ("PORT", "http"),
        ("PORT", ""),
        ("BASE_URL", "booking.example.com"),
        ("SECRET_KEY", "short"),
        ("DEMO", "maybe"),
        ("PHONE_REQUIRED", "2"),
        ("DEFAULT_REGION", ""),
        ("DEFAULT_REGION", "Germany"),
        ("COMPLETE_AFTER_HOURS", "-1"),
        ("COMPLETE_AFTER_HOURS", "soon"),
        ("RETENTION_DAYS", "0"),
        ("RETENTION_DAYS", "a year"),
        ("IMPRINT_URL", "example.com/imprint"),
        ("TERMS_URL", "javascript:alert(1)"),
        ("POOL_SIZE", "0"),
        ("HOLD_MINUTES", "0"),
        ("HOLD_MINUTES", "-5"),
        ("HOLD_MINUTES", "61"),
        ("HOLD_MINUTES", "five"),
        ("HOLD_MINUTES", "nan"),
        ("HOLD_LONGEST_MINUTES", "0"),
        ("HOLD_LONGEST_MINUTES", "241"),
        ("HOLD_LONGEST_MINUTES", "inf"),
        ("HOLDS_PER_NETWORK", "0"),
        ("HOLDS_PER_NETWORK", "10001"),
        ("HOLDS_PER_NETWORK", "2.5"),
        ("HOLDS_PER_MINUTE", "0"),
        ("HOLDS_PER_MINUTE", "100001"),
    ],
)
def test_invalid_value_is_reported_in_one_sentence_with_its_variable(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    with pytest.raises(SettingsError) as wrong:
        settings(monkeypatch, **{name: value})
    message = str(wrong.value)
    assert message.startswith(f"EXPERT_BOOKING_{name}: should " if name.endswith("URL") else f"EXPERT_BOOKING_{name}: ")
    assert message.endswith(".")
    assert "\n" not in message


def test_all_invalid_values_are_reported_together_without_the_values(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError) as wrong:
        settings(monkeypatch, PORT="x", SECRET_KEY="hunter2", DATABASE_URL="mysql://ada:hunter2@db/x")
    for name in ("PORT", "SECRET_KEY", "DATABASE_URL"):
        assert f"EXPERT_BOOKING_{name}" in str(wrong.value)
    assert "hunter2" not in str(wrong.value)


def test_dotenv_file_is_read_and_the_environment_takes_precedence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / ".env").write_text("EXPERT_BOOKING_PORT=9001\nEXPERT_BOOKING_DEMO=false\nSOMETHING_ELSE=x\n")
    assert (read_settings().port, read_settings().demo) == (9001, False)
    assert settings(monkeypatch, PORT="9002").port == 9002


def test_user_without_a_home_directory_stores_data_in_the_working_directory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # As systemd starts a service: without HOME, and perhaps with a user that has no passwd entry.
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", {}.__getitem__)
    assert read_settings().data_dir == Path.cwd() / "expert-booking"
    assert settings(monkeypatch, DATA_DIR=str(tmp_path)).data_dir == tmp_path


def test_external_database_requires_a_secret_key(monkeypatch: pytest.MonkeyPatch) -> None:
    without = settings(monkeypatch, DATABASE_URL="postgresql://db/x")
    for ask in (without.check, without.secret):
        with pytest.raises(SettingsError, match="EXPERT_BOOKING_SECRET_KEY"):
            ask()
    given = settings(monkeypatch, SECRET_KEY="sixteen letters!")
    given.check()
    assert given.secret() == "sixteen letters!"


@pytest.mark.parametrize("name", ["SECRET_KEY", "METRICS_TOKEN"])
@pytest.mark.parametrize(
    "weak",
    ["a" * 16, "x" * 400, "abababababababab", "abcdefghabcdefgh", "abcdefghijabcdefghi", "12345678901234567890",
     "abcdefghijklmnopqrstuvwxyz", "change-me-before-you-start", "ChangeMe 1f7a9c4e8b2d", "please_change_this_1!",
     "your-secret-key-here-ok", "supersecretpassword123", "qwertyuiopasdfghjkl", "<a random string of yours>"],
)  # fmt: skip
def test_weak_secret_is_refused_with_a_command_to_generate_one(
    monkeypatch: pytest.MonkeyPatch, name: str, weak: str
) -> None:
    with pytest.raises(SettingsError) as wrong:
        settings(monkeypatch, **{name: weak})
    message = str(wrong.value)
    assert message.startswith(f"EXPERT_BOOKING_{name}: ")
    assert message.endswith("`openssl rand -base64 36`.")
    assert weak not in message


@pytest.mark.parametrize(
    "strong",
    ["a secret for the tests only", "sixteen letters!", "5f0d8a572a0b4a379f5d6f1f4f1c8e22", "correct horse battery",
     "Vt2rLJpNNL6lG4pXpuqtDFHLnzxTI4Xc6w9Kc5W1f3m7s8Qe"],
)  # fmt: skip
def test_random_secret_is_accepted(monkeypatch: pytest.MonkeyPatch, strong: str) -> None:
    found = settings(monkeypatch, SECRET_KEY=strong, METRICS_TOKEN=strong)
    assert found.secret() == found.metrics_token == strong


def test_hold_rules_come_from_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_settings().hold_rules == HoldRules(minutes=5, longest_minutes=20, per_origin=20, per_minute=60)
    found = settings(
        monkeypatch, HOLD_MINUTES="0.5", HOLD_LONGEST_MINUTES="0.5", HOLDS_PER_NETWORK="1", HOLDS_PER_MINUTE="2"
    )
    assert found.hold_rules == HoldRules(minutes=0.5, longest_minutes=0.5, per_origin=1, per_minute=2)
    found.check()


def test_longest_hold_must_not_be_shorter_than_a_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError) as wrong:
        settings(monkeypatch, HOLD_MINUTES="30").check()
    assert str(wrong.value) == (
        "EXPERT_BOOKING_HOLD_LONGEST_MINUTES is 20 and should be at least EXPERT_BOOKING_HOLD_MINUTES, which is 30."
    )


def test_embedded_key_is_generated_once_and_private_to_the_owner(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "not" / "there" / "yet"
    found = settings(monkeypatch, DATA_DIR=str(folder))
    key = found.secret()
    assert len(key) >= 32
    assert found.secret() == read_settings().secret() == key
    assert [path.name for path in folder.iterdir()] == ["secret.key"]
    assert stat.S_IMODE((folder / "secret.key").stat().st_mode) == 0o600


def test_concurrent_first_starts_get_the_same_complete_key(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = settings(monkeypatch, DATA_DIR=str(tmp_path / "data"))
    with ThreadPoolExecutor(16) as crowd:
        keys = set(crowd.map(lambda _: found.secret(), range(64)))
    assert len(keys) == 1
    assert len(keys.pop()) >= 32


@pytest.mark.parametrize(
    ("variables", "address"),
    [
        ({"HOST": "0.0.0.0", "PORT": "9000"}, "http://localhost:9000"),
        ({"HOST": "::"}, "http://localhost:8080"),
        ({"HOST": "booking.lan"}, "http://booking.lan:8080"),
        ({"BASE_URL": "https://booking.example.com/"}, "https://booking.example.com"),
    ],
)
def test_public_url(monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], address: str) -> None:
    assert settings(monkeypatch, **variables).public_url == address


def test_own_text_about_privacy_is_read_from_its_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "privacy.md"
    file.write_text("Wir speichern möglichst wenig.\n", encoding="utf-8")
    assert settings(monkeypatch, PRIVACY_FILE=str(file)).privacy_text() == "Wir speichern möglichst wenig.\n"


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00", b"x" * 100_001])
def test_unreadable_text_about_privacy_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: bytes | None
) -> None:
    file = tmp_path / "privacy.md"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(SettingsError, match=r"EXPERT_BOOKING_PRIVACY_FILE.*privacy\.md"):
        settings(monkeypatch, PRIVACY_FILE=str(file)).check()


@pytest.mark.parametrize(("hours", "span"), [("24", timedelta(hours=24)), ("0.5", timedelta(minutes=30)), ("0", None)])
def test_hours_until_completion_reach_the_site(
    monkeypatch: pytest.MonkeyPatch, hours: str, span: timedelta | None
) -> None:
    assert read_settings().site.complete_after == timedelta(hours=24)
    assert settings(monkeypatch, COMPLETE_AFTER_HOURS=hours).site.complete_after == span


def test_retention_and_legal_links_reach_the_site(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_settings().site.retention is None
    links = {"IMPRINT_URL": "https://example.com/imprint", "TERMS_URL": "https://example.com/terms#1"}
    site = settings(monkeypatch, RETENTION_DAYS="365", **links).site
    assert (site.retention, site.imprint_url, site.terms_url) == (timedelta(days=365), *links.values())
