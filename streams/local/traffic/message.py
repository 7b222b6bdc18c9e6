"""One message of made traffic, and what was done to it on purpose."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Message:
    """One message as a source sends it."""

    body: bytes
    """JSON, unless the label says `broken_json`."""
    type: str
    message_id: str | None
    person: int
    """Index of the person it is of; people who share a device or an address keep their own."""
    at: int
    """When it happened, milliseconds since the epoch, whatever its timestamp says."""
    labels: tuple[str, ...] = ()
    """What was injected, `redelivery:seconds` for one."""
    refused: str | None = None
    """The reason of the dead letter it becomes at the gateway; None when it is accepted."""

    @property
    def is_json(self) -> bool:
        """Whether it can be a part of a batch."""
        return "broken_json" not in self.labels
