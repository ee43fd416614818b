"""The README is true: its commands are run as they stand there."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from expert_booking.db.engine import driver_url
from tests.serving import ROOT, ServerProcess, environment

README = (ROOT / "README.md").read_text()


def blocks(heading: str) -> list[str]:
    """The shell blocks below one heading."""
    section = README.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"```sh\n(.*?)```", section, re.S)


def run(script: str, folder: Path, database_url: str) -> subprocess.CompletedProcess[str]:
    """Run a block as a person would paste it, every line of it having to work."""
    # The command as the tests' own environment has it, whether or not it is installed there.
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
        timeout=150,
        check=False,
    )


@pytest.mark.timeout(240)
def test_every_command_of_the_readme_works_as_it_stands_there(
    database_url: str, empty_database_url: str, tmp_path: Path
) -> None:
    if "CI" not in os.environ and not shutil.which("curl"):
        pytest.skip("there is no curl on this machine, with which the README speaks to the API")
    (administer,) = blocks("Administer")
    lines = [line for line in administer.splitlines() if not line.startswith("expert-booking serve")]
    smaller = "\n".join(lines).replace("--experts 10000 --bookings 1000000", "--experts 40 --bookings 600")
    assert smaller != "\n".join(lines)
    administered = run(smaller, tmp_path, database_url)
    assert administered.returncode == 0, administered.stderr

    (use,), (watch,) = blocks("Use it"), blocks("Watch it and keep it")
    elsewhere = "postgresql://booking@localhost/restored"
    assert elsewhere in watch
    watch = watch.replace(elsewhere, shlex.quote(driver_url(empty_database_url)))
    server = ServerProcess(tmp_path, database_url)
    try:
        server.wait_until_alive()
        used = run(use.replace("http://localhost:8080", server.url), tmp_path, database_url)
        watched = run(watch.replace("http://localhost:8080", server.url), tmp_path, database_url)
    finally:
        server.stop()
    assert used.returncode == 0, used.stderr
    assert '"status":"confirmed"' in used.stdout
    assert '"actor":"admin","fromStatus":"confirmed","toStatus":"confirmed"' in used.stdout
    assert '"reason":"day_off"' in used.stdout
    assert '"accessToken"' not in used.stdout  # it went into a variable, and nothing else tells it
    assert '"status":"cancelled"' in used.stdout
    assert used.stdout.endswith('{"status":"alive"}{"status":"ready"}')
    assert watched.returncode == 0, watched.stdout + watched.stderr
    assert 'expert_booking_bookings_total{way="api"} 1.0' in watched.stdout
    assert "good  fences" in watched.stdout
    assert "The database is as it was." in watched.stderr
    figures = {name.split("∗")[0] for name in re.findall(r"`(\w+)`∗?[,| ]", README.split("| name | is |")[1])}
    told = re.findall(r"^# TYPE expert_booking_(\w+)", watched.stdout, re.M)
    assert set(told) <= {name.removesuffix("_total") for name in figures} | figures


def test_the_two_commands_are_the_ones_ci_runs() -> None:
    (start,), (test,) = blocks("Run it"), blocks("Develop")
    ci = (ROOT / ".ci/run").read_text()
    assert (
        start.strip()
        == "python3 -m venv .venv && .venv/bin/pip install -q -c constraints.txt . && .venv/bin/expert-booking"
    )
    assert (
        test.strip()
        == "python3 -m venv .venv && .venv/bin/pip install -q -c constraints.txt -e '.[dev]' && .venv/bin/pytest"
    )
    for command in (
        'pip" install -q -c constraints.txt .',
        "pip install -q -c constraints.txt -e '.[dev]'",
        "pytest",
        "bin/expert-booking",
    ):
        assert command in ci


def test_the_readme_names_every_setting() -> None:
    from expert_booking.settings import Settings

    for name in Settings.model_fields:
        assert f"EXPERT_BOOKING_{name.upper()}" in README, name
