"""Over many histories: nobody is subscribed in the end whose newest word, by event time, is a no.

What is real in a history and what is modelled: ``consent_story``. ``make soak ARGS=consent`` tells 100,000.
"""

import os

import pytest

from tests.deliver.consent_story import tell

FIRST = int(os.environ.get("STREAMS_TEST_FIRST_HISTORY", "0"))
HISTORIES = int(os.environ.get("STREAMS_TEST_HISTORIES", "4000"))
PARTS = 4
"""For as many processes."""


@pytest.mark.parametrize("part", range(PARTS))
def test_nobody_is_subscribed_by_anything_older_than_the_last_no(part: int) -> None:
    """Words late, twice, replayed, in any order, also at Klaviyo; calls lost; processes killed; merges."""
    for seed in range(FIRST + part, FIRST + HISTORIES, PARTS):
        try:
            tell(seed)
        except Exception as error:
            error.add_note(f"history {seed}: from tests.deliver.consent_story import tell; tell({seed})")
            raise


def test_a_history_is_the_same_each_time() -> None:
    assert [tell(seed) for seed in range(50)] == [tell(seed) for seed in range(50)]
