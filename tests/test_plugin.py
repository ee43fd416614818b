"""The test run itself: second tries, and what is left behind after SIGTERM."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.db.test_embedded import server_processes
from tests.server import PATIENCE, ROOT

FLAKY = """
import pytest
tries = []

@pytest.mark.flaky(reason="The moon is full.")
def test_marked():
    tries.append("marked")
    assert tries.count("marked") == 2

def test_not_marked():
    tries.append("not marked")
    assert tries.count("not marked") == 2
"""
WITHOUT_REASON = """
import pytest

@pytest.mark.flaky
def test_marked():
    pass
"""
WAITING = """
import time
from pathlib import Path

def test_waits(server_url):
    Path({told!r}).write_text(server_url)
    time.sleep(600)
"""
one_process_and_a_worker = pytest.mark.parametrize("workers", ["0", "1"])


@contextmanager
def pytest_run(folder: Path, source: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Run pytest on one file, with this project's settings."""
    (folder / "test_it.py").write_text(source)
    command = [sys.executable, "-m", "pytest", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(folder),
               "-p", "no:cacheprovider", *options, str(folder / "test_it.py")]  # fmt: skip
    of_this_run = ("PYTEST_", "EXPERT_BOOKING_")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(of_this_run)}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


@one_process_and_a_worker
def test_only_tests_marked_flaky_have_a_second_try_which_is_reported_with_its_reason(
    tmp_path: Path, workers: str
) -> None:
    with pytest_run(tmp_path, FLAKY, "-p", "tests.plugin", "-n", workers) as process:
        output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == pytest.ExitCode.TESTS_FAILED, output
    assert "1 failed, 1 passed, 1 rerun" in output
    assert "test_it.py::test_marked: The moon is full." in output
    assert re.search(r"FAILED \S*test_it\.py::test_not_marked", output), output


def test_flaky_marker_needs_a_reason(tmp_path: Path) -> None:
    with pytest_run(tmp_path, WITHOUT_REASON, "-p", "tests.plugin") as process:
        output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == pytest.ExitCode.USAGE_ERROR, output


@one_process_and_a_worker
def test_postgres_of_the_tests_stops_when_pytest_gets_sigterm(tmp_path: Path, workers: str) -> None:
    told = tmp_path / "told"
    with pytest_run(tmp_path, WAITING.format(told=str(told)), "-p", "tests.conftest", "-n", workers) as process:
        deadline = time.monotonic() + PATIENCE
        while not (told.exists() and told.read_text()):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        cluster = Path(parse_qs(urlsplit(told.read_text()).query)["host"][0]).resolve()
        assert server_processes(cluster)
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == pytest.ExitCode.INTERRUPTED, output
    assert not server_processes(cluster)
    assert not cluster.exists()
