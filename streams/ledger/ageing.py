"""How long a lane may keep what waits: told of at half of that time, and a dead letter before its end. Pure.

A dead letter is kept for 90 more days, and a redrive sends it. What its topic dropped would be gone, and the
stage would stop.
"""

from typing import Final

from streams.engine.topics import DAY_MS, INPUTS, TOPICS

KEPT_MS: Final = min(TOPICS[name].retention_ms or 0 for name in (*INPUTS["deliver"], *INPUTS["feedback"]))
ALARM_MS: Final = KEPT_MS // 2
END_MS: Final = KEPT_MS - DAY_MS
TOLD_AGAIN_MS: Final = DAY_MS
WAITED: Final = (
    f"not sent: it waited for {END_MS // DAY_MS} of the {KEPT_MS // DAY_MS} days that its lane keeps"
)
