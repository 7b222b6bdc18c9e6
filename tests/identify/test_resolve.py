"""Who an event belongs to: strong identifiers join, an anonymous id only points."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.identify.people import View
from streams.identify.resolve import Policy, resolve, shown
from streams.segment.identifiers import ZERO_UUID
from tests.identify.world import World, event

PERSON = (
    {"type": "identify", "user_id": "u1", "anonymous_id": "a1", "email": "peter@shop.example.com", "time": 1},
    {"user_id": "u1", "anonymous_id": "a2", "time": 2},
    {"email": "Peter@Shop.example.com ", "time": 3},
    {"user_id": "u1", "phone": "+14155552671", "time": 4},
)


@pytest.mark.parametrize("order", list(permutations(PERSON)))
def test_one_person_is_one_profile_in_every_order(order: tuple[dict[str, object], ...]) -> None:
    """Whatever comes first, user id and email end at one profile with everything known of it."""
    world = World()
    for seen in order:
        world.sees(**seen)

    by_user, by_email = world.owner("u:u1"), world.owner("e:peter@shop.example.com")

    assert by_user is not None
    assert by_user == by_email
    assert (by_user.email, by_user.phone, by_user.user_id) == ("peter@shop.example.com", "+14155552671", "u1")
    assert {"a1", "a2"} == set(by_user.anonymous_ids)


@pytest.mark.parametrize("order", list(permutations(((1, "a"), (2, "b"), (3, "a")))))
def test_the_address_said_last_counts_in_every_order(order: tuple[tuple[int, str], ...]) -> None:
    """Said again, an address holds since then: what lies between does not bring the other one back."""
    world = World()
    for time, name in order:
        world.sees(type="identify", user_id="u1", email=f"{name}@shop.example.com", time=time)

    person = world.owner("u:u1")

    assert person is not None
    assert (person.email, person.email_at) == ("a@shop.example.com", 3)


NUMBER, OTHER = "+14155552671", "+14155552672"


@pytest.mark.parametrize("merge_on_phone", [False, True])
def test_a_number_is_one_persons(merge_on_phone: bool) -> None:
    """Klaviyo has one profile a number: two people who gave the same one would become one there."""
    world = World(Policy(merge_on_phone=merge_on_phone, max_user_ids=1))
    world.sees(user_id="ann", phone=NUMBER, time=1)
    world.sees(user_id="bob", phone=NUMBER, time=2)

    assert world.phones("u:ann", "u:bob") == [NUMBER, None]

    world.sees(user_id="ann", phone=OTHER, time=3)
    world.sees(user_id="bob", phone=NUMBER, time=4)
    world.sees(user_id="ann", phone=NUMBER, time=5)

    assert world.phones("u:ann", "u:bob") == [OTHER, NUMBER]


def test_a_number_goes_with_whoever_is_merged() -> None:
    world = World()
    world.sees(user_id="ann", email="ann@shop.example.com", time=1)
    world.sees(email="a@shop.example.com", phone=NUMBER, time=2)
    world.sees(user_id="ann", email="a@shop.example.com", time=3)
    world.sees(user_id="bob", phone=NUMBER, time=4)

    assert world.phones("u:ann", "u:bob") == [NUMBER, None]


def test_the_profile_first_created_wins_and_stays() -> None:
    """A late older event does not revive the one that was merged."""
    world = World()
    first = world.sees(user_id="u1", time=50)
    world.sees(email="p@shop.example.com", time=60)
    world.sees(user_id="u1", email="p@shop.example.com", time=70)

    late = world.sees(email="p@shop.example.com", time=1)

    assert first is not None
    assert late is not None
    assert late.id == first.id


def test_an_anonymous_id_points_at_the_latest_person_by_event_time() -> None:
    """A shared device never makes two people one."""
    world = World()
    world.sees(user_id="u1", anonymous_id="tablet", time=10)
    world.sees(user_id="u2", anonymous_id="tablet", time=30)
    world.sees(user_id="u1", anonymous_id="tablet", time=20)

    seen = world.sees(anonymous_id="tablet", time=40)

    assert seen == world.owner("u:u2")
    assert world.owner("u:u1") != world.owner("u:u2")


def test_a_device_of_too_many_people_points_at_nobody() -> None:
    world = World(Policy(shared_device_people=2))
    for number in range(3):
        world.sees(user_id=f"u{number}", anonymous_id="kiosk", time=number)

    assert world.sees(anonymous_id="kiosk", time=9) is None


def test_a_date_in_the_future_holds_no_device() -> None:
    """An event time after receipt counts as receipt."""
    world = World()
    world.sees(user_id="u1", anonymous_id="phone", time=99_999_999, accepted_at=1_000)
    world.sees(user_id="u2", anonymous_id="phone", time=2_000, accepted_at=2_000)

    assert world.sees(anonymous_id="phone", time=3_000) == world.owner("u:u2")


def test_an_email_with_too_many_user_ids_joins_no_more() -> None:
    """Junk must not chain people together."""
    world = World(Policy(max_user_ids=2))
    for number in range(3):
        world.sees(user_id=f"u{number}", email="shared@shop.example.com", time=number)

    assert world.owner("u:u0") == world.owner("u:u1")
    assert world.owner("u:u2") != world.owner("u:u0")


@pytest.mark.parametrize("junk", ["null", "undefined", ZERO_UUID, " N/A ", "x" * 256])
def test_a_value_that_stands_for_nobody_is_no_identifier(junk: str) -> None:
    assert World().sees(user_id=junk) is None


def test_a_user_id_that_is_an_address_is_an_email_too() -> None:
    world = World()
    by_id = world.sees(user_id="Peter@Shop.example.com", time=1)

    assert world.sees(email="peter@shop.example.com", time=2) == by_id


def test_an_alias_joins_known_user_ids_and_points_from_anonymous_ones() -> None:
    """previousId is typed first: an anonymous id there stays a pointer."""
    world = World()
    world.sees(user_id="old", time=1)
    world.sees(type="alias", previous_id="old", user_id="new", time=2)
    world.sees(type="alias", previous_id="anon", user_id="new", time=3)

    assert world.owner("u:old") == world.owner("u:new") == world.sees(anonymous_id="anon", time=4)


def test_an_email_change_keeps_the_profile_and_an_older_one_changes_nothing() -> None:
    world = World()
    before = world.sees(user_id="u1", email="old@shop.example.com", time=10)
    world.sees(user_id="u1", email="new@shop.example.com", time=20)
    after = world.sees(user_id="u1", email="old@shop.example.com", time=15)

    assert before is not None
    assert after is not None
    assert (after.id, after.email) == (before.id, "new@shop.example.com")


SIGHTINGS = st.lists(
    st.fixed_dictionaries(
        {
            "user_id": st.sampled_from(["", "u1", "u2", "u3"]),
            "email": st.sampled_from(["", "a@shop.example.com", "b@shop.example.com", "broken@"]),
            "anonymous_id": st.sampled_from(["", "x", "y"]),
            "time": st.integers(0, 5),
        }
    ),
    max_size=12,
)


@given(SIGHTINGS)
def test_every_strong_identifier_leads_to_one_living_profile(sightings: list[dict[str, object]]) -> None:
    """However events are mixed: identifiers seen together have one owner, which is not a merged one."""
    world = World()
    for seen in sightings:
        world.sees(**seen)
    view = world.view()
    for seen in sightings:
        named = [f"{kind}:{seen[name]}" for kind, name in (("u", "user_id"), ("e", "email"))]
        named = [identifier for identifier in named if identifier[2:] not in ("", "broken@")]
        owners = [view.owner(identifier) for identifier in named]

        assert all(owner is not None and owner.into is None for owner in owners)
        assert len({owner.id for owner in owners if owner}) <= 1


def test_a_merge_names_the_profile_that_is_no_more() -> None:
    """Whoever delivers must know which of its profiles became one."""
    world = World()
    world.sees(user_id="u1", time=1)
    world.sees(email="p@shop.example.com", time=2)
    view = world.view()
    joining = event(user_id="u1", email="p@shop.example.com", time=3)
    person = resolve(joining, shown(joining, world.policy), 2, view, world.policy)

    merged = view.take_merged()

    assert person is not None
    assert [profile["email"] for profile in merged] == ["p@shop.example.com"]
    assert merged[0]["id"] != person.id.hex()
    assert view.take_merged() == []


def test_any_number_of_people_may_have_become_one() -> None:
    """A chain of aliases is walked once: no event is too much for it, and the next reads no more of it."""
    world, people = World(), 1_500
    first = world.sees(user_id="u0")
    for number in range(1, people):
        world.sees(user_id=f"u{number}")
    for number in reversed(range(1, people)):
        world.sees(type="alias", previous_id=f"u{number}", user_id=f"u{number - 1}")
    last = world.sees(user_id=f"u{people - 1}")

    assert last is not None
    assert first is not None
    assert last.id == first.id
    reads: list[bytes] = []

    def read(key: bytes) -> bytes | None:
        reads.append(key)
        return world.state.get(key)

    assert View(read).owner(f"u:u{people - 1}") == last
    assert len(reads) <= 3


def test_a_person_of_many_user_ids_stays_small_and_each_leads_to_it() -> None:
    """What is written of a person has to fit into one record, whatever an application calls alias with."""
    world, ids = World(), [f"{number}-{'x' * 200}" for number in range(300)]
    for user_id in ids:
        world.sees(user_id=user_id)
        world.sees(type="alias", previous_id=user_id, user_id=ids[0])
        world.sees(user_id=user_id, email="p@shop.example.com")

    assert max(map(len, world.state.values())) < 30_000
    owner = world.owner("e:p@shop.example.com")
    assert owner is not None
    assert all(world.owner(f"u:{user_id}") == owner for user_id in ids)
