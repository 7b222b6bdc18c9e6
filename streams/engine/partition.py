"""Which partition a key belongs to: the same for every producer of the line."""

from zlib import crc32


def partition_of(key: bytes, count: int) -> int:
    """Partition of ``key`` among ``count`` (librdkafka's CRC32 of the key, unsigned)."""
    return crc32(key) % count
