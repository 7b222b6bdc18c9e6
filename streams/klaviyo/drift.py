"""Fields of answers that the pinned revision does not have: Klaviyo moves on, and somebody should know. Pure.

Answers are handed on as they came, with all their fields; here it is only told which of them are news.
Source: the answers of specification 2026-07-15.
"""

from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, Final

from streams.klaviyo.requests import Request

LOOKED_AT: Final = 5
"""Resources of a page that are looked at: what is new, is on each of them."""
MOST: Final = 20
"""Fields told of one answer."""
Tree = Mapping[str, Any]
"""Field → what is known below it; None: anything may be."""


def _tree(names: str, **below: Tree) -> Tree:
    return dict.fromkeys(names.split()) | below


_WORD: Final = "consent consent_timestamp last_updated"
_OPT_IN: Final = _tree(f"{_WORD} can_receive created_timestamp metadata valid_until phone_number")
_SMS: Final = "method method_detail"
_SUBSCRIPTIONS: Final = _tree(
    "",
    email=_tree(
        "",
        marketing=_tree(
            f"{_WORD} {_SMS} can_receive_email_marketing custom_method_detail double_optin",
            suppression=_tree("reason timestamp"),
            list_suppressions=_tree("list_id reason timestamp"),
        ),
        open_tracking=_OPT_IN,
    ),
    mobile_push=_tree("", marketing=_tree(f"{_WORD} can_receive_push_marketing")),
    sms=_tree(
        "",
        marketing=_tree(f"{_WORD} {_SMS} can_receive_sms_marketing"),
        transactional=_tree(f"{_WORD} {_SMS} can_receive_sms_transactional"),
    ),
    whatsapp=_tree("", conversational=_OPT_IN, marketing=_OPT_IN, transactional=_OPT_IN),
)
_ATTRIBUTES: Final[Mapping[str, Tree]] = {
    "profile": _tree(
        "created email external_id first_name image joined_group_at last_event_date last_name locale "
        "organization phone_number predictive_analytics properties title updated",
        location=_tree("address1 address2 city country ip latitude longitude region timezone zip"),
        subscriptions=_SUBSCRIPTIONS,
    ),
    "profile-bulk-import-job": _tree(
        "completed_at completed_count created_at expires_at failed_count started_at status total_count"
    ),
    "import-error": _tree("code detail original_payload title", source=_tree("pointer")),
    "list": _tree("created name opt_in_process profile_count updated"),
    "metric": _tree("created integration name updated"),
    "event": _tree("datetime event_properties timestamp uuid"),
    "account": _tree(
        "contact_information industry locale preferred_currency public_api_key test_account timezone"
    ),
    "webhook": _tree("created_at description enabled endpoint_url name updated_at"),
}
_RESOURCE: Final = _tree("id links relationships type")
_DOCUMENT: Final = _tree("data included", links=_tree("first last next prev self"))
_ERROR: Final = _tree("code detail id links meta status title", source=_tree("parameter pointer"))


def unknown(document: Tree) -> tuple[str, ...]:
    """Paths of an answer's fields that are not known, each once."""
    found: dict[str, None] = {}
    for path in islice(_all(document), MOST):
        found[path] = None
    return tuple(found)


def endpoint(request: Request) -> str:
    """Method and path without ids: a name of which there are few."""
    steps = request.path.split("/")
    return f"{request.method} {'/'.join([*steps[:3], *(['{id}'] if steps[3:] else []), *steps[4:]])}"


def _all(document: Tree) -> Iterator[str]:
    if "errors" in document:
        yield from _below({name: None for name in document if name != "errors"}, {}, "")
        yield from _below(document["errors"], _ERROR, "errors.")
        return
    yield from _below({name: value for name, value in document.items() if name != "data"}, _DOCUMENT, "")
    data = document.get("data")
    for one in data[:LOOKED_AT] if isinstance(data, list) else [data]:
        if isinstance(one, dict):
            attributes = _ATTRIBUTES.get(str(one.get("type")))
            yield from _below(one, {**_RESOURCE, "attributes": attributes}, "data.")


def _below(value: Any, known: Tree, path: str) -> Iterator[str]:
    if isinstance(value, list):
        for each in value[:LOOKED_AT]:
            yield from _below(each, known, path)
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name not in known:
                yield path + name
            elif known[name] is not None and inner:
                yield from _below(inner, known[name], f"{path}{name}.")
