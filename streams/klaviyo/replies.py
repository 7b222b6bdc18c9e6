"""What an answer of Klaviyo means. Not every error is JSON, and not every 2xx is a success of all fields."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from math import isfinite
from typing import Any, Final

import orjson

from streams.klaviyo import drift
from streams.klaviyo.requests import Request

SHOWN: Final = 4096
"""Characters of a body that dead letters keep."""
CONFLICT: Final = "conflict"
"""``Blame.field`` of a bulk call's row whose identifiers belong to several profiles."""
_CURSOR: Final = re.compile(r"[?&]page(?:\[|%5B)cursor(?:\]|%5D)=([^&#]+)", re.IGNORECASE)
_PLACE: Final = re.compile(r"/(\d+)(?:/attributes/events/data/(\d+))?(?=/|\Z)")
"""An element of a bulk body, and an event in it."""
_ESCAPED: Final = re.compile(r"%([0-9A-Fa-f]{2})")
_LONGEST_S: Final = 86_400.0
"""No window of Klaviyo's is longer than a day."""
_REST_S: Final = 300.0
"""An outage may be over before the time that it gives."""
_RESTS: Final = frozenset({408, 423, 425, 429})
_NOT_ABOUT_A_ROW: Final = frozenset({401, 402, 404, 405, 406, 410, 415, 451})


@dataclass(frozen=True, slots=True)
class Blame:
    """Rows of the request that one error speaks of, and where in them."""

    rows: tuple[int, ...]
    field: str
    detail: str


@dataclass(frozen=True, slots=True)
class Accepted:
    """2xx. ``ignored``: fields that Klaviyo left out nonetheless; ``klaviyo_id`` comes with profile calls.

    ``data`` is what a question was answered: resources, or one; ``included`` what they relate to;
    ``next`` is the next page's cursor.
    """

    ignored: tuple[str, ...] = ()
    klaviyo_id: str | None = None
    data: Any = None
    included: Any = None
    next: str | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """These rows are at fault; of a bulk request none was taken."""

    blames: tuple[Blame, ...]


@dataclass(frozen=True, slots=True)
class RejectedWhole:
    """Refused without saying which row."""

    detail: str


@dataclass(frozen=True, slots=True)
class Throttled:
    """429: nothing was taken, wait so many seconds."""

    retry_after: float


@dataclass(frozen=True, slots=True)
class Transient:
    """No verdict about any row: again, with jitter. Whether it was taken is not known."""

    detail: str
    retry_after: float = 0.0
    """Seconds in which the endpoint is not to be asked; 0 = it did not say."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """The account, the key or the endpoint is at fault: no row of this lane would do better."""

    detail: str


@dataclass(frozen=True, slots=True)
class Conflict:
    """409: the identifiers belong to another profile, too."""

    klaviyo_id: str | None
    detail: str


Verdict = Accepted | Rejected | RejectedWhole | Throttled | Transient | Stopped | Conflict


@dataclass(frozen=True, slots=True)
class Window:
    """The steady window as the answer's ``RateLimit-*`` show it."""

    limit: int
    remaining: int
    reset_s: float


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer, judged, with what it looked like."""

    verdict: Verdict
    status: int
    text: str
    window: Window | None = None
    unknown: tuple[str, ...] = ()
    """Fields that this revision's answers do not have: a JSON body's, which is handed on with them."""


def read(status: int, headers: Mapping[str, str], body: bytes, request: Request) -> Reply:
    """Judge an answer.

    Args:
        status: HTTP status.
        headers: names in lower case.
        body: as received; may be empty, cut off, or HTML.
        request: what was asked: error pointers are read by its layout.
    """
    text = body[: SHOWN * 4].decode(errors="replace")[:SHOWN]
    document = _document(body)
    news = drift.unknown(document) if document else ()
    return Reply(_verdict(status, headers, document, text, request), status, text, _window(headers), news)


def no_answer(why: str) -> Reply:
    """A call that got no answer: a reset, a time-out, a name that does not resolve."""
    return Reply(Transient(why), 0, why)


def _verdict(
    status: int, headers: Mapping[str, str], document: dict[str, Any] | None, text: str, request: Request
) -> Verdict:
    details = "; ".join(str(error.get("detail", "")) for error in _errors(document)[:3])
    said = f"HTTP {status}: {details or text[:200]}".rstrip(": ")
    if 200 <= status < 300:
        foreign = text.strip() and not text.lstrip().startswith("{")
        if foreign and (status == 200 or text.lstrip().startswith("<")):
            return Transient(f"{said}: not Klaviyo's answer")
        return _success(headers, document, said, request)
    if status in _RESTS or status >= 500:
        return Throttled(_wait(headers)) if status == 429 else Transient(said, _rest(status, headers))
    if status == 403:
        return Stopped(said) if document and "errors" in document else Transient(said, _rest(status, headers))
    if status == 404 and request.names and document and "errors" in document:
        return RejectedWhole(said)
    if status == 404 and request.bulk and document:
        named = _refusal(document, said, request)
        return named if isinstance(named, Rejected) else Stopped(said)
    if status in _NOT_ABOUT_A_ROW:
        return Stopped(said)
    if status == 409:
        return _conflict(document, said, request)
    if status < 400:
        return Stopped(f"{said}: the address answers with a redirect, not as Klaviyo does")
    if document is None:
        return RejectedWhole(said)
    return _refusal(document, said, request)


def _success(
    headers: Mapping[str, str], document: dict[str, Any] | None, said: str, request: Request
) -> Verdict:
    """A 2xx, if it says nothing else."""
    data = document.get("data") if document else None
    if document and _errors(document) and not _ignored(headers) and not (request.asks and data):
        return _refusal(document, said, request)
    if request.asks and not _answers(document, request):
        return Transient(f"{said}: not what was asked for")
    shown = document if document and request.asks else {}
    known = _id(data) if isinstance(data, dict) and data.get("type") == "profile" else None
    return Accepted(_ignored(headers), known, shown.get("data"), shown.get("included"), _next(document))


def _answers(document: dict[str, Any] | None, request: Request) -> bool:
    """Whether what was made has an id, and so has each of those that were searched for."""
    data = document.get("data", ...) if document else ...
    if "filter=" in request.query:
        return isinstance(data, list) and all(map(_id, data))
    return data is not ... and (request.method == "GET" or request.bulk or _id(data) is not None)


def _refusal(document: dict[str, Any], said: str, request: Request) -> Verdict:
    """A 400, 413, 422 and the like: by row where every pointer can be followed."""
    blames = [_blame(error, request) for error in _errors(document)]
    if not blames or any(blame is None for blame in blames):
        return RejectedWhole(said)
    return Rejected(tuple(blame for blame in blames if blame is not None))


def _conflict(document: dict[str, Any] | None, said: str, request: Request) -> Verdict:
    """In bulk, the rows that are named are to be asked for alone."""
    named = _refusal(document, said, request) if document and request.bulk else None
    if isinstance(named, Rejected):
        return Rejected(tuple(replace(blame, field=CONFLICT) for blame in named.blames))
    return Conflict(_duplicate(document), said)


def _blame(error: dict[str, Any], request: Request) -> Blame | None:
    source = error.get("source")
    pointer = source.get("pointer") if isinstance(source, dict) else None
    if not isinstance(pointer, str) or not request.layout:
        return None
    path = pointer.strip("/")
    field, detail = path.rpartition("/")[2], f"{error.get('code', 'invalid')}: {error.get('detail', '')}"
    if not request.bulk:
        # "/data" says no more than that something is wrong
        return Blame((0,), field, f"{detail} at {pointer}") if path not in ("", "data") else None
    place = _PLACE.search(pointer)
    if place is None or int(place[1]) >= len(request.layout):
        return None
    rows = request.layout[int(place[1])]
    if place[2] is not None:
        if int(place[2]) >= len(rows):
            return None
        rows = (rows[int(place[2])],)
    return Blame(rows, field, f"{detail} at {pointer}")


def _document(body: bytes) -> dict[str, Any] | None:
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return document if isinstance(document, dict) else None


def _errors(document: dict[str, Any] | None) -> list[dict[str, Any]]:
    errors = document.get("errors") if document else None
    return [error for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []


def _id(data: Any) -> str | None:
    found = data.get("id") if isinstance(data, dict) else None
    return found if isinstance(found, str) and found else None


def _next(document: dict[str, Any] | None) -> str | None:
    links = document.get("links") if document else None
    link = links.get("next") if isinstance(links, dict) else None
    found = _CURSOR.search(link) if isinstance(link, str) else None
    return _ESCAPED.sub(lambda code: chr(int(code[1], 16)), found[1]) if found else None


def _duplicate(document: dict[str, Any] | None) -> str | None:
    metas = (error.get("meta") for error in _errors(document))
    named = (meta.get("duplicate_profile_id") for meta in metas if isinstance(meta, dict))
    return next((found for found in named if isinstance(found, str)), None)


def _ignored(headers: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(filter(None, map(str.strip, headers.get("x-klaviyo-partial-failure", "").split(","))))


def _window(headers: Mapping[str, str]) -> Window | None:
    names = ("limit", "remaining", "reset")
    limit, remaining, reset = (_seconds(headers.get(f"ratelimit-{name}")) for name in names)
    if limit is None or remaining is None or reset is None or reset > _LONGEST_S:
        return None
    return Window(int(limit), int(remaining), reset)


def _wait(headers: Mapping[str, str]) -> float:
    """How long to wait after a 429, seconds; ``Retry-After`` may be a date, read by the answer's own."""
    given = headers.get("retry-after")
    wait = _seconds(given)
    if wait is None and given and "date" in headers:
        try:
            until, now = (parsedate_to_datetime(text) for text in (given, headers["date"]))
            wait = (until - now).total_seconds()
        except (ValueError, TypeError, OverflowError):
            wait = None
    return min(max(1.0, wait or 0.0), _LONGEST_S)


def _rest(status: int, headers: Mapping[str, str]) -> float:
    """What a 503, or a page in Klaviyo's place, asks for; of another status one row may be the cause."""
    return min(_wait(headers), _REST_S) if status in (403, 503) and "retry-after" in headers else 0.0


def _seconds(text: str | None) -> float | None:
    """A count of seconds; None for anything else: Klaviyo sends whole seconds."""
    try:
        value = float((text or "").split(",")[0].split(";")[0])
    except ValueError:
        return None
    return value if isfinite(value) and value >= 0 else None
