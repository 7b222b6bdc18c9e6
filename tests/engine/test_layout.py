from dataclasses import replace

from streams.config import Config, loads
from streams.engine.layout import differences, wanted
from streams.engine.topics import DAY_MS
from tests.line import PIPELINE


def config(**more: object) -> Config:
    text = PIPELINE + "".join(f"{key}: {value}\n" for key, value in more.items())
    return loads(text, "pipeline.yaml", {})


def test_a_topic_as_wanted_differs_in_nothing() -> None:
    for name, layout in wanted(config(), 3).items():
        assert not list(differences(name, layout, layout))


def test_partitions_by_kind() -> None:
    found = wanted(config(), 3)
    assert [found[name].partitions for name in ("segment.events", "klaviyo.lists", "control")] == [4, 3, 1]
    assert wanted(config(), 0)["klaviyo.lists"].partitions == 1


def test_the_number_that_is_fixed_for_life_is_not_changed_and_the_message_says_what_to_do() -> None:
    layout = wanted(config(), 1)["segment.events"]
    (found,) = differences("segment.events", layout, replace(layout, partitions=6))
    assert not found.fixable
    assert "partitions: 6" in found.text
    assert "prefix" in found.text


def test_slot_topics_grow_and_never_shrink() -> None:
    layout = wanted(config(), 3)["klaviyo.events"]
    (found,) = differences("klaviyo.events", layout, replace(layout, partitions=2))
    assert (found.kind, found.fixable) == ("grow", True)
    (found,) = differences("klaviyo.events", layout, replace(layout, partitions=4))
    assert not found.fixable


def test_settings_that_differ_are_named_and_mended() -> None:
    layout = wanted(config(), 1)["outcomes"]
    (found,) = differences(
        "outcomes", layout, replace(layout, settings={**layout.settings, "retention.ms": "1"})
    )
    assert found.fixable
    assert "retention.ms is 1, not" in found.text


def test_fewer_replicas_are_told_more_are_not() -> None:
    layout = wanted(config(), 1)["outcomes"]
    three = replace(layout, replication=3)
    (found,) = differences("outcomes", three, layout)
    assert "kafka-reassign-partitions" in found.text
    assert not list(differences("outcomes", layout, three))


def test_dedupes_changelog_is_kept_as_long_as_events_and_the_window_the_others_are_compacted() -> None:
    found = wanted(config(dedupe="{window_days: 3}"), 1)
    dedupe, route = found["changelog.dedupe"].settings, found["changelog.route"].settings
    assert (dedupe["cleanup.policy"], dedupe["retention.ms"]) == ("delete", str(17 * DAY_MS))
    assert (route["cleanup.policy"], route["delete.retention.ms"]) == ("compact", str(2 * DAY_MS))
    assert "retention.ms" not in route


def test_no_topic_elects_an_unclean_leader() -> None:
    for layout in wanted(config(), 1).values():
        assert layout.settings["unclean.leader.election.enable"] == "false"
