"""``python -m streams`` is ``streams``."""

import sys

INTERRUPTED = 130


def main() -> None:
    """Run the command line; Ctrl-C ends it in the same way however early it comes.

    It is imported here, so that an interrupt while modules load is no traceback.
    """
    try:
        from streams.cli import main as run

        run()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


if __name__ == "__main__":
    main()
