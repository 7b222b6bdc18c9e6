"""One use of the page on a line that runs them all: what its senders send, what is there afterwards."""

import json
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from urllib.request import Request, urlopen

from tests.uses import secret
from tests.whole.running import Whole

_NUMBERS = count(1)


@dataclass(frozen=True)
class Use:
    """One use on that line."""

    line: Whole
    number: int
    lists: dict[str, str] = field(default_factory=dict)

    def post(self, *messages: dict[str, Any], source: str = "web") -> None:
        """Send messages to the gateway as a source does, in this order."""
        key = secret(f"{source}_write_key", self.number)
        said = self.line.ask("gateway", "/v1/batch", {"writeKey": key, "batch": messages})
        assert said == {"success": True}

    def make_list(self, *names: str) -> None:
        """Make lists at Klaviyo."""
        for name in names:
            made = self._call("POST", "/api/lists", {"type": "list", "attributes": {"name": name}})
            self.lists[name] = made["data"]["id"]

    def take_off(self, name: str) -> None:
        """Take everybody off a list, at Klaviyo."""
        members = [{"type": "profile", "id": row} for row in self._list(name)["profiles"]]
        self._call("DELETE", f"/api/lists/{self.lists[name]}/relationships/profiles", members)

    def _call(self, method: str, path: str, data: Any) -> Any:
        headers = {
            "Authorization": f"Klaviyo-API-Key {secret('acme_klaviyo_key', self.number)}",
            "Content-Type": "application/vnd.api+json",
            "revision": "2026-07-15",
        }
        body = json.dumps({"data": data}).encode()
        with urlopen(Request(self.line.ready["klaviyo"] + path, body, headers, method=method)) as reply:
            return json.loads(reply.read() or b"null")

    def rows(self, view: str, account: str = "acme", part: str = "klaviyo") -> list[dict[str, Any]]:
        """What a simulator shows of one of the use's accounts."""
        rows = self.line.ask(part, f"/sim/{view}")["data"]
        return [row for row in rows if row["account"] == f"{account}{self.number}"]

    def person(self, user: str, account: str = "acme") -> dict[str, Any] | None:
        """Their profile, if Klaviyo has one; never two."""
        found = [row for row in self.rows("profiles", account) if row["email"] == email(user)]
        assert len(found) <= 1
        return found[0] if found else None

    def properties(self, user: str) -> dict[str, Any]:
        """Those of their profile."""
        found = self.person(user)
        return found["properties"] if found else {}

    def metrics(self, account: str = "acme") -> Counter[str]:
        """How many events of each metric."""
        return Counter(row["metric"] for row in self.rows("events", account))

    def members(self, name: str) -> set[str]:
        """Who is on a list, by email."""
        return set(self._list(name)["emails"])

    def consent(self, user: str, channel: str = "email") -> str:
        """What Klaviyo has of them."""
        found = [
            r["consent"]
            for r in self.rows("consent")
            if r["email"] == email(user) and r["channel"] == channel
        ]
        return found[0] if found else "NEVER_SUBSCRIBED"

    def _list(self, name: str) -> dict[str, Any]:
        (found,) = (row for row in self.rows("lists") if row["name"] == name)
        return found

    def settled(self) -> None:
        """Wait until nothing is under way; nothing was lost, no use makes dead letters."""
        assert self.line.idle()["dead_lettered"] == 0


def email(user: str) -> str:
    return f"{user}@shop.io"


def _said(kind: str, user: str, ago: float, **fields: Any) -> dict[str, Any]:
    at = (datetime.now(UTC) - timedelta(seconds=ago)).isoformat(timespec="milliseconds")
    return {"type": kind, "messageId": f"uses-{next(_NUMBERS)}", "userId": user, "timestamp": at, **fields}


def identify(user: str, ago: float = 0, /, **traits: Any) -> dict[str, Any]:
    return _said("identify", user, ago, traits={"email": email(user), **traits})


def track(
    user: str, event: str, ago: float = 0, /, traits: dict[str, Any] | None = None, **properties: Any
) -> dict[str, Any]:
    context = {"traits": {"email": email(user), **(traits or {})}}
    return _said("track", user, ago, event=event, properties=properties, context=context)
