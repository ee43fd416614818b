"""The commands in README and docs run as written, and the docs list every setting and metric."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from expert_booking.db.engine import driver_url
from expert_booking.settings import Settings
from tests.server import ROOT, ServerProcess, environment

README = (ROOT / "README.md").read_text()
DOCS = ROOT / "docs"
VENV = "python3 -m venv .venv"
ELSEWHERE = "postgresql://booking@localhost/restored"


def blocks(text: str) -> list[str]:
    """Return the shell blocks that are meant to be run."""
    return re.findall(r"```sh\n(.*?)```", text, re.S)


def section(heading: str) -> str:
    """Return the text below one heading of the README."""
    return README.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]


def run(script: str, folder: Path, database_url: str) -> subprocess.CompletedProcess[str]:
    """Run a block as if pasted into a shell; every line must succeed."""
    # The command from the tests' environment, whether or not it is installed there.
    command = folder / "expert-booking"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m expert_booking "$@"\n')
    command.chmod(0o755)
    settings = environment(DATABASE_URL=database_url, SECRET_KEY="a secret for the tests only")
    return subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", script.replace(".venv/bin/expert-booking", "expert-booking")],
        cwd=folder,
        env={**settings, "PATH": f"{folder}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.timeout(600)
def test_every_command_in_the_docs_works(database_url: str, empty_database_url: str, tmp_path: Path) -> None:
    if "CI" not in os.environ and not shutil.which("curl"):
        pytest.skip("curl is not installed, which the docs use to call the API")
    (administer,) = blocks((DOCS / "guide" / "administering.md").read_text())
    lines = [line for line in administer.splitlines() if not line.startswith("expert-booking serve")]
    smaller = "\n".join(lines).replace("--experts 10000 --bookings 1000000", "--experts 40 --bookings 600")
    assert smaller != "\n".join(lines)
    administered = run(smaller, tmp_path, database_url)
    assert administered.returncode == 0, administered.stderr

    (first,) = blocks(section("Use it from a program"))
    api = "\n".join(blocks((DOCS / "api.md").read_text()))
    (monitor,) = blocks((DOCS / "operations.md").read_text())
    assert ELSEWHERE in monitor
    monitor = monitor.replace(ELSEWHERE, shlex.quote(driver_url(empty_database_url)))
    server = ServerProcess(tmp_path, database_url)
    try:
        server.wait_until_alive()
        used = run(first.replace("http://localhost:8080", server.url), tmp_path, database_url)
        called = run(api.replace("http://localhost:8080", server.url), tmp_path, database_url)
        monitored = run(monitor.replace("http://localhost:8080", server.url), tmp_path, database_url)
    finally:
        server.stop()
    assert used.returncode == 0, used.stderr
    assert '"status":"cancelled"' in used.stdout
    assert called.returncode == 0, called.stderr
    assert '"status":"confirmed"' in called.stdout
    assert '"actor":"admin","fromStatus":"confirmed","toStatus":"confirmed"' in called.stdout
    assert '"reason":"day_off"' in called.stdout
    assert '"accessToken"' not in called.stdout  # stored in a variable and printed nowhere
    assert '"status":"cancelled"' in called.stdout
    assert called.stdout.endswith('{"status":"alive"}{"status":"ready"}')
    assert monitored.returncode == 0, monitored.stdout + monitored.stderr
    assert 'expert_booking_bookings_total{way="api"} 2.0' in monitored.stdout
    assert "ok    fences" in monitored.stdout
    assert "Backup restored." in monitored.stderr
    table = (DOCS / "operations.md").read_text().split("| name | meaning |")[1]
    documented = {name.split("∗")[0] for name in re.findall(r"`(\w+)`∗?[,| ]", table)}
    exposed = re.findall(r"^# TYPE expert_booking_(\w+)", monitored.stdout, re.M)
    assert set(exposed) <= {name.removesuffix("_total") for name in documented} | documented


def test_readme_commands_match_those_of_ci() -> None:
    (start,), (test,) = blocks(section("Run it")), blocks(section("Develop"))
    ci = (ROOT / ".ci/run").read_text()
    assert start.strip() == f"{VENV} && .venv/bin/pip install -q -c constraints.txt . && .venv/bin/expert-booking"
    assert test.strip() == f"{VENV} && .venv/bin/pip install -q -c constraints.txt -e '.[dev]' && .venv/bin/pytest"
    assert blocks((DOCS / "development.md").read_text()) == [test]
    for command in (
        'pip" install -q -c constraints.txt .',
        "pip install -q -c constraints.txt -e '.[dev]'",
        "pytest",
        "bin/expert-booking",
    ):
        assert command in ci


def test_docs_list_exactly_the_existing_settings() -> None:
    named = set(re.findall(r"EXPERT_BOOKING_([A-Z_]+)", (DOCS / "configuration.md").read_text()))
    assert named == {name.upper() for name in Settings.model_fields}


def test_readme_stays_short() -> None:
    assert len(README.splitlines()) <= 150
