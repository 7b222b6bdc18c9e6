"""A slot's state on local disk: RocksDB, restorable from the changelog, so without a log of its own."""

import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from time import time
from typing import Final, cast

from rocksdict import (
    BlockBasedOptions,
    Cache,
    DBCompressionType,
    Options,
    Rdict,
    WriteBatch,
    WriteBufferManager,
    WriteOptions,
)

from streams.engine.telemetry import log

REFLECTS_KEY: Final = b"\x00reflects"
"""Next changelog offset to apply, the wall clock and the changelog, in the same write as the changes."""


class Memory:
    """One block cache and one write-buffer manager a process: memory does not grow with keys or slots."""

    def __init__(self, cache_bytes: int = 64 << 20, buffer_bytes: int = 64 << 20) -> None:
        self.cache = Cache(cache_bytes)
        self.buffers = WriteBufferManager(buffer_bytes, allow_stall=False)

    def buffered(self) -> int:
        """Bytes that all stores hold before they write them out; bounded."""
        held: int = self.buffers.get_usage()
        return held

    def options(self) -> Options:
        """Options that share this memory."""
        table = BlockBasedOptions()
        table.set_block_cache(self.cache)
        table.set_cache_index_and_filter_blocks(True)
        table.set_bloom_filter(10, block_based=False)
        options = Options(raw_mode=True)
        options.create_if_missing(True)
        options.set_block_based_table_factory(table)
        options.set_write_buffer_manager(self.buffers)
        options.set_write_buffer_size(32 << 20)
        options.set_compression_type(DBCompressionType.lz4())
        options.set_max_open_files(256)
        options.set_keep_log_file_num(1)
        return options


def _opened(path: Path, memory: Memory) -> Rdict:
    """What is damaged is thrown away: the changelog has all of it."""
    path.mkdir(parents=True, exist_ok=True)
    try:
        return Rdict(str(path), memory.options())
    except Exception as error:  # rocksdict has no class of its own for it
        if not str(error).startswith("Corruption"):
            raise
        log.warning("state_damaged", folder=str(path), why=str(error).strip())
    shutil.rmtree(path)
    path.mkdir()
    return Rdict(str(path), memory.options())


class Store:
    """Bytes to bytes, in key order. Writes are atomic; after a crash it reflects an earlier offset.

    Args:
        path: its folder.
        memory: shared by all stores of the process.
        log: which changelog it is a copy of, without spaces.
    """

    def __init__(self, path: Path, memory: Memory, log: str = "") -> None:
        self.path = path
        self._log = log.encode()
        self._db = _opened(path, memory)
        self._unlogged = WriteOptions()
        # A property, whatever its stub says.
        self._unlogged.disable_wal = True  # type: ignore[assignment,method-assign]
        self.ahead: Mapping[bytes, bytes | None] = {}
        """Changes on their way into the changelog: read by key as if they were here, not scanned."""

    def get(self, key: bytes) -> bytes | None:
        """The value, or None."""
        if key in self.ahead:
            return self.ahead[key]
        value: bytes | None = self._db.get(key)
        return value

    def get_many(self, keys: list[bytes]) -> list[bytes | None]:
        """Values in the order of the keys, None where there is none."""
        if not keys:
            return []
        found: list[bytes | None] = self._db.get(keys)  # type: ignore[assignment,arg-type] # raw mode: bytes in, bytes out
        if not self.ahead:
            return found
        ahead = self.ahead
        return [ahead.get(key, value) for key, value in zip(keys, found, strict=True)]

    def scan(self, prefix: bytes, start: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """Keys that begin with ``prefix`` and their values, in key order, those before ``start`` left out."""
        rows = cast("Iterator[tuple[bytes, bytes]]", self._db.items(from_key=max(prefix, start)))
        for key, value in rows:
            if not key.startswith(prefix):
                return
            yield key, value

    def write(self, changes: Iterable[tuple[bytes, bytes | None]], reflects: int) -> None:
        """Apply changes in one atomic write; ``reflects`` is the next changelog offset to apply."""
        batch = WriteBatch(raw_mode=True)
        for key, value in changes:
            if value is None:
                batch.delete(key)
            else:
                batch.put(key, value)
        batch.put(REFLECTS_KEY, b"%d %d %s" % (reflects, time(), self._log))
        self._db.write(batch, self._unlogged)

    def reflects(self) -> tuple[int, int] | None:
        """Next changelog offset to apply, and when that was written (epoch seconds).

        None while it is empty, or a copy of another changelog: of another line, or of brokers before these.
        """
        offset, *more = (self.get(REFLECTS_KEY) or b"").split(b" ")
        if len(more) != 2 or more[1] != self._log:
            return None
        return int(offset), int(more[0])

    def drop_range(self, begin: bytes, end: bytes) -> None:
        """Forget keys from ``begin`` up to but not including ``end``, without reading them."""
        self._db.delete_range(begin, end, self._unlogged)

    def clear(self) -> None:
        """Forget everything."""
        self.drop_range(b"", b"\xff" * 64)

    def close(self) -> None:
        """Flush and let go of the folder."""
        self._db.close()
