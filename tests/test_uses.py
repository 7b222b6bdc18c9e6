"""The page of uses shows files that can be used as they stand."""

import pytest

from streams.config import loads
from tests.uses import BLOCKS, VARIABLE, secret, together


def test_there_are_eleven_uses_of_one_block_each() -> None:
    assert {number: len(blocks) for number, blocks in BLOCKS.items()} == dict.fromkeys(range(1, 12), 1)


@pytest.mark.parametrize("number", BLOCKS)
def test_every_block_is_a_whole_pipeline_of_at_most_ten_lines(number: int) -> None:
    (text,) = BLOCKS[number]
    variables = {name: secret(name, number) for name in VARIABLE.findall(text)}

    assert len(text.splitlines()) <= 10
    assert loads(text, "deploy/uses.md", variables).rules


def test_all_blocks_go_together() -> None:
    assert len(loads(together(), "uses", {}).accounts) == 12
