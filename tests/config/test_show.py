"""The configuration for people and editors."""

import re

from streams.config import FieldMap, loads, schema, show, starter
from tests.config.test_load import ENVIRON, LEAST


def test_what_is_shown_loads_as_the_same_with_every_secret_masked() -> None:
    config = loads(starter(), "pipeline.yaml", ENVIRON)
    shown = show(config)
    assert not any(secret in shown for secret in ENVIRON.values())
    assert loads(shown, "shown.yaml", {}).fingerprint == config.fingerprint
    assert "hold_hours: 72" in shown


def test_the_starter_loads_and_its_comments_are_the_defaults() -> None:
    written = loads(starter(), "pipeline.yaml", ENVIRON)
    spelled_out = loads(
        re.sub(r"^#(?=[a-z ]{1,8}[a-z_]+:|  *- )", "", starter(), flags=re.MULTILINE), "all.yaml", ENVIRON
    )
    assert spelled_out.fingerprint == written.fingerprint
    assert {rule.do for rule in written.rules} >= {"profile", "event", "list_add", "list_remove", "subscribe"}


def test_the_least_file_is_a_part_of_the_starter() -> None:
    least, full = loads(LEAST, "f", ENVIRON), loads(starter(), "f", ENVIRON)
    assert (least.accounts, least.sources) == (full.accounts, full.sources)


def test_the_schema_knows_what_is_written_and_not_what_is_derived() -> None:
    found = schema()
    assert set(found["required"]) == {"accounts", "sources", "rules"}
    assert found["additionalProperties"] is False
    assert "name" not in found["$defs"]["Account"]["properties"]
    assert found["$defs"]["Account"]["required"] == ["klaviyo"]
    assert "webhook_secret" in found["$defs"]["Source"]["properties"]
    assert "fields" in found["$defs"]["Rule"]["properties"]
    assert FieldMap.__name__ in found["$defs"]
    assert "string" in str(found["$defs"]["Rule"]["properties"]["list"])
