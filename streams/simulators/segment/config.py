"""What the Segment simulator can be set to."""

from pydantic import Field

from streams.simulators.control import SimulatorConfig


class SegmentConfig(SimulatorConfig):
    """Segment's own caps, unless set otherwise by `PUT /sim/config`."""

    max_event_bytes: int = Field(default=32 * 1024, ge=1)
    max_batch_bytes: int = Field(default=500 * 1024, ge=1)
    max_batch_events: int = Field(default=2500, ge=1)
    max_events: int = Field(default=1_000_000, ge=1)
    """Stored; above it the oldest go and are counted."""
