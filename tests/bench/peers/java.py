"""Kafka Streams: built once by Maven, run as one process with a thread a core."""

import contextlib
import hashlib
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from streams.local.fetch import StackUnavailable, find_java
from tests.bench.place import process, say

PROJECT = Path(__file__).with_name("kafka_streams")


def prepare(folder: Path) -> Path | str:
    """The folder of the built program, or why there is none."""
    sources = sorted([PROJECT / "pom.xml", *PROJECT.glob("src/main/java/*.java")])
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]
    target = folder.parent / "peers" / f"kafka_streams-{digest}"
    if (target / "jars").is_dir():
        return target
    maven = shutil.which("mvn")
    if maven is None:
        return "no Maven to build Kafka Streams' program with"
    say("building the Kafka Streams peer with Maven, once")
    command = [maven, "-B", "-ntp", "-q", "-f", str(PROJECT / "pom.xml"), "package", f"-Dtarget={target}"]
    ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if ran.returncode != 0:
        shutil.rmtree(target, ignore_errors=True)
        return "Maven could not build it: " + " ".join(ran.stdout.splitlines()[:3])
    return target


@contextlib.contextmanager
def running(built: Path, arguments: list[str]) -> Iterator["subprocess.Popen[bytes]"]:
    """The program, until the end of the block."""
    try:
        java = find_java()
    except StackUnavailable as why:
        raise RuntimeError(str(why)) from why
    path = f"{built}/resolve-1.jar:{built}/jars/*"
    with process([java, "-Xmx1g", "-cp", path, "Resolve", *arguments], built / "log") as child:
        yield child
