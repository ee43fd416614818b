"""The commands in README and docs run as written, and the docs list every setting and metric."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from expert_booking.db.engine import Database, driver_url
from expert_booking.seed import Plan, load
from expert_booking.settings import Settings
from tests.api.conftest import booking_of
from tests.conftest import fresh_database
from tests.server import ROOT, ServerProcess, environment

README = (ROOT / "README.md").read_text()
DOCS = ROOT / "docs"
VENV = "python3 -m venv .venv"
ELSEWHERE = "postgresql://booking@localhost/restored"


@dataclass(frozen=True)
class Site:
    """A running server and its database."""

    server: ServerProcess
    database_url: str

    def addressed(self, script: str) -> str:
        """Replace the address in the docs by this server's."""
        return script.replace("http://localhost:8080", self.server.url)


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


@pytest.fixture(scope="module")
def curl() -> None:
    """Skip the calling tests without curl, with which the docs call the API. In CI they then fail."""
    if "CI" not in os.environ and not shutil.which("curl"):
        pytest.skip("curl is not installed, which the docs use to call the API")


@pytest.fixture(scope="module")
async def site(
    curl: None, server_url: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Site]:
    """A server with sample data, which the documents share."""
    folder = tmp_path_factory.mktemp("site")
    with fresh_database(server_url, template) as url:
        database = Database(url)
        await load(database, Plan(experts=8, bookings=60))
        await database.close()
        with ServerProcess(folder, url) as server:
            yield Site(server.wait_until_alive(), url)
            server.stop()


def test_every_document_with_commands_is_run_by_a_test() -> None:
    documents = {str(path.relative_to(ROOT)) for path in (ROOT / "README.md", *DOCS.rglob("*.md"))
                 if blocks(path.read_text())}  # fmt: skip
    assert documents == {"README.md", "docs/api.md", "docs/development.md", "docs/guide/administering.md",
                         "docs/operations.md"}  # fmt: skip


@pytest.mark.timeout(600)  # ten commands, each of which imports the product
def test_commands_for_administrators_work(database_url: str, tmp_path: Path) -> None:
    (administer,) = blocks((DOCS / "guide" / "administering.md").read_text())
    lines = [line for line in administer.splitlines() if not line.startswith("expert-booking serve")]
    smaller = "\n".join(lines).replace("--experts 10000 --bookings 1000000", "--experts 40 --bookings 600")
    assert smaller != "\n".join(lines)
    administered = run(smaller, tmp_path, database_url)
    assert administered.returncode == 0, administered.stderr


def test_readme_calls_book_and_cancel(site: Site, tmp_path: Path) -> None:
    (first,) = blocks(section("Use it from a program"))
    used = run(site.addressed(first), tmp_path, site.database_url)
    assert used.returncode == 0, used.stderr
    assert '"status":"cancelled"' in used.stdout


def test_calls_of_the_api_document_work(site: Site, tmp_path: Path) -> None:
    # Later blocks use variables of earlier ones.
    api = "\n".join(blocks((DOCS / "api.md").read_text()))
    called = run(site.addressed(api), tmp_path, site.database_url)
    assert called.returncode == 0, called.stderr
    assert '"status":"confirmed"' in called.stdout
    assert '"actor":"admin","fromStatus":"confirmed","toStatus":"confirmed"' in called.stdout
    assert '"reason":"day_off"' in called.stdout
    assert '"accessToken"' not in called.stdout  # stored in a variable and printed nowhere
    assert '"status":"cancelled"' in called.stdout
    assert called.stdout.endswith('{"status":"alive"}{"status":"ready"}')


def test_commands_for_operators_work_and_all_metrics_are_documented(
    site: Site, empty_database_url: str, tmp_path: Path
) -> None:
    expert = next(expert for expert in httpx.get(f"{site.server.url}/experts").json()["experts"]
                  if expert["nextAvailable"])  # fmt: skip
    booking = booking_of(expert["id"], startsAt=expert["nextAvailable"], email="counted@example.com")
    before = re.search(
        r'^expert_booking_bookings_total{way="api"} (\d+)', httpx.get(f"{site.server.url}/metrics").text, re.M
    )
    assert httpx.post(f"{site.server.url}/bookings", json=booking).status_code == 201
    made = 1 + (int(before[1]) if before else 0)

    (monitor,) = blocks((DOCS / "operations.md").read_text())
    assert ELSEWHERE in monitor
    monitor = site.addressed(monitor.replace(ELSEWHERE, shlex.quote(driver_url(empty_database_url))))
    monitored = run(monitor, tmp_path, site.database_url)
    assert monitored.returncode == 0, monitored.stdout + monitored.stderr
    assert f'expert_booking_bookings_total{{way="api"}} {made}.0' in monitored.stdout
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
