"""Who may come in: the write keys, webhook secrets and spaces of the configuration, ready to be looked up."""

import binascii
from base64 import b64decode, b64encode
from collections.abc import Iterable
from dataclasses import dataclass

from streams.config import Config


@dataclass(frozen=True, slots=True)
class SourceDoor:
    """One Segment source."""

    name: str
    spaces: tuple[str, ...]
    webhook_secrets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AccountDoor:
    """One Klaviyo account's webhook."""

    name: str
    space: str
    webhook_secrets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Doors:
    """All ways in."""

    sources: dict[str, SourceDoor]
    keys: dict[str, SourceDoor]
    basic: dict[str, SourceDoor]
    """The whole Authorization header as SDKs write it → source: no decoding for the usual request."""
    accounts: dict[str, AccountDoor]

    def by_authorization(self, header: str) -> SourceDoor | None:
        """Find the source of a basic authorization; its user name is the write key."""
        known = self.basic.get(header)
        if known is not None:
            return known
        scheme, _, credentials = header.partition(" ")
        if scheme.lower() != "basic":
            return None
        try:
            user = b64decode(credentials.strip(), validate=True).decode()
        except (binascii.Error, ValueError):
            return None
        return self.keys.get(user.partition(":")[0])


def doors(sources: Iterable[tuple[SourceDoor, tuple[str, ...]]], accounts: Iterable[AccountDoor]) -> Doors:
    """Index sources (each with its write keys) and accounts."""
    sources = tuple(sources)
    keys = {key: source for source, write_keys in sources for key in write_keys}
    basic = {"Basic " + b64encode(f"{key}:".encode()).decode(): source for key, source in keys.items()}
    return Doors(
        sources={source.name: source for source, _ in sources},
        keys=keys,
        basic=basic,
        accounts={account.name: account for account in accounts},
    )


def from_config(config: Config) -> Doors:
    """Read the doors out of the configuration."""
    return doors(
        sources=(
            (
                SourceDoor(name, source.spaces, tuple(s.get_secret_value() for s in source.webhook_secrets)),
                tuple(key.get_secret_value() for key in source.write_keys),
            )
            for name, source in config.sources.items()
        ),
        accounts=(
            AccountDoor(
                name, account.space, tuple(s.get_secret_value() for s in account.klaviyo.webhook_secrets)
            )
            for name, account in config.accounts.items()
        ),
    )
