"""How two JSON values differ, place by place. Pure."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

_NUMBERED = re.compile(r"rule \d+")
MISSING: Final = "…nothing"
"""Stands where one of the two has no value at all; no JSON document has it as a value of its own."""


class Difference(NamedTuple):
    """One place where two values differ; a value that is not there is ``MISSING``."""

    path: str
    before: Any
    after: Any

    def document(self) -> dict[str, Any]:
        """The JSON form: a value that is not there is left out."""
        sides = {"before": self.before, "after": self.after}
        return {"path": self.path} | {name: value for name, value in sides.items() if value is not MISSING}


def differences(before: Any, after: Any, path: str = "") -> Iterator[Difference]:
    """Every place where two values differ: the innermost one where both have objects."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in {**before, **after}:
            inner = f"{path}.{name}" if path else str(name)
            yield from differences(before.get(name, MISSING), after.get(name, MISSING), inner)
    elif isinstance(before, list) and isinstance(after, list):
        for index in range(max(len(before), len(after))):
            old, new = (side[index] if index < len(side) else MISSING for side in (before, after))
            yield from differences(old, new, f"{path}[{index}]")
    elif before != after or isinstance(before, bool) != isinstance(after, bool):
        yield Difference(path, before, after)


def of_answers(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """How two answers for one line differ; requests are matched by account and delivery id."""
    plain, now = ({k: v for k, v in answer.items() if k != "requests"} for answer in (before, after))
    found = [each for each in differences(plain, now) if not _renumbered(each)]
    old, new = _requests(before["requests"]), _requests(after["requests"])
    for key in {**old, **new}:
        path = f"requests[{key}]"
        if key in old and key in new:
            found += differences(old[key], new[key], path)
        else:
            found.append(Difference(path, old.get(key, MISSING), new.get(key, MISSING)))
    return found


def _renumbered(found: Difference) -> bool:
    """A rule without a name that moved in the file: what it does differently, its requests tell."""
    both = (found.before, found.after)
    numbers = all(isinstance(name, str) and _NUMBERED.fullmatch(name) for name in both)
    return numbers and found.path.startswith("matched_rules[")


def summary(
    lines: Iterable[tuple[Mapping[str, Any], Mapping[str, Any], Sequence[Difference]]],
) -> dict[str, Any]:
    """What changed over all lines: how many lines, which outcomes, requests by account and lane."""
    total = same = 0
    outcomes: Counter[str] = Counter()
    requests: dict[str, Counter[str]] = {"added": Counter(), "removed": Counter(), "changed": Counter()}
    for before, after, found in lines:
        total += 1
        same += not found
        if before["outcome"] != after["outcome"]:
            outcomes[f"{before['outcome']} -> {after['outcome']}"] += 1
        old, new = _requests(before["requests"]), _requests(after["requests"])
        for key, request in {**old, **new}.items():
            where = f"{request['account']}/{request['lane']}"
            if key not in old:
                requests["added"][where] += 1
            elif key not in new:
                requests["removed"][where] += 1
            elif old[key] != new[key]:
                requests["changed"][where] += 1
    return {
        "lines": total,
        "same": same,
        "different": total - same,
        "outcomes": dict(outcomes),
        "requests": {name: dict(counts) for name, counts in requests.items()},
    }


def _requests(requests: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {f"{request['account']} {request['delivery_id']}": request for request in requests}
