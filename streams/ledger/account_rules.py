"""The check-up's rules about the configuration and what Klaviyo answers: facts in, findings out. Pure."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from fnmatch import fnmatchcase
from typing import Any, Final

from streams.config import Config
from streams.config.model import Account, Source
from streams.ledger.findings import Finding, away, fail, ok, warn

PIN_YEARS: Final = 2
"""Klaviyo serves a revision for two years, then refuses it."""
PIN_WARN_DAYS: Final = 90
SHOWN: Final = 10
"""Names in one line."""
_NEW_KEY: Final = "set accounts.{}.klaviyo.api_key to a valid private key, restart `streams worker deliver`"


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of Klaviyo; status 0 = none came, and ``says`` why."""

    status: int
    body: Mapping[str, Any] = field(default_factory=dict)
    says: str = ""
    ahead_ms: float | None = None
    """How far this clock is before the ``Date`` of the answer."""

    @property
    def data(self) -> list[Any]:
        """The resources."""
        found = self.body.get("data")
        return found if isinstance(found, list) else []


def sources(found: Iterable[Source], weak: Mapping[str, int]) -> Iterable[Finding]:
    """Each source lets somebody in, and proves who.

    Args:
        found: the sources.
        weak: source → batches that were proven by their first event only, as the gateway counted.
    """
    for source in found:
        if not source.write_keys and not source.webhook_secrets:
            mend = "give it a write_key (SDKs) or a webhook_secret (Segment's webhook destination)"
            yield fail("sources", f"{source.name} has neither key nor secret: nobody can send", mend)
        elif count := weak.get(source.name, 0):
            says = f"{source.name}: X-Signature proved but the first event of {count} batches, the weak form"
            mend = "have the sender sign the whole body with X-Segment-Signature, or send events one by one"
            yield warn("sources", says, mend)
        elif source.webhook_secrets:
            says = "signed by X-Segment-Signature, or by X-Signature, of batches the weak form"
            yield ok("sources", f"{source.name}: {says}")
        else:
            yield ok("sources", f"{source.name}: by write key; a webhook would need webhook_secret")


def revision(account: Account, today: date) -> Iterable[Finding]:
    """How long Klaviyo still serves the pinned revision."""
    pin = date.fromisoformat(account.revision)
    leap = (pin.month, pin.day) == (2, 29)
    end = date(pin.year + PIN_YEARS, pin.month, 28 if leap else pin.day)
    left = (end - today).days
    says = f"{account.name}: revision {account.revision} is served until {end}"
    mend = "upgrade this software, or try `revision:` of the account at a newer one on a test account"
    if left < 0:
        yield fail("revision", says, mend)
    elif left <= PIN_WARN_DAYS:
        yield warn("revision", f"{says}, {left} more days", mend)
    else:
        yield ok("revision", says)


def key(name: str, answer: Answer) -> Iterable[Finding]:
    """What ``GET /api/accounts`` says of an account's key."""
    if answer.status == 200:
        yield ok("keys", f"{name}: Klaviyo takes the key{_whose(answer)}")
    elif answer.status == 401:
        yield fail("keys", f"{name}: Klaviyo does not know the key", _NEW_KEY.format(name))
    else:
        yield _untold("keys", name, answer, "accounts:read")


def lists(config: Config, account: str, answers: Mapping[str, Answer]) -> Iterable[Finding]:
    """The lists that rules name: name or id → what was found. Who joins makes them, who leaves does not."""
    made = named(config, account, "list", ("list_add", "subscribe"))
    for wanted, answer in answers.items():
        if answer.status == 404 or (answer.status == 200 and not answer.body.get("data")):
            if config.lists.create and wanted in made:
                yield ok("lists", f"{account}: no list {wanted} yet, it is made with its first member")
            else:
                mend = f"make the list {wanted} at Klaviyo, or mend the rule"
                mend += "; lists.create: true makes it" if wanted in made else ""
                yield fail("lists", f"{account}: Klaviyo has no list {wanted}", mend)
        elif answer.status == 200:
            yield ok("lists", f"{account}: list {wanted} is there")
        else:
            yield _untold("lists", account, answer, "lists:read")


def metrics(account: str, wanted: Iterable[str], known: Iterable[str], answer: Answer) -> Iterable[Finding]:
    """The metrics that rules name, against those that Klaviyo has."""
    if answer.status != 200:
        yield _untold("metrics", account, answer, "metrics:read")
        return
    new = sorted(set(wanted) - set(known))
    if new:
        mend = "Klaviyo makes a metric with its first event; check the spelling if it should be there"
        yield warn("metrics", f"{account}: not at Klaviyo yet: {', '.join(new)}", mend)
    else:
        yield ok("metrics", f"{account}: all that rules name are there")


def webhooks(account: Account, answer: Answer, forward: Iterable[str], *, named: bool) -> Iterable[Finding]:
    """Klaviyo calls us with engagement, where it is to go on to Segment.

    Args:
        account: the account.
        answer: to ``GET /api/webhooks?include=webhook-topics``.
        forward: topics that go on, ``*`` allowed.
        named: whether the file names them; the default ones are of all plans, and no account has all.
    """
    name = account.name
    if account.segment is None:
        return
    if account.klaviyo.poll_minutes is not None and not account.klaviyo.webhook_secrets:
        yield ok("webhooks", f"{name}: none, engagement is asked for (klaviyo.poll_minutes)")
    elif not account.klaviyo.webhook_secrets:
        mend = f"set accounts.{name}.klaviyo.webhook_secret and register the webhook with it, or poll_minutes"
        yield fail("webhooks", f"{name}: engagement is to go to Segment, yet no webhook can be proven", mend)
    elif answer.status == 404:
        mend = "look at Klaviyo's integrations page whether a webhook to /klaviyo/" + name + " is enabled"
        yield warn("webhooks", f"{name}: could not tell, this Klaviyo lists no webhooks", mend)
    elif answer.status != 200:
        yield _untold("webhooks", name, answer, "webhooks:read")
    else:
        enabled = [each for each in answer.data if each.get("attributes", {}).get("enabled", True)]
        if enabled:
            yield _registered(name, enabled, tuple(forward), named=named)
        else:
            says = f"{name}: {len(answer.data)} registered, none enabled"
            mend = f"register one to https://…/klaviyo/{name}; Klaviyo disables those that fail for 48 h"
            yield fail("webhooks", says, mend)


def _registered(account: str, hooks: list[Any], forward: tuple[str, ...], *, named: bool) -> Finding:
    """What the enabled webhooks are registered for. Klaviyo cuts their addresses, so these tell nothing."""
    told = [((each.get("relationships") or {}).get("webhook-topics") or {}).get("data") for each in hooks]
    topics = {str(each.get("id")) for data in told for each in data or ()}
    says = f"{account}: {len(hooks)} enabled"
    lacking = [each for each in forward if not any(fnmatchcase(topic, each) for topic in topics)]
    if None in told or not lacking or (not named and len(lacking) < len(forward)):
        return ok("webhooks", says)
    mend = "register these topics at Klaviyo too, or take them out of engagement.forward"
    bad = fail if len(lacking) == len(forward) else warn
    return bad("webhooks", f"{says}, yet not for {', '.join(lacking[:SHOWN])}", mend)


def new_profiles(account: Account, today: Mapping[str, int] | None) -> Iterable[Finding]:
    """How many contacts came today.

    Args:
        account: the account.
        today: "created" as Klaviyo said, "unsaid" of import jobs; None where no deliver process tells.
    """
    if today is None:
        return
    created, unsaid = today.get("created", 0), today.get("unsaid", 0)
    says = f"{account.name}: {created} new at Klaviyo today (UTC)"
    says += f", and of {unsaid} it does not say" if unsaid else ""
    threshold = account.new_profiles_per_day
    if threshold is not None and created + unsaid > threshold:
        mend = "contacts cost money: see which source they come from; nothing is held back"
        yield warn("new_profiles", f"{says}, more than {threshold}", mend)
    else:
        yield ok("new_profiles", says)


def unknown_fields(found: Mapping[tuple[str, str], int]) -> Iterable[Finding]:
    """What Klaviyo added to its answers.

    Args:
        found: endpoint and field → answers that had it, as deliver counted.
    """
    fields: dict[str, list[str]] = {}
    for endpoint, name in sorted(found):
        fields.setdefault(endpoint, []).append(name)
    for endpoint, names in fields.items():
        shown = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
        mend = "nothing is lost by it; read Klaviyo's changelog, and see whether a newer version knows them"
        yield warn("answers", f"{endpoint} answers with fields that are not known here: {shown}", mend)


def named(
    config: Config, account: str, field_name: str, does: Collection[str] | None = None
) -> tuple[str, ...]:
    """The constants that an account's rules give for ``list`` or ``metric``, in the order of the file.

    ``does``: only rules that ``do`` one of these.
    """
    found: dict[str, None] = {}
    for rule in config.rules:
        if rule.accounts is not None and account not in rule.accounts:
            continue
        if does is not None and rule.do not in does:
            continue
        spec = getattr(rule, field_name)
        if spec is not None and isinstance(spec.constant, str):
            found[spec.constant] = None
        if field_name == "metric" and "product_metric" in rule.model_fields_set and rule.product_metric:
            found[rule.product_metric] = None
    return tuple(found)


def _whose(answer: Answer) -> str:
    try:
        attributes = answer.data[0]["attributes"]
        organization = attributes["contact_information"]["organization_name"]
    except (KeyError, IndexError, TypeError):
        return ""
    test = ", a test account" if attributes.get("test_account") else ""
    return f" ({organization}{test})" if organization else test


def _untold(check: str, account: str, answer: Answer, scope: str) -> Finding:
    if answer.status == 403:
        return warn(
            check, f"{account}: the key may not look", f"give it the scope {scope}; sending may go on"
        )
    if answer.status == 401:
        return fail(check, f"{account}: Klaviyo does not know the key", _NEW_KEY.format(account))
    what = f"Klaviyo answered {answer.status}" if answer.status else "Klaviyo does not answer"
    return away(check, f"{account}: {what} {answer.says}".rstrip(), "ask again in a minute")
