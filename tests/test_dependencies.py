"""Consistency of pyproject.toml, constraints.txt and the imports of the product."""

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions, requires, version

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.server import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
NEEDED = [Requirement(line) for line in PROJECT["dependencies"] + EXTRAS["redis"]]
REQUIRED = [*NEEDED, *map(Requirement, EXTRAS["dev"])]
LINES = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if not line.startswith("#")]
# The product uses or replaces private parts of these packages.
BOUND_TO_A_RELEASE = {"nicegui", "python-engineio", "python-socketio", "uvicorn", "websockets"}


def pinned() -> dict[str, Version]:
    """Return the version of each package that pip may install on this machine."""
    pins = [Requirement(line) for line in LINES]
    here = [pin for pin in pins if pin.marker is None or pin.marker.evaluate()]
    return {canonicalize_name(pin.name): Version(str(pin.specifier).removeprefix("==")) for pin in here}


def test_constraints_pin_one_version_of_every_package() -> None:
    assert len(LINES) > len(REQUIRED)
    for line in LINES:
        assert re.fullmatch(r"[a-z0-9-]+==[^\s*;]+( ; .+)?", line), line  # no extras: pip refuses them here


@pytest.mark.parametrize("required", REQUIRED, ids=str)
def test_constraints_satisfy_the_requirements(required: Requirement) -> None:
    assert required.specifier.contains(pinned()[canonicalize_name(required.name)])


def test_constraints_pin_transitive_requirements() -> None:
    waiting, seen = {canonicalize_name(one.name) for one in REQUIRED}, set[str]()
    while waiting:
        name = waiting.pop()
        seen.add(name)
        assert name in pinned()
        if Version(version(name)) != pinned()[name]:
            continue  # another version is installed here, which may have other requirements
        lines = [Requirement(line) for line in requires(name) or ()]
        more = [one for one in lines if one.marker is None or one.marker.evaluate({"extra": ""})]
        waiting |= {canonicalize_name(one.name) for one in more} - seen


@pytest.mark.parametrize("required", REQUIRED, ids=str)
def test_each_requirement_has_a_lower_bound(required: Requirement) -> None:
    assert ">=" in {one.operator for one in required.specifier}


@pytest.mark.parametrize("name", sorted(BOUND_TO_A_RELEASE))
def test_next_release_is_excluded_if_private_parts_are_used(name: str) -> None:
    (required,) = [one for one in NEEDED if canonicalize_name(one.name) == name]
    pin = pinned()[name]
    # The parts of websockets in use change with the major version.
    after = f"{pin.major + 1}.0" if name == "websockets" else f"{pin.major}.{pin.minor + 1}.0"
    assert not required.specifier.contains(after)


def test_every_imported_package_is_required() -> None:
    known = packages_distributions()
    imported = set[str]()
    for path in [*ROOT.glob("expert_booking/**/*.py"), *ROOT.glob("migrations/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.partition(".")[0])
    imported -= {"expert_booking", "migrations", *sys.stdlib_module_names}
    required = {canonicalize_name(one.name) for one in NEEDED}
    required.add("pydantic-core")  # each version of pydantic requires one version of it
    for module in imported:
        assert required & {canonicalize_name(name) for name in known[module]}, f"{module} is imported"


def test_every_installation_uses_the_constraints() -> None:
    for path in (".ci/run", "README.md", "deploy/Dockerfile", "deploy/expert-booking@.service"):
        text = (ROOT / path).read_text()
        installs = re.findall(r"pip\"? install (.*)", text)
        assert installs, path
        for install in installs:
            assert re.search(r"-c \S*constraints\.txt ", install), f"{path}: pip install {install}"
    assert "constraints.txt" not in (ROOT / ".dockerignore").read_text()


def test_ci_runs_existing_tests_with_the_lowest_and_newest_versions() -> None:
    both = 'for versions in lowest newest; do\n  beside "$versions" .ci/versions "$versions" "$scratch"\n'
    assert both in (ROOT / ".ci/run").read_text()
    listed = re.findall(r"tests/\S+", (ROOT / ".ci/versions").read_text())
    assert len(listed) >= 10
    for path, _, test in (one.partition("::") for one in listed):
        assert f"def {test}" in (ROOT / path).read_text(), path
