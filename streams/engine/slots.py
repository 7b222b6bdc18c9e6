"""Slots: the number of each space and of each account, given once and never reused."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Self

from streams.config import Config
from streams.engine.control import Control, read_control
from streams.engine.errors import Misconfigured


@dataclass(frozen=True, slots=True)
class Slots:
    """Partitions by name. Spaces and accounts are numbered separately, each from 0."""

    spaces: Mapping[str, int] = field(default_factory=dict)
    accounts: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def read(cls, config: Config) -> Self:
        """As of now, from the control topic. Raises Away, Misconfigured."""
        return cls.of(read_control(config).values())

    @classmethod
    def of(cls, facts: Iterable[Control]) -> Self:
        """From what control holds."""
        numbers: dict[str, dict[str, int]] = {"space": {}, "account": {}}
        for fact in facts:
            if fact.kind in numbers and fact.number is not None:
                numbers[fact.kind][fact.name] = fact.number
        return cls(numbers["space"], numbers["account"])

    def space(self, name: str) -> int:
        """The space's partition. Raises Misconfigured if it has none yet."""
        return _number(self.spaces, "space", name)

    def account(self, name: str) -> int:
        """The account's partition. Raises Misconfigured if it has none yet."""
        return _number(self.accounts, "account", name)

    @property
    def count(self) -> int:
        """Partitions that every slot topic needs."""
        return 1 + max((*self.spaces.values(), *self.accounts.values()), default=-1)

    def with_new(self, spaces: Iterable[str], accounts: Iterable[str]) -> "Slots":
        """These and the next free number for each name that has none, in order."""
        return Slots(_extended(self.spaces, spaces), _extended(self.accounts, accounts))


def _number(numbers: Mapping[str, int], kind: str, name: str) -> int:
    try:
        return numbers[name]
    except KeyError:
        raise Misconfigured(f"{kind} {name} has no slot yet: run `streams topics apply`") from None


def _extended(numbers: Mapping[str, int], names: Iterable[str]) -> dict[str, int]:
    extended = dict(numbers)
    for name in names:
        if name not in extended:
            extended[name] = 1 + max(extended.values(), default=-1)
    return extended
