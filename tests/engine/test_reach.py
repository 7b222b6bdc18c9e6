"""A broker that is away is told within the bound, with its address and what went wrong."""

import socket
import time

import pytest

from streams.engine.errors import Away
from streams.engine.reach import reach
from streams.local.ports import free


def test_a_closed_port_is_told_with_its_address() -> None:
    address = f"127.0.0.1:{free(1)[0]}"
    began = time.monotonic()
    with pytest.raises(Away, match=rf"at {address}: .*Connection refused"):
        reach({"bootstrap.servers": address}, patience_s=0.5)
    assert time.monotonic() - began < 5


def test_who_listens_and_says_nothing_is_no_broker() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"127.0.0.1:{mute.getsockname()[1]}"
        with pytest.raises(Away, match=address):
            reach({"bootstrap.servers": address}, patience_s=0.5)
