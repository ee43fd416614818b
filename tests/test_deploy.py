"""The shipped deployment files are valid and name existing settings."""

import os
import re
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from expert_booking.settings import Settings
from tests.backing_servers import SHIPPED, require_program
from tests.server import ROOT, ServerProcess, free_port

DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "expert-booking@.service"
COMPOSE = DEPLOY / "compose.yaml"
OPERATIONS = ROOT / "docs" / "operations.md"
# Capabilities that an image needs if it starts as root and then changes its user.
CAPABILITIES = {
    "postgres": {"CHOWN", "DAC_OVERRIDE", "FOWNER", "SETGID", "SETUID"},
    "nginx": {"CHOWN", "NET_BIND_SERVICE", "SETGID", "SETUID"},
}


def test_every_named_setting_exists() -> None:
    shipped = [path for path in DEPLOY.iterdir() if path.is_file() and path.name != "secrets.env"]
    assert len(shipped) >= 5
    for path in shipped:
        for name in re.findall(r"EXPERT_BOOKING_([A-Z_]+)", path.read_text()):
            assert name.lower() in Settings.model_fields, f"{path.name} names EXPERT_BOOKING_{name}"


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    # The programs that it names need not be installed here.
    here = UNIT.read_text().replace("/opt/expert-booking/bin/expert-booking", "/bin/true")
    unit = tmp_path / "expert-booking@1.service"
    unit.write_text(here.replace("/usr/bin/curl", "/bin/true"))
    judged = subprocess.run(
        [require_program("systemd-analyze"), "verify", str(unit)], capture_output=True, text=True, check=False
    )
    ours = [line for line in judged.stderr.splitlines() if "expert-booking" in line]
    assert not ours, judged.stderr


def test_units_sandbox_is_scored_as_documented(tmp_path: Path) -> None:
    unit = tmp_path / "expert-booking@1.service"
    unit.write_text(UNIT.read_text().replace("/opt/expert-booking/bin/expert-booking", "/bin/true"))
    command = [require_program("systemd-analyze"), "security", "--offline=true", "--no-pager", str(unit)]
    judged = subprocess.run(command, capture_output=True, text=True, check=False)
    score = re.search(r"exposure level for \S+: ([\d.]+) ", judged.stdout)
    assert score, judged.stdout + judged.stderr
    documented = re.search(r"`systemd-analyze security` rates the unit ([\d.]+) ", OPERATIONS.read_text())
    assert documented
    assert float(score[1]) <= float(documented[1]) < 2


def test_unit_waits_for_a_responding_server_but_not_for_a_dead_process(serve: Callable[..., ServerProcess]) -> None:
    require_program("curl")
    after = re.search(r"^ExecStartPost=(.*)$", UNIT.read_text(), re.MULTILINE)
    assert after

    def ends(port: int, process: subprocess.Popen[bytes]) -> int:
        command = [part.replace("808%i", str(port)) for part in shlex.split(after[1])]
        return subprocess.run(
            command, env={**os.environ, "MAINPID": str(process.pid)}, timeout=60, check=False
        ).returncode

    with subprocess.Popen(["/bin/true"]) as ended:
        ended.wait()
    assert ends(free_port(), ended) == 1
    with subprocess.Popen(["/bin/sleep", "60"]) as running:
        assert ends(serve().port, running) == 0
        running.kill()


def test_unit_ports_match_the_nginx_upstreams() -> None:
    assert "EXPERT_BOOKING_PORT=808%i" in UNIT.read_text()
    assert {"127.0.0.1:8081", "127.0.0.1:8082"} == set(re.findall(r"server (127[.\d]+:\d+)", SHIPPED.read_text()))


def test_compose_starts_in_order_and_nginx_points_at_the_processes(tmp_path: Path) -> None:
    site: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    services = site["services"]
    apps = [service for name, service in services.items() if name.startswith("app")]
    assert len(apps) == 2
    for app in apps:
        assert app["depends_on"] == {"migrate": {"condition": "service_completed_successfully"}}
    assert services["migrate"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    for one in ("postgres", "nginx", "redis"):
        assert "test" in services[one]["healthcheck"]

    # The nginx configuration that the container's command makes of the shipped file.
    command = services["nginx"]["command"][2].replace("/shipped.conf", str(SHIPPED))
    made = tmp_path / "nginx.conf"
    command = command.replace("/tmp/nginx.conf", str(made)).split(" && exec")[0]
    subprocess.run(["sh", "-ec", command], check=True)
    addresses = {app["networks"]["inside"]["ipv4_address"] + ":8080" for app in apps}
    assert set(re.findall(r"server ([.\d]+:\d+) ", made.read_text())) == addresses
    assert "127" not in re.sub("#.*", "", made.read_text())
    for address in addresses:
        assert address.replace(".", "\\.") + '$"' in made.read_text()


def test_containers_have_exact_versions_and_minimal_rights_and_memory() -> None:
    services: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())["services"]
    for name, service in services.items():
        assert service["read_only"] is True, name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert re.fullmatch(r"\d+[mg]", service["mem_limit"]), name
        assert set(service.get("cap_add", ())) <= CAPABILITIES.get(name, set()), name
        if "build" not in service:
            assert re.fullmatch(r"[a-z]+:\d+\.\d+(\.\d+)?", service["image"]), name
    assert re.search(r"^FROM python:3\.11\.\d+-slim$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE)


def test_unit_has_a_memory_limit() -> None:
    limits = dict(re.findall(r"^(Memory\w+)=(\d+)M$", UNIT.read_text(), re.MULTILINE))
    assert int(limits["MemoryHigh"]) < int(limits["MemoryMax"])
