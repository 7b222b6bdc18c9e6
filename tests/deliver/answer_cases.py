"""Each answer that Klaviyo, or what stands before it, can give."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import orjson

from streams.klaviyo import replies
from streams.klaviyo.replies import Reply
from streams.klaviyo.requests import Request

ALONE = Request("POST", "/api/events", b"{}", "event/single", ((0,),))
ROWS = 4
BULK = Request(
    "POST", "/api/event-bulk-create-jobs", b"{}", "event/bulk", tuple((n,) for n in range(ROWS)), bulk=True
)
HTML = "<!DOCTYPE html><html><head><title>Just a moment...</title></head></html>"


def error(pointer: str | None = None, code: str = "invalid", **meta: str) -> dict[str, Any]:
    """Klaviyo's form of an error."""
    said: dict[str, Any] = {"id": "1", "code": code, "title": "t", "detail": "Said by Klaviyo.", "meta": meta}
    return {"errors": [said | ({"source": {"pointer": pointer}} if pointer else {})]}


@dataclass(frozen=True, slots=True)
class Case:
    """One answer. ``do``: what the simulator does, once."""

    name: str
    do: dict[str, Any] = field(default_factory=dict)
    bulk: dict[str, Any] | None = None
    """What it does to a bulk call, where that differs."""

    def reply(self, request: Request) -> Reply:
        """The answer as it is judged."""
        do = (self.bulk if request.bulk else None) or self.do
        if "status" not in do and not do.get("cloudflare"):
            return replies.no_answer("TimeoutError" if "delay_s" in do else "ServerDisconnectedError")
        body = do.get("body", "")
        given = (
            HTML.encode()
            if do.get("cloudflare")
            else body.encode()
            if isinstance(body, str)
            else orjson.dumps(body)
        )
        headers = {name.lower(): value for name, value in do.get("headers", {}).items()}
        return replies.read(do.get("status", 403), headers, given, request)


def _said(status: int, name: str, body: Any = "", **headers: str) -> Case:
    text = body if isinstance(body, str) else orjson.dumps(body).decode()
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    return Case(f"{status} {name}".strip(), {"status": status, "body": text, "headers": given})


_ROW = "/data/attributes/events-bulk-create/data/1/attributes/events/data/0/attributes/time"
_AT = {"status": 400, "body": orjson.dumps(error("/data/attributes/time")).decode()}
_IN_BULK = {"status": 400, "body": orjson.dumps(error(_ROW)).decode()}
_DUPLICATE = error("/data/attributes", "duplicate_profile", duplicate_profile_id="K")
CASES = [
    _said(200, "with what was asked", {"data": {"type": "profile", "id": "01K"}}),
    _said(201, "created", {"data": {"type": "profile", "id": "01K"}}),
    _said(202, "accepted"),
    _said(202, "with `X-Klaviyo-Partial-Failure: phone_number`", X_Klaviyo_Partial_Failure="phone_number"),
    _said(204, "no content"),
    _said(200, "cut off in the middle of its JSON", '{"data": {"type": "profi'),
    _said(200, "a page in HTML: not Klaviyo's", HTML),
    _said(200, "a text: not Klaviyo's", "We are down for maintenance"),
    _said(202, "with `errors`", error()),
    _said(302, "a redirect", location="https://elsewhere.example/"),
    Case("400 that points at a field of a row", _AT, _IN_BULK),
    _said(400, "without a pointer", error()),
    _said(400, "in no JSON", "<html>bad request</html>"),
    _said(401, "the key is not known", error(code="not_authenticated")),
    _said(402, "payment required", error()),
    _said(403, "in JSON: the key lacks a scope", error(code="permission_denied")),
    Case("403 in HTML: Cloudflare's challenge", {"cloudflare": True}),
    _said(404, "of the endpoint", error(code="not_found")),
    _said(405, "method not allowed", error(code="method_not_allowed")),
    _said(406, "not acceptable", error()),
    _said(408, "time-out at Klaviyo"),
    _said(409, "`duplicate_profile`", _DUPLICATE),
    _said(410, "the revision is gone", error(code="gone")),
    _said(413, "too large", error("/data")),
    _said(415, "unsupported media type", error()),
    _said(422, "without a pointer", error()),
    _said(423, "locked"),
    _said(425, "too early"),
    _said(429, "with `Retry-After: 2`", error(code="throttled"), Retry_After="2"),
    _said(429, "without `Retry-After`", error(code="throttled")),
    _said(451, "unavailable for legal reasons", error()),
    _said(500, "internal error", error(code="error")),
    _said(501, "not implemented", error(code="error")),
    _said(502, "bad gateway, in HTML", "<html>bad gateway</html>"),
    _said(503, "unavailable", error(code="error")),
    _said(504, "gateway time-out, cut off", '{"errors": [{"id'),
    _said(524, "Cloudflare's time-out", "<html>"),
    Case("reset before Klaviyo acted", {"reset": "before"}),
    Case("reset after Klaviyo acted", {"reset": "after"}),
    Case("no answer within the time-out", {"delay_s": 1.0}),
]  # fmt: skip
