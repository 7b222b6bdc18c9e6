"""The audit for a person. Pure."""

from collections.abc import Mapping
from typing import Any

from streams.ledger.by_reason import STATUSES

SHOWN = 20
_STATES = (
    "delivered",
    "unchanged",
    "duplicate",
    "filtered",
    "held",
    "expired",
    "refused",
    "dead_lettered",
    "in_flight",
    "unaccounted",
)
_BACK = ("forwarded", "duplicate", "filtered", "dead_lettered", "in_flight", "unaccounted")


def summary(report: Mapping[str, Any]) -> str:
    """Lines of text of a report's JSON form: the sums, the reasons of dead letters, what is missing."""
    back, latency = report["engagement"], report["latency_ms"]
    lines = [f"accepted {report['accepted']}: {_counts(report, _STATES)}"]
    if back["in"]:
        lines.append(f"engagement {back['in']}: {_counts(back, _BACK)}")
    if latency["n"]:
        lines.append(f"latency: p50 {latency['p50']} ms, p99 {latency['p99']} ms, of {latency['n']}")
    lines += [f"dead letters, {each['reason']}: {_counts(each, STATUSES)}" for each in report["dead_letters"]]
    missing = [f"missing: {_where(each)}, last seen at {each['last_stage']}" for each in report["missing"]]
    return "\n".join([*lines, *_first(missing, "streams audit --json"), *_receipts(report)])


def _receipts(report: Mapping[str, Any]) -> list[str]:
    """What was asked for by ``--confirmed``."""
    found = report.get("receipts")
    if found is None:
        return []
    overdue = found["overdue"]
    sums = _counts(report["deliveries"], ("confirmed", "accepted", "unconfirmed"))
    looks = f"{found['awaited']} events still to be looked for, {len(overdue)} not seen at Klaviyo"
    lines = [f"deliveries: {sums}; {looks} ({found['share']:.0%} are looked for)"]
    named = [
        f"not confirmed: {_where(each)}, account {each['account']}, {each['reason']}" for each in overdue
    ]
    return [*lines, *_first(named, "streams audit --confirmed --json")]


def _where(each: Mapping[str, Any]) -> str:
    return f"{each['event_id']} of space {each['space']}, {each['partition']}-{each['offset']}"


def _first(lines: list[str], command: str) -> list[str]:
    """No more than a person reads; the command that lists all."""
    more = len(lines) - SHOWN
    return lines[:SHOWN] + ([f"… and {more} more: {command}"] if more > 0 else [])


def _counts(found: Mapping[str, int], names: tuple[str, ...]) -> str:
    return ", ".join(f"{found[name]} {name.replace('_', ' ')}" for name in names if found[name]) or "nothing"
