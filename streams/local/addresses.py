"""Where the parts of a line answer on this machine, and the environment in which every command finds them."""

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from streams import wiring
from streams.config import Config, load
from streams.engine.errors import Misconfigured
from streams.local import ports, stack

PARTS: Final = ("gateway", "klaviyo", "segment", "admin")
SPAN: Final = len(PARTS) + len(wiring.ORDER)
"""Ports in a row: each part's, and behind the admin port one for each stage."""
WEBHOOK_ID: Final = "a8b890458b4bbfaa26d961471b83c101d6de23bd826e7e5173a15310985ec3cb"


def _all_free(base: int) -> bool:
    return all(ports.is_free(port) for port in range(base, base + SPAN))


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the parts of a line answer on this machine."""

    ports: dict[str, int]

    @classmethod
    def choose(cls, base: int | None) -> Self:
        """Ports in a row that are free, or those from ``base`` on.

        Raises:
            Misconfigured: a port from ``base`` on is taken.
        """
        if base is None:
            (base,) = next(found for _ in range(1000) if _all_free((found := ports.free(1))[0]))
        elif not _all_free(base):
            taken = [port for port in range(base, base + SPAN) if not ports.is_free(port)]
            raise Misconfigured(f"port {taken[0]} is taken: give another --port-base, or none for free ports")
        return cls({name: base + number for number, name in enumerate(PARTS)})

    def url(self, part: str) -> str:
        """Its URL."""
        return f"http://127.0.0.1:{self.ports[part]}"


def environment(file: Path, found: stack.Stack, addresses: Addresses, data: Path) -> dict[str, str]:
    """The variables with which every command works on this line, and none of them reaches Klaviyo or Segment.

    A variable that the file names and nobody set gets a stand-in: keys only have to be the simulators' own.
    """
    env = {
        "STREAMS_KAFKA_BOOTSTRAP": found.kafka,
        "STREAMS_REGISTRY_URL": found.registry,
        "STREAMS_PREFIX": os.environ.get("STREAMS_PREFIX", "dev."),
        "STREAMS_DATA": str(data.resolve()),
        "STREAMS_LOCAL": str(found.folder.parent),
        "STREAMS_PARTITIONS": os.environ.get("STREAMS_PARTITIONS", "4"),
        "STREAMS_REPLICATION": "1",
        "STREAMS_MIN_INSYNC": "1",
        "STREAMS_GATEWAY_HOST": "127.0.0.1",
        "STREAMS_GATEWAY_PORT": str(addresses.ports["gateway"]),
        "STREAMS_GATEWAY_ADMIN_PORT": str(addresses.ports["admin"]),
    }
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    told = re.sub(r"(^|\s)#.*", "", text, flags=re.MULTILINE)  # comments name variables that nobody needs
    for name in re.findall(r"\$\{([A-Z][A-Z0-9_]*)\}", told):
        if name not in os.environ:
            env[name] = f"dev-{name.lower()}"
    for name, account in load(file, os.environ | env).accounts.items():
        variable = f"STREAMS_ACCOUNTS_{name.upper().replace('-', '_')}"
        env[f"{variable}_KLAVIYO_URL"] = addresses.url("klaviyo")
        if account.segment is not None:
            env[f"{variable}_SEGMENT_URL"] = addresses.url("segment")
    return env


def simulated(config: Config, addresses: Addresses) -> dict[str, dict[str, Any]]:
    """The simulators know the file's keys, and where webhooks go."""
    accounts = config.accounts
    klaviyo: dict[str, Any] = {
        "keys": {account.klaviyo.api_key.get_secret_value(): name for name, account in accounts.items()},
        "webhooks": {
            name: {
                "url": f"{addresses.url('gateway')}/klaviyo/{name}",
                "secret": account.klaviyo.webhook_secret.get_secret_value(),
                "id": WEBHOOK_ID,
            }
            for name, account in accounts.items()
            if account.klaviyo.webhook_secret is not None
        },
    }
    segment = {
        account.segment.write_key.get_secret_value(): name
        for name, account in accounts.items()
        if account.segment is not None
    }
    return {"klaviyo": klaviyo, "segment": {"keys": segment}}
