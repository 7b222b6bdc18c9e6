"""Profiles: updates of one person that wait together are folded into one call; what is known is not sent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from streams.deliver import numbers
from streams.deliver.family import Learned, NotSent, Prepared, Read, payload_of
from streams.deliver.judge import dead
from streams.deliver.profiles import importing, patches, present
from streams.deliver.profiles.conflicts import Conflict
from streams.deliver.profiles.importing import Element, traits_key
from streams.deliver.profiles.traits import Update, doubted
from streams.deliver.row import Group, Row, Settled
from streams.klaviyo import audience, imports, limits, replies, requests
from streams.klaviyo.budgets import (
    MERGE,
    PROFILE_BULK,
    PROFILE_BULK_ERRORS,
    PROFILE_BULK_GET,
    PROFILE_GET,
    PROFILE_IMPORT,
)
from streams.klaviyo.operation import Operation
from streams.klaviyo.replies import Accepted, Rejected, RejectedWhole, Reply
from streams.klaviyo.requests import Request
from streams.ledger.reasons import Reason

_AROUND = 150
"""What a row adds to a bulk body beside its payload and identifiers, bytes."""


def klaviyo_id_key(profile_id: str) -> bytes:
    """Where a profile's Klaviyo id stands."""
    return b"k/" + profile_id.encode()


@dataclass(slots=True)
class Ready:
    """One update; ``patch`` is what no fold can hold: append and unappend."""

    update: Update
    patch: dict[str, Any]
    alone: bool
    """No import job can carry it: it unsets, appends, has a null, or a job refused it."""
    read_after: int = -1
    """How many attempts there had been when its appends were read back."""
    left: dict[str, Any] | None = None
    """What of the patch Klaviyo did not show; None before it was asked."""
    looked: bool = False
    """Klaviyo was asked what it has of what is set only once."""


@dataclass(frozen=True, slots=True)
class Profiles:
    """The profiles family."""

    name: str = "profiles"
    single: str = PROFILE_IMPORT
    bulk: str | None = PROFILE_BULK
    each: int = 100
    most: int = imports.PROFILES
    even: int = 100
    budgets: tuple[str, ...] = (
        PROFILE_IMPORT,
        PROFILE_BULK,
        PROFILE_BULK_GET,
        PROFILE_BULK_ERRORS,
        PROFILE_GET,
        MERGE,
    )

    def prepare(self, op: Operation, now_ms: int) -> Prepared | NotSent:
        """Check one update."""
        if op["kind"] != "profile":
            return NotSent(Reason.UNSUPPORTED, f"{op['kind']} is no profile update")
        payload = payload_of(op)
        if isinstance(payload, NotSent):
            return payload
        patch = payload.get("patch") or {}
        once = dict(patch.get("set_once") or {})
        found = limits.profile(requests.identifiers(op["profile"]), _whole(payload, once))
        if isinstance(found, limits.Refused):
            return NotSent(Reason(found.reason), f"not sent: {found.detail}")
        unset = patch.get("unset") or ()
        unset = (unset,) if isinstance(unset, str) else tuple(unset)
        extends = {name: patch[name] for name in ("append", "unappend") if patch.get(name)}
        attributes = _without(found.payload["attributes"], payload, once)
        # a time to come would hold the attribute against every later update
        time = min(op["time"], op["origin"]["accepted_at"])
        update = Update(found.who, attributes, time, unset, bool(extends), once)
        alone = bool(unset or extends) or _has_null(attributes) or _has_null(once)
        size = len(op["payload"]) + len(orjson.dumps(found.who)) + _AROUND
        return Prepared(Ready(update, extends, alone), size, found.ignored)

    def fits(self, row: Row) -> bool:
        """Whether an import job can carry the row."""
        return not row.ready.alone

    def request(self, group: Group, read: Read) -> Request | None:
        """Fold the group onto what Klaviyo has; None when nothing differs."""
        if group.job is None and (asked := present.look(group, read)) is not None:
            return asked
        if group.bulk:
            return importing.request(self.name, group, read)
        if isinstance(group.step, Conflict) and (asked := group.step.request(read)) is not None:
            return asked
        if _in_doubt(group):
            return audience.find_properties(*patches.looked_up_by(group.rows[0].ready.update.who))
        element = importing.fold_rows(group.rows, read)
        group.effects = [element]
        if not element.changed:
            return None
        folded = element.folded
        ready: Ready = group.rows[0].ready
        patch = dict(ready.patch if ready.left is None else ready.left)
        if folded.unset:
            patch["unset"] = list(folded.unset)
        return requests.profile_import(folded.who, folded.attributes, patch)

    def cut(self, rows: Sequence[Row]) -> list[list[Row]]:
        """An update that appends goes alone: folded, its order to plain values would be lost."""
        parts: list[list[Row]] = []
        size = 0
        for row in rows:
            size += row.size
            fits = bool(parts) and size <= limits.PROFILE_BYTES
            if fits and not (row.ready.patch or parts[-1][-1].ready.patch):
                parts[-1].append(row)
            else:
                parts.append([row])
                size = row.size
        return parts

    def accepted(
        self, group: Group, reply: Reply | None, settled: Sequence[Settled]
    ) -> tuple[list[Settled], dict[bytes, bytes]]:
        """Remember attributes and Klaviyo's id; an update that changed nothing is ``unchanged``."""
        by_row = {id(end.row): end for end in settled}
        ends: list[Settled] = []
        changes: dict[bytes, bytes] = {}
        elements: list[Element] = group.effects
        for element in elements:
            state, who = element.folded.state, element.rows[0].person
            if isinstance(group.step, Conflict):
                state = doubted(state, _sent(element))
            changes[traits_key(who)] = orjson.dumps(state)
            ends += importing.settled(element, [by_row[id(row)] for row in element.rows])
            if reply is not None and isinstance(reply.verdict, Accepted) and reply.verdict.klaviyo_id:
                changes[klaviyo_id_key(who)] = reply.verdict.klaviyo_id.encode()
        return ends, changes

    def learned(self, group: Group, reply: Reply, now_ms: int) -> Learned:
        """An answer about a job, or about the profiles that conflict."""
        if isinstance(group.step, present.Looking):
            group.step.answered(reply)
            return Learned(stay=True)
        if group.bulk or group.job is not None:
            return importing.learned(self.name, group, reply, now_ms)
        step = group.step
        if isinstance(step, Conflict) and step.phase != "import":
            return self._goes_on(group, step, reply)
        row = group.rows[0]
        ready: Ready = row.ready
        data = reply.verdict.data if isinstance(reply.verdict, Accepted) else None
        properties = patches.shown(data, *patches.looked_up_by(ready.update.who))
        ready.left, ready.read_after = patches.missing(ready.patch, properties), row.attempts
        return Learned(stay=True)

    def _goes_on(self, group: Group, step: Conflict, reply: Reply) -> Learned:
        merged = step.phase == "merge" and step.pair is not None
        wait = step.answered(reply.verdict.data if isinstance(reply.verdict, Accepted) else None)
        if step.shared:
            _without_number(group, step)
        changes: dict[bytes, bytes | None] = {}
        if merged and step.pair is not None:
            changes[klaviyo_id_key(group.rows[0].person)] = step.pair[0].encode()
        return Learned(changes, stay=True, wait_s=wait)

    def refused(self, group: Group, reply: Reply, now_ms: int) -> Learned | None:
        """A conflict means two profiles at Klaviyo: they are merged, then the update goes through."""
        if group.job is not None:
            return importing.refused(self.name, group, reply, now_ms)
        verdict, step = reply.verdict, group.step
        asking = isinstance(step, Conflict) and step.phase != "import"
        if group.bulk or not isinstance(verdict, replies.Conflict | Rejected | RejectedWhole):
            return None
        if asking:
            return self._goes_on(group, step, reply) if step.phase == "merge" else None
        if not isinstance(verdict, replies.Conflict):
            return None
        if not isinstance(step, Conflict):
            step = group.step = Conflict(group.effects[0].folded.who)
        for row in group.rows:
            row.attempts += 1
        if step.again(verdict.klaviyo_id):
            return Learned(stay=True)
        detail = f"{verdict.detail} (Klaviyo's profiles {step.shown()} did not become one)"
        shown = (reply.status, reply.text)
        return Learned(ended=[dead(row, Reason.PROFILE_CONFLICT, detail, shown) for row in group.rows])

    def rejected(self, ends: Sequence[Settled]) -> tuple[list[Settled], Mapping[bytes, bytes | None]]:
        """A number alone is no reason to lose an update."""
        return numbers.over(self, ends), {}

    def intends(self, group: Group, now_ms: int) -> Mapping[bytes, bytes | None]:
        """The direction of a merge; and the addresses that Klaviyo is about to be told."""
        changes = dict(group.step.intends(now_ms)) if isinstance(group.step, Conflict) else {}
        for element in group.effects or () if group.job is None else ():
            changes |= element.told
        return changes


def _in_doubt(group: Group) -> bool:
    """Whether an append may have been done: a call with it left, in this life or another."""
    row = group.rows[0]
    return bool(row.ready.patch) and row.tried and row.ready.read_after != row.attempts


def _without_number(group: Group, step: Conflict) -> None:
    """The update goes without a number that is somebody else's at Klaviyo, and says so."""
    step.shared, step.who = False, {name: text for name, text in step.who.items() if name != "phone_number"}
    for row in group.rows:
        update = row.ready.update
        if "phone_number" in update.who:
            who = {name: text for name, text in update.who.items() if name != "phone_number"}
            row.ready.update = replace(update, who=who)
            row.ignored += ("phone_number",)


def _whole(payload: dict[str, Any], once: dict[str, Any]) -> dict[str, Any]:
    """The payload with all that its properties may come to be, for checking."""
    attributes = payload.get("attributes") or {}
    properties = attributes.get("properties")
    if not once or not (properties is None or isinstance(properties, dict)):
        return payload
    return {**payload, "attributes": {**attributes, "properties": {**once, **(properties or {})}}}


def _without(checked: dict[str, Any], payload: dict[str, Any], once: dict[str, Any]) -> dict[str, Any]:
    """Checked attributes without what was put in for checking."""
    given = payload.get("attributes") or {}
    if not once or not isinstance(checked.get("properties"), dict):
        return checked
    properties = given.get("properties")
    if isinstance(properties, dict):
        return {**checked, "properties": properties}
    return {name: value for name, value in checked.items() if name != "properties"}


def _has_null(attributes: dict[str, Any]) -> bool:
    return any(
        value is None or (isinstance(value, dict) and any(inner is None for inner in value.values()))
        for value in attributes.values()
    )


def _sent(element: Element) -> set[str]:
    """Paths whose value Klaviyo was given by this call."""
    paths = {f"#{name}" for name in element.folded.who}
    for name, value in element.folded.attributes.items():
        nested = name in ("location", "properties") and isinstance(value, dict)
        paths |= {f"{name}.{inner}" for inner in value} if nested else {name}
    return paths
