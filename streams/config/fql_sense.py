"""What FQL's grammar allows and a rule can't mean: unknown fields, comparisons that never hold."""

from collections.abc import Iterator
from typing import Final

from streams.config.fql import Condition
from streams.config.fql_syntax import Call, Field, FqlError, Literal, Logic, Node, parse
from streams.config.problems import nearest

TYPES: Final = ("track", "identify", "page", "screen", "group", "alias")
_FIELDS = """
    type event name category properties traits context integrations userId anonymousId groupId previousId
    messageId timestamp originalTimestamp receivedAt sentAt channel version projectId writeKey _metadata
"""
MESSAGE: Final = frozenset(_FIELDS.split())
"""Fields of a message of Segment; what is in them may have any name."""
_WORDS = {
    "true": "true",
    "false": "false",
    "none": "null",
    "null": "null",
    "undefined": "null",
    "nil": "null",
}
_ORDER = frozenset(("<", "<=", ">", ">="))


def make_sense(text: str) -> None:
    """Hold a condition against the messages that there are.

    Raises:
        FqlError: it isn't FQL; it compares with a field that no message has, which reads as null and so may
            even hold; or it can't hold for any message.
    """
    tree = parse(text)
    for message, (line, column), write in _nonsense(tree):
        raise FqlError(message, text, line, column, write)
    condition = Condition(text)
    constant = isinstance(tree, Literal)
    if not constant and not any(condition.might(type_, None) for type_ in TYPES):
        write = f"a type of {', '.join(TYPES)}; or, where one of two is enough"
        raise FqlError("no message can be like this", text, 1, 1, write)


_Nonsense = tuple[str, tuple[int, int], str]


def _nonsense(node: Node) -> Iterator[_Nonsense]:
    yield from _alone(node)
    left: list[Node] = [node]
    while left:
        current = left.pop()
        if isinstance(current, Field):
            yield from _unknown(current)
        elif isinstance(current, Call):
            yield from _compared(current)
            left += current.arguments
        elif isinstance(current, Logic):
            for part in current.parts:
                yield from _alone(part)
            left += current.parts


def _alone(part: Node) -> Iterator[_Nonsense]:
    if isinstance(part, Literal) and not isinstance(part.value, bool):
        yield f"{part.value!r} alone is neither true nor false", part.at, f"event = {part.value!r}"


def _unknown(field: Field) -> Iterator[_Nonsense]:
    first = field.path[0]
    if field.escaped or first in MESSAGE:
        return
    write = _WORDS.get(first.lower()) if len(field.path) == 1 else None
    if write is None:
        likely = nearest(first, MESSAGE)
        likely = "one in properties, traits or context" if likely.startswith("one of") else likely
        write = f"{likely}; {first!r} if it is a text; \\{first} if your messages have it nevertheless"
    yield f"a message has no field {first!r}", field.at, write


def _compared(call: Call) -> Iterator[_Nonsense]:
    if call.name in _ORDER:
        for argument in call.arguments:
            if isinstance(argument, Literal) and not _number(argument.value):
                said = f"{call.name} is for numbers, and never holds for {argument.value!r}"
                yield said, argument.at, "a number; number(field) for one that is a text"
    elif call.name == "in" and isinstance(call.arguments[1], Literal):
        value = call.arguments[1].value
        yield f"in needs a list, not {value!r}", call.arguments[1].at, f"in [{value!r}]"


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
