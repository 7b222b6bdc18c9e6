"""The Klaviyo simulator: credentials, revision, budget, then the operation."""

from __future__ import annotations

import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from streams.simulators.control import Call, Reply
from streams.simulators.klaviyo import routes, scopes, views
from streams.simulators.klaviyo.budgets import Budgets, Taken
from streams.simulators.klaviyo.config import SimConfig
from streams.simulators.klaviyo.context import Context
from streams.simulators.klaviyo.errors import MEDIA_TYPE, Problem, Refused, refusal, throttled
from streams.simulators.klaviyo.store import Account
from streams.simulators.klaviyo.webhooks import Delivery, deliveries, engage, wants

_SCHEME = "klaviyo-api-key "
_REVISION = re.compile(r"\d{4}-\d{2}-\d{2}(\.[a-z]+)?\Z")


@dataclass(frozen=True, slots=True)
class _Admitted:
    route: routes.Route
    ids: tuple[str, ...]
    revision: str
    taken: Taken


class KlaviyoSimulator:
    """All accounts behind one port; `send` is given each webhook call to make."""

    def __init__(
        self, config: SimConfig, send: Callable[[Delivery], None], clock: Callable[[], float] = time.time
    ) -> None:
        self.config = config
        self._send = send
        self._clock = clock
        self._accounts: dict[str, Account] = {}
        self._budgets = Budgets()
        self.webhook_counts: Callable[[], dict[str, int]] = dict
        self.commands: Mapping[str, Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]] = {
            "engage": self._engage,
            "steal": self._steal,
        }
        self.views: Mapping[str, Callable[[], list[dict[str, Any]]]] = {
            name: self._view(view) for name, view in views.VIEWS.items()
        }

    def configure(self, patch: Mapping[str, Any]) -> None:
        """Merge switches; they hold from the next call on."""
        self.config = self.config.merged(patch)

    def account(self, call: Call) -> str | None:
        """Return the account of the call's private key."""
        return self.config.keys.get(_key(call))

    def admit(self, call: Call) -> Reply | None:
        """Check credentials, path, revision, scopes and budget, in this order."""
        if call.account is None:
            return _unauthorized(call)
        found = routes.find(call.method, call.path)
        if found.route is None:
            return refusal([Problem(f"{call.method} {call.path} is no endpoint.", None, status=found.status)])
        revision = call.headers.get("revision")
        wrong = _wrong_revision(revision, self.config.revisions)
        if wrong or revision is None:
            return refusal([wrong or _MISSING])
        if lacks := scopes.missing(found.route.budget, self.config.scopes.get(_key(call))):
            return refusal([Problem(f"The API key lacks the scopes {', '.join(lacks)}.", None, status=403)])
        budget = found.route.budget
        if "profile_count" in call.query:
            budget += "/profile_count"  # a costly field has figures of its own
        taken = self._budgets.take(call.account, budget, call.at, self.config)
        if taken.wait_s is not None:
            return throttled(taken.wait_s)
        call.state = _Admitted(found.route, found.ids, revision, taken)
        return None

    def answer(self, call: Call) -> Reply:
        """Run the operation; its reply shows the steady window."""
        admitted: _Admitted = call.state
        try:
            reply = self._run(call, admitted)
        except Refused as refused:
            reply = refusal(refused.problems)
        taken = admitted.taken
        reply.headers |= {
            "RateLimit-Limit": str(taken.limit),
            "RateLimit-Remaining": str(taken.remaining),
            "RateLimit-Reset": str(taken.reset_s),
        }
        return reply

    def _run(self, call: Call, admitted: _Admitted) -> Reply:
        route = admitted.route
        query = dict(parse_qsl(call.query, keep_blank_values=True))
        for name in query:
            if name not in route.query:
                detail = f"'{name}' is not a valid field for the resource '{route.resource}'."
                raise Refused(Problem(detail, None, parameter=name))
        kind = call.headers.get("content-type", "").split(";")[0].strip().lower()
        if call.method != "GET" and kind not in (MEDIA_TYPE, "application/json"):
            raise Refused(Problem(f'Unsupported media type "{kind}" in request.', "/data", status=415))
        account = self._account(call.account or "")
        account.settle(call.at)
        return route.handler(Context(call, account, self.config, admitted.revision, query, admitted.ids))

    def failure(self, status: int) -> Reply:
        """Return the error of a fault; a 429 says when to come again."""
        return (
            throttled(1)
            if status == 429
            else refusal([Problem("A fault was asked for.", None, status=status)])
        )

    def reset(self) -> None:
        """Forget all accounts' data and the windows."""
        self._accounts.clear()
        self._budgets = Budgets()

    def stats(self) -> dict[str, Any]:
        """Count what is stored, and each budget's use."""
        accounts = {
            name: {
                "profiles": len(account.profiles),
                "events": len(account.events),
                "events_received": sum(event.n_received for event in account.events),
            }
            for name, account in self._accounts.items()
        }
        budgets = self._budgets.as_json(self.config)
        counts = {"throttled": self._budgets.refused, "webhooks": self.webhook_counts()}
        return {"accounts": accounts, "budgets": budgets, **counts}

    def _account(self, name: str) -> Account:
        return self._accounts.setdefault(name, Account(name))

    def _view(self, view: views.View) -> Callable[[], list[dict[str, Any]]]:
        def shown() -> list[dict[str, Any]]:
            rows: list[dict[str, Any]] = []
            for account in self._accounts.values():
                account.settle(self._clock())
                rows += view(account)
            return rows

        return shown

    def _context(self, name: Any) -> Context:
        if name not in self.config.keys.values() and name not in self.config.webhooks:
            raise ValueError(f"unknown account {name!r}")
        call = Call(self._clock(), "POST", "/sim", "", {}, b"", account=name)
        return Context(call, self._account(name), self.config, self.config.revisions[0], {})

    async def _engage(self, asked: dict[str, Any]) -> dict[str, Any]:
        ctx = self._context(asked.get("account"))
        n, metric = int(asked.get("n", 1)), str(asked["metric"])
        events = engage(ctx, str(asked["email"]).lower(), metric, n, asked.get("properties") or {})
        hook = self.config.webhooks.get(ctx.account.name)
        calls = deliveries(ctx, hook, metric, events) if hook and wants(hook, metric) else []
        for delivery in calls:
            self._send(delivery)
        return {"events": [event.id for event in events], "webhooks": len(calls)}

    async def _steal(self, asked: dict[str, Any]) -> dict[str, Any]:
        account, budget = str(asked.get("account", "*")), str(asked.get("budget", "*"))
        self._budgets.steal(account, budget, float(asked["rate"]), self._clock())
        return {"account": account, "budget": budget, "rate": float(asked["rate"])}


_MISSING = Problem("The revision header is required.", None, parameter="revision")


def _key(call: Call) -> str:
    """The private key of a call; empty if it has none."""
    header = call.headers.get("authorization", "")
    return header[len(_SCHEME) :].strip() if header.lower().startswith(_SCHEME) else ""


def _unauthorized(call: Call) -> Reply:
    if "authorization" not in call.headers:
        detail = "Missing or invalid authorization scheme. Please use Klaviyo-API-Key."
        return refusal([Problem(detail, "/data/", status=401)])
    detail = "Incorrect authentication credentials."
    return refusal([Problem(detail, "/data/", status=401, code="authentication_failed")])


def _wrong_revision(revision: str | None, known: tuple[str, ...]) -> Problem | None:
    if revision is None:
        return _MISSING
    if not _REVISION.match(revision):
        return Problem(f"'{revision}' is not a valid revision.", None, parameter="revision")
    if revision in known:
        return None
    future = revision > max(known)
    detail = "Unable to specify a future revision date" if future else "No valid revisions found for method"
    return Problem(detail, None, parameter="revision", status=404)
