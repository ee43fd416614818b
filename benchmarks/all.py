"""All benchmarks, one after another: their tables in RESULTS.md, and how far the goals are met as a picture beside it.

Each one still is a command of its own; `--only` measures some of them anew. Nothing else should be at work on the
machine meanwhile; how much was is written down. `--quick` is a smoke run of all of them that writes nothing.
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
KEPT: Final = HERE / "results"  # what each of them has measured last
# In the order in which they run; with what they need to be done within an hour or so.
SCRIPTS: Final = ("news", "bookings", "pages", "slots", "processes", "watch", "access")
# The picture, in pixels: how high a goal is, what stands to its left, how long bars are, and what is to their right.
ROW, LEFT, WIDE, RIGHT = 34, 430, 330, 120


def main(options: argparse.Namespace) -> None:
    """Run them; leaves with 1 where one of them fails, or where a goal is not met."""
    failed = [name for name in options.only or SCRIPTS if not run(name, options.quick)]
    measured = [json.loads(path.read_text()) for name in SCRIPTS if (path := KEPT / f"{name}.json").exists()]
    goals = [Goal(**goal) for one in measured for told in one["told"] for goal in told["goals"]]
    if not options.quick:
        (HERE / "RESULTS.md").write_text(document(measured, goals))
        (HERE / "goals.svg").write_text(picture(goals))
    missed = [goal for goal in goals if not goal.met]
    print(*goals, *(f"{name}: FAILED" for name in failed), sep="\n")
    sys.exit(1 if failed or (missed and not options.quick) else 0)


def run(name: str, quick: bool) -> bool:
    """Run one of them, and keep what it reports; whether it came to its end."""
    began = time.monotonic()
    print(f"== {name}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(HERE / f"{name}.py"), *(["--quick"] if quick else [])]
        done = subprocess.run(command, env={**os.environ, "BENCHMARK_RESULTS": folder}, check=False)
        told = [json.loads(path.read_text()) for path in sorted(Path(folder).iterdir())]
    if done.returncode == 0 and not quick:
        keep(name, told)
    print(f"{name}: {time.monotonic() - began:.0f} s", flush=True)
    return done.returncode == 0


def keep(name: str, told: Sequence[dict[str, Any]]) -> None:
    """Keep what was measured, with the moment (UTC) and the load of the last five minutes."""
    KEPT.mkdir(exist_ok=True)
    at, load = f"{datetime.now(UTC):%Y-%m-%d %H:%M}", f"{os.getloadavg()[1]:.1f}"
    (KEPT / f"{name}.json").write_text(json.dumps({"at": at, "load": load, "told": told}, indent=1) + "\n")


def document(measured: Sequence[dict[str, Any]], goals: Sequence[Goal]) -> str:
    """All tables, each with its moment, and the machine."""
    parts = [
        "# Results",
        f"{os.cpu_count()} cores ({_processor()}), Python {platform.python_version()}. Written by `python "
        "benchmarks/all.py`; what the words mean stands in README.md. The load is that of the five minutes before.",
        "![Goals](goals.svg)",
        table(("goal", "ratio", "wanted", "met"), [_words(goal) for goal in goals]),
    ]
    for one in measured:
        for told in one["told"]:
            parts += [f"## {told['title']}", f"{one['at']} UTC, load {one['load']}", table(told["head"], told["rows"])]
    return "\n\n".join(parts) + "\n"


def _words(goal: Goal) -> tuple[str, ...]:
    bound = "≤" if goal.at_most else "≥"
    return goal.what, f"{goal.ratio:.2f}", f"{bound} {goal.wanted:g}", "yes" if goal.met else "**no**"


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def picture(goals: Sequence[Goal]) -> str:
    """A bar for each ratio to its floor, and where it should reach to, or stay below."""
    scale = WIDE / max([1.0, *(max(goal.ratio, goal.wanted) for goal in goals)])
    width, height = LEFT + WIDE + RIGHT, ROW * len(goals) + 20
    bars = "".join(_bar(goal, 10 + ROW * number, scale) for number, goal in enumerate(goals))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
        ' font-family="system-ui, sans-serif" font-size="13" role="img"><title>Ratios to the floors</title>'
        "<style>text{fill:#1c2b2a}.met{fill:#0d6e63}.missed{fill:#b3541e}.wanted{stroke:#1c2b2a}"
        "@media(prefers-color-scheme:dark){text{fill:#e6efee}.met{fill:#4fb3a5}.wanted{stroke:#e6efee}}</style>"
        f"{bars}</svg>\n"
    )


def _bar(goal: Goal, top: float, scale: float) -> str:
    wanted = LEFT + goal.wanted * scale
    bound = "at most" if goal.at_most else "at least"
    return (
        f'<text x="{LEFT - 10}" y="{top + 17}" text-anchor="end">{escape(goal.what)}</text>'
        f'<rect class="{"met" if goal.met else "missed"}" x="{LEFT}" y="{top + 4}" rx="3" height="18"'
        f' width="{goal.ratio * scale:.1f}"/>'
        f'<line class="wanted" x1="{wanted:.1f}" x2="{wanted:.1f}" y1="{top}" y2="{top + 26}" stroke-width="2"/>'
        f'<text x="{LEFT + WIDE + 10}" y="{top + 17}">{goal.ratio:.2f}, {bound} {goal.wanted:g}</text>'
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", help=f"some of them ({' '.join(SCRIPTS)})")
    parser.add_argument("--quick", action="store_true", help="a smoke run of some seconds each")
    main(parser.parse_args())
