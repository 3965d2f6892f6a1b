"""The files that Grafana, Prometheus and Docker read, checked as far as it goes without the first and the last."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from dashboards.build import GENERATED
from dashboards.config import FOLDER_TITLE, FOLDER_UID, SCRAPE_INTERVAL
from exporters.series.jobs import REPLICA_JOB

ROOT = Path(__file__).parent.parent
PROVISIONING = ROOT / "dashboards" / "provisioning"


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


COMPOSE = read(ROOT / "compose.yaml")
PROMETHEUS = read(PROVISIONING / "prometheus.yml")


def mounts(service: str) -> dict[str, str]:
    """By place in the container: the path in the repository."""
    pairs = (volume.split(":") for volume in COMPOSE["services"][service]["volumes"])
    return {place: source for source, place, mode in pairs if mode == "ro"}


def compose() -> list[str] | None:
    docker = shutil.which("docker")
    if docker is None:
        return None
    asked = subprocess.run([docker, "compose", "version"], capture_output=True, check=False)
    return [docker, "compose"] if asked.returncode == 0 else None


def test_grafana_is_told_the_scrape_interval_that_prometheus_has() -> None:
    (source,) = read(PROVISIONING / "datasources" / "prometheus.yaml")["datasources"]
    assert source["jsonData"]["timeInterval"] == SCRAPE_INTERVAL == PROMETHEUS["global"]["scrape_interval"]
    assert source["type"] == "prometheus"
    assert "PROMETHEUS_URL" in COMPOSE["services"]["grafana"]["environment"]


def test_grafana_finds_the_generated_dashboards_where_it_looks_for_them() -> None:
    (provider,) = read(PROVISIONING / "dashboards" / "aftershock.yaml")["providers"]
    assert (provider["folder"], provider["folderUid"]) == (FOLDER_TITLE, FOLDER_UID)
    assert mounts("grafana")[provider["options"]["path"]] == f"./{GENERATED}"
    home = COMPOSE["services"]["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert (ROOT / GENERATED / Path(home).name).is_file()
    assert str(Path(home).parent) == provider["options"]["path"]


def test_every_mounted_path_is_in_the_repository() -> None:
    sources = [source for service in ("prometheus", "grafana") for source in mounts(service).values()]
    assert len(sources) == 5
    assert all((ROOT / source).exists() for source in sources)


def test_prometheus_evaluates_the_rules_that_are_mounted() -> None:
    (pattern,) = PROMETHEUS["rule_files"]
    rules = [place for place in mounts("prometheus") if Path(place).match(pattern)]
    assert rules == ["/etc/prometheus/rules/reference.yaml"]


def test_everything_that_the_image_copies_is_in_the_repository() -> None:
    lines = COMPOSE["services"]["server"]["build"]["dockerfile_inline"].splitlines()
    copied = [name for line in lines if line.startswith("COPY ") for name in line.split()[1:-1]]
    assert {"pyproject.toml", "reference_server", "exporters"} <= set(copied)
    assert all((ROOT / name).exists() for name in copied)


def test_no_port_is_open_to_the_network() -> None:
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", [])]
    assert len(ports) == 3
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_prometheus_takes_its_configuration_and_scrapes_the_replicas_job() -> None:
    config = PROVISIONING / "prometheus.yml"
    checked = subprocess.run(
        ["promtool", "check", "config", str(config)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert [job["job_name"] for job in PROMETHEUS["scrape_configs"]] == [REPLICA_JOB]


@pytest.mark.skipif(compose() is None, reason="there is no `docker compose` here")
def test_docker_compose_understands_the_file() -> None:
    command = compose()
    assert command is not None
    checked = subprocess.run(
        [*command, "-f", str(ROOT / "compose.yaml"), "config", "--quiet"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stderr
