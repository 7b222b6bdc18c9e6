"""librdkafka's own way to a fatal error, such as brokers cause by forgetting a producer."""

import ctypes
from pathlib import Path

import confluent_kafka
import pytest
from confluent_kafka import KafkaError, Producer

_HANDLE = object.__basicsize__
"""Where a client object holds librdkafka's: right behind what each Python object begins with."""


def fail(producer: Producer) -> None:
    """Put the producer into its fatal state; skips where the wheel's library is elsewhere."""
    libraries = Path(confluent_kafka.__file__).parent.with_name("confluent_kafka.libs")
    found = next(libraries.glob("librdkafka-*.so*"), None)
    if found is None:
        pytest.skip("no librdkafka beside the wheel")
    library = ctypes.CDLL(str(found))
    library.rd_kafka_test_fatal_error.argtypes = (ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p)
    handle = ctypes.c_void_p.from_address(id(producer) + _HANDLE).value
    code = KafkaError.OUT_OF_ORDER_SEQUENCE_NUMBER
    assert library.rd_kafka_test_fatal_error(handle, code, b"made up") == 0
