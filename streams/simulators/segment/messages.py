"""What Segment asks of a message. Strict where Segment itself would drop the message without a word."""

from datetime import datetime
from typing import Any

import orjson

_NEEDS = {
    "track": ("event",),
    "identify": (),
    "page": (),
    "screen": (),
    "group": ("groupId",),
    "alias": ("previousId", "userId"),
}
_LONGEST_ID = 100
"""Of a messageId, by Segment's specification."""
_OBJECTS = ("properties", "traits", "context", "integrations")
_TIMES = ("timestamp", "originalTimestamp", "sentAt")


def faults(message: object, max_bytes: int) -> list[str]:
    """Name everything wrong with a message; nothing when it is right."""
    if not isinstance(message, dict):
        return ["a message must be an object"]
    kind = message.get("type")
    if not isinstance(kind, str) or kind not in _NEEDS:
        return [f"type must be one of {', '.join(_NEEDS)}"]
    wrong = [f"{kind} needs {field}" for field in _NEEDS[kind] if not _is_text(message.get(field))]
    if not _is_text(message.get("userId")) and not _is_text(message.get("anonymousId")):
        wrong.append("userId or anonymousId is needed")
    message_id = message.get("messageId")
    if message_id is not None and (not _is_text(message_id) or len(message_id) > _LONGEST_ID):
        wrong.append(f"messageId must be a string of at most {_LONGEST_ID} characters")
    wrong += [
        f"{field} must be an object" for field in _OBJECTS if not isinstance(message.get(field), dict | None)
    ]
    wrong += [f"{field} must be ISO 8601" for field in _TIMES if not _is_time(message.get(field))]
    size = len(orjson.dumps(message))
    if size > max_bytes:
        wrong.append(f"a message has at most {max_bytes} bytes, this has {size}")
    return wrong


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_time(value: object) -> bool:
    if value is None:
        return True
    if not isinstance(value, str):
        return False
    try:
        datetime.fromisoformat(value)
    except ValueError:
        return False
    return True
