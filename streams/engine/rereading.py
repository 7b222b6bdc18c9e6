"""Reading again what a slot took in before: single records of its own inputs, by offset."""

import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from typing import Final

from confluent_kafka import Consumer, Message, TopicPartition

from streams.engine.errors import Away
from streams.engine.reading import PATIENCE_S, arrived, place_of, quiet, reading, translated

APART: Final = 1000
"""Runs of offsets closer than this are read in one go."""
_QUEUE_KB: Final = 4096


class Rereader:
    """One consumer outside of any group. Its methods block; one thread at a time is let in."""

    def __init__(self, client: Mapping[str, str | int], prefix: str, partition: int) -> None:
        self._client = reading(quiet(client)) | {
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 20,
            "queued.max.messages.kbytes": _QUEUE_KB,
        }
        self._prefix = prefix
        self._partition = partition
        self._consumer: Consumer | None = None
        self._entered = threading.Lock()
        self._closing = False

    def read(self, runs: Mapping[str, Sequence[Sequence[int]]]) -> Generator[tuple[str, Message]]:
        """Logical topic and record of all that is left of these half-open runs of offsets, each once.

        What the log has no more is left out. Raises Away if nothing arrives for 30 s.
        """
        with self._entered, translated():
            for topic, wanted in runs.items():
                for start, end, offsets in _spans(wanted):
                    for message in self._span(self._prefix + topic, start, end):
                        if place_of(message)[1] in offsets:
                            yield topic, message

    def _span(self, topic: str, start: int, end: int) -> Iterator[Message]:
        if self._consumer is None:
            self._consumer = Consumer(self._client)
        self._consumer.assign([TopicPartition(topic, self._partition, start)])
        deadline = time.monotonic() + PATIENCE_S
        at, at_end = start, False
        while at < end and not self._closing:
            for message, ends in arrived(self._consumer, 1000):
                deadline = time.monotonic() + PATIENCE_S
                (name, _), offset = place_of(message)
                if name != topic:
                    continue
                at_end = ends
                at = max(at, offset + (not ends))
                if not ends and offset < end:
                    yield message
            if at < end and time.monotonic() > deadline:
                if at_end:  # nothing is there, nor will be: what a new leader lacks for a moment is not meant
                    return
                raise Away(f"Kafka: nothing arrives of {topic}")

    def close(self) -> None:
        """Let go of the connections; a reading under way ends first, soon."""
        self._closing = True
        with self._entered:
            if self._consumer is not None:
                self._consumer.close()
                self._consumer = None
        self._closing = False


def _spans(runs: Sequence[Sequence[int]]) -> Iterator[tuple[int, int, set[int]]]:
    """Start, end and wanted offsets of what is read in one go."""
    start, end, offsets = 0, 0, set[int]()
    for first, last in sorted(map(tuple, runs)):
        if offsets and first - end > APART:
            yield start, end, offsets
            offsets = set()
        if not offsets:
            start = first
        end = last
        offsets |= set(range(first, last))
    if offsets:
        yield start, end, offsets
