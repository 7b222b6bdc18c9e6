"""Operations as the calls that would carry them, each alone, with the account's headers masked. Pure."""

from typing import Any, Final

import orjson

from streams.config import Account, Config
from streams.config.secret import MASK
from streams.klaviyo import audience, consents, erasure, limits, merging, requests
from streams.klaviyo.consents import Person
from streams.klaviyo.operation import Operation
from streams.klaviyo.requests import Request
from streams.klaviyo.revision import MEDIA_TYPE
from streams.ledger.reasons import Outcome, Reason
from streams.route.dry_run import Call, Fate
from streams.segment.envelope import Profile
from streams.segment.times import epoch_ms

FRESH_MS: Final = 5 * 60_000
"""Consent older than this is told as given in the past, so that Klaviyo itself refuses a stale one."""


class Calls:
    """Requests of a configuration's accounts.

    Args:
        config: names the accounts.
        now: when the calls would leave, milliseconds since the epoch.
    """

    def __init__(self, config: Config, now: int) -> None:
        self._headers = {name: _headers(account) for name, account in config.accounts.items()}
        self._now = now
        self._marks: dict[tuple[str, str], str] = {}
        """Account and once-mark → the operation that holds it."""

    def __call__(self, operation: Operation) -> Call | Fate:
        """The call of one operation, or why Klaviyo could not take it."""
        payload = orjson.loads(operation["payload"])
        mark = operation["account"], payload.get("once", "")
        if self._marks.get(mark, operation["op_id"]) != operation["op_id"]:
            return Fate(Outcome.UNCHANGED, Reason.ONCE)
        if operation["kind"] == "event":
            made = self._event(operation, payload)
        elif operation["kind"] == "profile":
            made = self._profile(operation, payload)
        else:
            made = self._other(operation, payload)
        if isinstance(made, Fate):
            return made
        request, ignored = made
        if "once" in payload:
            self._marks[mark] = operation["op_id"]
        headers = self._headers[operation["account"]]
        return Call(request.method, request.path, headers, orjson.loads(request.body), ignored)

    def _event(self, op: Operation, payload: dict[str, Any]) -> tuple[Request, tuple[str, ...]] | Fate:
        found = limits.event(requests.identifiers(op["profile"]), payload, op["time"], self._now)
        if isinstance(found, limits.Refused):
            return _refused(found)
        row = requests.event_row(found.who, found.payload, op["op_id"], op["time"], op["backfill"])
        return requests.single_event(row), found.ignored

    def _profile(self, op: Operation, payload: dict[str, Any]) -> tuple[Request, tuple[str, ...]] | Fate:
        found = limits.profile(requests.identifiers(op["profile"]), payload)
        if isinstance(found, limits.Refused):
            return _refused(found)
        attributes = dict(found.payload["attributes"])
        patch = dict(found.payload.get("patch") or {})
        once = patch.pop("set_once", None)
        if once:  # from an empty state nothing was set before
            attributes["properties"] = once | attributes.get("properties", {})
        return requests.profile_import(found.who, attributes, patch), found.ignored

    def _other(self, op: Operation, payload: dict[str, Any]) -> tuple[Request, tuple[str, ...]] | Fate:
        kind, profile = op["kind"], op["profile"]
        if kind == "merge":
            loser = payload["loser"]
            if not (loser["email"] or loser["phone"] or loser["user_id"]):
                return Fate(Outcome.UNCHANGED, Reason.SAME_PROFILE)  # Klaviyo has never had it by itself
            return merging.merge(_id_of(profile), _id_of(loser)), ()
        if kind in ("list_add", "list_remove"):
            ids = [_id_of(profile)]
            return audience.change_members(payload["list"], ids, [(0,)], add=kind == "list_add"), ()
        if kind == "erase":
            who = {k: v for k, v in requests.identifiers(profile).items() if k in ("email", "phone_number")}
            return (erasure.erase(who), ()) if who else _nobody("erasure takes an address or a number")
        if kind in ("suppress", "unsuppress"):
            email = profile["email"]
            told = consents.suppress if kind == "suppress" else consents.unsuppress
            return (told([email]), ()) if email else _nobody("suppression takes an address")
        return self._consent(op, payload)

    def _consent(self, op: Operation, payload: dict[str, Any]) -> tuple[Request, tuple[str, ...]] | Fate:
        found = limits.profile(requests.identifiers(op["profile"]), {})
        if isinstance(found, limits.Refused):
            return _refused(found)
        asked = [(channel, kind) for channel, kinds in payload["channels"].items() for kind in kinds]
        good = [
            (channel, kind)
            for channel, kind in asked
            if kind in consents.KINDS.get(channel, ()) and consents.NEEDS[channel] in found.who
        ]
        if not good:
            return _nobody(f"no channel that the profile can be reached by; asked for {payload['channels']}")
        ignored = tuple(f"channels.{channel}" for channel, kind in asked if (channel, kind) not in good)
        who = {consents.NEEDS[channel]: found.who[consents.NEEDS[channel]] for channel, _ in good}
        parts = tuple(f"{channel}.{kind}" for channel, kind in good)
        list_id = payload.get("list") or ""
        if op["kind"] == "unsubscribe":
            return consents.unsubscribe([Person(who, parts)], list_id=list_id), ignored
        given = _agreed(op, payload)
        old = self._now - given > FRESH_MS
        person = Person(who, parts, requests.iso(given) if old else None)
        source = payload.get("custom_source") or ""
        request = consents.subscribe([person], list_id=list_id, historical=old, custom_source=source)
        return request, ignored


def _id_of(profile: Profile) -> str:
    """Stands for the id that Klaviyo will have given."""
    return f"$klaviyo_id:{profile['id']}"


def _agreed(op: Operation, payload: dict[str, Any]) -> int:
    """When somebody agreed: as the rule finds it, never after the event."""
    time = min(op["time"], op["origin"]["accepted_at"])
    given = epoch_ms(payload.get("consented_at"))
    return time if given is None else min(time, given)


def _headers(account: Account) -> dict[str, str]:
    return {
        "Authorization": f"Klaviyo-API-Key {MASK}",
        "revision": account.revision,
        "Accept": MEDIA_TYPE,
        "Content-Type": MEDIA_TYPE,
    }


def _refused(found: limits.Refused) -> Fate:
    return Fate(Outcome.DEAD_LETTERED, f"{found.reason}:not sent: {found.detail}")


def _nobody(detail: str) -> Fate:
    return Fate(Outcome.DEAD_LETTERED, f"{Reason.NO_IDENTIFIER}:{detail}")
