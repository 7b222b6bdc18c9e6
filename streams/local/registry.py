"""The local schema registry: Apicurio with Confluent's API, its schemas in a file."""

import http.client
from pathlib import Path

from streams.local.fetch import Parts, StackUnavailable

PATH = "/apis/ccompat/v7"


def command(parts: Parts, folder: Path, *, port: int) -> list[str]:
    """How to start the registry. Without a file it would forget the ids its schemas were given."""
    jars = sorted(parts.registry.glob("apicurio-registry-app-*-runner.jar"))
    if not jars:
        raise StackUnavailable(
            f"{parts.registry} holds no registry: remove {parts.registry.parent} and retry"
        )
    return [
        parts.java,
        "-Xmx384m",
        "-XX:+UseSerialGC",
        "-XX:TieredStopAtLevel=1",
        "-Djava.net.preferIPv4Stack=true",
        f"-XX:ErrorFile={folder}/registry-crash.log",
        "-Dquarkus.http.host=127.0.0.1",
        f"-Dquarkus.http.port={port}",
        # written through at each commit: an id once given out outlives a kill -9
        f"-Dquarkus.datasource.jdbc.url=jdbc:h2:file:{folder}/reg;WRITE_DELAY=0",
        "-jar",
        str(jars[0]),
    ]


def answers(port: int) -> bool:
    """True when the registry lists its subjects."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", f"{PATH}/subjects")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
