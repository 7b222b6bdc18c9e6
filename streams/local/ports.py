"""Free loopback ports that stay free while nobody listens on them."""

import random
import socket
from collections.abc import Container

# Below the range from which Linux takes the near ends of outgoing connections (32768 and up): a port that
# rests while a broker restarts can't be taken by somebody's connection.
_RANGE = range(20_000, 32_000)


def free(count: int, *, but: Container[int] = ()) -> list[int]:
    """`count` different ports nobody listens on now, none of `but`."""
    found: list[int] = []
    for port in random.sample(_RANGE, len(_RANGE)):
        if len(found) == count:
            return found
        if port not in but and is_free(port):
            found.append(port)
    msg = f"no {count} free ports between {_RANGE.start} and {_RANGE.stop}"
    raise OSError(msg)


def is_free(port: int) -> bool:
    """True when a server could listen on this loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
