"""The whole configuration as one frozen value."""

from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import Field, ValidationInfo, field_validator, model_validator

from streams.config.contracts import Contracts
from streams.config.payload import Payload
from streams.config.rule import Rule
from streams.config.secret import Secret, Secrets
from streams.config.sections import (
    Dedupe,
    Deliver,
    Engagement,
    Gateway,
    Identity,
    Kafka,
    Lists,
    Place,
    Registry,
    Section,
    Url,
)
from streams.config.texts import Names

NAME = r"^[a-zA-Z0-9][a-zA-Z0-9_-]{0,62}$"
Name = Annotated[str, Field(pattern=NAME, examples=["acme"])]
REVISION: Final = "2026-07-15"
"""The version of Klaviyo's API that is spoken: pinned here and nowhere else."""


class KlaviyoSide(Section):
    """One Klaviyo account's keys."""

    api_key: Secret
    url: Url = "https://a.klaviyo.com"
    webhook_secrets: Secrets = Field(default=(), alias="webhook_secret", max_length=2)
    poll_minutes: Annotated[float, Field(gt=0)] | None = None
    """How often to ask for the events that ``engagement.forward`` names, where no webhook brings them.

    One that Klaviyo shows more than half an hour late, behind newer ones, is missed.
    """

    @property
    def webhook_secret(self) -> Secret | None:
        """The newest of the secrets."""
        return self.webhook_secrets[0] if self.webhook_secrets else None


class SegmentSide(Section):
    """Where an account's engagement goes."""

    write_key: Secret
    url: Url = "https://api.segment.io"


class Account(Section):
    """One Klaviyo account. It belongs to one identity space: one of its own unless it names another."""

    name: str = ""
    klaviyo: KlaviyoSide
    segment: SegmentSide | None = None
    space: Name
    headroom: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of the account's budgets left to others."""
    new_profiles_per_day: Annotated[int, Field(ge=0)] | None = None
    """Contacts cost money: of more new ones in a UTC day somebody is told, once; nothing is held back."""
    revision: Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$", examples=[REVISION])] = REVISION


class Source(Section):
    """One way in: who may send, and for which accounts."""

    name: str = ""
    accounts: Names = Field(min_length=1)
    spaces: tuple[str, ...] = ()
    """The identity spaces of its accounts, in the order of the file."""
    write_keys: Secrets = Field(default=(), alias="write_key", max_length=2)
    webhook_secrets: Secrets = Field(default=(), alias="webhook_secret", max_length=2)


class Config(Section):
    """``pipeline.yaml``, checked; see ``streams config schema`` for each value's meaning."""

    accounts: dict[Name, Account] = Field(min_length=1)
    sources: dict[Name, Source] = Field(min_length=1)
    rules: tuple[Rule, ...] = Field(min_length=1)
    kafka: Kafka = Kafka()
    registry: Registry = Registry()
    prefix: Annotated[str, Field(pattern=r"^[a-zA-Z0-9._-]{0,64}$", examples=["staging."])] = ""
    """Before every topic, subject and group."""
    data: Place = Path(".data/state")
    partitions: Annotated[int, Field(ge=1, le=1000)] = 12
    """Of the topics by identifier and by profile; fixed for life."""
    replication: Annotated[int, Field(ge=1, le=9)] = 3
    min_insync: Annotated[int, Field(ge=1, le=9, validate_default=True)] = 2
    payload: Payload = Payload()
    """For all rules that don't have a ``payload`` of their own."""
    identity: Identity = Identity()
    dedupe: Dedupe = Dedupe()
    engagement: Engagement = Engagement()
    gateway: Gateway = Gateway()
    contracts: Contracts = Contracts()
    deliver: Deliver = Deliver()
    lists: Lists = Lists()

    @model_validator(mode="before")
    @classmethod
    def _derive(cls, data: Any) -> Any:
        """Names come from the keys, a source's spaces from its accounts."""
        if not isinstance(data, dict):
            return data
        accounts, sources = data.get("accounts"), data.get("sources")
        if not isinstance(accounts, dict) or not isinstance(sources, dict):
            return data
        accounts = {
            name: {"space": name} | a | {"name": name} if isinstance(a, dict) else a
            for name, a in accounts.items()
        }
        space_of = {name: a.get("space") for name, a in accounts.items() if isinstance(a, dict)}

        def spaces(source: dict[str, Any]) -> tuple[Any, ...]:
            named = source.get("accounts")
            named = [named] if isinstance(named, str) else named if isinstance(named, list | tuple) else []
            return tuple(dict.fromkeys(s for n in named if isinstance(n, str) and (s := space_of.get(n))))

        sources = {
            name: s | {"name": name, "spaces": spaces(s)} if isinstance(s, dict) else s
            for name, s in sources.items()
        }
        return data | {"accounts": accounts, "sources": sources}

    @field_validator("min_insync", mode="after")
    @classmethod
    def _reachable(cls, value: int, info: ValidationInfo) -> int:
        """A topic with one replica can't ask for two."""
        return min(value, int(info.data.get("replication", value)))

    @cached_property
    def spaces(self) -> tuple[str, ...]:
        """All identity spaces, in the order of the file."""
        return tuple(dict.fromkeys(account.space for account in self.accounts.values()))

    def accounts_of(self, space: str) -> tuple[str, ...]:
        """The accounts of a space, in the order of the file."""
        return self._by_space.get(space, ())

    @cached_property
    def _by_space(self) -> dict[str, tuple[str, ...]]:
        return {s: tuple(n for n, a in self.accounts.items() if a.space == s) for s in self.spaces}

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits: equal for files that mean the same, whatever their secrets and comments."""
        meant = self.model_dump_json(exclude={"rules": {"__all__": {"line"}}})
        return blake2b(meant.encode(), digest_size=8).hexdigest()
