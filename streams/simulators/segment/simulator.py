"""The Segment simulator: whose write key, which messages, stored once by messageId."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import orjson

from streams.simulators.control import Call, Reply
from streams.simulators.segment.config import SegmentConfig
from streams.simulators.segment.messages import faults

_SUCCESS = b'{"success":true}'
_KINDS = ("track", "identify", "page", "screen", "group", "alias")
_CODES = {400: "invalid_request", 401: "unauthorized", 404: "not_found", 405: "method_not_allowed"}


class SegmentSimulator:
    """All workspaces behind one port."""

    def __init__(self, config: SegmentConfig) -> None:
        self.config = config
        self._events: dict[tuple[str, str], dict[str, Any]] = {}
        self._unnamed = 0
        self._received = 0
        self._dropped = 0
        self.views: Mapping[str, Callable[[], list[dict[str, Any]]]] = {
            "events": lambda: list(self._events.values())
        }
        self.commands: Mapping[str, Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]] = {}

    def configure(self, patch: Mapping[str, Any]) -> None:
        """Merge settings; they hold from the next call on."""
        self.config = self.config.merged(patch)

    def account(self, call: Call) -> str | None:
        """Return whose write key the call has: by basic authorization, else in the body."""
        scheme, _, credentials = call.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                user = b64decode(credentials, validate=True).decode()
            except (binascii.Error, ValueError):
                return None
            return self.config.keys.get(user.partition(":")[0])
        body = _loaded(call.body)
        key = body.get("writeKey") if isinstance(body, dict) else None
        return self.config.keys.get(key) if isinstance(key, str) else None

    def admit(self, call: Call) -> Reply | None:
        """Refuse what is no call of the API, or has no known key."""
        kind = call.path.removeprefix("/v1/")
        if not call.path.startswith("/v1/") or kind not in (*_KINDS, "batch"):
            return _refusal(404, f"there is no {call.path}")
        if call.method != "POST":
            return _refusal(405, "use POST")
        return None if call.account is not None else _refusal(401, "the write key is not known")

    def answer(self, call: Call) -> Reply:
        """Store the call's messages, all or none."""
        messages = self._messages(call)
        if isinstance(messages, Reply):
            return messages
        wrong = [
            f"message {number}: {fault}"
            for number, message in enumerate(messages)
            for fault in faults(message, self.config.max_event_bytes)
        ]
        wrong += [f"message {row.index}: {row.detail}" for row in call.error_rows]
        if wrong:
            return _refusal(400, "; ".join(wrong[:20]))
        if call.drop:
            return Reply(200, _SUCCESS)
        return Reply(200, _SUCCESS, recorded=sum(self._store(call, message) for message in messages))

    def _messages(self, call: Call) -> list[Any] | Reply:
        config, body = self.config, _loaded(call.body)
        if not isinstance(body, dict):
            return _refusal(400, "the body is not a JSON object")
        if call.path != "/v1/batch":
            kind = call.path.removeprefix("/v1/")
            return [{**body, "type": kind}]
        batch = body.get("batch")
        if not isinstance(batch, list) or not batch:
            return _refusal(400, "batch must be an array with messages")
        if len(call.body) > config.max_batch_bytes:
            return _refusal(400, f"a batch has at most {config.max_batch_bytes} bytes")
        if len(batch) > config.max_batch_events:
            return _refusal(400, f"a batch has at most {config.max_batch_events} messages")
        shared = {name: body[name] for name in ("context", "integrations", "sentAt") if name in body}
        return [_with(message, shared) for message in batch]

    def _store(self, call: Call, message: dict[str, Any]) -> int:
        """Count a message, store it if it is new; Segment keeps one of equal messageId."""
        self._received += 1
        account, message_id = call.account or "", message.get("messageId")
        if message_id is None:
            self._unnamed += 1
            message_id = f"unnamed-{self._unnamed}"
        known = self._events.get((account, message_id))
        if known is not None:
            known["n_received"] += 1
            return 0
        if len(self._events) >= self.config.max_events:
            del self._events[next(iter(self._events))]
            self._dropped += 1
        message.pop("writeKey", None)
        stored = {
            **message,
            "account": account,
            "messageId": message_id,
            "receivedAt": call.at,
            "n_received": 1,
        }
        self._events[account, message_id] = stored
        return 1

    def failure(self, status: int) -> Reply:
        """Return Segment's form of an error."""
        reply = _refusal(status, "made up")
        if status in (429, 503):
            reply.headers["Retry-After"] = "1"
        return reply

    def reset(self) -> None:
        """Forget all messages."""
        self._events.clear()
        self._unnamed = self._received = self._dropped = 0

    def stats(self) -> dict[str, Any]:
        """Return how many messages came, and how many are kept."""
        return {"received": self._received, "stored": len(self._events), "dropped": self._dropped}


def _with(message: Any, shared: dict[str, Any]) -> Any:
    if not isinstance(message, dict):
        return message
    merged = shared | message
    for name in ("context", "integrations"):
        ours, theirs = message.get(name), shared.get(name)
        if isinstance(ours, dict) and isinstance(theirs, dict):
            merged[name] = theirs | ours
    return merged


def _loaded(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _refusal(status: int, message: str) -> Reply:
    code = _CODES.get(status, "error")
    return Reply(status, orjson.dumps({"success": False, "code": code, "message": message}))
