"""What the lanes of an account see of each other: who is busy where, and what is about to be written."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

CLAIM_S: Final = 5.0
"""So long the other lanes begin nothing for a profile that a merge waits for; then as long they do."""


@dataclass(slots=True)
class Occupancy:
    """Profiles with a call open or in doubt, by lane; and those that a merge or an erasure waits for."""

    clock: Callable[[], float]
    """Seconds, monotonic."""
    lanes: dict[str, Callable[[str], bool]] = field(default_factory=dict)
    """Family → whether a profile is busy there."""
    _claims: dict[str, float] = field(default_factory=dict)

    def busy(self, who: str, besides: str) -> bool:
        """Whether the profile is busy in any other lane than ``besides``."""
        return any(busy(who) for family, busy in self.lanes.items() if family != besides)

    def claim(self, who: str) -> None:
        """Let no lane begin a call for the profile, for a while: its backlog would never leave a gap."""
        now = self.clock()
        if now >= self._claims.get(who, 0.0) + CLAIM_S:
            self._claims[who] = now + CLAIM_S

    def release(self, who: str) -> None:
        """What waited for the profile goes ahead."""
        self._claims.pop(who, None)

    def claimed(self, who: str) -> bool:
        """Whether no call may begin now."""
        return bool(self._claims) and self.clock() < self._claims.get(who, 0.0)


@dataclass(slots=True)
class Ahead:
    """What one lane is about to write and the others must see before it is committed."""

    _changes: dict[bytes, bytes | None] = field(default_factory=dict)

    def write(self, changes: Mapping[bytes, bytes | None]) -> None:
        """Show this to all lanes."""
        self._changes.update(changes)

    def read(self, key: bytes, committed: Callable[[bytes], bytes | None]) -> bytes | None:
        """What a key holds."""
        return self._changes[key] if key in self._changes else committed(key)

    def committed(self, changes: Mapping[bytes, bytes | None]) -> None:
        """The store has this now."""
        for key in changes.keys() & self._changes.keys():
            if self._changes[key] == changes[key]:  # else it was written anew meanwhile
                del self._changes[key]
