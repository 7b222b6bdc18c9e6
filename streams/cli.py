"""The command line's root: which commands there are, and what each end means as an exit code.

0 done · 1 the answer is no · 2 wrong usage or configuration · 3 something needed is away · 4 a restart would
end in the same way: state and log do not fit · 130 interrupted · 141 whoever read what is printed has left.
"""

import errno
import sys
from contextlib import suppress
from typing import Annotated

import typer

from streams import __version__
from streams.commands import (
    configuration,
    consent,
    contracts,
    doctor,
    intake,
    lanes,
    ledger,
    line,
    local,
    replay,
    rules,
    setup,
)
from streams.engine.errors import STANDS, Away, EngineError, StateMismatch

NO, WRONG, AWAY = 1, 2, 3
LEFT = 141
"""As a shell says of a command that SIGPIPE ended, behind ``| head``: 1 would be an answer."""

app = typer.Typer(
    name="streams",
    help="Segment to Kafka to Klaviyo and back: every event kept, delivered once, in order.",
    epilog="Example: streams dev",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,  # its help takes half a second to load
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for room in (
    local, line, intake, setup, configuration, rules, contracts, lanes, ledger, consent, replay, doctor,
):  # fmt: skip
    room.add_to(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


Version = Annotated[
    bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
]


@app.callback()
def root(version: Version = False) -> None:
    """Only ``--version`` belongs to no command."""


def main(arguments: list[str] | None = None) -> None:
    """Run a command and end the process with its exit code."""
    try:
        app(arguments)
    except SystemExit as end:  # typer ends with 1 then
        if isinstance(end.__context__, BrokenPipeError):
            sys.exit(LEFT)
        raise
    except Exception as error:
        code = exit_code(error)
        if code is None:
            raise
        with suppress(BrokenPipeError):
            typer.echo(f"streams: {error}", err=True)
        sys.exit(code)


def exit_code(error: Exception) -> int | None:
    """What an error means to the caller; None = it is a mistake of ours and shows its traceback."""
    if isinstance(error, BrokenPipeError):
        return LEFT
    if isinstance(error, StateMismatch):
        return STANDS
    if isinstance(error, EngineError):
        return AWAY if isinstance(error, Away) else WRONG
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return AWAY
    if isinstance(error, OSError) and error.filename is not None:  # a file or folder of the caller's
        return WRONG
    # named, not imported: their rooms are slow to load, and only some commands need them
    names = {each.__name__ for each in type(error).__mro__}
    if "ConfigError" in names:
        return WRONG
    return AWAY if "StackUnavailable" in names else None
