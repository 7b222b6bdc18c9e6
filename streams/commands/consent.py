"""``streams consent``: what the pipeline knows of consent, for whoever has to show it or to hand it over."""

import csv
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, fields
from enum import StrEnum
from pathlib import Path
from typing import IO, TYPE_CHECKING, Annotated

import typer

from streams.commands.options import FILE, ConfigFile, reached, say, settings

if TYPE_CHECKING:
    from streams.config import Account, Config
    from streams.deliver.consent.listing import Stated
    from streams.segment.envelope import Profile

EXAMPLES = """Example: streams consent export --account acme --channel email --out consent.csv

Example: streams consent export --account acme --list Newsletter --json"""


class Channel(StrEnum):
    """Of Klaviyo's."""

    EMAIL = "email"
    SMS = "sms"
    WHATSAPP = "whatsapp"
    PUSH = "push"


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help="Who agreed to what, and since when.",
        epilog="Example: streams consent export --account acme --out consent.csv",
        no_args_is_help=True,
    )
    group.command("export", epilog=EXAMPLES)(export)
    app.add_typer(group, name="consent")


def export(
    account: Annotated[str, typer.Option("--account", help="The account whose people it is about.")],
    channel: Annotated[Channel | None, typer.Option("--channel", help="Only this channel.")] = None,
    list_: Annotated[
        str | None, typer.Option("--list", metavar="NAME", help="Only this list, by name or id.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write to a file that only you can read.")
    ] = None,
    config: ConfigFile = FILE,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line, not CSV.")] = False,
) -> None:
    """Write what is known of consent now: one row a profile and channel, and one a profile and list.

    Columns: profile_id; email, phone as the profile has them now (empty for somebody erased, or known by
    Klaviyo's word only: their id begins with ?); channel; kind (marketing, transactional); list_id, list_name
    (empty: the whole channel); state; at, when it was said (ISO 8601, UTC); source (rule, or klaviyo: its own
    word; empty: not known any more); custom_source, the rule's; suppressed (email is, whatever the state).

    State is as it counts for the next message: subscribed or unsubscribed; a channel's no is one to its
    lists. A suppression has a row of its own, suppressed or unsuppressed, with an empty kind. Merged profiles
    are one. Consent that came to Klaviyo past this pipeline is in it if Klaviyo told of it or was asked.

    It is read from Kafka; no worker need run. Memory holds the account's consent and nothing else.
    """
    values = settings(config)
    chosen = _account(values, account)
    with _output(out) as file:
        count = _write(file, _chosen(values, chosen, channel, list_), as_json)
    say(f"{count} rows" + (f" in {out}" if out else ""))


def _account(config: "Config", name: str) -> "Account":
    if name not in config.accounts:
        from streams.config.problems import nearest

        raise typer.BadParameter(
            f"no account {name}; write {nearest(name, config.accounts)}", param_hint="--account"
        )
    return config.accounts[name]


def _chosen(
    config: "Config", account: "Account", channel: Channel | None, wanted: str | None
) -> list["Stated"]:
    from streams.deliver.consent import listing
    from streams.engine.latest import latest
    from streams.engine.slots import Slots

    slots = Slots.read(reached(config))
    state = latest(config, "deliver", slots.account(account.name), listing.kept)
    known = listing.people(state)
    say(f"{len(known)} people with consent; reading their addresses")
    profiles = _profiles(config, slots.space(account.space), known.keys())
    lists = listing.lists(state)
    rows = list(listing.rows(known, profiles, state))
    if wanted is not None:
        there = {row.list_id for row in rows if row.list_id} | lists.keys()
        ids = {each for each in there if wanted in (each, lists.get(each))}
        if not ids:
            raise typer.BadParameter(_no_list(wanted, {lists.get(each, each) for each in there}))
        rows = [row for row in rows if row.list_id in ids]
    return [row for row in rows if channel is None or row.channel == channel]


def _no_list(name: str, known: Iterable[str]) -> str:
    from streams.config.problems import nearest

    like = nearest(name, sorted(known))
    return f"nothing is known of a list {name}" + (f"; write {like}" if like else "")


def _profiles(config: "Config", space: int, known: Iterable[str]) -> Iterator["Profile"]:
    """Those of the space that consent is known of, as identify has them."""
    from streams.deliver.consent.listing import strangers
    from streams.engine.latest import latest
    from streams.identify.people import Person, profile_of

    wanted = frozenset(known)
    hashed = any(who.startswith("?") for who in wanted)

    def keep(key: bytes, value: bytes) -> bool:
        who = profile_of(key)
        if who is None or who.hex() in wanted:
            return who is not None
        return hashed and not wanted.isdisjoint(strangers(Person.load(who, value).profile()))

    for key, value in latest(config, "identify", space, keep).items():
        if (who := profile_of(key)) is not None:
            person = Person.load(who, value)
            if person.into is None:
                yield person.profile()


@contextmanager
def _output(path: Path | None) -> Iterator[IO[str]]:
    """stdout, or a file that is there once it is whole."""
    if path is None:
        yield sys.stdout
        return
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    except OSError as error:
        raise typer.BadParameter(f"{path}: {error.strerror}", param_hint="--out") from None
    part = Path(name)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _write(file: IO[str], rows: list["Stated"], as_json: bool) -> int:
    import json

    from streams.deliver.consent.listing import Stated

    if as_json:
        file.writelines(json.dumps(asdict(row), ensure_ascii=False) + "\n" for row in rows)
        return len(rows)
    columns = [field.name for field in fields(Stated)]
    table = csv.writer(file, lineterminator="\n")
    table.writerow(columns)
    for row in rows:
        given = asdict(row) | {"suppressed": "true" if row.suppressed else "false"}
        table.writerow([given[name] for name in columns])
    return len(rows)
