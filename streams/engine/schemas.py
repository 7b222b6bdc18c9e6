"""``streams schemas``: the folder ``avro/`` held against the registry."""

from collections.abc import Callable

from streams.config import Config
from streams.engine.codec import schema_text
from streams.engine.errors import Misconfigured
from streams.engine.registry import api
from streams.engine.schema_api import LEVEL
from streams.engine.topics import TOPICS, subject


def subjects(config: Config) -> dict[str, str]:
    """Subject → name of its schema."""
    return {subject(config.prefix, name): topic.schema for name, topic in TOPICS.items() if topic.schema}


def register(config: Config, say: Callable[[str], None]) -> list[str]:
    """Register what is missing, with compatibility set; says and returns what it did.

    Raises:
        Misconfigured: a schema is not compatible with one that is registered.
        Away: the registry does not answer.
    """
    registry = api(config)
    done = []
    for name, schema in subjects(config).items():
        text = schema_text(schema)
        # some registries want the subject first, and what is there already must be held to the level before
        leveled = registry.level(name) == LEVEL or registry.set_level(name)
        if registry.find(name, text) is None:
            try:
                number = registry.register(name, text)
            except Misconfigured as error:
                raise Misconfigured(f"avro/{schema}.avsc does not fit {name}: {error}") from None
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
        text = schema_text(schema)
        if registry.find(name, text) is None:
            if registry.compatible(name, text):
                problems.append(f"{name}: {schema}.avsc is not registered: run `streams schemas register`")
            else:
                problems.append(f"{name}: {schema}.avsc is not {LEVEL} compatible with what is registered")
        elif registry.level(name) != LEVEL:
            problems.append(f"{name}: compatibility is not {LEVEL}: run `streams schemas register`")
    return problems
