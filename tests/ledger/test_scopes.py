"""What a key must be allowed to read follows from the configuration; what it lacks is told with a way out."""

import asyncio
from pathlib import Path

import pytest
from aiohttp.test_utils import TestServer

from streams.config import Config
from streams.ledger import asking, scopes
from streams.ledger.account_rules import Answer
from streams.ledger.findings import Finding, Level
from streams.simulators.klaviyo.config import SimConfig
from streams.simulators.klaviyo.server import make_app
from tests.ledger.test_diagnosis import levels, make
from tests.line import PIPELINE

ALL = {"profiles:read", "lists:read", "events:read", "metrics:read"}


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return make(tmp_path)


def needed(config: Config) -> set[str]:
    return set(scopes.needed(config, config.accounts["acme"]))


def told(config: Config, answers: dict[str, Answer]) -> list[Finding]:
    return list(scopes.scopes("acme", scopes.needed(config, config.accounts["acme"]), answers))


def test_events_are_read_back_lists_and_profiles_looked_up(config: Config) -> None:
    assert needed(config) == ALL


def test_who_reads_nothing_back_needs_no_events(tmp_path: Path) -> None:
    config = make(tmp_path, deliver_confirm_share="0")
    assert needed(config) == {"profiles:read", "lists:read"}
    account = config.accounts["acme"]
    polled = account.klaviyo.model_copy(update={"poll_minutes": 5.0})
    assert set(scopes.needed(config, account.model_copy(update={"klaviyo": polled}))) == ALL


def test_rules_of_other_accounts_do_not_count(config: Config) -> None:
    rules = tuple(rule.model_copy(update={"accounts": ("zen",)}) for rule in config.rules)
    assert needed(config.model_copy(update={"rules": rules})) == {"profiles:read"}


def test_a_missing_scope_is_told_with_what_needs_it_and_what_to_do(config: Config) -> None:
    found = told(config, {scope: Answer(403 if scope == "events:read" else 200) for scope in ALL})
    assert levels(found) == [Level.FAIL, Level.OK]
    assert found[0].says == "acme: the key lacks events:read, needed for reading events back after a 202"
    assert found[0].mend == (
        "set accounts.acme.klaviyo.api_key to a key with the scope events:read;"
        " or set deliver.confirm_share: 0"
    )
    assert found[1].says == "acme: the key has lists:read, metrics:read, profiles:read"


def test_what_no_setting_turns_off_has_no_other_way_out(config: Config) -> None:
    (found,) = told(config, {"profiles:read": Answer(403)})
    assert found.mend.endswith("a key with the scope profiles:read")


@pytest.mark.parametrize("status", [0, 429, 503])
def test_what_klaviyo_does_not_say_is_not_known(config: Config, status: int) -> None:
    assert levels(told(config, {"lists:read": Answer(status)})) == [Level.AWAY]


@pytest.mark.parametrize("lacks", sorted(ALL))
async def test_each_probe_asks_for_its_own_scope_only(tmp_path: Path, lacks: str) -> None:
    keys = SimConfig(keys={"pk_acme": "acme"}, scopes={"pk_acme": tuple(ALL - {lacks})})
    async with TestServer(make_app(keys), host="127.0.0.1") as klaviyo:
        url = str(klaviyo.make_url("")).rstrip("/")
        account = make(tmp_path, text_at(url)).accounts["acme"]
        answers = {
            scope: await asyncio.to_thread(asking.ask, account, path, **query)
            for scope, (path, query) in scopes.PROBES.items()
        }
    assert {scope for scope, answer in answers.items() if answer.status == 403} == {lacks}
    assert {answer.status for answer in answers.values()} == {200, 403}


def text_at(url: str) -> str:
    return PIPELINE.replace("api_key: pk_acme,", f'api_key: pk_acme, url: "{url}",')
