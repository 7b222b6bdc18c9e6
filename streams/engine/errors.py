"""What can go wrong with the machinery. The command line turns each class into its exit code.

They are named by the state they tell, hence no "Error" at their ends.
"""

from typing import Final

STANDS: Final = 4
"""Exit code of a process that only a person can help: the next one would end in the same way."""


class EngineError(Exception):
    """Base of all; its text says what is wrong and what to do."""


class Away(EngineError):
    """Something needed (broker, registry) does not answer now; exit code 3."""


class Misconfigured(EngineError):
    """What is there does not fit what is configured; exit code 2."""


class SchemaMissing(Misconfigured):
    """A subject lacks this process's own schema."""


class Unreadable(EngineError):
    """A record's bytes are not a record of any schema that this process can read: a dead letter."""


class Fenced(EngineError):
    """Another process has taken this partition over; nothing of ours was written."""


class StateMismatch(Misconfigured):
    """State and log do not fit each other: going on would re-read or skip records; exit code 4.

    A restart finds the same, so no supervisor starts such a process again.
    """
