"""Operations as the calls that would carry them, each alone, with the account's headers masked. Pure."""

from typing import Any, Final

import orjson

from streams.config import Account, Config
from streams.config.secret import MASK
from streams.klaviyo import limits, requests, singles
from streams.klaviyo.operation import Operation
from streams.klaviyo.requests import Request
from streams.klaviyo.revision import MEDIA_TYPE
from streams.ledger.reasons import Outcome, Reason
from streams.route.dry_run import Call, Fate

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

    def __call__(self, operation: Operation) -> Call | Fate:
        """The call of one operation, or why Klaviyo could not take it."""
        payload = orjson.loads(operation["payload"])
        if operation["kind"] == "event":
            made = self._event(operation, payload)
        elif operation["kind"] == "profile":
            made = self._profile(operation, payload)
        else:
            made = self._other(operation, payload)
        if isinstance(made, Fate):
            return made
        request, ignored = made
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
        if kind in ("list_add", "list_remove"):
            return singles.list_member(kind, payload["list"], f"$klaviyo_id:{profile['id']}"), ()
        if kind == "erase":
            who = {k: v for k, v in requests.identifiers(profile).items() if k in ("email", "phone_number")}
            return (singles.erase(who), ()) if who else _nobody("erasure takes an address or a number")
        if kind in ("suppress", "unsuppress"):
            email = profile["email"]
            return (
                (singles.suppression(kind, email), ()) if email else _nobody("suppression takes an address")
            )
        who, good, bad = singles.reachable(profile, payload["channels"])
        if not good:
            return _nobody(f"{', '.join(bad)}: the profile has neither address nor number for it")
        channels = {channel: payload["channels"][channel] for channel in good}
        ignored = tuple(f"channels.{channel}" for channel in bad)
        if kind == "unsubscribe":
            return singles.unsubscribe(who, channels, list_=payload.get("list")), ignored
        old = op["backfill"] or self._now - op["time"] > FRESH_MS
        given = payload.get("consented_at") or (requests.iso(op["time"]) if old else None)
        request = singles.subscribe(
            who,
            channels,
            list_=payload.get("list"),
            consented_at=given,
            custom_source=payload.get("custom_source"),
        )
        return request, ignored


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
