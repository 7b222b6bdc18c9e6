"""Operations: what route asks for and deliver does. Each is for one profile of one account."""

from hashlib import blake2b
from typing import Literal, TypedDict

from streams.segment.envelope import Origin, Profile

Kind = Literal[
    "event",
    "profile",
    "list_add",
    "list_remove",
    "subscribe",
    "unsubscribe",
    "suppress",
    "unsuppress",
    "observed",
    "merge",
    "erase",
    "segment",
]

FAMILIES: dict[str, str] = {
    "event": "events",
    "profile": "profiles",
    "list_add": "lists",
    "list_remove": "lists",
    "subscribe": "consent",
    "unsubscribe": "consent",
    "suppress": "consent",
    "unsuppress": "consent",
    "observed": "consent",
    "merge": "admin",
    "erase": "admin",
}
"""Kind → family; the topic is ``klaviyo.<family>``; "segment" goes to ``segment.outbound``."""


class Operation(TypedDict):
    """One operation (``avro/operation.avsc``). ``payload`` is JSON of the kind's form:

    - event: ``{"metric": str, "properties": {}, "value"?: number, "value_currency"?: str}``
    - profile: ``{"attributes": {…Klaviyo's profile attributes without identifiers…},
      "patch"?: {"append": {}, "unappend": {}, "unset": [], "set_once": {}}}``
    - list_add, list_remove: ``{"list": id or name}``
    - subscribe, unsubscribe, suppress: ``{"channels": {"email": ["marketing"], …}, "list"?: id or name,
      "consented_at"?: ISO, "custom_source"?: str}``
    - event, profile: ``"slimmed"?: [what was left out so that it fits]``
    - any of these: ``"once"?: mark``, of which an account has one operation that is not a dead letter
    - observed, what Klaviyo says itself: ``{"channels": {…}, "status": "subscribed", "unsubscribed" or
      "suppressed", "at"?: ISO, "list"?: id, "list_name"?: its name where no id is given}``
    - merge: ``{"loser": Profile}``
    - erase: ``{}``
    - segment: the body of one Segment call
    """

    op_id: str
    account: str
    kind: str
    origin: Origin
    event_id: str
    profile: Profile
    time: int
    backfill: bool
    payload: bytes


def op_id(account: str, uid: bytes, kind: str, target: str, key: str = "", occurrence: int = 0) -> str:
    """128-bit hex, the same for the same work however often it is derived; Klaviyo's ``unique_id``.

    Args:
        account: account of the configuration.
        uid: the event's uid.
        kind: the operation's kind.
        target: metric, list or channel.
        key: fan-out key, such as a product id.
        occurrence: n-th equal one inside the event's own array.
    """
    what = f"{kind}\0{target}\0{key}\0{occurrence}".encode()
    return blake2b(b"%b\0%b\0%b" % (account.encode(), uid, what), digest_size=16).hexdigest()
