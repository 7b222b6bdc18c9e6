"""What was imported last for each key, so that only rows that changed are sent: a file in the data folder.

It is never the truth, only a saving: it counts while its stamp is the one that control has of the import's
last chunk. Else (it is lost, of another machine, its process was killed before it could write) all rows are
sent, and what Klaviyo has already ends as unchanged.
"""

import sqlite3
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, Self

from streams.engine.errors import Misconfigured

_AT_ONCE: Final = 500
"""Keys of one question; SQLite takes 999 at least."""


class Sent:
    """Key → digest of what was sent last."""

    def __init__(self, file: Path, stamp: str) -> None:
        """Open it. ``stamp`` is control's; what was kept under another one is forgotten.

        Raises:
            Misconfigured: the data folder can't be written.
        """
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._base = _opened(file)
        except (OSError, sqlite3.Error) as error:
            raise Misconfigured(f"{file} can't be used: {error}") from None
        self._stamp = stamp
        with self._base:
            if self._base.execute("SELECT value FROM stamp").fetchall() != [(stamp,)]:
                self._base.execute("DELETE FROM sent")
                self._base.execute("DELETE FROM stamp")
                self._base.execute("INSERT INTO stamp VALUES (?)", (stamp,))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._base.close()

    def last(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """What was sent last for those of the keys that have anything."""
        wanted = list(dict.fromkeys(keys))
        found: dict[bytes, bytes] = {}
        for start in range(0, len(wanted), _AT_ONCE):
            part = wanted[start : start + _AT_ONCE]
            marks = ",".join("?" * len(part))
            found.update(self._base.execute(f"SELECT key, digest FROM sent WHERE key IN ({marks})", part))
        return found

    def keep(self, changed: Mapping[bytes, bytes], stamp: str) -> None:
        """Keep what was sent and acknowledged; nothing, once another process has gone on from here."""
        with self._base:
            moved = self._base.execute("UPDATE stamp SET value = ? WHERE value = ?", (stamp, self._stamp))
            if moved.rowcount == 1:
                self._base.executemany("INSERT OR REPLACE INTO sent VALUES (?, ?)", changed.items())
        self._stamp = stamp


def _opened(file: Path) -> sqlite3.Connection:
    """The file's base; one that can't be read is made anew."""
    try:
        return _prepared(file)
    except sqlite3.DatabaseError:
        file.unlink(missing_ok=True)
        return _prepared(file)


def _prepared(file: Path) -> sqlite3.Connection:
    base = sqlite3.connect(file, timeout=30)
    try:
        base.execute("PRAGMA journal_mode = WAL")
        base.execute("PRAGMA synchronous = NORMAL")
        base.execute("CREATE TABLE IF NOT EXISTS sent (key BLOB PRIMARY KEY, digest BLOB) WITHOUT ROWID")
        base.execute("CREATE TABLE IF NOT EXISTS stamp (value TEXT)")
    except sqlite3.DatabaseError:
        base.close()
        raise
    return base
