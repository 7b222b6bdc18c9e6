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
    missing = report["missing"]
    lines += [
        f"missing: {each['event_id']} of space {each['space']}, {each['partition']}-{each['offset']}, "
        f"last seen at {each['last_stage']}"
        for each in missing[:SHOWN]
    ]
    if len(missing) > SHOWN:
        lines.append(f"… and {len(missing) - SHOWN} more: streams audit --json")
    return "\n".join([*lines, *_receipts(report)])


def _receipts(report: Mapping[str, Any]) -> list[str]:
    """What was asked for by ``--confirmed``."""
    found = report.get("receipts")
    if found is None:
        return []
    overdue = found["overdue"]
    sums = _counts(report["deliveries"], ("confirmed", "accepted", "unconfirmed"))
    looks = f"{found['awaited']} events still to be looked for, {len(overdue)} not seen at Klaviyo"
    lines = [f"deliveries: {sums}; {looks} ({found['share']:.0%} are looked for)"]
    lines += [
        f"not confirmed: {each['event_id']} of space {each['space']}, {each['partition']}-{each['offset']}, "
        f"account {each['account']}, {each['reason']}"
        for each in overdue[:SHOWN]
    ]
    if len(overdue) > SHOWN:
        lines.append(f"… and {len(overdue) - SHOWN} more: streams audit --confirmed --json")
    return lines


def _counts(found: Mapping[str, int], names: tuple[str, ...]) -> str:
    return ", ".join(f"{found[name]} {name.replace('_', ' ')}" for name in names if found[name]) or "nothing"
