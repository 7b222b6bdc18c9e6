"""Dead letters by reason: how many are open, redriven, discarded, and one to look at. Pure."""

from array import array
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from streams.ledger.letters import document
from streams.ledger.marks import STATUS, Letter, Marks

OPEN = "open"
STATUSES = (OPEN, *STATUS.values())


@dataclass(slots=True)
class ByReason:
    """Takes letters in as they are read; what was done with them may change between two looks."""

    _offsets: dict[str, dict[int, "array[int]"]] = field(default_factory=dict)
    _samples: dict[str, tuple[Letter, Mapping[str, Any]]] = field(default_factory=dict)

    def add(self, place: Letter, letter: Mapping[str, Any], marks: Marks) -> None:
        """Take in one letter (``avro/dead_letter.avsc``) by its partition and offset."""
        reason = letter["reason"].partition(":")[0]
        partition, offset = place
        self._offsets.setdefault(reason, {}).setdefault(partition, array("q")).append(offset)
        sample = self._samples.get(reason)
        if sample is None or (marks.find(sample[0]) and not marks.find(place)):
            self._samples[reason] = place, letter

    def document(self, marks: Marks) -> list[dict[str, Any]]:
        """One entry a reason, the one with most open letters first; ``count`` is all of them."""
        rows = []
        for reason, partitions in self._offsets.items():
            found: Counter[str] = Counter()
            for partition, offsets in partitions.items():
                found.update(_status((partition, offset), marks) for offset in offsets)
            place, letter = self._samples[reason]
            statuses = {status: found[status] for status in STATUSES}
            sample = document(*place, letter, marks.find(place))
            rows.append({"reason": reason, "count": found.total(), **statuses, "sample": sample})
        return sorted(rows, key=lambda row: (-row[OPEN], -row["count"]))


def _status(letter: Letter, marks: Marks) -> str:
    mark = marks.find(letter)
    return mark.status if mark else OPEN
