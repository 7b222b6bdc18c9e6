"""``python -m tests.bench.wide CONFIG``: the shipped deliver stage, but with Klaviyo's rate limits lifted."""

import os
import sys
from functools import partial
from pathlib import Path

import uvloop

from streams import wiring
from streams.config import load
from streams.deliver import agent
from streams.engine.worker import run
from streams.klaviyo.budgets import LIMITS, Limit

WIDE = {name: Limit(10_000, 100_000, at_once=10_000) for name in LIMITS}

if __name__ == "__main__":
    agent.LIMITS = WIDE
    sys.exit(uvloop.run(run(load(Path(sys.argv[1]), os.environ), partial(wiring.build, "deliver"))))
