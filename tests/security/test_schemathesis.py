"""Schemathesis generates requests from /openapi.json, valid and invalid ones, and checks every response."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from expert_booking.schemas import Role, TokenRequest
from expert_booking.services import Services
from tests.conftest import AddExpert
from tests.server import ROOT, ServerProcess, environment

# Seconds for all requests of one run.
BUDGET = 15
RUN = "from schemathesis.cli import schemathesis; schemathesis()"


@pytest.mark.parametrize("role", [Role.ADMIN, None])
async def test_generated_requests_get_only_documented_answers(
    serve: Callable[..., ServerProcess], services: Services, add_expert: AddExpert, tmp_path: Path, role: Role | None
) -> None:
    await add_expert(slug="jana-muller")
    server = serve()
    token = await services.tokens.create(TokenRequest(name="robot", role=Role.ADMIN)) if role else ""
    done = schemathesis(server, tmp_path, *(["--header", f"Authorization: Bearer {token}"] if token else []))
    assert done.returncode == 0, done.stdout[-20_000:]
    assert "Traceback" not in server.log_text()


def schemathesis(server: ServerProcess, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run all checks of Schemathesis within the budget, with the same requests every time."""
    configuration = ROOT / "tests" / "security" / "schemathesis.toml"
    command = ["--config-file", str(configuration), "run", f"{server.url}/openapi.json", "--max-time", str(BUDGET)]
    return subprocess.run(
        [sys.executable, "-c", RUN, *command, *options],
        cwd=folder, env={**environment(), "SCHEMATHESIS_HOOKS": "tests.security.schemathesis_hooks"},
        capture_output=True, text=True, timeout=4 * BUDGET, check=False,
    )  # fmt: skip
