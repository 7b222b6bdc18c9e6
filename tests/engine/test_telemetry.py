import io
import logging
import sys
from collections.abc import Iterator

import aiohttp
import pytest

from streams.config import loads
from streams.engine.telemetry import (
    Line,
    Seldom,
    collect,
    counter,
    gauge,
    histogram,
    log,
    metrics_text,
    serve_admin,
    watched,
)
from tests.line import PIPELINE


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Line("dedupe", human=False, colours=False))
    logger = logging.getLogger("streams")
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield stream
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


def test_a_line_says_time_level_stage_event_and_facts(written: io.StringIO) -> None:
    log.info("started", pid=7, why="two words")
    log.debug("unseen")
    log.warning("slow", stage="route")
    first, second = written.getvalue().splitlines()
    assert first.split(" ", 1)[1] == "info dedupe started pid=7 why='two words'"
    assert "+00:00 " in first
    assert second.split(" ", 1)[1] == "warning route slow"


def test_a_traceback_follows_its_line() -> None:
    try:
        raise ValueError("no")
    except ValueError:
        record = logging.LogRecord("aiohttp", logging.ERROR, "", 0, "broke", None, sys.exc_info())
    text = Line("x", human=True, colours=True).format(record)
    assert "aiohttp: broke\nTraceback" in text
    assert "\x1b[31merror\x1b[0m" in text


def test_a_library_says_the_same_once_in_ten_seconds_and_we_always() -> None:
    seldom = Seldom()

    def passes(name: str, text: str, at: float) -> bool:
        record = logging.LogRecord(name, logging.ERROR, "", 0, text, ("127.0.0.1",), None)
        record.created = at
        return seldom.filter(record)

    assert [passes("aiokafka", "no node %s", at) for at in (100.0, 100.1, 109.9, 110.1)] == [
        True, False, False, True,
    ]  # fmt: skip
    assert passes("aiokafka", "no metadata_of %s", 100.2)
    assert [passes("streams", "ended", 100.0) for _ in range(2)] == [True, True]


def test_a_broker_that_is_away_is_one_line_of_ours_in_half_a_minute() -> None:
    seldom = Seldom()
    texts = (
        "Unable connect to node with id %s: [Errno 111] Connect call failed",
        "Unable to update metadata from %s",
        "Failed fetch messages from %s: NodeNotReadyError: not ready",
        "Marking the coordinator dead (node %s)for group x.",
        "Failed fetch messages from %s: [Error 7] RequestTimedOutError",
        "Heartbeat send request failed: [Error 7] RequestTimedOutError. Will retry in %s.",
        "Heartbeat failed for group x: coordinator (node %s) is either not started or not valid",
    )
    lines = []
    for at in (100.0, 101.0, 129.0, 131.0):
        for text in texts:
            record = logging.LogRecord("aiokafka.consumer.fetcher", logging.ERROR, "", 0, text, (1,), None)
            record.created = at
            if seldom.filter(record):
                lines.append(Line("route", human=False, colours=False).format(record).split(" ", 1)[1])
    assert (
        lines
        == [
            "warning route kafka_away why='Unable connect to node with id 1: [Errno 111] Connect call failed'"
        ]
        * 2
    )


def test_a_new_deal_of_the_group_is_no_warning() -> None:
    """Alerts look at warnings, and a group is dealt whenever a process starts or ends."""
    text = "Heartbeat failed for group %s because it is rebalancing"
    record = logging.LogRecord("aiokafka.consumer.group", logging.WARNING, "", 0, text, ("x",), None)
    assert Seldom().filter(record)
    assert " info " in Line("route", human=False, colours=False).format(record)


async def test_counts_show_on_the_admin_port_as_prometheus_reads_them() -> None:
    collect()
    counter("streams_test_records", "Records.").add(3, {"topic": 'a"b'})
    gauge("streams_test_lag", "Lag.").set(4)
    watched("streams_test_held", "Held.", lambda: 7)
    histogram("streams_test_seconds", "Seconds.").record(0.2)
    text = metrics_text()
    assert '# TYPE streams_test_records_total counter\nstreams_test_records_total{topic="a\\"b"} 3\n' in text
    assert "# TYPE streams_test_lag gauge\nstreams_test_lag 4\n" in text
    assert "# TYPE streams_test_held gauge\nstreams_test_held 7\n" in text
    assert 'streams_test_seconds_bucket{le="0.25"} 1\n' in text
    assert 'streams_test_seconds_bucket{le="+Inf"} 1\nstreams_test_seconds_sum 0.2\n' in text
    config = loads(PIPELINE + "gateway: {admin_port: 0}\n", "pipeline.yaml", {})
    async with serve_admin(config, "dedupe", ready=lambda: False) as url, aiohttp.ClientSession() as http:
        found = {}
        for path in ("/metrics", "/livez", "/readyz"):
            async with http.get(url + path) as reply:
                found[path] = (reply.status, await reply.text())
    assert found["/livez"] == (200, "ok\n")
    assert found["/readyz"][0] == 503
    assert "streams_test_lag 4" in found["/metrics"][1]
