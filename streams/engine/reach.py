"""Whether a broker answers at all: each command asks once, so that one that is away is told soon."""

from collections.abc import Mapping
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from streams.engine.errors import Away
from streams.engine.reading import ADVICE, quiet

REACH_S: Final = 4.0
"""A broker that runs answers within milliseconds; one that starts again within this is waited for."""
ALL_DOWN: Final = KafkaError._ALL_BROKERS_DOWN  # noqa: SLF001 # the library's own name for it
"""Says no more than that none is left."""


def reach(client: Mapping[str, str | int], patience_s: float = REACH_S) -> None:
    """Wait until a broker answers.

    Args:
        client: librdkafka's properties for reaching the brokers.
        patience_s: at most so long.

    Raises:
        Away: none does; names the address, and the last thing that went wrong.
    """
    heard: list[KafkaError] = []
    properties: dict[str, Any] = {**quiet(client), "error_cb": heard.append}
    admin = AdminClient(properties)
    try:
        admin.list_topics(timeout=patience_s)
    except KafkaException as error:
        admin.poll(0)
        found = [each for each in heard if each.code() != ALL_DOWN] or [error.args[0]]
        raise Away(
            f"Kafka does not answer at {client['bootstrap.servers']}: {found[-1].str()}; {ADVICE}"
        ) from error
