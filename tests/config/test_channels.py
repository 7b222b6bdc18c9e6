"""Channels of consent that a rule may name are those that the lane can tell Klaviyo of."""

from typing import get_args

import pytest

from streams.config import ConfigError, loads
from streams.config.rule import Channels
from streams.klaviyo.consents import NEEDS
from tests.route.sample import ACCOUNTS


def test_every_channel_that_may_be_named_can_be_said() -> None:
    (names, _ellipsis) = get_args(get_args(Channels)[0])
    assert set(get_args(names)) == set(NEEDS)


def test_push_is_refused_with_its_line_for_no_message_carries_what_it_needs() -> None:
    rule = "rules:\n  - {when: 'event = \"Agreed\"', do: subscribe, channels: [email, push]}\n"
    with pytest.raises(ConfigError, match="channels") as told:
        loads(f"{ACCOUNTS}\n{rule}", "pipeline.yaml", {})
    assert "whatsapp" in str(told.value)
