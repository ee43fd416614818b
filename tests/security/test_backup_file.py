"""Files written into a shared folder never go through a file or link that another user has planted there."""

import os
import resource
import stat
from pathlib import Path

import pytest

from expert_booking.db import backup
from expert_booking.settings import Settings, SettingsError


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A folder in which all users may write, such as /tmp."""
    folder = tmp_path / "shared"
    folder.mkdir()
    folder.chmod(0o1777)
    return folder


def test_backup_is_not_written_through_a_planted_link(database_url: str, shared: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("untouched")
    (shared / "booking.dump.part").symlink_to(elsewhere)
    backup.save(database_url, shared / "booking.dump")
    assert elsewhere.read_text() == "untouched"
    assert (shared / "booking.dump.part").is_symlink()  # planted by another user: neither used nor removed
    assert is_dump(shared / "booking.dump")


def test_backup_is_readable_by_its_owner_only_even_if_a_file_was_planted(database_url: str, shared: Path) -> None:
    planted = shared / "booking.dump.part"
    planted.touch()
    planted.chmod(0o666)
    saved = shared / "booking.dump"
    with planted.open("rb") as open_before:
        backup.save(database_url, saved)
        assert open_before.read() == b""
        assert saved.stat().st_ino != os.fstat(open_before.fileno()).st_ino
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    assert is_dump(saved)


def test_backup_replaces_a_link_instead_of_following_it(database_url: str, shared: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("untouched")
    saved = shared / "booking.dump"
    saved.symlink_to(elsewhere)
    backup.save(database_url, saved)
    assert elsewhere.read_text() == "untouched"
    assert not saved.is_symlink()
    assert is_dump(saved)


def test_failed_backup_leaves_nothing_behind(database_url: str, shared: Path) -> None:
    saved = shared / "booking.dump"
    backup.save(database_url, saved)
    before = saved.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))  # simulates a full disk
    try:
        with pytest.raises(backup.BackupError, match="pg_dump"):
            backup.save(database_url, saved)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(shared.iterdir()) == [saved]
    assert saved.read_bytes() == before


@pytest.mark.parametrize("kind", ["link", "writable", "empty", "folder"])
def test_planted_secret_key_is_refused(tmp_path: Path, kind: str) -> None:
    planted = tmp_path / "secret.key"
    if kind == "link":
        known = tmp_path / "known"
        known.write_text("0f47ba7c-93d1-4e0a-a5ee-1c7c6c0a2b11")
        planted.symlink_to(known)
    elif kind == "folder":
        planted.mkdir()
    else:
        planted.write_text("" if kind == "empty" else "0f47ba7c-93d1-4e0a-a5ee-1c7c6c0a2b11")
        planted.chmod(0o602 if kind == "writable" else 0o600)
    with pytest.raises(SettingsError, match=r"secret\.key"):
        Settings(data_dir=tmp_path).secret()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can create another user's file")
def test_secret_key_of_another_user_is_refused(tmp_path: Path) -> None:
    planted = tmp_path / "secret.key"
    planted.write_text("0f47ba7c-93d1-4e0a-a5ee-1c7c6c0a2b11")
    planted.chmod(0o600)
    os.chown(planted, 12345, 12345)
    with pytest.raises(SettingsError, match=r"secret\.key"):
        Settings(data_dir=tmp_path).secret()


def is_dump(path: Path) -> bool:
    """Check that this is a dump in PostgreSQL's custom format."""
    return path.read_bytes()[:5] == b"PGDMP"
