"""Two profiles at Klaviyo for one person: found, merged, waited for.

A merge is asynchronous and ends the source for good. Its direction is written down before the first one
leaves and never changes, whoever finds the two again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final, Literal

import orjson

from streams.deliver.family import Read
from streams.klaviyo import audience, merging
from streams.klaviyo.requests import Request

PAIRS: Final = b"p/"
ROUNDS: Final = 12
"""So often an update is tried while Klaviyo has its person as two profiles."""
_RESENT: Final = 4
"""A merge that shows no effect goes once more after so many rounds."""
_FIRST_WAIT_S: Final = 0.5
_LONGEST_WAIT_S: Final = 60.0
_CANONICAL: Final = ("email", "phone_number", "external_id")
"""Whose holder stays: consent lives with the address."""


def pair_key(one: str, other: str) -> bytes:
    """Where the direction of a merge stands."""
    pair = "/".join(sorted((one, other)))
    return PAIRS + blake2b(pair.encode(), digest_size=16).hexdigest().encode()


def pair_form(into: str, now_ms: int) -> bytes:
    """A merge's direction in the form that the state holds."""
    return orjson.dumps({"into": into, "at": now_ms})


def directed(into: str, source: str, read: Read) -> tuple[str, str]:
    """Destination and source: as wished, unless a merge of the two was sent the other way before."""
    value = read(pair_key(into, source))
    if value is not None and orjson.loads(value)["into"] == source:
        return source, into
    return into, source


def holders(found: Mapping[str, str]) -> tuple[str, str] | None:
    """Of identifiers and the profiles that hold them: whom to keep, and the first other one."""
    ids = [found[name] for name in _CANONICAL if name in found]
    return next(((ids[0], other) for other in ids if other != ids[0]), None)


def foreign(holder: Mapping[str, Any], *people: Mapping[str, str]) -> bool:
    """Whether the holder of a number is somebody else, by address or user id: families share a number."""
    for name in ("email", "external_id"):
        value = holder.get(name)
        own = {audience.same(name, who[name]) for who in people if name in who}
        if value and own and audience.same(name, value) not in own:
            return True
    return False


@dataclass(slots=True)
class Conflict:
    """What a group goes through after a 409: look-ups, a merge, the update again."""

    who: dict[str, str]
    rounds: int = 0
    phase: Literal["look", "merge", "import"] = "look"
    named: str = ""
    """The profile that Klaviyo named."""
    pair: tuple[str, str] | None = None
    shared: bool = False
    """The number is somebody else's: the update goes without it, and nobody is merged for it."""
    _asked: list[str] = field(default_factory=list)
    _found: dict[str, str] = field(default_factory=dict)
    _sent: set[tuple[str, str]] = field(default_factory=set)

    def again(self, named: str | None) -> bool:
        """The update conflicts (again); False when that was the last round."""
        self.rounds += 1
        self.named = named or self.named
        self.phase, self._found = "look", {}
        self._asked = [name for name in _CANONICAL if name in self.who]
        return self.rounds <= ROUNDS

    def request(self, read: Read) -> Request | None:
        """The next question or merge; None: the update itself."""
        if self.phase == "look":
            return audience.find_profiles(self._asked[0], [self.who[self._asked[0]]])
        if self.phase == "merge" and self.pair is not None:
            self.pair = directed(*self.pair, read)
            return merging.merge(*self.pair)
        return None

    def answered(self, data: Any) -> float:
        """An answer came, to a look-up or to the merge; how long to wait now, seconds."""
        if self.phase == "look":
            name = self._asked.pop(0)
            for klaviyo_id, attributes in audience.resources(data):
                if name == "phone_number" and foreign(attributes, self.who):
                    self.shared = True
                else:
                    self._found[name] = klaviyo_id
            if self._asked:
                return 0.0
            self.pair = holders(self._found)
            if self.pair and (self.pair not in self._sent or self.rounds % _RESENT == 1):
                self._sent.add(self.pair)
                self.phase = "merge"
                return 0.0
        self.phase = "import"
        return float(min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2.0 ** (self.rounds - 1)))

    def intends(self, now_ms: int) -> dict[bytes, bytes | None]:
        """What must be known before the merge leaves."""
        if self.phase != "merge" or self.pair is None:
            return {}
        return {pair_key(*self.pair): pair_form(self.pair[0], now_ms)}

    def shown(self) -> str:
        """The profiles that are in each other's way."""
        ids = dict.fromkeys(
            [*(self.pair or ()), *self._found.values(), *([self.named] if self.named else [])]
        )
        return " and ".join(ids) or "not named"
