"""Each rule of the check-up, on facts made up: what is well, what needs a look, what fails."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from streams.config import Config, load
from streams.engine.topics import DAY_MS
from streams.ledger import account_rules, asking, diagnosis
from streams.ledger.account_rules import Answer
from streams.ledger.diagnosis import Waiting
from streams.ledger.findings import Finding, Level, away, exit_code, fail, ok, warn
from tests.line import PIPELINE

RULES = """
  - {when: 'type = "group"', do: list_add, list: {constant: VIP}}
  - {when: 'event = "Paid"', do: event, metric: {constant: Placed Order}, product_metric: Bought}
"""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return make(tmp_path)


def make(folder: Path, text: str = "", **settings: str) -> Config:
    file = folder / "pipeline.yaml"
    file.write_text(text or PIPELINE.replace("partitions:", RULES.lstrip("\n") + "partitions:"))
    return load(file, {f"STREAMS_{name.upper()}": value for name, value in settings.items()})


def levels(findings: Any) -> list[Level]:
    found = list(findings)
    assert all(each.mend for each in found if each.level is not Level.OK), "each problem says what to do"
    return [each.level for each in found]


def test_the_exit_code_is_of_the_worst_that_is_known() -> None:
    well, look, broken, gone = ok("a", ""), warn("a", "", ""), fail("a", "", ""), away("a", "", "")
    assert exit_code([well, look]) == 0
    assert exit_code([well, gone]) == 3
    assert exit_code([broken, gone]) == 1


@pytest.mark.parametrize(
    ("replication", "min_insync", "count", "level"),
    [
        ("3", "2", 3, Level.OK),
        ("3", "2", 2, Level.FAIL),
        ("1", "1", 1, Level.WARN),
        ("3", "3", 3, Level.WARN),
    ],
)
def test_brokers_can_keep_the_replicas(
    tmp_path: Path, replication: str, min_insync: str, count: int, level: Level
) -> None:
    config = make(tmp_path, replication=replication, min_insync=min_insync)
    assert levels(diagnosis.brokers(config, count)) == [level]


def test_topics_and_slots_are_told_apart() -> None:
    found = list(diagnosis.topics(["dead.letters: missing", "space acme: no slot"]))
    assert [(each.check, each.level) for each in found] == [("topics", "fail"), ("slots", "fail")]
    assert levels(diagnosis.topics([])) == [Level.OK, Level.OK]


def test_a_schema_that_is_missing_is_to_be_registered_and_one_that_does_not_fit_to_be_mended() -> None:
    missing = "x-value: x.avsc is not registered: run `streams schemas register`"
    found = list(diagnosis.schemas([missing, "y-value: y.avsc is not FULL_TRANSITIVE compatible"]))
    assert found[0].mend == "run `streams schemas register`"
    assert levels(found) == [Level.FAIL, Level.FAIL]
    assert levels(diagnosis.schemas([])) == [Level.OK]


def test_schemas_that_are_all_missing_are_one_finding() -> None:
    missing = [f"{name}-value: x.avsc is not registered: run `streams schemas register`" for name in "xyz"]
    (found,) = diagnosis.schemas(missing)
    assert found.says == "x-value: x.avsc is not registered, and 2 more"


@pytest.mark.parametrize(
    ("offset", "level"), [(300, Level.OK), (-5_000, Level.WARN), (90_000, Level.FAIL), (-90_000, Level.FAIL)]
)
def test_clocks_agree(offset: int, level: Level) -> None:
    assert levels(diagnosis.clock(offset)) == [level]


def waiting(days: float, retention: int | None = 10 * DAY_MS) -> Waiting:
    return Waiting("deliver", "klaviyo.events", 3, 7, int(days * DAY_MS), retention)


def test_nothing_waits_for_half_of_its_retention() -> None:
    names = {3: "acme"}
    assert levels(diagnosis.lags([waiting(1)], names)) == [Level.OK]
    (look,) = diagnosis.lags([waiting(3)], names)
    assert (look.level, "of acme" in look.says) == (Level.WARN, True)
    (look,) = diagnosis.lags([replace(waiting(3), stage="feedback")], names)
    assert "of acme" in look.says
    assert levels(diagnosis.lags([waiting(6), waiting(1)], names)) == [Level.FAIL]
    assert levels(diagnosis.lags([waiting(60, None)], names)) == [Level.OK]


def test_a_stage_that_stands_still_fails_once_something_waits_for_it() -> None:
    found = diagnosis.groups({"dedupe": 1, "route": 0, "deliver": 0}, {"dedupe": 5, "deliver": 5})
    assert levels(found) == [Level.OK, Level.WARN, Level.FAIL]


def test_lanes_that_stand_are_named_with_why() -> None:
    def lane(name: str, state: str, reason: str | None = None) -> dict[str, Any]:
        return {"account": "acme", "lane": name, "state": state, "reason": reason, "since": 1_000}

    rows = [
        lane("events", "paused", "wrong metric"),
        lane("lists", "live"),
        lane("profiles", "stopped", "401"),
    ]
    paused, stopped = diagnosis.lanes(rows, 61_000)
    assert (paused.level, "wrong metric" in paused.says) == (Level.WARN, True)
    assert (stopped.level, "acme/profiles is stopped" in stopped.says) == (Level.FAIL, True)
    assert levels(diagnosis.lanes([lane("lists", "live")], 0)) == [Level.OK]


def test_dead_letters_are_told_by_reason_most_first() -> None:
    found = list(diagnosis.dead_letters({"mapping": 1, "rejected": 9}, 10))
    assert levels(found) == [Level.WARN, Level.WARN]
    assert found[0].says.startswith("9 rejected")
    assert levels(diagnosis.dead_letters({}, 4)) == [Level.OK]


@pytest.mark.parametrize(("free", "level"), [(50, Level.OK), (10, Level.WARN), (2, Level.FAIL)])
def test_there_is_room_on_the_disk(free: int, level: Level) -> None:
    assert levels(diagnosis.disk("state", free, 100)) == [level]


def test_a_source_lets_somebody_in_and_weak_signatures_are_told(config: Config) -> None:
    (source,) = config.sources.values()
    assert levels(account_rules.sources([source], {})) == [Level.OK]
    assert levels(account_rules.sources([source], {"web": 3})) == [Level.WARN]
    closed = source.model_copy(update={"write_keys": (), "webhook_secrets": ()})
    assert levels(account_rules.sources([closed], {})) == [Level.FAIL]


def test_more_new_profiles_than_expected_are_told(config: Config) -> None:
    account = config.accounts["acme"]
    guarded = account.model_copy(update={"new_profiles_per_day": 10})
    assert levels(account_rules.new_profiles(account, None)) == []
    assert levels(account_rules.new_profiles(account, {"created": 99})) == [Level.OK]
    assert levels(account_rules.new_profiles(guarded, {"created": 8, "unsaid": 2})) == [Level.OK]
    (found,) = account_rules.new_profiles(guarded, {"created": 8, "unsaid": 3})
    assert (found.level, "8 new at Klaviyo today" in found.says) == (Level.WARN, True)


@pytest.mark.parametrize(
    ("days", "level"), [(91, Level.OK), (90, Level.WARN), (0, Level.WARN), (-1, Level.FAIL)]
)
def test_a_revision_ends_after_two_years(config: Config, days: int, level: Level) -> None:
    today = date(2028, 7, 15) - timedelta(days=days)
    assert levels(account_rules.revision(config.accounts["acme"], today)) == [level]


def test_a_revision_of_a_leap_day_ends_too(config: Config) -> None:
    account = config.accounts["acme"].model_copy(update={"revision": "2024-02-29"})
    assert levels(account_rules.revision(account, date(2026, 3, 1))) == [Level.FAIL]


@pytest.mark.parametrize(
    ("status", "level"),
    [
        (200, Level.OK),
        (401, Level.FAIL),
        (403, Level.WARN),
        (429, Level.AWAY),
        (503, Level.AWAY),
        (0, Level.AWAY),
    ],
)
def test_a_key_is_taken(status: int, level: Level) -> None:
    assert levels(account_rules.key("acme", Answer(status))) == [level]


def test_a_key_that_is_not_known_is_told_with_the_setting_it_stands_in() -> None:
    (found,) = account_rules.key("acme", Answer(401))
    assert "accounts.acme.klaviyo.api_key" in found.mend


def test_the_key_s_owner_is_named() -> None:
    owner = {"attributes": {"contact_information": {"organization_name": "Acme"}, "test_account": True}}
    (found,) = account_rules.key("acme", Answer(200, {"data": [owner]}))
    assert "(Acme, a test account)" in found.says


def test_lists_that_rules_name_are_there_or_are_made(config: Config, tmp_path: Path) -> None:
    assert account_rules.named(config, "acme", "list") == ("VIP",)
    there, none = {"VIP": Answer(200, {"data": [{}]})}, {"VIP": Answer(404)}
    assert levels(account_rules.lists(config, "acme", there)) == [Level.OK]
    assert levels(account_rules.lists(config, "acme", none)) == [Level.FAIL]
    assert levels(account_rules.lists(config, "acme", {"VIP": Answer(403)})) == [Level.WARN]
    made = make(tmp_path, lists_create="true")
    assert levels(account_rules.lists(made, "acme", none)) == [Level.OK]
    leaving = RULES.replace("do: list_add", "do: unsubscribe")
    told = make(
        tmp_path, PIPELINE.replace("partitions:", leaving.lstrip("\n") + "partitions:"), lists_create="true"
    )
    (found,) = account_rules.lists(told, "acme", none)
    assert (found.level, "lists.create" in found.mend) == (Level.FAIL, False), "who leaves makes no lists"


def test_metrics_that_rules_name_are_there_or_come_with_their_first_event(config: Config) -> None:
    wanted = account_rules.named(config, "acme", "metric")
    assert wanted == ("Placed Order", "Bought")
    assert levels(account_rules.metrics("acme", wanted, {"Placed Order", "Bought"}, Answer(200))) == [
        Level.OK
    ]
    assert levels(account_rules.metrics("acme", wanted, set(), Answer(200))) == [Level.WARN]
    assert levels(account_rules.metrics("acme", wanted, set(), Answer(500))) == [Level.AWAY]


def hook(enabled: bool, *topics: str) -> dict[str, Any]:
    related = {"webhook-topics": {"data": [{"type": "webhook-topic", "id": topic} for topic in topics]}}
    return {"attributes": {"enabled": enabled}} | ({"relationships": related} if topics else {})


def test_a_webhook_is_enabled_where_engagement_goes_on(config: Config) -> None:
    account = config.accounts["acme"]

    def told(answer: Answer) -> list[Finding]:
        return list(account_rules.webhooks(account, answer, ["a.opened", "b.*"], named=True))

    assert levels(told(Answer(200, {"data": [hook(False), hook(True)]}))) == [Level.OK]
    assert levels(told(Answer(200, {"data": [hook(False)]}))) == [Level.FAIL]
    assert levels(told(Answer(404))) == [Level.WARN]
    polled = account.klaviyo.model_copy(update={"webhook_secrets": (), "poll_minutes": 5.0})
    account = account.model_copy(update={"klaviyo": polled})
    assert levels(told(Answer(404))) == [Level.OK]
    account = account.model_copy(update={"segment": None})
    assert told(Answer(404)) == []


@pytest.mark.parametrize(
    ("topics", "named", "level"),
    [
        (("a.opened", "b.sms"), True, Level.OK),
        (("a.opened",), True, Level.WARN),
        (("a.opened",), False, Level.OK),
        (("c.other",), False, Level.FAIL),
    ],
)
def test_webhooks_are_registered_for_what_goes_on(
    config: Config, topics: tuple[str, ...], named: bool, level: Level
) -> None:
    """Of the default topics no account has all; of those that the file names each is missed."""
    answer = Answer(200, {"data": [hook(True, *topics), hook(False, "b.late")]})
    found = list(account_rules.webhooks(config.accounts["acme"], answer, ["a.opened", "b.*"], named=named))
    assert levels(found) == [level]
    assert ("not for" in found[0].says) == (level is not Level.OK)


def test_fields_that_klaviyo_added_are_told_by_endpoint_with_a_bound() -> None:
    found = {("GET /api/lists", f"data.new{n:02}"): 1 for n in range(12)} | {("POST /api/events", "meta"): 3}
    lists, events = account_rules.unknown_fields(found)
    assert (lists.level, events.level) == (Level.WARN, Level.WARN)
    assert lists.says.endswith("data.new09 and 2 more")
    assert events.says.startswith("POST /api/events answers with fields")
    assert list(account_rules.unknown_fields({})) == []


@pytest.mark.parametrize(
    ("said", "ahead_ms"),
    [
        ("Sun, 22 Nov 2026 05:00:00 GMT", 4_500.0),
        ("Sun, 22 Nov 2026 05:01:00 GMT", -55_500.0),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_a_date_tells_how_far_klaviyos_clock_is(said: str | None, ahead_ms: float | None) -> None:
    now = datetime(2026, 11, 22, 5, 0, 5, tzinfo=UTC).timestamp()
    assert asking._ahead_ms(said, now) == ahead_ms
    if ahead_ms is not None:
        (finding,) = diagnosis.clock(ahead_ms, "Klaviyo's (account acme)")
        assert (finding.level, "Klaviyo's (account acme)" in finding.says) == (Level.WARN, True)
