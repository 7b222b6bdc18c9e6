"""Contracts read from their folder, held against the configuration."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from streams.config import Config, ConfigError, Problem
from streams.config.problems import nearest
from streams.segment.contracts import ContractError, Contracts
from streams.segment.tracking_plan import TrackingPlan


def load(config: Config) -> TrackingPlan:
    """The tracking plan in force, compiled.

    Raises:
        ConfigError: with every file that is no contract, and every event that is held but has none.
    """
    schemas, problems = _read(config.contracts.path)
    good: list[dict[str, Any]] = []
    for file, schema in schemas.items():
        try:
            Contracts([*good, schema])
            good.append(schema)
        except ContractError as error:
            problems.append(Problem(str(file), 0, 0, str(error), "see `streams contracts learn`"))
    contracts = Contracts(good)
    problems += _missing(config, contracts)
    if problems:
        raise ConfigError(problems)
    levels = {event: held.enforce for event, held in config.contracts.events.items()}
    return TrackingPlan(contracts, levels, config.contracts.unknown)


def in_force(config: Config) -> TrackingPlan | None:
    """The same, or None where it never acts: nothing is asked of it then. Raises ConfigError."""
    plan = load(config)
    return None if plan.idle else plan


def check(config: Config) -> list[Problem]:
    """Every problem of the contracts; none = they can be used."""
    try:
        load(config)
    except ConfigError as error:
        return list(error.problems)
    return []


def _read(folder: Path) -> tuple[dict[Path, dict[str, Any]], list[Problem]]:
    schemas: dict[Path, dict[str, Any]] = {}
    problems = []
    for file in sorted(folder.glob("*.avsc")):
        try:
            schema = orjson.loads(file.read_bytes())
        except (OSError, orjson.JSONDecodeError) as error:
            problems.append(Problem(str(file), 0, 0, f"can't be read: {error}", "an Avro schema in JSON"))
            continue
        if isinstance(schema, dict):
            schemas[file] = schema
        else:
            problems.append(Problem(str(file), 0, 0, "is no object", 'an Avro schema: {"type": "record", …}'))
    return schemas, problems


def _missing(config: Config, contracts: Contracts) -> Iterator[Problem]:
    for event in config.contracts.events:
        if event not in contracts.events:
            said = f"contracts.events: {event!r} has no contract in {config.contracts.folder}"
            write = nearest(event, contracts.events) or 'a file with "event": that name'
            yield Problem("contracts", 0, 0, said, write)
