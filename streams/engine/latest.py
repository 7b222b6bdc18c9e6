"""What a stage's changelog holds now, read by whoever asks: no worker is needed, none is disturbed."""

from collections.abc import Callable

from streams.config import Config
from streams.engine.errors import Misconfigured
from streams.engine.reading import Range, Reader
from streams.engine.topics import changelog, full


def latest(
    config: Config, stage: str, partition: int, keep: Callable[[bytes, bytes], bool]
) -> dict[bytes, bytes]:
    """The state of one slot as it was committed last. In memory is what is kept, nothing else.

    Args:
        config: the pipeline's.
        stage: one whose changelog is keyed (all but dedupe's).
        partition: the slot's.
        keep: by key and value. Of a key only its last value counts; a deleted key is none.

    Raises:
        Away: Kafka does not answer.
        Misconfigured: the topic or its partition does not exist.
    """
    reader = Reader(config.kafka.client())
    place = full(config.prefix, changelog(stage)), partition
    if place not in reader.places([place[0]]):
        raise Misconfigured(f"{place[0]} has no partition {partition}: run `streams topics apply`")
    ends = reader.ends([place])
    reader.settle(ends)
    found: dict[bytes, bytes] = {}
    for batch in reader.read([Range(*place, reader.starts([place])[place], ends[place])]):
        for message in batch:
            key, value = message.key() or b"", message.value()
            if value is not None and keep(key, value):
                found[key] = value
            else:
                found.pop(key, None)
    return found
