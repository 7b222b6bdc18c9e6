"""What one transaction carries: records, outcomes, dead letters, changes of state and the position."""

from typing import Any, Final

Position = int | dict[str, Any]
"""Next offset of an input; a stage that finishes out of order adds the ranges done beyond it."""

Produced = tuple[int, bytes | None, bytes | None]
"""A record to write: partition, key, value."""

OUTCOMES: Final = "outcomes"
DEAD_LETTERS: Final = "dead.letters"


class Outbox:
    """Collects; the slot commits. Topics are logical names, values are already framed."""

    __slots__ = ("accepted_at", "changes", "dead_letters", "outcomes", "positions", "records")

    def __init__(self) -> None:
        self.records: dict[str, list[Produced]] = {}
        self.outcomes: list[bytes] = []
        self.dead_letters: list[bytes] = []
        self.changes: dict[bytes, bytes | None] = {}
        self.positions: dict[str, Position] = {}
        self.accepted_at: dict[str, int] = {}

    def send(self, topic: str, partition: int, key: bytes | None, value: bytes) -> None:
        """Produce one record."""
        try:
            self.records[topic].append((partition, key, value))
        except KeyError:
            self.records[topic] = [(partition, key, value)]

    def put(self, key: bytes, value: bytes) -> None:
        """Change the state."""
        self.changes[key] = value

    def delete(self, key: bytes) -> None:
        """Remove a key from the state."""
        self.changes[key] = None

    def outcome(self, value: bytes) -> None:
        """Say what became of a record or of a delivery."""
        self.outcomes.append(value)

    def dead_letter(self, value: bytes) -> None:
        """Keep what could not go on."""
        self.dead_letters.append(value)

    def position(self, topic: str, value: Position, accepted_at: int | None = None) -> None:
        """Next offset of an input; accepted-at (ms) of the last record processed moves the clock."""
        self.positions[topic] = value
        if accepted_at is not None:
            self.accepted_at[topic] = accepted_at
