"""The check-up's rules about brokers, topics, stages and this machine: facts in, findings out. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from streams.config import Config
from streams.engine.topics import DAY_MS
from streams.ledger.findings import Finding, fail, ok, warn

CLOCK_WARN_MS: Final = 2_000
CLOCK_FAIL_MS: Final = 60_000
DISK_WARN: Final = 0.15
DISK_FAIL: Final = 0.05
HOUR_MS: Final = 3_600_000


def brokers(config: Config, count: int) -> Iterable[Finding]:
    """As many brokers as replicas, and one of them may be lost."""
    wanted, needed = config.replication, config.min_insync
    says = f"{count} brokers, replication {wanted}, min.insync.replicas {needed}"
    if wanted > count:
        yield fail("brokers", says, f"start {wanted - count} more brokers, or set `replication: {count}`")
    elif wanted < 3 or needed < 2:
        mend = "well for development; in production set `replication: 3` and `min_insync: 2`"
        yield warn("brokers", f"{says}: what one broker alone has is lost with it", mend)
    elif needed >= wanted:
        yield warn("brokers", f"{says}: one broker away stops all writing", f"set `min_insync: {wanted - 1}`")
    else:
        yield ok("brokers", says)


def topics(problems: Sequence[str]) -> Iterable[Finding]:
    """What ``topics list`` finds: a slot that is missing is told by its own."""
    slots = [problem for problem in problems if problem.endswith(": no slot")]
    others = [problem for problem in problems if problem not in slots]
    mend = "run `streams topics apply`"
    yield from (fail("topics", problem, mend) for problem in others)
    yield from (fail("slots", problem, mend) for problem in slots)
    if not others:
        yield ok("topics", "as the table says, no unclean leader election")
    if not slots:
        yield ok("slots", "every space and account has its number")


def schemas(problems: Sequence[str]) -> Iterable[Finding]:
    """What ``schemas check`` finds."""
    if not problems:
        yield ok("schemas", "registered, FULL_TRANSITIVE")
    by_mend: dict[str, list[str]] = {}
    for problem in problems:
        says, _, mend = problem.partition(": run ")
        by_mend.setdefault(mend, []).append(says)
    for mend, found in by_mend.items():
        first, *more = found
        if mend:
            yield fail("schemas", first + (f", and {len(more)} more" if more else ""), f"run {mend}")
        else:
            advice = "keep new fields behind the old ones, each with a default"
            yield from (fail("schemas", says, advice) for says in found)


def clock(offset_ms: float, whose: str = "the broker's") -> Iterable[Finding]:
    """How far this clock is before another, in ms: consent, erasure and order compare times."""
    says = f"this clock is {abs(offset_ms) / 1000:.1f} s {'before' if offset_ms > 0 else 'behind'} {whose}"
    mend = "synchronise this machine with NTP (chronyc tracking), and the brokers, too"
    if abs(offset_ms) >= CLOCK_FAIL_MS:
        yield fail("clock", says, mend)
    elif abs(offset_ms) >= CLOCK_WARN_MS:
        yield warn("clock", says, mend)
    else:
        yield ok("clock", says)


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits in one partition of a stage's input: how many offsets, the oldest's age, retention; ms."""

    stage: str
    topic: str
    partition: int
    lag: int
    age_ms: int
    retention_ms: int | None


def lags(waiting: Iterable[Waiting], names: Mapping[int, str]) -> Iterable[Finding]:
    """Nothing waits for half of its topic's retention: behind the whole of it, it would be deleted unread.

    Args:
        waiting: all inputs of all stages.
        names: account by slot, for lanes.
    """
    oldest = 0
    told = False
    for each in waiting:
        oldest = max(oldest, each.age_ms)
        half = (each.retention_ms or 0) / 2
        if not half or each.age_ms < half / 2:
            continue
        told = True
        where = f"{each.topic} [{each.partition}]"
        if each.stage in ("deliver", "feedback") and each.partition in names:
            where += f" of {names[each.partition]}"
        says = f"{where}: {each.lag} wait for {each.stage}, the oldest for {_span(each.age_ms)}"
        says += f" of the {_span(int(2 * half))} that are kept"
        mend = f"`streams lanes list` and the log of {each.stage} say why; raise retention.ms in the meantime"
        yield (fail if each.age_ms >= half else warn)("lag", says, mend)
    if not told:
        yield ok("lag", f"nothing waits for longer than {_span(oldest)}")


def groups(members: Mapping[str, int], waits: Mapping[str, int]) -> Iterable[Finding]:
    """Each stage has someone who works.

    Args:
        members: stage → members of its group.
        waits: stage → records that wait for it.
    """
    for stage, count in members.items():
        waiting = waits.get(stage, 0)
        if count:
            yield ok("stages", f"{stage}: {count} running, {waiting} wait")
        elif waiting:
            yield fail("stages", f"{stage} does not run, {waiting} wait", f"start `streams worker {stage}`")
        else:
            yield warn("stages", f"{stage} does not run, nothing waits", f"start `streams worker {stage}`")


def lanes(rows: Iterable[Mapping[str, Any]], now: int) -> Iterable[Finding]:
    """Lanes that send nothing, as ``engine.lanes.listing`` tells of them."""
    standing = [row for row in rows if row["state"] != "live"]
    for row in standing:
        name = f"{row['account']}/{row['lane']}"
        says = (
            f"{name} is {row['state']} for {_span(now - row['since'])}: {row['reason'] or 'no reason given'}"
        )
        if row["state"] == "stopped":
            yield fail("lanes", says, "remove the cause: the lane tries one row now and then, and goes on")
        else:
            yield warn("lanes", says, f"`streams lanes resume {name}` when the reason is gone")
    if not standing:
        yield ok("lanes", "none is paused or stopped")


def dead_letters(open_ones: Mapping[str, int], total: int) -> Iterable[Finding]:
    """Dead letters of the last 24 hours: how many by reason are open; ``total`` with those dealt with."""
    if not open_ones:
        yield ok(
            "dead_letters", f"none open of the last 24 h ({total} dealt with)" if total else "none in 24 h"
        )
    for reason, count in sorted(open_ones.items(), key=lambda each: -each[1]):
        look = f"`streams dead-letters list --since 24h --reason {reason}`"
        mend = f"{look}; mend the cause, then `streams dead-letters redrive --reason {reason}`"
        yield warn("dead_letters", f"{count} {reason} in the last 24 h", mend)


def disk(folder: str, free: int, size: int) -> Iterable[Finding]:
    """Space where the state stands, in bytes."""
    share = free / size if size else 0.0
    says = f"{folder}: {free / 1e9:.1f} GB free of {size / 1e9:.1f}"
    mend = "make room, or move `data:`; a full disk stops the stages that keep state there"
    if share < DISK_FAIL:
        yield fail("disk", says, mend)
    elif share < DISK_WARN:
        yield warn("disk", says, mend)
    else:
        yield ok("disk", says)


def _span(ms: int) -> str:
    """A time span as people say it."""
    if ms >= 2 * DAY_MS:
        return f"{ms / DAY_MS:.1f} days"
    if ms >= 2 * HOUR_MS:
        return f"{ms / HOUR_MS:.1f} h"
    return f"{ms / 1000:.0f} s" if ms < 120_000 else f"{ms / 60_000:.0f} min"
