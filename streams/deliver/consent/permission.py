"""Who agreed to what, by event time: the newest word counts, whatever order the words come in.

For each thing that can be agreed to the state holds the newest yes and the newest no. Both only ever grow, so
that neither order nor repetition of events makes a difference. In a tie no wins.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Literal

import orjson

Verdict = Literal["go", "refused", "superseded", "same"]
SUPPRESSED: Final = "suppressed"
NEVER: Final = -(1 << 62)
_WILL: Final = frozenset({"UNSUBSCRIBE", "SPAM_REPORT"})
"""Suppressions that are a person's no to email; a bounce is not."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Times in ms. ``source``: whose the newest word is.

    ``done`` and ``seen``: the newest no and yes that Klaviyo has. What was seen there never outdoes a no: it
    may be our own word, which Klaviyo dates by the call.
    """

    yes: int = NEVER
    no: int = NEVER
    done: int = NEVER
    seen: int = NEVER
    source: str = ""

    def join(self, other: "Mark") -> "Mark":
        """Both together: the newest of each."""
        source = other.source if max(other.yes, other.no) > max(self.yes, self.no) else self.source
        return Mark(
            max(self.yes, other.yes),
            max(self.no, other.no),
            max(self.done, other.done),
            max(self.seen, other.seen),
            source,
        )


Marks = Mapping[str, Mark]
"""``email.marketing``, or ``email.marketing@LIST``, or ``suppressed`` → mark."""


@dataclass(frozen=True, slots=True)
class Word:
    """What one operation says: about ``channel.kind`` parts, for one list or all, at a time (ms)."""

    kind: str
    parts: tuple[str, ...]
    time: int
    list_id: str = ""
    source: str = ""

    @property
    def restricts(self) -> bool:
        """Whether it is a no."""
        return self.kind in ("unsubscribe", "suppress")

    def names(self) -> Iterator[str]:
        """Where its own word stands."""
        if self.kind in ("suppress", "unsuppress"):
            yield SUPPRESSED
        else:
            yield from (key(part, self.list_id) for part in self.parts)


def key(part: str, list_id: str = "") -> str:
    """Where a part's mark stands."""
    return f"{part}@{list_id}" if list_id else part


def read(value: bytes | None) -> dict[str, Mark]:
    """From the form that the state holds."""
    return {name: Mark(*mark) for name, mark in orjson.loads(value).items()} if value else {}


def form(marks: Marks) -> bytes:
    """The form that the state holds."""
    rows = {name: [mark.yes, mark.no, mark.done, mark.seen, mark.source] for name, mark in marks.items()}
    return orjson.dumps(rows)


def join(marks: Marks, said: Iterable[tuple[str, Mark]]) -> dict[str, Mark]:
    """With more words."""
    joined = dict(marks)
    for name, mark in said:
        joined[name] = joined.get(name, Mark()).join(mark)
    return joined


def renamed(marks: Marks, ref: str, list_id: str) -> Marks:
    """With what was said of a list by its name, before it was there, as said of the list."""
    if not ref or not list_id or ref == list_id:
        return marks
    split = ((name.partition("@"), mark) for name, mark in marks.items())
    return join(marks, [(key(part, list_id), mark) for (part, _, name), mark in split if name == ref])


def said(word: Word, *, done: bool = False) -> list[tuple[str, Mark]]:
    """What a word adds. A subscription to a list is one to the channel, too; a farewell to a list is not.

    Args:
        word: the word.
        done: whether Klaviyo has a no.
    """
    if word.restricts:
        mark = Mark(no=word.time, done=word.time if done else NEVER, source=word.source)
        return [(name, mark) for name in word.names()]
    mark = Mark(yes=word.time, source=word.source)
    names = list(word.names())
    if word.kind == "subscribe" and word.list_id:
        names += word.parts
    return [(name, mark) for name in names]


def open_parts(word: Word, marks: Marks) -> tuple[str, ...]:
    """Of a subscription the parts that no later no closes; of anything else all."""
    if word.kind != "subscribe":
        return word.parts
    return tuple(part for part in word.parts if word.time > _closed(part, word.list_id, marks))


def _closed(part: str, list_id: str, marks: Marks) -> int:
    names = {part, key(part, list_id)} | ({SUPPRESSED} if part.startswith("email.") else set())
    return max(marks.get(name, Mark()).no for name in names)


def judge(word: Word, known: Marks, waiting: Marks) -> Verdict:
    """What becomes of a word.

    Args:
        word: the operation's.
        known: what the state holds.
        waiting: the same with all words that wait.
    """
    match word.kind:
        case "subscribe":
            parts = open_parts(word, waiting)
            if not parts:
                return "refused"
            second = word.time // 1000 * 1000
            had = all(
                max(mark.yes, mark.seen) >= second
                for mark in (known.get(key(part, word.list_id), Mark()) for part in parts)
            )
            return "same" if had else "go"
        case "unsuppress":
            if word.time <= waiting.get(SUPPRESSED, Mark()).no:
                return "refused"
            return "same" if word.time <= known.get(SUPPRESSED, Mark()).yes else "go"
        case "suppress":
            opened = max(waiting.get(name, Mark()).yes for name in (SUPPRESSED, "email.marketing"))
            if word.time < opened:
                return "superseded"
            return "same" if word.time <= known.get(SUPPRESSED, Mark()).done else "go"
        case _:
            names = list(word.names())
            if all(word.time < waiting.get(name, Mark()).yes for name in names):
                return "superseded"
            return "same" if all(word.time <= known.get(name, Mark()).done for name in names) else "go"


def shown(subscriptions: Mapping[str, Any], now_ms: int) -> list[tuple[str, Mark]]:
    """What Klaviyo shows of a profile (``additional-fields[profile]=subscriptions``).

    Its times are whole seconds: a no counts to the end of its second, a yes from the beginning. A no of ours
    shows with the time of the call, later than the event's; it has to count, for what a person told Klaviyo
    in between can no longer be seen.
    """
    found: list[tuple[str, Mark]] = []
    for channel, kinds in subscriptions.items():
        for kind, told in (kinds or {}).items():
            if isinstance(told, Mapping):
                found += _told(f"{channel}.{kind}", told, now_ms)
    return found


def subscribed(word: Word, attributes: Mapping[str, Any]) -> bool:
    """Whether Klaviyo shows somebody as subscribed, unsuppressed, to any part that a word is about."""
    channels = attributes.get("subscriptions") or {}
    for part in word.parts:
        channel, _, kind = part.partition(".")
        told = (channels.get(channel) or {}).get(kind) or {}
        if told.get("consent") == "SUBSCRIBED" and not told.get("suppression"):
            return True
    return False


def heard(word: Word) -> list[tuple[str, Mark]]:
    """What a word of Klaviyo's own adds."""
    if word.restricts:
        return [(name, _no(word.time)) for name in word.names()]
    return [(name, Mark(seen=word.time)) for name in word.names()]


def _told(part: str, told: Mapping[str, Any], now_ms: int) -> Iterator[tuple[str, Mark]]:
    times = [time for name in ("consent_timestamp", "last_updated") if (time := moment(told.get(name)))]
    match told.get("consent"):
        case "UNSUBSCRIBED":
            yield part, _no(max(times, default=now_ms))
        case "SUBSCRIBED" if times:
            yield part, Mark(seen=times[0])
    for suppression in told.get("suppression") or ():
        time = moment(suppression.get("timestamp"))
        if suppression.get("reason") in _WILL:
            yield part, _no(now_ms if time is None else time)
        elif suppression.get("reason") == "USER_SUPPRESSED":
            yield SUPPRESSED, _no(now_ms if time is None else time)
    for suppression in told.get("list_suppressions") or ():
        time = moment(suppression.get("timestamp"))
        if suppression.get("reason") in _WILL and suppression.get("list_id"):
            yield key(part, suppression["list_id"]), _no(now_ms if time is None else time)


def _no(time_ms: int) -> Mark:
    end = time_ms + 999
    return Mark(no=end, done=end, source="klaviyo")


def moment(text: object) -> int | None:
    """ISO 8601 (UTC if it does not say) in ms; None if it is none."""
    if not isinstance(text, str):
        return None
    try:
        found = datetime.fromisoformat(text)
        found = found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None
    return int(found.timestamp() * 1000)
