"""The newest value by event time wins, whatever the order of arrival, and what is known is not sent."""

from hypothesis import given
from hypothesis import strategies as st

from streams.deliver.profiles.traits import Update, fold

WHO = {"email": "a@b.c"}
values = st.dictionaries(st.sampled_from(["first_name", "title"]), st.sampled_from(["x", "y", None]))
updates = st.lists(st.tuples(values, st.integers(0, 9)), min_size=1, max_size=8)


@given(updates, st.integers(1, 8))
def test_folding_in_any_portions_ends_the_same(given_updates: list[tuple[dict, int]], size: int) -> None:
    made = [Update(WHO, attributes, time) for attributes, time in given_updates]
    sent: dict[str, object] = {}
    state: dict[str, list] = {}
    for at in range(0, len(made), size):
        folded = fold(state, made[at : at + size])
        state = folded.state
        sent |= folded.attributes
    newest: dict[str, tuple[int, object]] = {}
    for update in made:
        for name, value in update.attributes.items():
            if name not in newest or update.time >= newest[name][0]:
                newest[name] = (update.time, value)
    assert sent == {name: value for name, (_, value) in newest.items()}


def test_unchanged_values_are_not_sent() -> None:
    first = fold({}, [Update(WHO, {"first_name": "A", "properties": {"a": 1, "b": 2}}, 5)])
    again = fold(first.state, [Update(WHO, {"first_name": "A", "properties": {"a": 1, "b": 3}}, 6)])
    assert again.attributes == {"properties": {"b": 3}}
    assert fold(again.state, [Update(WHO, {"properties": {"b": 3}}, 7)]).changed == (False,)


def test_a_new_identifier_is_a_change() -> None:
    first = fold({}, [Update(WHO, {}, 5)])
    again = fold(first.state, [Update(WHO | {"phone_number": "+1"}, {}, 1)])
    assert again.changed == (True,)
    assert again.who == WHO | {"phone_number": "+1"}


def test_unset_goes_by_name_and_yields_to_a_later_value() -> None:
    first = fold({}, [Update(WHO, {"properties": {"a": 1}}, 5), Update(WHO, {}, 6, unset=("a", "b"))])
    assert (first.attributes, first.unset) == ({}, ("a", "b"))
    later = fold(first.state, [Update(WHO, {"properties": {"a": 2}}, 7), Update(WHO, {}, 6, unset=("a",))])
    assert (later.attributes, later.unset) == ({"properties": {"a": 2}}, ())
