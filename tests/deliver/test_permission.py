"""What Klaviyo shows of a person closes what is older, and that alone."""

from typing import Any

import pytest

from streams.deliver.consent import permission
from streams.deliver.consent.permission import Word

NOW = 1_800_000_000_000
AT = 1_790_000_000_000
SAID = "2026-09-21T14:13:20+00:00"
"""The same moment."""


def verdict(marketing: dict[str, Any], time: int, list_id: str = "") -> str:
    marks = permission.join({}, permission.shown({"email": {"marketing": marketing}}, NOW))
    return permission.judge(Word("subscribe", ("email.marketing",), time, list_id), marks, marks)


@pytest.mark.parametrize(
    ("reason", "closes"),
    [("UNSUBSCRIBE", True), ("SPAM_REPORT", True), ("USER_SUPPRESSED", True), ("HARD_BOUNCE", False)],
)
def test_a_suppression_closes_what_is_older(reason: str, closes: bool) -> None:
    """Subscribing would lift it."""
    shown = {"consent": "NEVER_SUBSCRIBED", "suppression": [{"reason": reason, "timestamp": SAID}]}
    assert verdict(shown, AT - 1) == ("refused" if closes else "go")
    assert verdict(shown, AT + 1000) == "go"


@pytest.mark.parametrize("reason", ["UNSUBSCRIBE", "SPAM_REPORT"])
def test_a_farewell_to_a_list_closes_that_list(reason: str) -> None:
    said = {"list_id": "L", "reason": reason, "timestamp": SAID}
    shown = {"consent": "NEVER_SUBSCRIBED", "list_suppressions": [said]}
    assert verdict(shown, AT - 1, "L") == "refused"
    assert verdict(shown, AT - 1, "M") == "go"
    assert verdict(shown, AT + 1000, "L") == "go"


def test_a_farewell_closes_every_list() -> None:
    shown = {"consent": "UNSUBSCRIBED", "consent_timestamp": SAID}
    assert verdict(shown, AT - 1, "L") == verdict(shown, AT - 1) == "refused"
    assert verdict(shown, AT + 1000, "L") == "go"
