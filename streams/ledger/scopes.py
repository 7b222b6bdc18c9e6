"""The check-up's rules about what a key must be allowed to read: look-ups, read-back, polling. Pure.

Scopes are those of Klaviyo's specification 2026-07-15. What may be written is not told: asking would write.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from streams.config import Config
from streams.config.model import Account
from streams.ledger.account_rules import Answer
from streams.ledger.findings import Finding, away, fail, ok

PROBES: Final[Mapping[str, tuple[str, Mapping[str, str]]]] = MappingProxyType(
    {
        "profiles:read": ("/api/profiles", {"fields[profile]": "email", "page[size]": "1"}),
        "lists:read": ("/api/lists", {"fields[list]": "name", "page[size]": "1"}),
        "events:read": ("/api/events", {"fields[event]": "timestamp", "page[size]": "1"}),
        "metrics:read": ("/api/metrics", {"fields[metric]": "name"}),
    }
)
"""Scope → path and query of a question that needs this scope and no other."""


@dataclass(frozen=True, slots=True)
class Need:
    """What does not work without a scope, and what to do if it is not to be given."""

    what: str
    instead: str = ""


def needed(config: Config, account: Account) -> dict[str, list[Need]]:
    """Scope → what the configuration makes the account's lanes and looks ask for."""
    rules = [rule for rule in config.rules if rule.accounts is None or account.name in rule.accounts]
    does = {rule.do for rule in rules}
    found: dict[str, list[Need]] = {}

    def add(scopes: Iterable[str], need: Need) -> None:
        for scope in scopes:
            found.setdefault(scope, []).append(need)

    add(["profiles:read"], Need("finding profiles (lists, consent, merges, conflicts)"))
    if "profile" in does:
        add(["lists:read"], Need("the end of profile import jobs"))
    if any(rule.list is not None for rule in rules):
        add(["lists:read"], Need("finding lists and who is on them"))
    if "event" in does and config.deliver.confirm_share > 0:
        need = Need("reading events back after a 202", "set deliver.confirm_share: 0")
        add(["events:read", "metrics:read"], need)
    if account.segment is not None and account.klaviyo.poll_minutes is not None:
        need = Need("asking for engagement", "leave klaviyo.poll_minutes out")
        add(["events:read", "metrics:read", "profiles:read"], need)
    return found


def scopes(account: str, needs: Mapping[str, list[Need]], answers: Mapping[str, Answer]) -> Iterable[Finding]:
    """Whether the key may read what is needed.

    Args:
        account: its name.
        needs: as ``needed`` says.
        answers: scope → what Klaviyo answered to its probe.
    """
    allowed = []
    for scope, answer in sorted(answers.items()):
        if answer.status == 200:
            allowed.append(scope)
        elif answer.status == 403:
            whats = ", ".join(need.what for need in needs[scope])
            insteads = [need.instead for need in needs[scope]]
            mend = f"set accounts.{account}.klaviyo.api_key to a key with the scope {scope}"
            if all(insteads):
                mend += "; or " + " and ".join(insteads)
            yield fail("scopes", f"{account}: the key lacks {scope}, needed for {whats}", mend)
        else:
            said = f"Klaviyo answered {answer.status}" if answer.status else "Klaviyo does not answer"
            says = f"{account}: {scope}: {said} {answer.says}".rstrip()
            yield away("scopes", says, "ask again in a minute")
    if allowed:
        yield ok("scopes", f"{account}: the key has {', '.join(allowed)}")
