"""What Klaviyo's own events say about consent: topic → channels, and yes or no.

Source: names of Klaviyo's metrics, from which its webhooks' topics follow; which ones an account has varies.
"""

import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final, Literal

Status = Literal["subscribed", "unsubscribed", "suppressed"]


@dataclass(frozen=True, slots=True)
class Observation:
    """One word of Klaviyo's. ``of_list``: it speaks of one list only."""

    status: Status
    channel: str = "email"
    kind: str = "marketing"
    of_list: bool = False


_PLAIN: Final = re.compile(
    r"(un)?subscribed_(?:to|from)_(email|sms|whatsapp)(?:_(marketing|transactional))?", re.ASCII
)
_OTHERS: Final = {
    "unsubscribed": Observation("unsubscribed"),
    "marked_email_as_spam": Observation("unsubscribed"),
    "unsubscribed_from_list": Observation("unsubscribed", of_list=True),
    "suppressed": Observation("suppressed"),
    "consented_to_receive_sms": Observation("subscribed", "sms"),
}
"""``subscribed_to_list`` is missing: it comes with every way onto a list, and membership is no consent."""


def observation(topic: str) -> Observation | None:
    """What an event of a topic (``event:klaviyo.unsubscribed``) says; None: nothing about consent."""
    name = topic.removeprefix("event:").removeprefix("klaviyo.")
    if found := _PLAIN.fullmatch(name):
        no, channel, kind = found.groups()
        return Observation("unsubscribed" if no else "subscribed", channel, kind or "marketing")
    return _OTHERS.get(name)


def stranger(email: str | None, phone: str | None) -> str | None:
    """A profile id for somebody that only Klaviyo knows, by the address, else the number; hashed."""
    typed = f"e:{email}" if email else f"p:{phone}" if phone else None
    return None if typed is None else "?" + blake2b(typed.encode(), digest_size=16).hexdigest()
