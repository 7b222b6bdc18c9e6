"""What becomes of an event or a profile that is more than Klaviyo takes."""

from typing import Annotated, Final, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from streams.config.sections import Section
from streams.config.texts import Paths


class Slim(Section):
    """One way to make a payload smaller: exactly one of ``drop``, ``truncate`` and ``items``.

    The paths are JSONPaths in what Klaviyo is sent: ``$.properties.Items``, ``$.properties..description``.
    """

    drop: Paths = ()
    """Leave out properties found there."""
    truncate: Paths = ()
    """Cut texts found there that are longer than ``to`` characters."""
    to: Annotated[int, Field(ge=1, examples=["1000"])] | None = None
    items: Paths = ()
    """Keep of arrays found there the first ``most``."""
    most: Annotated[int, Field(ge=0, examples=["50"])] | None = None
    always: bool = False
    """Also where the payload would fit."""

    @model_validator(mode="after")
    def _one_thing(self) -> Self:
        named = [name for name in ("drop", "truncate", "items") if getattr(self, name)]
        needs = {"truncate": "to", "items": "most"}
        write = "drop: $.properties.reviews"
        said = ""
        if len(named) != 1:
            said = f"takes one of drop, truncate and items, found {' and '.join(named) or 'none'}"
        elif (bound := needs.get(named[0])) and getattr(self, bound) is None:
            example = {"to": 1000, "most": 50}[bound]
            said, write = f"{named[0]} needs {bound}", f"{bound}: {example}"
        for owner, bound in needs.items():
            if not said and owner not in named and getattr(self, bound) is not None:
                said, write = f"{bound} belongs to {owner}", f"{owner}: …, {bound}: …; or leave it out"
        if said:
            raise PydanticCustomError("slim", "{said}", {"said": said, "write": write})
        return self


MOST_BYTES: Final = 1_900_000
"""Klaviyo takes 5 MB; this much and whom it is for is what a record of the line holds."""


class Payload(Section):
    """What is done where something is over a limit of Klaviyo's; whatever is done is told in the outcome."""

    over: Literal["slim", "split", "dead_letter"] = "slim"
    """``split``: the heaviest array of an event over several events, then ``slim`` for what is left."""
    max_bytes: Annotated[int, Field(ge=1000, le=MOST_BYTES)] = MOST_BYTES
    """An event's properties as JSON; a profile's attributes never have more than Klaviyo's 100 KB."""
    slim: tuple[Slim, ...] = (
        Slim(items=("$.properties..*",), most=500),
        Slim(truncate=("$.properties..*",), to=10_000),
    )
    """In this order, each as far as it helps, until the payload fits."""
