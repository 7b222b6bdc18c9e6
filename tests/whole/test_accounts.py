"""A further account is configuration, `streams topics apply`, and a restart of the stages that serve it."""

import pytest

from tests.line import eventually
from tests.whole.messages import message
from tests.whole.running import PIPELINE, Whole

pytestmark = pytest.mark.stack


def test_an_account_is_added_to_a_line_that_runs(line: Whole) -> None:
    def orders(first: int) -> None:
        line.send(
            message("track", n, userId=f"u{n}", event="Order Completed", properties={"n": n})
            for n in range(first, first + 20)
        )

    orders(0)
    line.drained()
    beta = f'  beta: {{space: acme, klaviyo: {{api_key: pk_beta, url: "{line.ready["klaviyo"]}"}}}}\nsources:'
    line.file.write_text(PIPELINE.replace("sources:", beta))
    line.ask("klaviyo", "/sim/config", {"keys": {"pk_acme": "acme", "pk_beta": "beta"}}, method="PUT")
    applied = line.run("topics", "apply")
    assert applied.code == 0, applied
    for stage in ("route", "deliver"):
        line.kill(stage)

    orders(20)
    eventually(lambda: len(line.of_account("beta")) == 20)
    line.drained()
    assert len(line.of_account("acme")) == 40
    assert line.lanes()["beta/events"]["lag"] == 0
    line.every_operation_arrived()
