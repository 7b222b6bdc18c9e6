"""Consent as rows: what the state holds, as it counts."""

from collections.abc import Mapping
from typing import Any

import orjson

from streams.deliver import notices
from streams.deliver.consent import permission
from streams.deliver.consent.listing import Stated, kept, lists, people, rows
from streams.deliver.consent.permission import NEVER, Mark
from streams.deliver.consent.standing import consent_key, profile_of
from streams.deliver.lists import lookups
from streams.klaviyo.observations import stranger
from streams.klaviyo.requests import iso
from streams.segment.envelope import Profile

T = 1_800_000_000_000
EMAIL, SMS = "email.marketing", "sms.marketing"


def profile(who: str, email: str | None = None, phone: str | None = None) -> Profile:
    return Profile(id=who, email=email, phone=phone, user_id=None, anonymous_ids=[])


def state(marks: Mapping[str, Mapping[str, Mark]], **more: Any) -> dict[bytes, bytes]:
    return {consent_key(who): permission.form(each) for who, each in marks.items()} | more.get("more", {})


def listed(held: dict[bytes, bytes], *profiles: Profile) -> list[Stated]:
    assert all(kept(key, value) for key, value in held.items())
    return list(rows(people(held), profiles, held))


def short(held: dict[bytes, bytes], *profiles: Profile) -> list[tuple[str, ...]]:
    return [
        (row.profile_id, row.channel, row.list_id, row.state, row.at, row.source)
        for row in listed(held, *profiles)
    ]


def test_each_channel_has_its_own_state_time_and_source() -> None:
    """A yes of a rule's with its source, a no there, and a yes that only Klaviyo ever had."""
    marks = {
        EMAIL: Mark(yes=T, source="checkout"),
        SMS: Mark(yes=T, no=T + 5, done=T + 5, source="klaviyo"),
        "mobile_push.marketing": Mark(seen=T + 7),
    }
    found = listed(state({"p1": marks}), profile("p1", "a@b.io", "+12025550101"))
    said = [(row.channel, row.state, row.at, row.source, row.custom_source) for row in found]
    assert said == [
        ("email", "subscribed", iso(T), "rule", "checkout"),
        ("push", "subscribed", iso(T + 7), "klaviyo", ""),
        ("sms", "unsubscribed", iso(T + 5), "klaviyo", ""),
    ]
    assert {(row.email, row.phone, row.kind) for row in found} == {("a@b.io", "+12025550101", "marketing")}


def test_what_klaviyo_shows_never_outdoes_a_no_and_a_tie_is_one() -> None:
    held = state({"p1": {EMAIL: Mark(no=T, seen=T + 9)}, "p2": {EMAIL: Mark(yes=T, no=T)}})
    assert [row[3:] for row in short(held)] == [("unsubscribed", iso(T), "rule")] * 2


def test_a_channels_no_is_one_to_its_lists_and_a_lists_no_only_its_own() -> None:
    held = state(
        {
            "p1": {f"{EMAIL}@L1": Mark(yes=T), EMAIL: Mark(yes=T, no=T + 5, source="klaviyo")},
            "p2": {f"{EMAIL}@L1": Mark(no=T + 5), EMAIL: Mark(yes=T)},
            "p3": {f"{EMAIL}@L1": Mark(yes=T), EMAIL: Mark(yes=T + 9, no=T + 5, source="shop")},
        },
        more={lookups.list_key("News"): orjson.dumps({"id": "L1", "double": False, "at": T})},
    )
    assert short(held) == [
        ("p1", "email", "", "unsubscribed", iso(T + 5), "klaviyo"),
        ("p1", "email", "L1", "unsubscribed", iso(T + 5), "klaviyo"),
        ("p2", "email", "", "subscribed", iso(T), "rule"),
        ("p2", "email", "L1", "unsubscribed", iso(T + 5), "rule"),
        ("p3", "email", "", "subscribed", iso(T + 9), "rule"),
        ("p3", "email", "L1", "unsubscribed", iso(T + 5), ""),
    ]
    assert {row.list_name for row in listed(held) if row.list_id} == {"News"}
    assert lists(held) == {"L1": "News"}


def test_a_suppression_has_its_row_and_shows_beside_email_until_it_is_lifted() -> None:
    """A subscription that came later lifts it, as at Klaviyo."""
    held = state(
        {
            "p1": {EMAIL: Mark(yes=T), SMS: Mark(yes=T), "suppressed": Mark(no=T + 1, source="klaviyo")},
            "p2": {EMAIL: Mark(yes=T + 2), "suppressed": Mark(no=T + 1, source="klaviyo")},
        }
    )
    assert [(row.profile_id, row.channel, row.kind, row.state, row.suppressed) for row in listed(held)] == [
        ("p1", "email", "marketing", "subscribed", True),
        ("p1", "sms", "marketing", "subscribed", False),
        ("p1", "email", "", "suppressed", True),
        ("p2", "email", "marketing", "subscribed", False),
        ("p2", "email", "", "unsuppressed", False),
    ]


def test_merged_profiles_and_whom_only_klaviyo_named_are_one_person() -> None:
    """A no of the loser's, or one that came under the address alone, counts for the winner."""
    alone, other = stranger("a@b.io", None), stranger("c@d.io", None)
    assert alone is not None
    assert other is not None
    held = state(
        {
            "p1": {EMAIL: Mark(yes=T)},
            "p2": {SMS: Mark(no=T + 1)},
            alone: {EMAIL: Mark(no=T + 3, source="klaviyo")},
            other: {EMAIL: Mark(no=T + 4, source="klaviyo")},
        },
        more={notices.absorbed_key("p1"): orjson.dumps(["p2"])},
    )
    assert short(held, profile("p1", "a@b.io")) == [
        (other, "email", "", "unsubscribed", iso(T + 4), "klaviyo"),
        ("p1", "email", "", "unsubscribed", iso(T + 3), "klaviyo"),
        ("p1", "sms", "", "unsubscribed", iso(T + 1), "rule"),
    ]


def test_whoever_was_erased_has_no_address_until_they_agree_again() -> None:
    origin: Any = {"accepted_at": T + 5, "partition": 0, "offset": 1}
    operation: Any = {"profile": profile("p1"), "origin": origin}
    held = state({"p1": {EMAIL: Mark(no=T)}}, more=notices.tombstones(operation))
    assert [(row.email, row.state) for row in listed(held, profile("p1", "a@b.io"))] == [("", "unsubscribed")]
    held |= state({"p1": {EMAIL: Mark(no=T, yes=T + 6)}})
    assert [row.email for row in listed(held, profile("p1", "a@b.io"))] == ["a@b.io"]


def test_other_state_makes_no_row() -> None:
    assert profile_of(b"k/p1") is None
    assert profile_of(consent_key("p1")) == "p1"
    assert not kept(b"m/L1/p1", b"")
    assert listed(state({"p1": {EMAIL: Mark()}, "p2": {"suppressed": Mark(yes=NEVER)}})) == []
