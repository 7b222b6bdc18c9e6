"""The audit's sums: what became of every record, from outcomes, dead letters and what is open. Pure."""

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from streams.ledger.book import OF, Book, State
from streams.ledger.choice import Fate, Fates
from streams.ledger.reasons import Reason
from streams.ledger.tally import Missing, Tally

Place = tuple[str, int]
"""Line (``origin.line``) and partition."""
_CERTAINTY = {Reason.CONFIRMED.value: 1, Reason.UNCONFIRMED.value: 2}
_NAMES = ("accepted", "confirmed", "unconfirmed")
HOUR_MS = 3_600_000
# plain integers, since comparing members of an enumeration costs more than all the rest
_UNKNOWN, _IN_FLIGHT, _DEAD_LETTERED = int(State.UNKNOWN), int(State.IN_FLIGHT), int(State.DEAD_LETTERED)
_HELD, _DELIVERED, _FILTERED = int(State.HELD), int(State.DELIVERED), int(State.FILTERED)
_ROUTED, _HOLE = int(State.ROUTED), int(State.HOLE)
_OPEN = (int(State.PRESENT), _HELD)
_AGAIN = (_UNKNOWN, _DEAD_LETTERED)
_NOTHING_NEW = tuple(
    int(state) for state in (State.DUPLICATE, State.UNCHANGED, State.FILTERED, State.REFUSED)
)
_REASONS = ("", *(reason.value for reason in Reason))
_NUMBERS = {reason: number for number, reason in enumerate(_REASONS)}
_REDRIVEN = 2
"""In ``Book.opened``: what waits is sent once more, so an older dead letter says nothing."""


class Accounts:
    """Takes in what the topics say, dead letters before outcomes, then counts.

    Args:
        hold_ms: how long a record may be held.
        account: count by deliveries to this account alone; None = by all.
    """

    def __init__(self, hold_ms: float, account: str | None = None) -> None:
        self._hold_ms = hold_ms
        self._account = account
        self._elsewhere: set[int] = set()  # deliveries to other accounts than the one that counts
        self._books: dict[Place, Book] = {}
        self._deliveries: dict[int, int] = {}  # key → state, and how certain: state + 16 * certainty
        self._dead: dict[int, int] = {}  # key → when the delivery's dead letter was written
        self._refused: dict[Place, array[int]] = {}  # at the gateway, after a 200: half, letters' partition
        self._open: set[int] = set()
        self._redriven: set[int] = set()  # open, too: what is sent once more
        self.latencies = array("f")

    def grow(self, line: str, partition: int, low: int, end: int) -> None:
        """Tell which records a partition of a line has; ``low`` counts the first time only."""
        book = self._books.get((line, partition))
        if book is None:
            self._books[(line, partition)] = Book(low, end)
        else:
            book.grow(end)

    def outcome(self, said: Mapping[str, Any]) -> None:
        """Take in one outcome (``avro/outcome.avsc``)."""
        origin = said["origin"]
        book = self._book(origin)
        if book is None:
            return
        state = OF.get(said["outcome"], State.UNKNOWN)
        delivery, at = said["delivery_id"], said["at"]
        if delivery is None:
            self._record(book, said, state)
            return
        key = _key(origin, delivery)
        if self._account not in (None, said["account"]):
            self._elsewhere.add(key)
            return
        if said["stage"] == "route" and key in self._deliveries:
            return  # the lane's own word counts
        if self._dead.get(key, 0) > at:
            return
        before = self._deliveries.get(key, 0)
        if before & 15 == _DELIVERED and state in _NOTHING_NEW:
            return  # it was sent once more, and there was nothing to do
        self._deliveries[key] = state + 16 * _CERTAINTY.get(said["reason"] or "", 0)
        if (
            state is State.DELIVERED
            and before & 15 != state
            and origin["line"] == "events"
            and not said["replay"]
        ):
            self.latencies.append(at - origin["accepted_at"])

    def _record(self, book: Book, said: Mapping[str, Any], state: State) -> None:
        """Take in an outcome of the record itself."""
        origin, replay = said["origin"], said["replay"]
        offset = origin["offset"]
        routed = [_key(origin, each) for each in said["deliveries"]]
        if not book.note(offset, state, said["stage"], said["at"], replay):
            if offset in book.replayed:
                book.had(offset, routed)
            return
        book.reasons[offset - book.low] = _NUMBERS.get((said["reason"] or "").partition(":")[0], 0)
        if replay is not None:
            book.had(offset, book.deliveries(offset))
        if state is State.ROUTED or replay is not None:
            book.route(offset, routed)

    def dead_letter(self, letter: Mapping[str, Any], place: tuple[int, int] = (0, 0)) -> None:
        """Take in one dead letter (``avro/dead_letter.avsc``); it accounts for its record by itself.

        Args:
            letter: as decoded.
            place: its own partition and offset.
        """
        origin = letter["origin"]
        if origin["offset"] < 0:
            self._refused.setdefault((_half(origin["line"]), place[0]), array("q")).append(place[1])
            return
        book = self._book(origin)
        if book is None:
            return
        delivery, at = letter["delivery_id"], letter["at"]
        if self._account is not None and letter["account"] not in (None, self._account):
            if delivery is not None:
                self._elsewhere.add(_key(origin, delivery))
        elif delivery is not None:
            key = _key(origin, delivery)
            self._deliveries[key] = State.DEAD_LETTERED
            self._dead[key] = at
        elif letter["account"] is not None:
            book.refused_in_part[origin["offset"]] = at
        else:
            book.note(origin["offset"], State.DEAD_LETTERED, letter["stage"], at, origin["replay"])

    def close_all(self) -> None:
        """Forget what was open; tell anew."""
        self._open.clear()
        self._redriven.clear()
        for book in self._books.values():
            book.close()

    def opened(
        self, origin: Mapping[str, Any], delivery: str | None = None, account: str | None = None
    ) -> None:
        """A record, or one delivery of it to an account, waits before a stage."""
        redriven = origin["replay"] is not None
        if delivery is not None and self._account not in (None, account):
            self._elsewhere.add(_key(origin, delivery))
        elif delivery is not None:
            (self._redriven if redriven else self._open).add(_key(origin, delivery))
        elif (book := self._book(origin)) is not None:
            book.opened[origin["offset"] - book.low] = _REDRIVEN if redriven else 1

    def silent(self) -> Iterator[tuple[str, int, int, int]]:
        """Line, partition, start and end of where to look for records that nothing was said of."""
        for (line, partition), book in self._books.items():
            ranges = list(book.silent())
            if ranges:
                yield line, partition, ranges[0][0], ranges[-1][1]

    def looked(self, found: Mapping[Place, Iterable[int]]) -> None:
        """Take in where there are records, after looking at all silent ranges."""
        for place, offsets in found.items():
            for offset in offsets:
                self._books[place].present(offset)
        for book in self._books.values():
            book.settle()

    def tally(
        self,
        now: int,
        passed: Mapping[Place, int],
        redriven: Callable[[tuple[int, int]], bool] = lambda _: False,
    ) -> Tally:
        """Count.

        Args:
            now: milliseconds since the epoch.
            passed: per place, the first stage's next offset: what is not below is in flight.
            redriven: whether a dead letter, by its partition and offset, entered the line as a record.
        """
        tally = Tally(states={"events": Counter(), "engagement": Counter()})
        for (half, partition), offsets in self._refused.items():
            count = sum(not redriven((partition, offset)) for offset in offsets)
            tally.accepted[half] += count
            tally.states[half][State.DEAD_LETTERED] += count
        for place, book in self._books.items():
            half = _half(place[0])
            counts = [0] * len(State)
            certain = [0] * len(_NAMES)
            for offset, state, last_stage in self._states(book, now, passed[place], certain):
                counts[state] += 1
                if state == _UNKNOWN:
                    tally.missing.append(Missing(*place, offset, last_stage))
            tally.accepted[half] += sum(counts)
            tally.states[half].update({State(n): count for n, count in enumerate(counts) if count})
            if half == "events":
                tally.deliveries.update(
                    {name: count for name, count in zip(_NAMES, certain, strict=True) if count}
                )
        return tally

    def _states(
        self, book: Book, now: int, passed: int, certain: list[int]
    ) -> Iterator[tuple[int, int, str]]:
        """Offset, state and, should it be missing, the last stage that had it."""
        overdue = now - self._hold_ms - HOUR_MS
        late = {offset for offset, at in book.held.items() if at < overdue}
        for offset, state in enumerate(book.states, start=book.low):
            if state == _HOLE:
                continue
            if book.opened[offset - book.low] == _REDRIVEN:
                yield offset, _IN_FLIGHT, ""
            elif state == _ROUTED:
                yield offset, self._routed(book, offset, certain), "route"
            elif state not in _OPEN:
                yield offset, self._with_earlier(book, offset, state, certain), ""
            elif offset in book.refused_in_part:
                yield offset, _DEAD_LETTERED, ""
            elif book.opened[offset - book.low]:
                yield offset, _IN_FLIGHT, ""
            elif state == _HELD:
                yield offset, _UNKNOWN if offset in late else state, "identify"
            else:
                yield offset, _IN_FLIGHT if offset >= passed else _UNKNOWN, ""

    def _routed(self, book: Book, offset: int, certain: list[int]) -> int:
        """The first state that applies among the record's deliveries; counts how sure they are."""
        keys = book.deliveries(offset)
        worst = _FILTERED if keys else _UNKNOWN
        refused = book.refused_in_part.get(offset)
        if refused is not None and refused >= book.replayed.get(offset, 0):
            worst = min(worst, _DEAD_LETTERED)
        known = self._deliveries
        for key in keys:
            packed = known.get(key, 0)
            state = packed & 15
            if state == _DELIVERED:
                certain[packed >> 4] += 1
            elif (not state and key in self._open) or (state in _AGAIN and key in self._redriven):
                state = _IN_FLIGHT
            elif key in self._elsewhere:
                continue
            worst = min(worst, state)
        return self._with_earlier(book, offset, worst, certain)

    def _with_earlier(self, book: Book, offset: int, state: int, certain: list[int]) -> int:
        """What was delivered before a replay stays delivered, whatever the rules make of the record now."""
        for key in book.earlier.get(offset, ()):
            packed = self._deliveries.get(key, 0)
            if packed & 15 == _DELIVERED and key not in book.deliveries(offset):
                certain[packed >> 4] += 1
                state = min(state, _DELIVERED)
        return state

    def fates(self, now: int, passed: Mapping[Place, int]) -> Fates:
        """What became of each record; arguments as for ``tally``."""
        found = Fates()
        for place, book in self._books.items():
            for offset, state, _ in self._states(book, now, passed[place], [0] * len(_NAMES)):
                known = State(state)
                own = book.states[offset - book.low]
                routed = own == _ROUTED or offset in book.earlier
                reason = "" if own == _ROUTED else _REASONS[book.reasons[offset - book.low]]
                if self._account is not None and known is State.FILTERED and own == _ROUTED:
                    reason = Reason.NO_RULE.value
                found.note(place, offset, Fate(known, reason, routed=routed))
        return found

    def _book(self, origin: Mapping[str, Any]) -> Book | None:
        book = self._books.get((origin["line"], origin["partition"]))
        return book if book is not None and origin["offset"] in book else None


def _half(line: str) -> str:
    return "engagement" if line.startswith("engagement") else "events"


def _key(origin: Mapping[str, Any], delivery: str) -> int:
    """64 bits that stand for a delivery of a record, in this process."""
    return hash((origin["line"], origin["partition"], origin["offset"], delivery)) & 0xFFFF_FFFF_FFFF_FFFF
