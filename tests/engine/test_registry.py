import asyncio
import socket

import pytest

from streams.engine.codec import schema_text
from streams.engine.errors import Away, Misconfigured, SchemaMissing, Unreadable
from streams.engine.registry import Registry
from streams.engine.schema_api import LEVEL, SchemaApi
from streams.engine.topics import subject
from streams.local.stack import Stack

TOPIC = "control"
FACT = {"kind": "space", "name": "acme", "number": 3, "reason": None, "at": 5, "detail": None}


def registered(stack: Stack, prefix: str, schema: str | None = None) -> SchemaApi:
    api = SchemaApi(stack.registry)
    api.register(subject(prefix, TOPIC), schema or schema_text("control"))
    return api


@pytest.mark.stack
async def test_a_process_reads_what_another_wrote(stack: Stack, prefix: str) -> None:
    registered(stack, prefix)
    writer, reader = Registry(stack.registry, prefix), Registry(stack.registry, prefix)
    writer.ready_sync(TOPIC)
    data = writer.codec("control").encode(FACT)
    await reader.learn([data])
    assert reader.codec("control").decode(data) == FACT


@pytest.mark.stack
def test_a_subject_without_our_schema_says_what_to_run(stack: Stack, prefix: str) -> None:
    with pytest.raises(SchemaMissing, match="streams schemas register"):
        Registry(stack.registry, prefix).ready_sync(TOPIC)


@pytest.mark.stack
async def test_an_id_that_the_registry_does_not_have_makes_a_record_unreadable(
    stack: Stack, prefix: str
) -> None:
    registry = Registry(stack.registry, prefix)
    data = b"\0\x7f\xff\xff\xff" + b"x"
    await registry.learn([data])
    with pytest.raises(Unreadable):
        registry.codec("control").decode(data)


@pytest.mark.stack
def test_what_is_not_compatible_is_refused_in_both_directions(stack: Stack, prefix: str) -> None:
    api = registered(stack, prefix)
    name = subject(prefix, TOPIC)
    assert api.set_level(name)
    assert api.level(name) == LEVEL
    without = (
        '{"type":"record","name":"Control","namespace":"streams","fields":[{"name":"kind","type":"string"}]}'
    )
    assert not api.compatible(name, without)
    with pytest.raises(Misconfigured):
        api.register(name, without)


async def test_while_the_registry_is_away_stages_wait_and_commands_do_not() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: every connection is refused
        registry = Registry(f"http://127.0.0.1:{taken.getsockname()[1]}", "")
        with pytest.raises(Away):
            registry.ready_sync(TOPIC)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await registry.learn([b"\0\0\0\0\x07"])
