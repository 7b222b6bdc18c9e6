"""The same stack under Docker: docker-compose.kafka.yml, one compose project for each stack folder."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from streams.local.fetch import PROJECT, StackUnavailable

_FILE = PROJECT / "docker-compose.kafka.yml"


def engine() -> str | None:
    """None when a Docker engine with compose answers, else why not, in a few words."""
    docker = shutil.which("docker")
    if docker is None:
        return "Docker is not installed"
    for asked, missing in (
        ("info", "no Docker engine answers"),
        ("compose version", "Docker has no compose"),
    ):
        try:
            ran = subprocess.run([docker, *asked.split()], capture_output=True, timeout=15, check=False)
        except subprocess.TimeoutExpired:
            return missing
        if ran.returncode != 0:
            return missing
    return None


def start(folder: Path, ports: Mapping[str, str]) -> None:
    """Start what is not running and wait until it is healthy; `ports` are the compose file's variables."""
    _compose(folder, ports, "up", "--detach", "--wait")


def stop(folder: Path, ports: Mapping[str, str]) -> None:
    """Stop the containers; the volumes with topics and schemas stay."""
    _compose(folder, ports, "down")


def kill(folder: Path, ports: Mapping[str, str], service: str) -> None:
    """kill -9 of one service."""
    _compose(folder, ports, "kill", "--signal", "KILL", service)


def processes(folder: Path, ports: Mapping[str, str]) -> dict[str, list[int]]:
    """The processes of the running containers, as the host counts them."""
    found = {}
    for service in ("kafka", "registry"):
        container = _compose(folder, ports, "ps", "--quiet", service).strip()
        if container:
            told = _docker(["inspect", "--format", "{{.State.Pid}}", container], {})
            found[service] = [int(told)]
    return found


def _compose(folder: Path, ports: Mapping[str, str], *arguments: str) -> str:
    name = "streams-" + hashlib.sha256(str(folder).encode()).hexdigest()[:8]
    return _docker(["compose", "--project-name", name, "--file", str(_FILE), *arguments], ports)


def _docker(arguments: list[str], variables: Mapping[str, str]) -> str:
    ran = subprocess.run(
        ["docker", *arguments], capture_output=True, text=True, check=False, env={**os.environ, **variables}
    )
    if ran.returncode != 0:
        said = "\n".join(ran.stderr.splitlines()[-15:])
        raise StackUnavailable(f"docker {' '.join(arguments[-2:])} failed:\n{said}")
    return ran.stdout
