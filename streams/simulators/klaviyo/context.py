"""What a handler works with, and the checks that all writes share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from streams.simulators.control import Call
from streams.simulators.faults import ErrorRow
from streams.simulators.klaviyo import rules
from streams.simulators.klaviyo.config import SimConfig
from streams.simulators.klaviyo.errors import Problem, Refused
from streams.simulators.klaviyo.schema import Spec
from streams.simulators.klaviyo.store import Account

PHONE_FAILED = {"X-Klaviyo-Partial-Failure": "phone_number"}
_OLDEST = datetime.fromisoformat("1990-01-01T00:00:00+00:00").timestamp()
_YEAR_S = 365 * 86_400


@dataclass(frozen=True, slots=True)
class Context:
    """One admitted call."""

    call: Call
    account: Account
    config: SimConfig
    revision: str
    query: Mapping[str, str]
    ids: tuple[str, ...] = ()
    """What the path's placeholders held."""

    @property
    def host(self) -> str:
        """The base of links: the simulator itself, so that following one never leaves it."""
        return f"http://{self.call.headers.get('host', '127.0.0.1')}"

    @property
    def now(self) -> float:
        """When the call arrived."""
        return self.call.at


def checked(ctx: Context, spec: Spec, most_bytes: int) -> tuple[dict[str, Any], list[Problem]]:
    """Read the body and check its shape; a body that is not of JSON objects is refused at once."""
    if len(ctx.call.body) > most_bytes:
        raise Refused(Problem(f"The payload exceeds the maximum size of {most_bytes} bytes."))
    try:
        body = orjson.loads(ctx.call.body)
    except orjson.JSONDecodeError:
        raise Refused(Problem("Invalid JSON in the request body.", "")) from None
    if not isinstance(body, dict):
        raise Refused(Problem("The request body must be a JSON object.", ""))
    problems: list[Problem] = []
    spec.check(body, "", problems)
    return body, problems


def without_phone(resource: dict[str, Any], problems: list[Problem], at: str) -> bool:
    """Let an invalid phone number beside an address pass: take it out; True when that was done."""
    pointer = f"{at}/attributes/phone_number"
    wrong = [problem for problem in problems if problem.pointer == pointer]
    attributes = resource.get("attributes")
    if not wrong or len(wrong) != len(problems) or not isinstance(attributes, dict):
        return False
    if not isinstance(attributes["phone_number"], str) or not attributes.get("email"):
        return False
    del attributes["phone_number"]
    problems.clear()
    return True


def wrong_time(text: str | None, now: float, at: str) -> Problem | None:
    """Say when an event's time is out of range: 1990 up to a year from now."""
    moment = rules.parse_time(text) if text else None
    if moment is None or _OLDEST <= moment.timestamp() <= now + _YEAR_S:
        return None
    return Problem("Event time must be after 1990 and at most one year in the future.", at)


def struck_rows(rows: Sequence[ErrorRow], emails: Sequence[str | None]) -> dict[int, ErrorRow]:
    """Return the rows that a fault is for; `emails` has each row's address."""
    struck: dict[int, ErrorRow] = {}
    for row in rows:
        for index, email in enumerate(emails):
            if index == row.index or (row.email is not None and (email or "").lower() == row.email.lower()):
                struck.setdefault(index, row)
    return struck


def refuse_struck(struck: Mapping[int, ErrorRow], base: str, *, single: bool = False) -> None:
    """Refuse the call for the rows that are not to fail later; a `single` call's row has no index."""
    problems = []
    for index, row in sorted(struck.items()):
        field = "attributes/email" if row.email else "attributes"
        place = f"{base}/{field}" if single else f"{base}/{index}/{field}"
        pointer = place if row.pointer else "/data"
        if not row.late:
            problems.append(Problem(row.detail, pointer, code=row.code))
    if problems:
        raise Refused(*problems)
