"""A model of Klaviyo's consent rules for a few people, times in whole seconds. No HTTP, no lists."""

from dataclasses import dataclass, field
from typing import Any

import orjson

from streams.deliver.consent.permission import moment
from streams.klaviyo import replies
from streams.klaviyo.replies import Accepted, Reply
from streams.klaviyo.requests import Request, iso

EMAIL, SMS = "email.marketing", "sms.marketing"
LIFTED = ("UNSUBSCRIBE", "SPAM_REPORT", "USER_SUPPRESSED")


def email(who: int) -> str:
    return f"u{who}@shop.io"


def phone(who: int) -> str:
    return f"+1202555010{who}"


@dataclass(slots=True)
class Person:
    """Consent by part: state and since when (s); suppressions of the address."""

    consent: dict[str, tuple[str, int]] = field(default_factory=dict)
    suppressed: dict[str, int] = field(default_factory=dict)

    def mailed(self, part: str) -> bool:
        subscribed = self.consent.get(part, ("", 0))[0] == "SUBSCRIBED"
        return subscribed and not (part == EMAIL and self.suppressed)

    def subscribe(self, part: str, at: int) -> None:
        """As the call does: it lifts suppressions."""
        self.consent[part] = ("SUBSCRIBED", at)
        if part == EMAIL:
            for reason in LIFTED:
                self.suppressed.pop(reason, None)

    def unsubscribe(self, part: str, at: int, reason: str = "UNSUBSCRIBE") -> None:
        if reason == "UNSUBSCRIBE":
            self.consent[part] = ("UNSUBSCRIBED", at)
        if part == EMAIL:
            self.suppressed[reason] = at

    def shown(self, who: int) -> dict[str, Any]:
        parts: dict[str, Any] = {}
        for part, (state, at) in self.consent.items():
            channel, _, kind = part.partition(".")
            parts[channel] = {kind: {"consent": state, "consent_timestamp": iso(at * 1000)}}
        if self.suppressed:
            told = [{"reason": why, "timestamp": iso(at * 1000)} for why, at in self.suppressed.items()]
            parts.setdefault("email", {"marketing": {"consent": "NEVER_SUBSCRIBED"}})
            parts["email"]["marketing"]["suppression"] = told
        return {"email": email(who), "phone_number": phone(who), "subscriptions": parts}


@dataclass(slots=True)
class Klaviyo:
    """Takes the consent lane's calls."""

    people: dict[int, Person] = field(default_factory=dict)

    def person(self, who: int) -> Person:
        return self.people.setdefault(who, Person())

    def take(self, request: Request, now_ms: int) -> Reply:
        """Do it, and answer."""
        now = now_ms // 1000
        if request.method == "GET":
            data = [{"id": f"K{who}", "attributes": each.shown(who)} for who, each in self.people.items()]
            return Reply(Accepted(data=data), 200, "")
        attributes = orjson.loads(request.body)["data"]["attributes"]
        rows = [row["attributes"] for row in attributes["profiles"]["data"]]
        if "subscription-bulk-create" in request.path:
            if errors := [error for n, row in enumerate(rows) for error in self._outdated(n, row)]:
                return replies.read(400, {}, orjson.dumps({"errors": errors}), request)
            for row in rows:
                for part, told in said(row):
                    given = moment(told.get("consented_at"))
                    self.person(named(row)).subscribe(part, now if given is None else given // 1000)
        elif "subscription-bulk-delete" in request.path:
            for row in rows:
                for part, _ in said(row):
                    self.person(named(row)).unsubscribe(part, now)
        elif "suppression-bulk-create" in request.path:
            for row in rows:
                self.person(named(row)).suppressed.setdefault("USER_SUPPRESSED", now)
        else:
            for row in rows:
                self.person(named(row)).suppressed.pop("USER_SUPPRESSED", None)
        return Reply(Accepted(), 202, "")

    def _outdated(self, number: int, row: dict[str, Any]) -> list[dict[str, Any]]:
        """Consent of a date before the last farewell refuses the whole call."""
        errors = []
        for part, told in said(row):
            given = moment(told.get("consented_at"))
            state, at = self.person(named(row)).consent.get(part, ("", 0))
            if given is not None and state == "UNSUBSCRIBED" and at * 1000 > given:
                where = f"attributes/subscriptions/{part.replace('.', '/')}/consented_at"
                pointer = {"pointer": f"/data/attributes/profiles/data/{number}/{where}"}
                errors.append({"code": "invalid", "detail": "unsubscribed since", "source": pointer})
        return errors


def named(row: dict[str, Any]) -> int:
    """Whom a row of a call names."""
    given = row.get("email") or row["phone_number"]
    return next(who for who in range(10) if given in (email(who), phone(who)))


def said(row: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """The parts a row speaks of."""
    kinds = row["subscriptions"].items()
    return [(f"{channel}.{kind}", told) for channel, names in kinds for kind, told in names.items()]
