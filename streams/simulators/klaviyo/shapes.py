"""The request bodies of the specification, as specs. Caps are the prose of each operation."""

from __future__ import annotations

from streams.simulators.klaviyo import rules
from streams.simulators.klaviyo.schema import (
    Array,
    Const,
    Flag,
    Free,
    Number,
    Obj,
    OneOf,
    Spec,
    Text,
    holder,
    resource,
)

_TEXT = Text()
_WHEN = Text(rules.date_time)
_LOCATION = Obj(
    "profile",
    {
        **dict.fromkeys(
            ("address1", "address2", "city", "country", "region", "zip", "timezone", "ip"), _TEXT
        ),
        "latitude": Number(or_text=True),
        "longitude": Number(or_text=True),
    },
    nullable=True,
)
_PLAIN = ("external_id", "first_name", "last_name", "organization", "locale", "title", "image")
PROFILE_FIELDS: dict[str, Spec] = {
    "email": Text(rules.email),
    "phone_number": Text(rules.phone),
    **dict.fromkeys(_PLAIN, _TEXT),
    "location": _LOCATION,
    "properties": Free(),
}
META = Obj(
    "profile",
    {
        "patch_properties": Obj(
            "profile", {"append": Free(), "unappend": Free(), "unset": OneOf()}, nullable=True
        ),
        "patch_identifiers": Obj("profile", {"append": Free(), "unappend": Free()}, nullable=True),
    },
    nullable=True,
)


def _profile(extra: dict[str, Spec], beside: dict[str, Spec], required: tuple[str, ...] = ()) -> Obj:
    attributes = Obj("profile", {**PROFILE_FIELDS, **extra})
    return resource("profile", {"attributes": attributes, **beside}, ("attributes", *required))


_KX: dict[str, Spec] = {"_kx": _TEXT}
_ON_EVENT: dict[str, Spec] = {"anonymous_id": _TEXT, **_KX}
_EVENT_PROFILE_META_INSIDE = _profile({**_ON_EVENT, "meta": META}, {"id": _TEXT})
_EVENT_PROFILE_META_BESIDE = _profile(_ON_EVENT, {"id": _TEXT, "meta": META})
IMPORTED_PROFILE = _profile(_KX, {"id": _TEXT, "meta": META})
PROFILE_IMPORT = holder("profile", IMPORTED_PROFILE)
PROFILE_CREATE = holder("profile", _profile({}, {}))
PROFILE_PATCH = holder("profile", _profile({}, {"id": _TEXT, "meta": META}, ("id",)))

_METRIC = resource(
    "metric",
    {"attributes": Obj("metric", {"name": Text(rules.metric_name), "service": _TEXT}, ("name",))},
    ("attributes",),
)
_EVENT_FIELDS: dict[str, Spec] = {
    "properties": Free(most=400),
    "time": _WHEN,
    "value": Number(),
    "value_currency": Text(rules.currency),
    "unique_id": Text(rules.unique_id),
    "backfill": Flag(),
    "metric": holder("metric", _METRIC),
}


def _event(profile: Spec) -> Obj:
    fields = {**_EVENT_FIELDS, "profile": holder("profile", profile)}
    attributes = Obj("event", fields, ("properties", "metric", "profile"))
    return holder("event", resource("event", {"attributes": attributes}, ("attributes",)))


_SINGLE_UNTIL_2026_10 = _event(_EVENT_PROFILE_META_INSIDE)
_SINGLE_SINCE_2026_10 = _event(_EVENT_PROFILE_META_BESIDE)
_BULK_ROW = resource(
    "event",
    {"attributes": Obj("event", _EVENT_FIELDS, ("properties", "metric"))},
    ("attributes",),
)
_BULK_GROUP = resource(
    "event-bulk-create",
    {
        "attributes": Obj(
            "event-bulk-create",
            {
                "backfill": Flag(),
                "profile": holder("profile", _EVENT_PROFILE_META_BESIDE),
                "events": holder("event", Array(_BULK_ROW)),
            },
            ("profile", "events"),
        )
    },
    ("attributes",),
)


def _job(kind: str, fields: dict[str, Spec], required: tuple[str, ...], relationships: Spec | None) -> Obj:
    beside: dict[str, Spec] = {"attributes": Obj(kind, fields, required)}
    if relationships is not None:
        beside["relationships"] = relationships
    return holder(kind, resource(kind, beside, ("attributes",)))


EVENT_BULK = _job(
    "event-bulk-create-job",
    {"events-bulk-create": holder("event-bulk-create", Array(_BULK_GROUP))},
    ("events-bulk-create",),
    None,
)


def single_event(revision: str) -> Obj:
    """Return the body of create_event; since 2026-10-15 a profile's `meta` stands beside its attributes."""
    return _SINGLE_SINCE_2026_10 if revision >= "2026-10-15" else _SINGLE_UNTIL_2026_10


def _reference(kind: str) -> Obj:
    return resource(kind, {"id": _TEXT}, ("id",))


PROFILE_IMPORT_JOB = _job(
    "profile-bulk-import-job",
    {"profiles": holder("profile", Array(IMPORTED_PROFILE, 10_000, "profiles"))},
    ("profiles",),
    Obj("profile-bulk-import-job", {"lists": holder("list", Array(_reference("list")))}, nullable=True),
)
LIST_CREATE = holder(
    "list",
    resource(
        "list",
        {
            "attributes": Obj(
                "list",
                {"name": _TEXT, "opt_in_process": Const(("double_opt_in", "single_opt_in"))},
                ("name",),
            )
        },
        ("attributes",),
    ),
)
LIST_MEMBERS = holder("profile", Array(_reference("profile"), 1000, "profiles"))
PROFILE_MERGE = holder(
    "profile-merge",
    resource(
        "profile-merge",
        {
            "id": _TEXT,
            "relationships": Obj(
                "profile-merge",
                {"profiles": holder("profile", Array(_reference("profile"), 1, "source profiles"))},
                ("profiles",),
            ),
        },
        ("id", "relationships"),
    ),
)


def _consent(value: str, when: bool) -> Obj:
    fields: dict[str, Spec] = {"consent": Const((value,))}
    if when:
        fields["consented_at"] = _WHEN
    return Obj("profile", fields, ("consent",), nullable=True)


def _channels(value: str, when: bool, kinds: dict[str, tuple[str, ...]]) -> dict[str, Spec]:
    return {
        name: Obj(
            "profile",
            {part: _consent(value, when and part != "open_tracking") for part in parts},
            nullable=True,
        )
        for name, parts in kinds.items()
    }


def _with_list(kind: str) -> Obj:
    return Obj(kind, {"list": holder("list", _reference("list"))}, nullable=True)


_TOKENS: dict[str, Spec] = {
    "tokens": Array(
        Obj(
            "push-token",
            {
                "token": _TEXT,
                "platform": Const(("android", "ios")),
                "vendor": Const(("apns", "fcm")),
                "enablement_status": Const(
                    ("AUTHORIZED", "DENIED", "NOT_DETERMINED", "PROVISIONAL", "UNAUTHORIZED")
                ),
                "background": Const(("AVAILABLE", "DENIED", "RESTRICTED")),
                "device_metadata": Free(),
            },
            ("token", "platform", "vendor"),
        )
    )
}


def _subscription_job(create: bool) -> Obj:
    kind = f"profile-subscription-bulk-{'create' if create else 'delete'}-job"
    value = "SUBSCRIBED" if create else "UNSUBSCRIBED"
    whatsapp = ("marketing", "transactional") if create else ("marketing", "transactional", "conversational")
    parts: dict[str, tuple[str, ...]] = {
        "email": ("marketing", "open_tracking"),
        "sms": ("marketing", "transactional"),
        "whatsapp": whatsapp,
    }
    push: dict[str, Spec] = {"marketing": _consent(value, create), **_TOKENS}
    if create:
        push["anonymous_id"] = _TEXT
    channels = {
        **_channels(value, create, parts),
        "push": Obj("profile", push, ("marketing",) if create else ("marketing", "tokens"), nullable=True),
    }
    attributes: dict[str, Spec] = {
        "email": Text(rules.email),
        "phone_number": Text(rules.phone),
        "subscriptions": Obj("profile", channels),
    }
    beside: dict[str, Spec] = {}
    extra: dict[str, Spec] = {}
    if create:
        attributes["age_gated_date_of_birth"] = Text(rules.date)
        beside["id"] = _TEXT
        extra = {"custom_source": _TEXT, "historical_import": Flag()}
    profile = Obj("profile", attributes, ("subscriptions",))
    row = resource("profile", {"attributes": profile, **beside}, ("attributes",))
    profiles = holder("profile", Array(row, 1000 if create else 100, "profiles"))
    return _job(kind, {"profiles": profiles, **extra}, ("profiles",), _with_list(kind))


SUBSCRIBE = _subscription_job(create=True)
UNSUBSCRIBE = _subscription_job(create=False)


def suppression_job(action: str) -> Obj:
    """Return the body of the (un)suppress job; `action` is "create" or "delete"."""
    kind = f"profile-suppression-bulk-{action}-job"
    row = resource(
        "profile",
        {"attributes": Obj("profile", {"email": Text(rules.email)}, ("email",))},
        ("attributes",),
    )
    relationships = Obj(
        kind,
        {"list": holder("list", _reference("list")), "segment": holder("segment", _reference("segment"))},
        nullable=True,
    )
    return _job(kind, {"profiles": holder("profile", Array(row, 100, "profiles"))}, (), relationships)


ERASE = _job(
    "data-privacy-deletion-job",
    {
        "profile": holder(
            "profile",
            resource(
                "profile",
                {
                    "id": _TEXT,
                    "attributes": Obj(
                        "profile", {"email": Text(rules.email), "phone_number": Text(rules.phone)}
                    ),
                },
                ("attributes",),
            ),
        )
    },
    ("profile",),
    None,
)
