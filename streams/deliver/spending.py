"""The budgets of one account, and how they outlive the process that spends them."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

import orjson

from streams.deliver.budget import Budget, Spent
from streams.klaviyo.budgets import Limit

PREFIX: Final = b"b/"


@dataclass(slots=True)
class Spending:
    """Budget name → budget; all lanes of the account share them."""

    limits: dict[str, Limit]
    _budgets: dict[str, Budget] = field(default_factory=dict)

    def budget(self, name: str) -> Budget:
        """The budget of that name."""
        if name not in self._budgets:
            self._budgets[name] = Budget(self.limits[name])
        return self._budgets[name]

    def form(self, name: str, now: float, now_ms: int) -> tuple[bytes, bytes]:
        """Key and value that tell a successor what is spent."""
        spent = self.budget(name).spent(now)
        return PREFIX + name.encode(), orjson.dumps(
            {"at": now_ms, "open": spent.open, "closed": spent.closed, "blocked": spent.blocked}
        )

    def restore(self, entries: Iterable[tuple[bytes, bytes]], now: float, now_ms: int) -> None:
        """Read what a former owner spent."""
        for key, value in entries:
            name = key.removeprefix(PREFIX).decode()
            if name in self.limits:
                spent = orjson.loads(value)
                opened = tuple((age, lasts) for age, lasts in spent["open"])
                closed = tuple((age, number) for age, number in spent["closed"])
                elapsed = (now_ms - spent["at"]) / 1000
                self.budget(name).restore(Spent(opened, closed, spent.get("blocked", 0.0)), elapsed, now)
