"""One add to a list or remove from it: what it needs next, and which of them go together."""

from dataclasses import dataclass
from typing import Literal

from streams.deliver.lists import lookups
from streams.deliver.row import Row
from streams.klaviyo import audience

Step = Literal["name", "id", "create", "who", "import", "size", "change", "superseded", "same", "held"]


@dataclass(slots=True)
class Ready:
    """One add or remove, and what it needs next. ``by``: the identifier it is looked up by."""

    list: str
    add: bool
    who: dict[str, str]
    by: tuple[str, str]
    step: Step = "name"
    list_step: Step = "name"
    list_id: str = ""
    klaviyo_id: str = ""
    looked_anew: bool = False
    """Klaviyo did not know the list that it had shown: it was looked up once more."""
    renewed: bool = False
    """Klaviyo did not take the id that was remembered."""
    unknown: bool = False
    """Klaviyo was asked for the profile and had none."""
    named_after: int = 0
    """How many attempts there had been when the list's name was looked up."""
    turn: int = 0
    """Of sorting, in which it came to ask for its list."""
    counted: bool = False
    """The guard knows that it leaves."""
    time: int = 0
    """Of the newest event that the membership reflects."""


def part(row: Row) -> tuple[str, ...]:
    """What the rows of one call have in common."""
    ready: Ready = row.ready
    match ready.step:
        case "name" | "id" | "create":
            return ready.step, ready.list
        case "who":
            return ready.step, ready.by[0]
        case "size":
            return ready.step, ready.list_id
        case "change":
            return ready.step, ready.list_id, str(ready.add)
        case _:
            return (ready.step,)


def cut(rows: list[Row]) -> list[list[Row]]:
    """Rows in parts that one call may carry."""
    match rows[0].ready.step:
        case "who":
            return lookups.paged(rows, lambda row: row.ready.by[1])
        case "import":
            return [[row] for row in rows]
        case _:
            size = audience.MEMBERS
            return [rows[at : at + size] for at in range(0, len(rows), size)]
