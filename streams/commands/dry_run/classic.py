"""What Segment's Classic destination did with a message, beside what the rules do with it now. Pure."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from streams.route.classic import ATTRIBUTES
from streams.segment.classic import Call

_IDENTIFIERS = {"$id": "external_id", "$email": "email", "$phone_number": "phone_number"}
_LISTED = ("id", "email", "phone")
"""Beside the ``$`` ones Classic sent these as properties, too; they are identifiers, then and now."""


class Change(NamedTuple):
    """One thing that is not as it was: what, of which field, then, now; a side that has nothing is None."""

    what: str
    field: str
    then: Any
    now: Any

    def document(self) -> dict[str, Any]:
        """The JSON form."""
        return self._asdict()


@dataclass(frozen=True, slots=True)
class Told:
    """One message: its name, the calls of then or why there were none, the requests of now, the changes."""

    line: int
    event_id: str
    name: str
    then: list[Call] | str
    now: Mapping[str, Any]
    """The dry run's answer."""
    changes: list[Change]

    def document(self) -> dict[str, Any]:
        """The JSON form."""
        made = self.then if isinstance(self.then, list) else []
        return {
            "line": self.line,
            "event_id": self.event_id,
            "name": self.name,
            "then": [call_document(call) for call in made],
            "not_sent_then": None if isinstance(self.then, list) else self.then,
            "now": self.now["requests"],
            "outcome": self.now["outcome"],
            "reason": self.now["reason"],
            "changes": [change.document() for change in self.changes],
        }


@dataclass(slots=True)
class Folded:
    """All messages of one name."""

    count: int = 0
    then: Counter[str] = field(default_factory=Counter)
    now: Counter[str] = field(default_factory=Counter)
    changes: dict[tuple[str, str], tuple[int, Change]] = field(default_factory=dict)
    """What and field → how many messages, and the first of them as an example."""

    def document(self, name: str) -> dict[str, Any]:
        """The JSON form."""
        changes = [change.document() | {"messages": count} for count, change in self.changes.values()]
        return {
            "name": name,
            "messages": self.count,
            "then": dict(self.then),
            "now": dict(self.now),
            "changes": changes,
        }


def name_of(message: Mapping[str, Any]) -> str:
    """A track's event, else the type."""
    return str(message.get("event") if message.get("type") == "track" else message.get("type"))


def call_document(call: Call) -> dict[str, Any]:
    """A call as JSON."""
    found = {
        "call": called(call),
        "metric": call.metric,
        "profile": call.who,
        "properties": call.properties,
        "list": call.list_id,
        "confirm_optin": call.confirm_optin,
    }
    return {name: value for name, value in found.items() if value is not None}


def called(call: Call) -> str:
    """The call in a word or two."""
    if call.kind == "list":
        return f"/v1/list/{call.list_id}/members"
    return "/identify" if call.kind == "identify" else f"/track {call.metric}"


def requested(request: Mapping[str, Any]) -> str:
    """A request in a word or two."""
    attributes = _attributes(request)
    if request["lane"] == "events":
        return f"event {attributes['metric']['data']['attributes']['name']}"
    return {"profiles": "profile", "consent": f"consent {_list(request)}".strip()}.get(
        request["lane"], f"list {_list(request)}"
    )


def compare(then: list[Call] | str, answer: Mapping[str, Any]) -> list[Change]:
    """What is not as it was, for each account that gets requests now."""
    requests = answer["requests"]
    if isinstance(then, str):
        return [Change("sent now, not then", requested(each), None, then) for each in requests]
    found: list[Change] = []
    for account in dict.fromkeys(each["account"] for each in requests) or (None,):
        own = [each for each in requests if each["account"] == account]
        found += _events(then, [each for each in own if each["lane"] == "events"], answer)
        if person := [call for call in then if call.kind != "track"]:
            found += _person(person[0], own, answer)
    found += [Change("can't be mapped", name, None, None) for name in answer["unmapped"]]
    return found


def fold(told: Iterable[Told]) -> dict[str, Folded]:
    """By name, in the order of the first message of each."""
    names: dict[str, Folded] = {}
    for each in told:
        folded = names.setdefault(each.name, Folded())
        folded.count += 1
        made = [called(call) for call in each.then] if isinstance(each.then, list) else [f"none: {each.then}"]
        folded.then.update(made)
        requests = each.now["requests"]
        nothing = f"none: {each.now['outcome']} ({each.now['reason']})"
        folded.now.update([requested(request) for request in requests] or [nothing])
        firsts: dict[tuple[str, str], Change] = {}
        for change in each.changes:
            firsts.setdefault((change.what, change.field), change)
        for key, change in firsts.items():
            count, first = folded.changes.get(key, (0, change))
            folded.changes[key] = (count + 1, first)
    return names


def _events(
    then: Sequence[Call], now: Sequence[Mapping[str, Any]], answer: Mapping[str, Any]
) -> Iterator[Change]:
    tracks = [call for call in then if call.kind == "track"]
    for number, call in enumerate(tracks):
        if number < len(now):
            changes = _event(call, _attributes(now[number]))
            # of an order with its products each says which it is about
            yield from (
                (each._replace(field=f"{call.metric}: {each.field}") for each in changes)
                if len(tracks) > 1
                else changes
            )
        else:
            yield Change("not sent now", called(call), call.metric, _why(answer))
    for request in now[len(tracks) :]:
        yield Change("sent now, not then", requested(request), None, requested(request))


def _event(call: Call, now: Mapping[str, Any]) -> Iterator[Change]:
    metric = now["metric"]["data"]["attributes"]["name"]
    if metric != call.metric:
        yield Change("metric renamed", str(call.metric), call.metric, metric)
    event_id = call.properties.get("$event_id")
    yield Change("id", "$event_id", event_id, f"unique_id {now['unique_id']}")
    yield from _values("value", "$value", call.properties.get("$value"), now.get("value"))
    yield from _values("currency", "value_currency", None, now.get("value_currency"))
    yield from _who(call.who, now["profile"]["data"]["attributes"])
    sent = {name: value for name, value in call.properties.items() if name not in ("$event_id", "$value")}
    yield from _properties(sent, now.get("properties") or {})


def _person(call: Call, own: Sequence[Mapping[str, Any]], answer: Mapping[str, Any]) -> Iterator[Change]:
    profile = next((_attributes(each) for each in own if each["lane"] == "profiles"), None)
    if profile is None:
        yield Change("not sent now", "/identify", call.who, _why(answer))
    else:
        yield from _who(call.who, profile)
        yield from _attributes_of(call, profile)
    if call.kind == "list":
        yield from _membership(call, own, answer)


def _attributes_of(call: Call, profile: Mapping[str, Any]) -> Iterator[Change]:
    location = profile.get("location") or {}
    found = {name: value for name, value in profile.items() if name not in ("location", "properties")}
    found |= {f"location.{name}": value for name, value in location.items()}
    for name, value in call.properties.items():
        if (target := ATTRIBUTES.get(name)) is not None:
            yield from _values("attribute", target, value, found.pop(target, None))
        elif name == "$phone_number":
            yield from _values("identifier", name, value, profile.get("phone_number"))
    for target, value in found.items():
        if target not in _IDENTIFIERS.values():
            yield Change("attribute added", target, None, value)
    mine = (*_LISTED, *ATTRIBUTES, *_IDENTIFIERS)
    sent = {name: value for name, value in call.properties.items() if name not in mine}
    yield from _properties(sent, profile.get("properties") or {})


def _membership(call: Call, own: Sequence[Mapping[str, Any]], answer: Mapping[str, Any]) -> Iterator[Change]:
    asked = "with a confirmation mail" if call.confirm_optin else "without asking"
    then = f"put on list {call.list_id} {asked}, at every identify"
    joins = [each for each in own if each["lane"] in ("consent", "lists") and each["method"] == "POST"]
    if not joins:
        ended = [each["reason"] for each in answer["not_sent"] if each["kind"] in ("subscribe", "list_add")]
        reason = ended[0] if ended else "no rule subscribes: consent has to be given explicitly"
        yield Change("not subscribed now", str(call.list_id), then, reason)
    for each in joins:
        how = "subscribed; the list's own opt-in decides on a mail" if each["lane"] == "consent" else "added"
        name = "subscription" if _list(each) == call.list_id else "list changed"
        yield Change(name, str(call.list_id), then, f"{how}: list {_list(each) or 'none'}")


def _who(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Change]:
    for name, value in then.items():
        target = _IDENTIFIERS[name]
        if str(now.get(target)).lower() == str(value).lower():
            continue
        if name == "$id" and now.get("anonymous_id") == value:
            yield Change("identifier renamed", name, value, f"anonymous_id {value}")
        else:
            yield from _values("identifier", name, value, now.get(target))
    for name, target in _IDENTIFIERS.items():
        if name not in then and target in now and name != "$phone_number":
            yield Change("identifier added", target, None, now[target])


def _properties(then: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[Change]:
    added = {name: value for name, value in now.items() if name not in then}
    for name, value in then.items():
        if name in now:
            yield from _values("property", name, value, now[name])
            continue
        other = next((new for new, given in added.items() if given == value and value is not None), None)
        if other is None:
            yield Change("property dropped", name, value, None)
        else:
            del added[other]
            yield Change("property renamed", name, name, other)
    for name, value in added.items():
        yield Change("property added", name, None, value)


def _values(what: str, name: str, then: Any, now: Any) -> Iterator[Change]:
    if then == now or (str(then) == str(now) and then is not None):
        return
    kind = "added" if then is None else "dropped" if now is None else "changed"
    yield Change(f"{what} {kind}", name, then, now)


def _why(answer: Mapping[str, Any]) -> str:
    return f"{answer['outcome']} ({answer['reason']})" if answer["reason"] else "no rule makes it"


def _attributes(request: Mapping[str, Any]) -> Mapping[str, Any]:
    data = request["body"].get("data")
    found: Mapping[str, Any] = data["attributes"] if isinstance(data, dict) else {}
    return found


def _list(request: Mapping[str, Any]) -> str:
    data = request["body"]["data"]
    if isinstance(data, dict):
        found = ((data.get("relationships") or {}).get("list") or {}).get("data") or {}
        return str(found.get("id", ""))
    return str(request["path"].split("/")[3])
