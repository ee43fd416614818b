"""Schemathesis generates requests from /openapi.json, valid and invalid ones, and checks every response."""

import asyncio
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from expert_booking.schemas import Role, TokenRequest
from expert_booking.services import Services
from tests.conftest import AddExpert
from tests.server import ROOT, ServerProcess, environment

RUN = "from schemathesis.cli import schemathesis; schemathesis()"


@pytest.mark.parametrize("role", [Role.ADMIN, None])
async def test_generated_requests_get_only_documented_answers(
    serve: Callable[..., ServerProcess], services: Services, add_expert: AddExpert, tmp_path: Path, role: Role | None
) -> None:
    await add_expert(slug="jana-muller")
    server = serve()
    options: list[str] = []
    if role is not None:
        token = await services.tokens.create(TokenRequest(name="robot", role=role))
        # Every request has the token, also those that should lack it.
        options = ["--header", f"Authorization: Bearer {token}", "--exclude-checks", "missing_required_header"]
    done = await asyncio.to_thread(schemathesis, server, tmp_path, *options)
    assert done.returncode == 0, done.stdout[-20_000:]
    assert re.search(r"[1-9]\d* passed", done.stdout), done.stdout
    assert "Traceback" not in server.log_text()


def schemathesis(server: ServerProcess, folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run all checks of Schemathesis, starting with the same requests every time."""
    configuration = ROOT / "tests" / "security" / "schemathesis.toml"
    command = ["--config-file", str(configuration), "run", f"{server.url}/openapi.json"]
    return subprocess.run(
        [sys.executable, "-c", RUN, *command, *options],
        cwd=folder, env={**environment(), "SCHEMATHESIS_HOOKS": "tests.security.schemathesis_hooks"},
        capture_output=True, text=True, timeout=400, check=False,
    )  # fmt: skip
