"""``streams schemas``: the folder ``avro/`` and the contracts held against the registry."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from streams.config import Config
from streams.engine.codec import schema_text
from streams.engine.errors import Misconfigured
from streams.engine.registry import api
from streams.engine.schema_api import LEVEL
from streams.engine.topics import TOPICS, full, subject


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a subject should have: the schema's file, for messages, and its text."""

    file: str
    text: str


def subjects(config: Config) -> dict[str, Wanted]:
    """Subject → its schema: those of the topics, then the contracts, as ``contract.`` and the file's name.

    Raises:
        Misconfigured: a contract is no JSON.
    """
    ours = {
        subject(config.prefix, name): Wanted(f"{topic.schema}.avsc", schema_text(topic.schema))
        for name, topic in TOPICS.items()
        if topic.schema
    }
    return ours | {
        full(config.prefix, f"contract.{file.stem}"): _contract(file) for file in _contracts(config)
    }


def _contracts(config: Config) -> list[Path]:
    return sorted(config.contracts.path.glob("*.avsc"))


def _contract(file: Path) -> Wanted:
    try:
        return Wanted(str(file), json.dumps(json.loads(file.read_bytes()), separators=(",", ":")))
    except (OSError, ValueError) as error:
        raise Misconfigured(f"{file} is no Avro schema: {error}") from None


def register(config: Config, say: Callable[[str], None]) -> list[str]:
    """Register what is missing, with compatibility set; says and returns what it did.

    Raises:
        Misconfigured: a schema is not compatible with one that is registered.
        Away: the registry does not answer.
    """
    registry = api(config)
    done = []
    for name, schema in subjects(config).items():
        text = schema.text
        # some registries want the subject first, and what is there already must be held to the level before
        leveled = registry.level(name) == LEVEL or registry.set_level(name)
        if registry.find(name, text) is None:
            try:
                number = registry.register(name, text)
            except Misconfigured as error:
                raise Misconfigured(f"{schema.file} does not fit {name}: {error}") from None
            done.append(f"{name}: id {number}")
            say(done[-1])
        if not leveled and not registry.set_level(name):
            raise Misconfigured(f"the registry does not let {name} be {LEVEL}")
    return done


def check(config: Config) -> list[str]:
    """What differs; none = every schema is registered, with compatibility set. Raises Away."""
    registry = api(config)
    problems = []
    for name, schema in subjects(config).items():
        text = schema.text
        if registry.find(name, text) is None:
            if registry.compatible(name, text):
                problems.append(f"{name}: {schema.file} is not registered: run `streams schemas register`")
            else:
                problems.append(f"{name}: {schema.file} is not {LEVEL} compatible with what is registered")
        elif registry.level(name) != LEVEL:
            problems.append(f"{name}: compatibility is not {LEVEL}: run `streams schemas register`")
    return problems
