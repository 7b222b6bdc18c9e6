"""Merges are routed with the event that made them, whatever the rules make of it; erasures by a rule."""

from types import SimpleNamespace
from typing import Any

import orjson

from streams.config import loads
from streams.engine.codec import Codec
from streams.engine.inbox import Batch
from streams.engine.outbox import Outbox
from streams.route.agent import Route
from streams.route.merges import merges
from tests.route.sample import ORIGIN, PETER, TWO, envelope, route, router


def codec(name: str) -> Codec:
    made = Codec(name, {})
    made.own([1])
    return made


def person(name: str) -> Any:
    return {"id": name, "email": f"{name}@shop.io", "phone": None, "user_id": None, "anonymous_ids": []}


EVENT = envelope({"type": "track", "event": "Nobody wants this"}, "acme")


def test_each_account_and_loser_has_one_merge_with_an_id_of_its_own() -> None:
    made = merges(("acme", "acme-eu"), EVENT, ORIGIN, PETER, [person("l1"), person("l2")])
    assert [(topic, account) for topic, account, _ in made] == [
        ("klaviyo.admin", account) for account in ("acme", "acme", "acme-eu", "acme-eu")
    ]
    operations = [operation for *_, operation in made]
    assert len({operation["op_id"] for operation in operations}) == 4
    assert {operation["kind"] for operation in operations} == {"merge"}
    assert {operation["profile"]["id"] for operation in operations} == {PETER["id"]}
    assert orjson.loads(operations[1]["payload"]) == {"loser": person("l2")}
    again = merges(("acme", "acme-eu"), EVENT, ORIGIN, PETER, [person("l1"), person("l2")])
    assert again == made


def test_an_erase_rule_goes_to_the_admin_lane() -> None:
    rules = router('\n  - {when: type = "track" and event = "Erase me", do: erase}\n')
    (found,) = route(rules, {"type": "track", "event": "Erase me"}).operations
    assert (found[0], found[2]["kind"], found[2]["payload"]) == ("klaviyo.admin", "erase", b"{}")


def test_the_stage_routes_a_merge_although_no_rule_wants_the_event() -> None:
    class Registry:
        def codec(self, name: str) -> Codec:
            return codec(name)

    rules = '\nrules:\n  - {when: type = "identify", do: profile}\n'
    settings = loads(TWO + rules, "pipeline.yaml", {})
    slots = SimpleNamespace(account=lambda name: 3)
    stage = Route(SimpleNamespace(config=settings, registry=Registry(), slots=slots))  # type: ignore[arg-type]
    space = settings.spaces[0]
    message = {"type": "track", "event": "Nobody wants this"}
    known = {name: value if value is not None else "" for name, value in envelope(message, space).items()}
    event = codec("envelope").encode(known | {"body": orjson.dumps(message)})
    value = codec("profile_event").encode(
        {"event": event, "origin": ORIGIN, "profile": PETER, "late": False, "merged": [person("l1")]}
    )
    record = SimpleNamespace(offset=5, key=b"k", value=value, timestamp=0)
    outbox = stage.step(Batch("profile.events", [record]), SimpleNamespace(partition=0))  # type: ignore[arg-type]
    assert isinstance(outbox, Outbox)
    sent = [codec("operation").decode(v or b"") for _, _, v in outbox.records["klaviyo.admin"]]
    assert [orjson.loads(operation["payload"])["loser"]["id"] for operation in sent] == ["l1"] * len(
        settings.accounts_of(space)
    )
    (outcome,) = map(codec("outcome").decode, outbox.outcomes)
    assert outcome["outcome"] == "routed"
    assert outcome["deliveries"] == [operation["op_id"] for operation in sent]
