"""Profiles: updates of one person that wait together are folded into one call; what is known is not sent."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson

from streams.deliver.family import NotSent, Prepared, Read, payload_of
from streams.deliver.row import Group, Row, Settled
from streams.deliver.traits import Folded, Update, fold
from streams.klaviyo import limits, requests
from streams.klaviyo.budgets import PROFILE_IMPORT
from streams.klaviyo.operation import Operation
from streams.klaviyo.replies import Accepted, Reply
from streams.klaviyo.requests import Request
from streams.ledger.reasons import Outcome, Reason


def traits_key(profile_id: str) -> bytes:
    """Where the state of a profile's attributes stands."""
    return b"t/" + profile_id.encode()


def klaviyo_id_key(profile_id: str) -> bytes:
    """Where a profile's Klaviyo id stands."""
    return b"k/" + profile_id.encode()


@dataclass(frozen=True, slots=True)
class Ready:
    """One update; ``patch`` is what no fold can hold: append and unappend."""

    update: Update
    patch: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Profiles:
    """The profiles family."""

    name: str = "profiles"
    single: str = PROFILE_IMPORT
    bulk: str | None = None
    each: int = 100

    def prepare(self, op: Operation, now_ms: int) -> Prepared | NotSent:
        """Check one update."""
        if op["kind"] != "profile":
            return NotSent(Reason.UNSUPPORTED, f"{op['kind']} is no profile update")
        payload = payload_of(op)
        if isinstance(payload, NotSent):
            return payload
        found = limits.profile(requests.identifiers(op["profile"]), payload)
        if isinstance(found, limits.Refused):
            return NotSent(Reason(found.reason), f"not sent: {found.detail}")
        patch = found.payload.get("patch") or {}
        unset = patch.get("unset") or ()
        unset = (unset,) if isinstance(unset, str) else tuple(unset)
        extends = {name: patch[name] for name in ("append", "unappend") if patch.get(name)}
        attributes = found.payload["attributes"]
        # a time to come would hold the attribute against every later update
        time = min(op["time"], op["origin"]["accepted_at"])
        update = Update(found.who, attributes, time, unset, extends=bool(extends))
        return Prepared(Ready(update, extends), len(op["payload"]), found.ignored)

    def request(self, group: Group, read: Read) -> Request | None:
        """Fold the group onto what Klaviyo has; None when nothing differs."""
        state = read(traits_key(group.rows[0].who))
        folded = fold(orjson.loads(state) if state else {}, [row.ready.update for row in group.rows])
        group.effects = folded
        if not any(folded.changed):
            return None
        patch = dict(group.rows[0].ready.patch)
        if folded.unset:
            patch["unset"] = list(folded.unset)
        return requests.profile_import(folded.who, folded.attributes, patch)

    def cut(self, rows: Sequence[Row]) -> list[list[Row]]:
        """An update that appends goes alone: folded, its order to plain values would be lost."""
        parts: list[list[Row]] = []
        for row in rows:
            if parts and not (row.ready.patch or parts[-1][-1].ready.patch):
                parts[-1].append(row)
            else:
                parts.append([row])
        return parts

    def accepted(
        self, group: Group, reply: Reply | None, settled: Sequence[Settled]
    ) -> tuple[list[Settled], dict[bytes, bytes]]:
        """Remember attributes and Klaviyo's id; an update that changed nothing is ``unchanged``."""
        folded: Folded = group.effects
        who = group.rows[0].who
        changes = {traits_key(who): orjson.dumps(folded.state)}
        if reply is not None and isinstance(reply.verdict, Accepted) and reply.verdict.klaviyo_id:
            changes[klaviyo_id_key(who)] = reply.verdict.klaviyo_id.encode()
        ends = [
            end if differs else replace(end, outcome=Outcome.UNCHANGED, reason=Reason.SAME_VALUES)
            for end, differs in zip(settled, folded.changed, strict=True)
        ]
        return ends, changes
