"""What a simulator does wrong on purpose: which request a fault meets, and how often."""

from __future__ import annotations

import random
from fnmatch import fnmatchcase
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class Match(BaseModel):
    """The requests a fault is for; what is left out matches everything."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: str | None = None
    path: str | None = None
    account: str | None = None

    def holds(self, method: str, path: str, account: str | None) -> bool:
        """Tell whether a request is meant; `path` is a glob and a trailing slash counts for nothing."""
        if self.method not in (None, "*") and (self.method or "").upper() != method.upper():
            return False
        if self.account is not None and self.account != account:
            return False
        glob = (self.path or "*").rstrip("/") or "*"
        return fnmatchcase(path.rstrip("/"), glob)


class ErrorRow(BaseModel):
    """One row of a bulk body to refuse, by its index or by its profile's e-mail address."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    index: int | None = None
    email: str | None = None
    code: str = "invalid"
    detail: str = "Invalid input."
    pointer: bool = True
    late: bool = False
    """Fail the row in the job instead of refusing the request (where jobs report rows)."""

    @model_validator(mode="after")
    def _names_a_row(self) -> Self:
        if self.index is None and self.email is None:
            raise ValueError("an error row needs `index` or `email`")
        return self


class Do(BaseModel):
    """What happens; exactly one effect (a status may have headers and a body)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    status: int | None = Field(default=None, ge=100, le=599)
    headers: dict[str, str] = {}
    body: Any = None
    delay_s: float | None = Field(default=None, ge=0)
    when: Literal["before", "after"] = "after"
    """Of a delay: before the request is processed, or (usual) before its reply is sent."""
    reset: Literal["before", "after"] | None = None
    drop_after_202: bool | None = None
    cloudflare: bool | None = None
    error_rows: tuple[ErrorRow, ...] | None = None

    @model_validator(mode="after")
    def _has_one_effect(self) -> Self:
        effects = ("status", "delay_s", "reset", "drop_after_202", "cloudflare", "error_rows")
        given = [name for name in effects if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"`do` needs exactly one of {', '.join(effects)}; it has {given or 'none'}")
        return self


class FaultSpec(BaseModel):
    """One fault as asked for; without `times` and `rate` it meets every match until it is deleted."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    match: Match = Match()
    do: Do
    times: int | None = Field(default=None, ge=1)
    rate: float | None = Field(default=None, ge=0, le=1)
    seed: int | None = None


class Fault:
    """A fault in force, with its own dice, so that the same seed meets the same requests."""

    __slots__ = ("_dice", "fired", "id", "seen", "spec")

    def __init__(self, fault_id: str, spec: FaultSpec) -> None:
        self.id = fault_id
        self.spec = spec
        self.seen = 0
        self.fired = 0
        self._dice = random.Random(spec.seed)

    def strikes(self, method: str, path: str, account: str | None) -> bool:
        """Decide for one request; each match draws once, hit or not."""
        if not self.spec.match.holds(method, path, account):
            return False
        if self.spec.times is not None and self.fired >= self.spec.times:
            return False
        self.seen += 1
        if self.spec.rate is not None and self._dice.random() >= self.spec.rate:
            return False
        self.fired += 1
        return True

    def as_json(self) -> dict[str, Any]:
        """Return the fault as `GET /sim/faults` shows it."""
        spec = self.spec.model_dump(exclude_none=True, exclude_defaults=True, mode="json")
        return {"id": self.id, **spec, "seen": self.seen, "fired": self.fired}


class Faults:
    """All faults in force, tried in the order they were made; the first that strikes applies."""

    def __init__(self) -> None:
        self._faults: dict[str, Fault] = {}
        self._made = 0
        self.fired = 0

    def add(self, spec: FaultSpec) -> Fault:
        """Put a fault in force."""
        self._made += 1
        fault = Fault(f"fault-{self._made}", spec)
        self._faults[fault.id] = fault
        return fault

    def strike(self, method: str, path: str, account: str | None) -> Fault | None:
        """Return the fault that meets this request."""
        for fault in self._faults.values():
            if fault.strikes(method, path, account):
                self.fired += 1
                return fault
        return None

    def get(self, fault_id: str) -> Fault | None:
        """Return one fault."""
        return self._faults.get(fault_id)

    def all(self) -> list[Fault]:
        """Return every fault in force."""
        return list(self._faults.values())

    def remove(self, fault_id: str) -> bool:
        """Lift one fault; False when there is none of that id."""
        return self._faults.pop(fault_id, None) is not None

    def clear(self) -> None:
        """Lift every fault."""
        self._faults.clear()
