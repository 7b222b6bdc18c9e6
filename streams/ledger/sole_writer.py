"""Who writes into the line from outside it: one process at a time, in transactions."""

import secrets
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime

from streams.config import Config
from streams.engine.errors import Fenced, Misconfigured
from streams.engine.reading import quiet
from streams.engine.topics import full
from streams.engine.transactions import Transactions


def new_run() -> str:
    """An id for ``origin.replay``."""
    return f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(2)}"


@contextmanager
def sole_writer(config: Config, what: str, who: str) -> Iterator[Transactions]:
    """Transactions of whoever started last.

    Args:
        config: names the brokers.
        what: its transactional id, behind the prefix.
        who: how an error names the one that took over.

    Raises:
        Misconfigured: another one has taken over.
        Away: Kafka does not answer.
    """
    with closing(Transactions(quiet(config.kafka.client()), full(config.prefix, what))) as transactions:
        transactions.begin()  # ends what a killed run left open, so that what it kept can be read
        try:
            yield transactions
        except Fenced:
            raise Misconfigured(f"{who} runs, and has taken over from this one") from None
