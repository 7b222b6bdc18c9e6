"""Schema ids, looked up once and kept for ever; one Registry a process."""

import json
from collections.abc import Iterable
from functools import partial
from typing import Self

from fastavro import parse_schema

from streams.config import Config
from streams.engine.codec import Codec, Schema, schema_id, schema_text
from streams.engine.errors import SchemaMissing
from streams.engine.schema_api import SchemaApi
from streams.engine.topics import TOPICS, subject
from streams.engine.waiting import patiently


def api(config: Config) -> SchemaApi:
    """The configured registry's HTTP API."""
    return SchemaApi(config.registry.url, _auth(config))


def _auth(config: Config) -> tuple[str, str] | None:
    user, password = config.registry.user, config.registry.password
    return (user, password.get_secret_value()) if user and password else None


class Registry:
    """Codecs by schema name (the file's name in ``avro/``).

    Args:
        url: of the Confluent API, path prefix included.
        prefix: the configuration's, before every subject.
        auth: user and password.
    """

    def __init__(self, url: str, prefix: str, *, auth: tuple[str, str] | None = None) -> None:
        self._api = SchemaApi(url, auth)
        self._prefix = prefix
        self._writers: dict[int, Schema | None] = {}
        self._codecs: dict[str, Codec] = {}
        self._own: dict[str, list[int]] = {}

    @classmethod
    def of(cls, config: Config) -> Self:
        """The configured registry."""
        return cls(config.registry.url, config.prefix, auth=_auth(config))

    def codec(self, schema: str) -> Codec:
        """The schema's codec; it decodes at once what is learned, and encodes after ``ready_sync``."""
        if schema not in self._codecs:
            self._codecs[schema] = Codec(schema, self._writers)
        return self._codecs[schema]

    def ready_sync(self, *topics: str) -> None:
        """Look up the ids under which these topics have our own schemas.

        Raises:
            SchemaMissing: a topic's subject does not have our schema.
            Away: the registry does not answer.
        """
        for name in topics:
            schema = TOPICS[name].schema
            if schema is None:
                continue
            number = self._api.find(subject(self._prefix, name), schema_text(schema))
            if number is None:
                raise SchemaMissing(
                    f"{subject(self._prefix, name)} has no schema like avro/{schema}.avsc: "
                    "run `streams schemas register`"
                )
            ids = self._own.setdefault(schema, [])
            if number not in ids:
                ids.append(number)
            codec = self.codec(schema)
            codec.own(ids)
            self._writers[number] = codec.schema

    async def learn(self, values: Iterable[bytes]) -> None:
        """Make every schema id in these framed values known; returns at once when all are, else waits."""
        for number in self._unknown(values):
            await patiently(partial(self._fetch, number))

    def learn_sync(self, values: Iterable[bytes]) -> None:
        """The same, for commands: raises Away instead of waiting."""
        for number in self._unknown(values):
            self._fetch(number)

    def _unknown(self, values: Iterable[bytes]) -> set[int]:
        known = self._writers
        frames = {value[:5] for value in values}
        return {n for frame in frames if (n := schema_id(frame)) is not None and n not in known}

    def _fetch(self, number: int) -> None:
        text = self._api.by_id(number)
        try:
            self._writers[number] = None if text is None else parse_schema(json.loads(text))  # type: ignore[assignment]
        except Exception:  # another format, or a schema that refers to others: not ours to read
            self._writers[number] = None
