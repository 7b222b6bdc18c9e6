"""Which handler and which budget a path has, and which query parameters it takes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from streams.simulators.control import Reply
from streams.simulators.klaviyo import event_calls, profile_calls, reads
from streams.simulators.klaviyo.context import Context

Handler = Callable[[Context], Reply]
_PAGED = ("page[cursor]", "page[size]", "filter", "sort")
_ON_PROFILE = ("additional-fields[profile]", "fields[profile]")


@dataclass(frozen=True, slots=True)
class Route:
    """One operation; `resource` names what an unknown query parameter is refused for."""

    method: str
    path: re.Pattern[str]
    budget: str
    handler: Handler
    resource: str
    query: frozenset[str]


def _route(method: str, path: str, budget: str, handler: Handler, resource: str, *query: str) -> Route:
    pattern = re.compile(re.sub(r"\{\w+\}", r"([^/]+)", path) + "/?")
    return Route(method, pattern, budget, handler, resource, frozenset(query))


_EVENT_READ = ("fields[event]", "fields[metric]", "fields[profile]", "fields[attribution]", "include")
_PROFILE_READ = (*_ON_PROFILE, "fields[conversation]", "fields[push-token]", "include")

ROUTES: tuple[Route, ...] = (
    _route("POST", "/api/events", "event/single", event_calls.create_event, "event"),
    _route("GET", "/api/events", "events/get", reads.get_events, "event", *_EVENT_READ, *_PAGED),
    _route("GET", "/api/events/{id}", "event/get", reads.get_event, "event", *_EVENT_READ),
    _route(
        "POST", "/api/event-bulk-create-jobs", "event/bulk", event_calls.bulk_create_events,
        "event-bulk-create-job",
    ),
    _route(
        "POST", "/api/profile-import", "profile/import", profile_calls.import_profile, "profile", *_ON_PROFILE
    ),
    _route("POST", "/api/profiles", "profile/create", profile_calls.create_profile, "profile", *_ON_PROFILE),
    _route(
        "PATCH", "/api/profiles/{id}", "profile/patch", profile_calls.update_profile, "profile", *_ON_PROFILE
    ),
    _route("GET", "/api/profiles", "profile/get", reads.get_profiles, "profile", *_PROFILE_READ, *_PAGED),
    _route(
        "GET", "/api/profiles/{id}", "profile/get/one", reads.get_profile, "profile",
        *_PROFILE_READ, "fields[list]", "fields[segment]",
    ),
    _route(
        "GET", "/api/metrics", "metrics/get", reads.get_metrics, "metric",
        "fields[metric]", "fields[flow]", "filter", "include", "page[cursor]",
    ),
    _route("GET", "/api/accounts", "accounts/get", reads.get_accounts, "account", "fields[account]"),
    _route("GET", "/api/accounts/{id}", "accounts/get", reads.get_account, "account", "fields[account]"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Found:
    """A route with the path's ids; without a route, `status` says which error it is."""

    route: Route | None
    ids: tuple[str, ...] = ()
    status: int = 200


def find(method: str, path: str) -> Found:
    """Return the operation of a path, with or without a trailing slash."""
    status = 410 if re.match(r"/api/v[12]/", path) else 404
    for route in ROUTES:
        match = route.path.fullmatch(path)
        if match and route.method == method:
            return Found(route, match.groups())
        if match:
            status = 405
    return Found(None, (), status)
