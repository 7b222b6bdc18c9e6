"""The local broker: one node that is controller and broker, its settings, and whether it answers."""

import base64
import os
import subprocess
import uuid
from pathlib import Path

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from streams.local.fetch import PROJECT, Parts, StackUnavailable

_LOGGING = PROJECT / "deploy/local/log4j2.properties"

# One broker, so nothing is replicated. Few internal partitions start faster. A transaction whose owner died
# ends within a second after its time-out, as in production. Session time-outs down to 1 s make tests short.
# A killed broker may register again only when its former session has run out: 9 s by default.
SETTINGS = """\
process.roles=broker,controller
node.id=1
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{broker}
log.dirs={folder}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=8
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=8
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
broker.heartbeat.interval.ms=500
broker.session.timeout.ms=4000
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
"""


def new_cluster_id() -> str:
    """A random id in Kafka's form, 22 characters; a leading dash would read as an option."""
    while (made := base64.urlsafe_b64encode(uuid.uuid4().bytes)[:22].decode()).startswith("-"):
        pass
    return made


def command(parts: Parts, folder: Path, *, broker: int, controller: int, cluster_id: str) -> list[str]:
    """Write the settings, format the log folder if it is new, and say how to start the broker."""
    logs = folder / "kafka"
    settings = folder / "server.properties"
    settings.write_text(SETTINGS.format(broker=broker, controller=controller, folder=logs))
    java = [
        parts.java,
        "-Xmx768m",
        # it lives for minutes on a few cores: compiling for hours to come would cost twice what a batch does
        "-XX:TieredStopAtLevel=1",
        "-XX:+UseSerialGC",
        "-Djava.net.preferIPv4Stack=true",
        f"-Dlog4j2.configurationFile={_LOGGING}",
        f"-XX:ErrorFile={folder}/kafka-crash.log",
        "-cp",
        f"{parts.kafka}/*",
    ]
    if not (logs / "meta.properties").exists():
        _format(java, settings, cluster_id)
    return [*java, "kafka.Kafka", str(settings)]


def _format(java: list[str], settings: Path, cluster_id: str) -> None:
    tool = [*java, "kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(settings)]
    ran = subprocess.run(
        tool, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False, env=dict(os.environ)
    )
    if ran.returncode != 0:
        said = "\n".join(ran.stdout.splitlines()[-10:])
        raise StackUnavailable(f"Kafka could not format its log folder:\n{said}")


def answering_cluster(address: str) -> str | None:
    """The id of the cluster that answers at host:port with a broker ready for work, else None."""
    admin = AdminClient({"bootstrap.servers": address, "log_level": 0, "socket.timeout.ms": 2000})
    try:
        told = admin.list_topics(timeout=2)
    except KafkaException:
        return None
    return str(told.cluster_id) if told.brokers else None
