"""Why an account is sent nothing: a position of its slot says it, so that whoever asks reads Kafka. Pure."""

from typing import Final

from streams.engine.inbox import Batch
from streams.engine.outbox import Outbox
from streams.engine.positions import Passed
from streams.engine.slot import Slot
from streams.engine.topics import inputs

INPUTS: Final = inputs("feedback")
Standing = tuple[str, int]
"""Why, and since when (ms)."""


def standing(slot: Slot) -> Standing | None:
    """Why the slot's account is sent nothing; None while it is."""
    positions = [position for topic in INPUTS if (position := slot.restored_position(topic)) is not None]
    return next((said for position in positions if (said := Passed.of(position).stopped)), None)


def passed(slot: Slot, outbox: Outbox, topic: str, offset: int, stands: Standing | None) -> None:
    """Write a topic's next offset; of the slot's positions only this one says that the account stands."""
    for each in INPUTS:
        position = slot.restored_position(each)
        if isinstance(position, dict):
            outbox.position(each, position["next"])
    outbox.position(topic, offset if stands is None else {"next": offset, "stopped": list(stands)})


def stands(slot: Slot, part: Batch, why: str, now: int) -> Outbox | None:
    """What to write when a part can't be sent at ``now`` (ms); None where it is said. Since when is kept."""
    before, since = standing(slot) or (None, now)
    if why == before:
        return None
    outbox = Outbox()
    passed(slot, outbox, part.topic, part.records[0].offset, (why, since))
    return outbox
