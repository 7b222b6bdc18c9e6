"""Which handler and which budget a path has, and which query parameters it takes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from streams.simulators.control import Reply
from streams.simulators.klaviyo import (
    admin_calls,
    consent_calls,
    event_calls,
    import_calls,
    list_calls,
    profile_calls,
    reads,
    webhooks,
)
from streams.simulators.klaviyo.context import Context

Handler = Callable[[Context], Reply]
_PAGED = ("page[cursor]", "page[size]", "filter", "sort")
_JOBS = ("page[cursor]", "filter", "sort")
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
_LIST_READ = ("fields[list]", "fields[flow]", "fields[tag]", "include")
_IMPORT = import_calls.KIND
_IMPORTS = f"/api/{_IMPORT}s"
_ON_IMPORT = f"fields[{_IMPORT}]"
_SUPPRESSION = "profile-suppression-bulk-create-job"
_SUPPRESSIONS = f"/api/{_SUPPRESSION}s"
_UNSUPPRESSION = "profile-suppression-bulk-delete-job"
_UNSUPPRESSIONS = f"/api/{_UNSUPPRESSION}s"

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
    _route(
        "GET", "/api/webhooks", "webhooks/get", webhooks.get_webhooks, "webhook",
        "fields[webhook]", "fields[webhook-topic]", "include",
    ),
    _route("POST", "/api/lists", "list/write", list_calls.create_list, "list"),
    _route("GET", "/api/lists", "list/get", list_calls.get_lists, "list", *_LIST_READ, *_PAGED),
    _route(
        "GET", "/api/lists/{id}", "list/get/one", list_calls.get_list, "list",
        *_LIST_READ, "additional-fields[list]",
    ),
    _route(
        "POST", "/api/lists/{id}/relationships/profiles", "list/members", list_calls.add_members, "list",
    ),
    _route(
        "DELETE", "/api/lists/{id}/relationships/profiles", "list/members/remove", list_calls.remove_members,
        "list",
    ),
    _route(
        "GET", "/api/lists/{id}/relationships/profiles", "list/get/profile-ids", list_calls.get_member_ids,
        "list", *_PAGED,
    ),
    _route(
        "GET", "/api/lists/{id}/profiles", "list/get/profiles", list_calls.get_members, "list",
        *_ON_PROFILE, *_PAGED,
    ),
    _route("POST", _IMPORTS, "profile/bulk", import_calls.create_import, _IMPORT),
    _route("GET", _IMPORTS, "profile/bulk/list", import_calls.get_imports, _IMPORT, _ON_IMPORT, *_PAGED),
    _route(
        "GET", _IMPORTS + "/{id}", "profile/bulk/get", import_calls.get_import, _IMPORT,
        _ON_IMPORT, "fields[list]", "include",
    ),
    _route(
        "GET", _IMPORTS + "/{id}/import-errors", "profile/bulk/errors", import_calls.get_import_errors,
        _IMPORT, "fields[import-error]", "page[cursor]", "page[size]",
    ),
    _route(
        "GET", _IMPORTS + "/{id}/profiles", "profile/bulk/profiles", import_calls.get_import_profiles,
        _IMPORT, *_ON_PROFILE, "page[cursor]", "page[size]",
    ),
    _route(
        "GET", _IMPORTS + "/{id}/relationships/profiles", "profile/bulk/profile-ids",
        import_calls.get_import_profile_ids, _IMPORT, "page[cursor]", "page[size]",
    ),
    _route(
        "GET", _IMPORTS + "/{id}/lists", "profile/bulk/lists", import_calls.get_import_lists, _IMPORT,
        "fields[list]",
    ),
    _route(
        "POST", "/api/profile-subscription-bulk-create-jobs", "subscribe", consent_calls.subscribe,
        "profile-subscription-bulk-create-job",
    ),
    _route(
        "POST", "/api/profile-subscription-bulk-delete-jobs", "unsubscribe", consent_calls.unsubscribe,
        "profile-subscription-bulk-delete-job",
    ),
    _route("POST", _SUPPRESSIONS, "suppress", admin_calls.suppress, _SUPPRESSION),
    _route("GET", _SUPPRESSIONS, "suppress/list", admin_calls.get_suppressions, _SUPPRESSION, *_JOBS),
    _route("GET", _SUPPRESSIONS + "/{id}", "suppress/get", admin_calls.get_suppression, _SUPPRESSION),
    _route("POST", _UNSUPPRESSIONS, "unsuppress", admin_calls.unsuppress, _UNSUPPRESSION),
    _route(
        "GET", _UNSUPPRESSIONS, "unsuppress/list", admin_calls.get_unsuppressions, _UNSUPPRESSION, *_JOBS
    ),
    _route("GET", _UNSUPPRESSIONS + "/{id}", "unsuppress/get", admin_calls.get_unsuppression, _UNSUPPRESSION),
    _route("POST", "/api/profile-merge", "merge", admin_calls.merge, "profile-merge", "fields[profile]"),
    _route(
        "POST", "/api/data-privacy-deletion-jobs", "erase", admin_calls.erase, "data-privacy-deletion-job"
    ),
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
