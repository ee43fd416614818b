"""How pytest itself behaves here: flaky tests get a second try, and SIGTERM ends a run as Ctrl-C does.

pytest-rerunfailures runs a failed test again if it is marked `@pytest.mark.flaky(reason="…")`, and no other.
"""

import signal
from pathlib import Path
from typing import Final

import pytest
from xdist.workermanage import NodeManager

# The slowest files and folders, with most seconds for a file. `pytest --durations` shows when this is out of date.
FIRST: Final = (
    "test_docs.py", "security/test_schemathesis.py", "security/test_rolling_deploy.py", "db/test_migrations.py",
    "web/test_many_pages.py", "services/test_booking_life.py", "test_deploy.py", "test_outbox_processes.py",
    "test_doctor.py", "browser/", "security/", "test_", "web/", "db/",
)  # fmt: skip


def pytest_configure() -> None:
    """On SIGTERM, end all fixtures, which stop PostgreSQL, servers and browsers. By default, Python just exits."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # Seconds for the fixtures of a worker. The default of 10 is too short on a busy machine.
    NodeManager.EXIT_TIMEOUT = 60


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put slow files first, so that no worker starts one when the others have finished. Check the `flaky` markers."""
    items.sort(key=_turn)
    for item in items:
        marker = item.get_closest_marker("flaky")
        if marker is None:
            continue
        if not marker.kwargs.get("reason"):
            raise pytest.UsageError(f"{item.nodeid} is marked flaky without a reason")
        item.user_properties.append(("flaky", marker.kwargs["reason"]))


def _turn(item: pytest.Item) -> int:
    """The turn of the test's file: those in FIRST, then the slow folders, then all others. Order is kept otherwise."""
    folder = Path(__file__).parent
    path = item.path.relative_to(folder).as_posix() if item.path.is_relative_to(folder) else ""
    return next((turn for turn, beginning in enumerate(FIRST) if path.startswith(beginning)), len(FIRST))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print which tests needed their second try, and why they were allowed one."""
    tried_again = terminalreporter.getreports("rerun")
    if tried_again:
        terminalreporter.section("second tries")
    for report in tried_again:
        terminalreporter.line(f"{report.nodeid}: {dict(report.user_properties)['flaky']}")
