"""Rules for lists and consent."""

import pytest

from tests.route.sample import payloads, route, router
from tests.route.test_rules import ORDER, one


def test_an_audience_names_its_list() -> None:
    context = {"personas": {"external_audience_id": "OLD", "audience_settings": {"listId": "XYZ"}}}
    message = {"type": "track", "event": "Audience Entered", "context": context}
    routed = route(router("- {when: event = 'Audience Entered', do: list_add}"), message)
    assert (routed.operations[0][0], payloads(routed)) == ("klaviyo.lists", [{"list": "XYZ"}])


def test_without_a_list_nothing_is_added() -> None:
    routed = route(router("- {when: 'true', do: list_add, list: $.properties.nope}"), ORDER)
    assert routed.refusals == [
        ("acme", "mapping", "rule 1: no list: nothing found where the rule looks for it")
    ]
    assert (routed.operations, routed.filtered) == ([], None)


@pytest.mark.parametrize("given", ["", "   "])
def test_a_list_without_a_name_is_none(given: str) -> None:
    message = {**ORDER, "properties": {"list": given}}
    routed = route(router("- {when: 'true', do: list_add, list: $.properties.list}"), message)
    assert not routed.operations
    assert routed.refusals


def test_a_yes_whose_date_can_not_be_read_is_no_yes_of_today_and_a_no_counts_whatever_its_date() -> None:
    message = {**ORDER, "properties": {"at": "long ago"}}
    yes, no = (
        route(router(f"- {{when: 'true', do: {do}, consented_at: $.properties.at}}"), message)
        for do in ("subscribe", "unsubscribe")
    )
    assert yes.refusals == [("acme", "mapping", "rule 1: consented_at is no date")]
    assert not yes.operations
    assert len(no.operations) == 1
    unsaid = {**ORDER, "properties": {"at": None}}
    assert route(router("- {when: 'true', do: subscribe, consented_at: $.properties.at}"), unsaid).operations


def test_consent_says_channels_list_time_and_source() -> None:
    rule = (
        "{when: 'true', do: subscribe, channels: [email, sms], list: L1, "
        "consented_at: $.timestamp, custom_source: Footer}"
    )
    routed = route(router(f"- {rule}"), ORDER)
    assert routed.operations[0][0] == "klaviyo.consent"
    assert payloads(routed) == [
        {
            "channels": {"email": ["marketing"], "sms": ["marketing"]},
            "list": "L1",
            "consented_at": "2026-01-01T00:00:00Z",
            "custom_source": "Footer",
        }
    ]
    assert one("{when: 'true', do: unsubscribe}") == {"channels": {"email": ["marketing"]}}
    assert one("{when: 'true', do: erase}") == {}
