"""What the stack runs without Docker: Java, Maven, and the parts Maven fetches once.

The parts lie in the data folder under a name made from deploy/local/pom.xml, so checkouts that share a data
folder share them, and a new version never mixes with an old one.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
_POM = PROJECT / "deploy/local/pom.xml"
_JAVA = 17  # the oldest that Kafka 4's broker runs on

Say = Callable[[str], None]


class StackUnavailable(Exception):  # reads as what it tells
    """Something the stack needs is away; the message names it and what to do. Exit code 3."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The Java program and the folders of the unpacked broker and registry."""

    java: str
    kafka: Path
    registry: Path


def data_folder() -> Path:
    """STREAMS_LOCAL, else `.data` in the project: the stack, its parts, and what runs on it here."""
    return Path(os.environ.get("STREAMS_LOCAL") or PROJECT / ".data").absolute()


def fetch(*, say: Say) -> Parts:
    """The parts of the stack, downloaded unless they are there. Raises StackUnavailable."""
    java = find_java()
    if not _POM.is_file():
        raise StackUnavailable(f"{_POM} is missing: the local stack runs from a checkout of the project")
    shelf = data_folder() / "packages"
    shelf.mkdir(parents=True, exist_ok=True)
    place = shelf / hashlib.sha256(_POM.read_bytes()).hexdigest()[:12]
    with locked(shelf / "lock"):
        if not place.is_dir():
            _download(place, say)
    return Parts(java, place / "kafka", place / "registry")


def find_java() -> str:
    """The Java program to use, 17 or newer. Raises StackUnavailable."""
    home = os.environ.get("JAVA_HOME")
    java = shutil.which("java", path=f"{home}/bin") if home else None
    java = java or shutil.which("java")
    if java is None:
        raise StackUnavailable(
            f"no Docker engine answers and there is no Java: start Docker, or install Java {_JAVA} or newer "
            "and Maven (Debian: apt install openjdk-17-jre-headless maven)"
        )
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    version = re.search(r'version "(\d+)', told)
    if version is None or int(version[1]) < _JAVA:
        found = told.partition("\n")[0]
        raise StackUnavailable(
            f"{java} is {found or 'no Java'}: Java {_JAVA} or newer is needed, by JAVA_HOME or PATH"
        )
    return java


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the file lock `path`; waits for whoever has it, and ends with the process at the latest."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _download(place: Path, say: Say) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise StackUnavailable(
            "the local stack's parts are not here yet and there is no Maven to fetch them: install Maven "
            "(Debian: apt install maven), or start Docker"
        )
    say("fetching Kafka and the schema registry with Maven, once (190 MB)")
    with tempfile.TemporaryDirectory(dir=place.parent) as folder:
        goal = [maven, "-B", "-ntp", "-q", "-f", str(_POM), "generate-resources", f"-Dpackages={folder}/new"]
        ran = subprocess.run(goal, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        if ran.returncode != 0:
            said = "\n".join(ran.stdout.splitlines()[:15])
            raise StackUnavailable(f"Maven could not fetch the local stack's parts:\n{said}")
        Path(f"{folder}/new").rename(place)
