"""How far an import is: kept in control, in the transaction of the rows themselves. Pure."""

from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from typing import Any, Final, Self

import orjson

from streams.engine.control import Control

KIND: Final = "replay"


@dataclass(frozen=True, slots=True)
class Standing:
    """One import's progress.

    ``shape`` is the digest of what makes its messages, ``point`` where reading goes on, None at the start;
    the counts are of the whole import, runs before this one included.
    """

    location: str
    shape: str
    spaces: tuple[str, ...]
    point: dict[str, Any] | None = None
    rows: int = 0
    sent: int = 0
    unchanged: int = 0
    refused: int = 0
    run: str = ""
    ended: bool = False

    def fact(self, name: str, at: int) -> Control:
        """As control holds it."""
        return Control(KIND, name, at=at, detail=orjson.dumps(asdict(self)).decode())

    @classmethod
    def of(cls, fact: Control) -> Self:
        """From control."""
        kept = orjson.loads(fact.detail or "{}")
        return cls(**kept | {"spaces": tuple(kept["spaces"])})

    @property
    def stamp(self) -> str:
        """Another one after every chunk."""
        return f"{self.run}/{self.rows}"

    def onward(self, point: dict[str, Any] | None, *, sent: int, unchanged: int, refused: int) -> Self:
        """After one more chunk."""
        return replace(
            self,
            point=point,
            rows=self.rows + sent + unchanged + refused,
            sent=self.sent + sent,
            unchanged=self.unchanged + unchanged,
            refused=self.refused + refused,
        )


def name_of(source: str, location: str, what: str) -> str:
    """An import's name: the same source, location and table or query are the same import."""
    digest = blake2b(f"{location}\0{what}".encode(), digest_size=6).hexdigest()
    return f"import/{source}/{digest}"
