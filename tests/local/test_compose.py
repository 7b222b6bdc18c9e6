"""Docker or Java, the stack is the same."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from ruamel.yaml import YAML

from streams.local import compose, kafka
from streams.local.fetch import PROJECT

# Where addresses and folders differ by nature.
PLACES = {"controller.quorum.voters", "listeners", "advertised.listeners", "log.dirs"}


def test_the_broker_has_the_same_settings_under_docker() -> None:
    services = YAML(typ="safe").load(PROJECT / "docker-compose.kafka.yml")["services"]
    docker = {
        name.removeprefix("KAFKA_").lower().replace("_", "."): str(value)
        for name, value in services["kafka"]["environment"].items()
        if name not in {"CLUSTER_ID", "KAFKA_HEAP_OPTS"}
    }
    java = dict(line.split("=", 1) for line in kafka.SETTINGS.splitlines())

    assert docker.keys() == java.keys()
    assert {k: v for k, v in docker.items() if k not in PLACES} == {
        k: v for k, v in java.items() if k not in PLACES
    }


def test_images_and_parts_have_the_same_versions() -> None:
    services = YAML(typ="safe").load(PROJECT / "docker-compose.kafka.yml")["services"]
    pom = ET.parse(PROJECT / "deploy/local/pom.xml").getroot()
    space = {"": "http://maven.apache.org/POM/4.0.0"}

    for service in ("kafka", "registry"):
        version = pom.findtext(f"properties/{service}.version", namespaces=space)
        assert services[service]["image"].endswith(f":{version}")


def test_all_ports_are_published_on_loopback_only() -> None:
    services = YAML(typ="safe").load(PROJECT / "docker-compose.kafka.yml")["services"]

    assert all(port.startswith("127.0.0.1:") for service in services.values() for port in service["ports"])


@pytest.mark.parametrize(
    ("script", "why_not"),
    [
        ("exit 0", None),
        ("exit 1", "no Docker engine answers"),
        ('[ "$1" = info ]', "Docker has no compose"),
        (None, "Docker is not installed"),
    ],
)
def test_docker_is_used_when_its_engine_and_compose_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, why_not: str | None
) -> None:
    if script is not None:
        docker = tmp_path / "docker"
        docker.write_text(f"#!/bin/sh\n{script}\n")
        docker.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert compose.engine() == why_not
