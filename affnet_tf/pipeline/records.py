"""TFRecord files of ``tf.train.Example``, written without TensorFlow, which takes seconds and 0.4 GB to load.

A record is its length, the length's checksum, the data, and the data's checksum. An Example is a protocol buffer that maps
names to lists; here, to one byte string or to a list of integers of at least 0.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping, Sequence
from typing import IO

import google_crc32c
import numpy as np

__all__ = ["Chunk", "RecordWriter", "encode_example", "record_spans"]

Chunk = bytes | np.ndarray

_LENGTH, _CHECKSUM = struct.Struct("<Q"), struct.Struct("<I")
_FRAME = _LENGTH.size + 2 * _CHECKSUM.size
# Field numbers of the messages Example, Features, Feature, BytesList and Int64List, as tags of length-delimited fields.
_ONE, _TWO, _THREE = b"\x0a", b"\x12", b"\x1a"


class RecordWriter:
    """Writes records to an open binary file, and keeps the file's size and SHA-256 on the way."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._digest = hashlib.sha256()
        self.size = 0

    @property
    def sha256(self) -> str:
        """Of everything written so far, in hexadecimal."""
        return self._digest.hexdigest()

    def write(self, chunks: Sequence[Chunk]) -> None:
        """Write one record that is given in pieces: bytes, or contiguous uint8 arrays, which are not copied."""
        length = _LENGTH.pack(sum(len(_flat(chunk)) for chunk in chunks))
        checksum = 0
        self._put(length)
        self._put(_CHECKSUM.pack(_masked(google_crc32c.value(length))))
        for chunk in map(_flat, chunks):
            checksum = google_crc32c.extend(checksum, chunk)
            self._put(chunk)
        self._put(_CHECKSUM.pack(_masked(checksum)))

    def _put(self, chunk: Chunk) -> None:
        self._file.write(chunk)
        self._digest.update(chunk)
        self.size += len(chunk)


def record_spans(file: IO[bytes], size: int) -> list[tuple[int, int]]:
    """Of each record of an open binary file, in order, its first byte and how many it takes; the data are not read.

    Args:
        file: it can seek.
        size: the file's bytes.

    Raises:
        ValueError: a length does not agree with its checksum, or the records do not end where the file does.
    """
    spans, start = [], 0
    while start < size:
        file.seek(start)
        head = file.read(_LENGTH.size + _CHECKSUM.size)
        length, checksum = head[: _LENGTH.size], head[_LENGTH.size :]
        if checksum != _CHECKSUM.pack(_masked(google_crc32c.value(length))):
            raise ValueError(f"the length of the record at byte {start} does not agree with its checksum")
        span = _FRAME + _LENGTH.unpack(length)[0]
        spans.append((start, span))
        start += span
    if start != size:
        raise ValueError(f"the last record ends at byte {start} of {size}")
    return spans


def encode_example(values: Mapping[str, Chunk | Sequence[int]]) -> list[Chunk]:
    """An Example in pieces, with the bytes of ``tf.train.Example.SerializeToString(deterministic=True)``.

    Args:
        values: bytes or a contiguous uint8 array for a feature of one byte string; integers of at least 0 for one of
            integers.
    """
    entries: list[Chunk] = []
    for name in sorted(values):
        entries += _field(_ONE, [*_field(_ONE, [name.encode()]), *_field(_TWO, _feature(values[name]))])
    return _field(_ONE, entries)


def _flat(chunk: Chunk) -> Chunk:
    return chunk.reshape(-1) if isinstance(chunk, np.ndarray) else chunk


def _masked(checksum: int) -> int:
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF


def _feature(value: Chunk | Sequence[int]) -> list[Chunk]:
    if isinstance(value, bytes | np.ndarray):
        return _field(_ONE, _field(_ONE, [_flat(value)]))
    packed = b"".join(map(_varint, value))
    return _field(_THREE, _field(_ONE, [packed]) if packed else [])


def _field(tag: bytes, chunks: Sequence[Chunk]) -> list[Chunk]:
    return [tag + _varint(sum(map(len, chunks))), *chunks]


def _varint(value: int) -> bytes:
    groups = bytearray()
    while value > 0x7F:
        groups.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*groups, value])
