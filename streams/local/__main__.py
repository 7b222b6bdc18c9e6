"""`python -m streams.local` fetches the stack's parts ahead: no test's time-out pays for the download."""

import sys

from streams.local import stack


def _say(line: str) -> None:
    print(line, file=sys.stderr)


if __name__ == "__main__":
    try:
        stack.prepare(say=_say)
    except stack.StackUnavailable as unavailable:
        _say(str(unavailable))
        sys.exit(3)
