"""JSON:API errors in Klaviyo's wording."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from streams.simulators.control import Reply

MEDIA_TYPE = "application/vnd.api+json"
_MOST_ERRORS = 100
_TITLES = {
    400: ("invalid", "Invalid input."),
    401: ("not_authenticated", "Authentication credentials were not provided."),
    403: ("permission_denied", "You do not have permission to perform this action."),
    404: ("not_found", "Not found."),
    405: ("method_not_allowed", "Method not allowed."),
    409: ("duplicate_profile", "Conflict."),
    410: ("gone", "This endpoint has been retired."),
    415: ("unsupported_media_type", "Unsupported media type."),
    429: ("throttled", "Request was throttled."),
    500: ("error", "A server error occurred."),
    503: ("service_unavailable", "Service temporarily unavailable."),
}
_RATE_LIMITS = "https://developers.klaviyo.com/en/docs/rate_limits_and_error_handling#rate-limits"


@dataclass(frozen=True, slots=True)
class Problem:
    """One error object; `pointer` and `parameter` say where, the rest follows from the status."""

    detail: str
    pointer: str | None = "/data"
    parameter: str | None = None
    status: int = 400
    code: str | None = None
    meta: dict[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the error object."""
        code, title = _TITLES.get(self.status, ("error", "Error."))
        source = {"parameter": self.parameter} if self.parameter else {"pointer": self.pointer}
        return {
            "id": str(uuid.uuid4()),
            "status": self.status,
            "code": self.code or code,
            "title": title,
            "detail": self.detail,
            "source": source if self.parameter or self.pointer else {},
            "links": {"type": _RATE_LIMITS} if self.status == 429 else {},
            "meta": self.meta,
        }


class Refused(Exception):
    """The call ends here with these errors."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__(problems[0].detail)
        self.problems = problems


def refusal(problems: Sequence[Problem]) -> Reply:
    """Make the reply of some errors; its status is the first one's."""
    errors = [problem.as_json() for problem in problems[:_MOST_ERRORS]]
    return Reply(problems[0].status, orjson.dumps({"errors": errors}), {"Content-Type": MEDIA_TYPE})


def throttled(wait_s: int) -> Reply:
    """Make the 429; the seconds to wait are whole and at least one."""
    unit = "second" if wait_s == 1 else "seconds"
    detail = f"Request was throttled. Expected available in {wait_s} {unit}."
    reply = refusal([Problem(detail, status=429)])
    reply.headers["Retry-After"] = str(wait_s)
    return reply


def document(status: int, body: dict[str, Any]) -> Reply:
    """Make the reply of a JSON:API document."""
    return Reply(status, orjson.dumps(body), {"Content-Type": MEDIA_TYPE})
