import pytest

from streams.engine.topics import (
    DAY_MS,
    INPUTS,
    LANES,
    TOPICS,
    changelog,
    full,
    inputs,
    line,
    logical,
    subject,
)


def test_every_topic_from_segment_events_on_has_a_twin_alike_but_for_its_name() -> None:
    for topic in list(TOPICS.values()):
        if topic.twin:
            copy = TOPICS[topic.name + ".backfill"]
            assert (copy.schema, copy.partitioned, copy.retention_ms) == (
                topic.schema,
                topic.partitioned,
                topic.retention_ms,
            )
            assert not copy.twin
    assert not any(TOPICS[name].twin for name in ("outcomes", "dead.letters", "control"))


@pytest.mark.parametrize("stage", INPUTS)
def test_a_changelog_has_as_many_partitions_as_its_stages_inputs(stage: str) -> None:
    """One worker owns the same partition of all of them."""
    kinds = {TOPICS[name].partitioned for name in inputs(stage)}
    assert kinds == {TOPICS[changelog(stage)].partitioned}


def test_lanes_keep_for_thirty_days_at_least_and_outcomes_longer_than_any_record() -> None:
    for lane in LANES:
        assert (TOPICS[f"klaviyo.{lane}"].retention_ms or 0) >= 30 * DAY_MS
    kept = max(TOPICS[name].retention_ms or 0 for stage in INPUTS for name in inputs(stage))
    assert (TOPICS["outcomes"].retention_ms or 0) > kept
    assert (TOPICS["dead.letters"].retention_ms or 0) > kept


def test_names_carry_the_prefix_and_shed_it() -> None:
    assert full("t1-", "segment.events") == "t1-segment.events"
    assert logical("t1-", "t1-segment.events") == "segment.events"
    assert subject("t1-", "outcomes") == "t1-outcomes-value"


def test_a_line_is_named_by_the_topic_that_begins_it() -> None:
    assert line("segment.events") == "events"
    assert line("klaviyo.engagement") == "engagement"
    assert line("segment.events.backfill") == "events.backfill"
