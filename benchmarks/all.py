"""Run all benchmarks, and write their tables to RESULTS.md and a picture of the goals to goals.svg.

`--only` runs some of them again. The machine should be idle otherwise; its load is recorded. `--quick` is a smoke run
that writes nothing. Each benchmark can also be run separately.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any, Final

from _bench import Goal, table

HERE: Final = Path(__file__).parent
LAST_RESULTS: Final = HERE / "results"
# In this order; together they take about half an hour.
SCRIPTS: Final = ("live_updates", "bookings", "limits", "pages", "slots", "processes", "request_log", "access")
# Layout of the picture, in pixels.
ROW_HEIGHT, LABEL_WIDTH, BAR_WIDTH, FIGURE_WIDTH = 34, 430, 330, 120


def main(options: argparse.Namespace) -> None:
    """Run the benchmarks. Exits with 1 if one of them fails or a goal is not met."""
    failed = [name for name in options.only or SCRIPTS if not run(name, options.quick)]
    measured = [json.loads(path.read_text()) for name in SCRIPTS if (path := LAST_RESULTS / f"{name}.json").exists()]
    goals = [Goal(**goal) for one in measured for result in one["told"] for goal in result["goals"]]
    if not options.quick:
        (HERE / "RESULTS.md").write_text(document(measured, goals))
        (HERE / "goals.svg").write_text(picture(goals))
    missed = [goal for goal in goals if not goal.met]
    print(*goals, *(f"{name}: FAILED" for name in failed), sep="\n")
    sys.exit(1 if failed or (missed and not options.quick) else 0)


def run(name: str, quick: bool) -> bool:
    """Run one benchmark and store its results. Returns whether it succeeded."""
    began = time.monotonic()
    print(f"== {name}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(HERE / f"{name}.py"), *(["--quick"] if quick else [])]
        done = subprocess.run(command, env={**os.environ, "BENCHMARK_RESULTS": folder}, check=False)
        tables = [json.loads(path.read_text()) for path in sorted(Path(folder).iterdir())]
    if done.returncode == 0 and not quick:
        keep(name, tables)
    print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
    return done.returncode == 0


def keep(name: str, tables: Sequence[dict[str, Any]]) -> None:
    """Store the results with the time (UTC) and the load average of five minutes."""
    LAST_RESULTS.mkdir(exist_ok=True)
    at, load = f"{datetime.now(UTC):%Y-%m-%d %H:%M}", f"{os.getloadavg()[1]:.1f}"
    (LAST_RESULTS / f"{name}.json").write_text(json.dumps({"at": at, "load": load, "told": tables}, indent=1) + "\n")


def document(measured: Sequence[dict[str, Any]], goals: Sequence[Goal]) -> str:
    """Return all tables with their times, and a description of the machine."""
    parts = [
        "# Results",
        f"{os.cpu_count()} cores ({_processor()}), Python {platform.python_version()}. Written by `python "
        "benchmarks/all.py`; README.md explains the terms. The load is the average of the five minutes before.",
        "![Goals](goals.svg)",
        table(("goal", "ratio", "wanted", "met"), [_row(goal) for goal in goals]),
    ]
    for one in measured:
        for result in one["told"]:
            heading = [f"## {result['title']}", f"{one['at']} UTC, load {one['load']}"]
            parts += [*heading, table(result["head"], result["rows"])]
    return "\n\n".join(parts) + "\n"


def _row(goal: Goal) -> tuple[str, ...]:
    bound = "≤" if goal.at_most else "≥"
    return goal.what, f"{goal.ratio:.2f}", f"{bound} {goal.wanted:g}", "yes" if goal.met else "**no**"


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def picture(goals: Sequence[Goal]) -> str:
    """Return an SVG with a bar for each ratio and a mark for its target."""
    scale = BAR_WIDTH / max([1.0, *(max(goal.ratio, goal.wanted) for goal in goals)])
    width, height = LABEL_WIDTH + BAR_WIDTH + FIGURE_WIDTH, ROW_HEIGHT * len(goals) + 20
    bars = "".join(_bar(goal, 10 + ROW_HEIGHT * number, scale) for number, goal in enumerate(goals))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
        ' font-family="system-ui, sans-serif" font-size="13" role="img"><title>Ratios to the floors</title>'
        "<style>text{fill:#1c2b2a}.met{fill:#0d6e63}.missed{fill:#b3541e}.wanted{stroke:#1c2b2a}"
        "@media(prefers-color-scheme:dark){text{fill:#e6efee}.met{fill:#4fb3a5}.wanted{stroke:#e6efee}}</style>"
        f"{bars}</svg>\n"
    )


def _bar(goal: Goal, top: float, scale: float) -> str:
    wanted = LABEL_WIDTH + goal.wanted * scale
    bound = "at most" if goal.at_most else "at least"
    return (
        f'<text x="{LABEL_WIDTH - 10}" y="{top + 17}" text-anchor="end">{escape(goal.what)}</text>'
        f'<rect class="{"met" if goal.met else "missed"}" x="{LABEL_WIDTH}" y="{top + 4}" rx="3" height="18"'
        f' width="{goal.ratio * scale:.1f}"/>'
        f'<line class="wanted" x1="{wanted:.1f}" x2="{wanted:.1f}" y1="{top}" y2="{top + 26}" stroke-width="2"/>'
        f'<text x="{LABEL_WIDTH + BAR_WIDTH + 10}" y="{top + 17}">{goal.ratio:.2f}, {bound} {goal.wanted:g}</text>'
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", help=f"run only these ({' '.join(SCRIPTS)})")
    parser.add_argument("--quick", action="store_true", help="a smoke run of some seconds each")
    main(parser.parse_args())
