"""How pytest itself behaves here: flaky tests get a second try, and SIGTERM ends a run as Ctrl-C does.

pytest-rerunfailures runs a failed test again if it is marked `@pytest.mark.flaky(reason="…")`, and no other.
"""

import signal

import pytest
from xdist.workermanage import NodeManager


def pytest_configure() -> None:
    """On SIGTERM, end all fixtures, which stop PostgreSQL, servers and browsers. By default, Python just exits."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # Seconds for the fixtures of a worker. The default of 10 is too short on a busy machine.
    NodeManager.EXIT_TIMEOUT = 60


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Require a reason for each `flaky` marker, and keep it for the report."""
    for item in items:
        marker = item.get_closest_marker("flaky")
        if marker is None:
            continue
        if not marker.kwargs.get("reason"):
            raise pytest.UsageError(f"{item.nodeid} is marked flaky without a reason")
        item.user_properties.append(("flaky", marker.kwargs["reason"]))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print which tests needed their second try, and why they were allowed one."""
    tried_again = terminalreporter.getreports("rerun")
    if tried_again:
        terminalreporter.section("second tries")
    for report in tried_again:
        terminalreporter.line(f"{report.nodeid}: {dict(report.user_properties)['flaky']}")
