"""What users of other pipelines from Segment to Klaviyo complain of, by number, and the tests that hold it.

A: rows lost in silence. B: rate limits. C: duplicates. D: identity. E: consent.
The sources are issues and manuals of Segment's, RudderStack's and Klaviyo's own repositories.
"""

from __future__ import annotations

import pytest

from tests.references import missing

DROPS = "peers/test_silent_drops.py"
LIMITS = "peers/test_rate_limits.py"
TWICE = "peers/test_duplicates.py"
WHO = "peers/test_identity.py"
CONSENT = "peers/test_consent.py"
SUBSCRIBE = "deliver/test_consent.py"
COMPLAINTS: dict[str, tuple[str, ...]] = {
    "A1 one bad profile takes down every valid one beside it": (
        f"{DROPS}::test_one_bad_profile_costs_one_profile",
        "deliver/test_sender.py::test_one_bad_row_costs_one_row",
        "deliver/test_lists.py::test_one_bad_row_costs_one_row",
    ),
    "A2 permanent errors are retried for ever": (
        f"{DROPS}::test_what_fails_for_good_is_not_tried_for_ever",
        "deliver/test_judge.py::test_a_row_that_fails_while_others_do_well_is_a_dead_letter",
    ),
    "A3 a failed chunk marks one row only": (
        f"{DROPS}::test_each_row_of_a_refused_call_has_its_own_end",
        "deliver/test_importing.py::test_a_cancelled_job_and_one_that_is_gone_go_singly",
    ),
    "A4 five successes, and the data never appears: no unique id": (
        f"{DROPS}::test_events_of_one_person_and_second_are_all_kept",
    ),
    "A5 a 202 is taken for delivered": (
        f"{DROPS}::test_a_202_is_not_taken_for_delivered",
        "deliver/test_readback.py::test_all_losses_are_found_and_mended_and_nothing_is_recorded_twice",
    ),
    "A6 more than three fractional digits are refused": (f"{DROPS}::test_a_time_of_any_precision_is_taken",),
    "A7 an empty removal fails, lists are ignored or made blank": (
        f"{DROPS}::test_removing_who_is_not_there_is_no_error_and_makes_no_blank_list",
        "deliver/test_lists_missing.py::test_a_list_that_is_not_there_is_a_dead_letter_that_says_what_to_do",
    ),
    "A8 bad addresses and long ids are found by failed deliveries": (
        f"{DROPS}::test_an_identifier_that_klaviyo_refuses_costs_itself_and_says_so",
        "deliver/test_lists.py::test_an_address_is_looked_up_whatever_it_is_made_of",
    ),
    "A9 at most 20 people are removed a call": (f"{DROPS}::test_more_than_a_page_of_people_leaves_a_list",),
    "A10 rows with a bad phone vanish from consent calls": (
        f"{DROPS}::test_people_with_a_bad_phone_are_unsubscribed_or_told_of",
        "deliver/test_consent.py::test_phones_subscribe_for_sms_and_one_bad_row_costs_one_row",
    ),
    "A11 only the first page of import errors is read": (
        f"{DROPS}::test_every_page_of_a_jobs_errors_counts",
        "deliver/test_importing.py::test_every_page_of_errors_is_read_and_says_why",
    ),
    "A12 engagement comes back in part": (
        f"{DROPS}::test_engagement_of_any_channel_goes_back_or_is_counted",
        "gateway/test_klaviyo.py::test_an_unreadable_item_is_a_dead_letter_and_the_others_are_taken",
        "deliver/test_polling.py::test_what_is_polled_is_written_as_a_webhooks_in_the_spaces_slot",
    ),
    "B1 429 and 409 so often that the manual has a chapter on them": (
        f"{LIMITS}::test_a_backlog_meets_no_429",
        "deliver/test_budget.py::test_no_window_is_overrun",
    ),
    "B2 retries do not follow Retry-After": (
        f"{LIMITS}::test_retry_after_is_waited_out_and_a_502_is_tried_again",
        "deliver/test_answers.py::test_retry_after_is_obeyed",
    ),
    "B3 limits that nobody wrote down": (
        f"{LIMITS}::test_a_limit_that_nobody_wrote_down_costs_no_row",
        "deliver/test_budget.py::test_a_smaller_limit_than_published_is_obeyed",
        f"{SUBSCRIBE}::test_a_thousand_subscribe_in_one_call_and_are_asked_about_a_hundred_at_a_time",
    ),
    "B4 a 403 that is really throttling": (f"{LIMITS}::test_a_403_that_is_really_throttling_costs_no_row",),
    "B5 batch sizes to tune by hand, one list a batch": (
        f"{LIMITS}::test_many_lists_at_once_need_few_calls",
        "deliver/test_sender.py::test_a_backlog_goes_in_bulk_and_each_event_is_recorded_once",
    ),
    "C1 ordered products get a random id on every attempt": (
        f"{TWICE}::test_an_orders_products_are_recorded_once_however_often_they_are_sent",
        "route/test_ecommerce.py::test_an_order_gives_one_event_for_each_product_with_ids_that_stay",
    ),
    "C2 no unique id at all": (f"{TWICE}::test_every_event_has_an_id_of_its_own_derived_from_what_happened",),
    "C3 a second profile on login or with a new address": (
        f"{TWICE}::test_a_login_and_a_new_address_make_no_second_profile",
        "identify/test_resolve.py::test_one_person_is_one_profile_in_every_order",
    ),
    "C4 a two-way sync makes duplicates": (
        f"{TWICE}::test_what_went_to_segment_does_not_come_back_as_somebody_new",
    ),
    "D1 an upsert is none when two profiles own the identifiers": (
        f"{WHO}::test_identifiers_of_two_profiles_are_one_person_in_the_end",
        "deliver/test_conflicts.py::test_three_profiles_become_one",
    ),
    "D2 the address comes back as anonymous id": (
        f"{WHO}::test_engagement_of_somebody_unknown_makes_no_orphan",
    ),
    "D3 identifiers arrived late, anonymous people are refused": (
        f"{WHO}::test_any_identifier_is_enough_for_an_event",
    ),
    "D4 one bad phone refuses the person": (f"{WHO}::test_a_bad_phone_costs_the_phone_not_the_person",),
    "D5 a list loses the attributes of whom it knows": (
        f"{WHO}::test_a_list_keeps_the_traits_of_whom_it_meets",
    ),
    "D6 no order of delivery": (
        f"{WHO}::test_an_older_trait_that_comes_late_does_not_win",
        "deliver/test_sender.py::test_the_events_of_a_profile_keep_their_order",
    ),
    "E1 people subscribed without consent": (f"{CONSENT}::test_nobody_is_subscribed_unless_a_rule_says_so",),
    "E2 no unsubscribe": (f"{CONSENT}::test_whoever_leaves_is_unsubscribed",),
    "E3 historical_import ignored, confirmations go out": (
        f"{CONSENT}::test_old_consent_sends_no_confirmation_mail",
        "deliver/test_consent.py::test_old_consent_goes_with_its_date",
    ),
    "E4 membership taken for consent, the suppressed added": (
        f"{CONSENT}::test_being_on_a_list_is_no_consent",
    ),
    "E5 other channels lost": (
        f"{CONSENT}::test_leaving_one_channel_leaves_the_others_alone",
        "deliver/test_consent_observed.py::test_it_counts_per_channel",
        "deliver/test_consent_listing.py::test_each_channel_has_its_own_state_time_and_source",
        "commands/test_consent.py::test_what_the_lane_knows_is_exported_whole",
    ),
    "E6 bulk calls unsubscribe from everything and lift suppressions": (
        f"{CONSENT}::test_klaviyo_is_asked_before_it_is_told",
        "deliver/test_consent.py::test_off_its_list_nobody_is_unsubscribed_from_everything",
        "deliver/test_consent.py::test_what_klaviyo_knows_better_refuses_a_subscription",
    ),
}
NUMBERS = {"A": 12, "B": 5, "C": 4, "D": 6, "E": 6}


def test_no_number_is_missing() -> None:
    known = {name.partition(" ")[0] for name in COMPLAINTS}
    assert known == {f"{letter}{n}" for letter, last in NUMBERS.items() for n in range(1, last + 1)}


@pytest.mark.parametrize("name", COMPLAINTS)
def test_each_is_held_by_a_test_that_is_there(name: str) -> None:
    tests = COMPLAINTS[name]
    assert tests
    assert [test for test in tests if missing(f"tests/{test}")] == []
