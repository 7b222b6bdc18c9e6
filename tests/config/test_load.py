"""What a file means once it is read."""

from pathlib import Path

import pytest

from streams.config import Config, ConfigError, Secret, load, loads

ENVIRON = {
    "ACME_KLAVIYO_KEY": "pk_1",
    "ACME_KLAVIYO_WEBHOOK_SECRET": "ws_1",
    "ACME_SEGMENT_WRITE_KEY": "wk_1",
    "WEB_WRITE_KEY": "in_1",
    "WEB_WEBHOOK_SECRET": "in_2",
}
LEAST = """
accounts:
  acme:
    klaviyo: {api_key: ${ACME_KLAVIYO_KEY}, webhook_secret: ${ACME_KLAVIYO_WEBHOOK_SECRET}}   # comment
    segment: {write_key: ${ACME_SEGMENT_WRITE_KEY}}
sources:
  web: {accounts: [acme], write_key: ${WEB_WRITE_KEY}, webhook_secret: ${WEB_WEBHOOK_SECRET}}
rules:
  - {when: 'type = "identify"', do: profile}
  - {when: 'type = "track" and event = "Order Completed"', do: event}
"""


def read(text: str, **environ: str) -> Config:
    return loads(text, "pipeline.yaml", ENVIRON | environ)


def test_the_least_file_has_safe_defaults() -> None:
    config = read(LEAST)
    assert config.spaces == ("acme",)
    assert config.accounts_of("acme") == ("acme",)
    assert config.accounts_of("other") == ()
    assert config.sources["web"].spaces == ("acme",)
    assert config.accounts["acme"].klaviyo.url == "https://a.klaviyo.com"
    assert (config.prefix, config.data, config.partitions) == ("", Path(".data/state"), 12)
    assert (config.replication, config.min_insync) == (3, 2)
    assert (config.identity.anonymous, config.identity.hold_hours) == ("hold", 72)
    assert config.dedupe.window_days == 7
    assert config.deliver.attempts == 8
    assert [rule.line for rule in config.rules] == [9, 10]
    assert [rule.name for rule in config.rules] == ["rule 1", "rule 2"]


def test_secrets_have_their_value_and_never_show_it() -> None:
    config = read(LEAST)
    key = config.accounts["acme"].klaviyo.api_key
    assert key.get_secret_value() == "pk_1"
    assert type(key.get_secret_value()) is str
    assert key == "pk_1"
    assert "Klaviyo-API-Key " + key == "Klaviyo-API-Key pk_1"
    shown = repr(config) + str(config) + f"{key} {key!s} {key!r}" + config.model_dump_json()
    assert not any(secret in shown for secret in ENVIRON.values())


def test_two_secrets_may_stand_while_one_replaces_the_other() -> None:
    config = read(LEAST.replace("${WEB_WRITE_KEY}", "[${WEB_WRITE_KEY}, old]"))
    assert config.sources["web"].write_keys == (Secret("in_1"), Secret("old"))
    assert config.sources["web"].webhook_secrets == ("in_2",)
    assert config.accounts["acme"].klaviyo.webhook_secret == "ws_1"


def test_the_environment_overrides_the_file() -> None:
    config = read(
        LEAST,
        STREAMS_KAFKA_BOOTSTRAP="127.0.0.1:1",
        STREAMS_REGISTRY_URL="http://127.0.0.1:2/",
        STREAMS_PREFIX="t1.",
        STREAMS_DATA="/tmp/x",
        STREAMS_REPLICATION="1",
        STREAMS_GATEWAY_PORT="0",
        STREAMS_ACCOUNTS_ACME_KLAVIYO_URL="http://127.0.0.1:3",
        STREAMS_ACCOUNTS_ACME_SEGMENT_URL="http://127.0.0.1:4",
    )
    assert config.kafka.bootstrap == "127.0.0.1:1"
    assert config.registry.url == "http://127.0.0.1:2"
    assert (config.prefix, config.data, config.gateway.port) == ("t1.", Path("/tmp/x"), 0)
    assert config.accounts["acme"].klaviyo.url == "http://127.0.0.1:3"
    assert config.accounts["acme"].segment is not None
    assert config.accounts["acme"].segment.url == "http://127.0.0.1:4"
    assert config.min_insync == 1, "one replica can't ask for two"


def test_variables_of_others_are_left_alone() -> None:
    config = read(
        LEAST,
        STREAMS="x",
        STREAMS_LOG="debug",
        STREAMS_LOCAL="/tmp/local",
        STREAMS_TEST_STACK="/tmp/kept",
        STREAMS_PORT="tcp://10.0.0.1:80",
        STREAMS_GATEWAY_PORT="tcp://10.0.0.1:8080",
        STREAMS_GATEWAY_PORT_8080_TCP_ADDR="10.0.0.1",
        STREAMS_GATEWAY_SERVICE_HOST="10.0.0.1",
        STREAMS_GATEWAY_SERVICE_PORT_HTTP="8080",
    )
    assert (config.prefix, config.gateway.port) == ("", 8080)


def test_a_variable_that_the_file_refers_to_needs_to_be_no_setting() -> None:
    config = read(LEAST.replace("${WEB_WRITE_KEY}", "${STREAMS_WEB}"), STREAMS_WEB="in_9")
    assert config.sources["web"].write_keys == (Secret("in_9"),)


def test_accounts_may_share_a_space() -> None:
    text = """
accounts:
  nl: {space: shop, klaviyo: {api_key: a}}
  de: {space: shop, klaviyo: {api_key: b}}
  uk: {klaviyo: {api_key: c}}
sources:
  web: {accounts: [uk, nl, de]}
  app: {accounts: de}
rules: [{when: "true", do: event}]
"""
    config = read(text)
    assert config.spaces == ("shop", "uk")
    assert config.accounts_of("shop") == ("nl", "de")
    assert config.sources["web"].spaces == ("uk", "shop")
    assert config.sources["app"].accounts == ("de",)


def test_librdkafka_gets_its_properties() -> None:
    security = (
        "kafka: {bootstrap: b:1, security: "
        "{protocol: SASL_SSL, mechanism: PLAIN, username: u, password: p, ca: /ca.pem}}"
    )
    assert read(LEAST + security).kafka.client() == {
        "bootstrap.servers": "b:1",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "u",
        "sasl.password": "p",
        "ssl.ca.location": "/ca.pem",
    }
    assert read(LEAST).kafka.client() == {"bootstrap.servers": "localhost:9092"}


def test_a_path_begins_at_home_as_in_a_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Taken by the letter, ``~/streams`` is a folder of that name wherever the process was started."""
    monkeypatch.setenv("HOME", "/home/ops")
    assert read(f"{LEAST}data: ~/streams").data == Path("/home/ops/streams")
    assert read(LEAST, STREAMS_DATA="~/streams").data == Path("/home/ops/streams")
    assert read(f"{LEAST}contracts: {{folder: ~/c}}").contracts.folder == Path("/home/ops/c")
    ca = read(f"{LEAST}kafka: {{security: {{ca: ~/ca.pem}}}}").kafka.security.ca
    assert ca == Path("/home/ops/ca.pem")


@pytest.mark.parametrize(
    ("data", "said"), [("~nobody-at-all/x", "~nobody-at-all is nobody's home"), ("~", "takes a path")]
)
def test_a_home_that_there_is_not_is_told(data: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read(f"{LEAST}data: {data}")


def test_the_fingerprint_follows_the_meaning() -> None:
    first = read(LEAST).fingerprint
    assert read("# a comment\n" + LEAST, WEB_WRITE_KEY="other").fingerprint == first
    assert read(LEAST + "prefix: x").fingerprint != first


def test_a_configuration_does_not_change() -> None:
    config = read(LEAST)
    with pytest.raises(ValueError, match="frozen"):
        config.prefix = "x"  # type: ignore[misc]


def test_a_file_is_read_from_disk(tmp_path: Path) -> None:
    path = tmp_path / "pipeline.yaml"
    path.write_text(LEAST)
    assert load(path, ENVIRON).fingerprint == read(LEAST).fingerprint
    with pytest.raises(ConfigError, match="no such file"):
        load(tmp_path / "none.yaml", ENVIRON)
