"""Arrow columns to serialised tf.Examples: whole columns at a time, byte for byte the same each time.

An event log is turned into examples whose bulk is its histories; a serialiser that goes from row to row
would be most of ingestion. Here a row's message is joined by Arrow from one piece a feature, and a
piece's bytes are made once for each distinct value, not once for each row.

Wire format: Protocol Buffers, "Encoding" (developers' guide); messages: tensorflow/core/example/
example.proto and feature.proto.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

ENCODED_ROWS = 16_384
"""Rows encoded at a time; bounds the memory that serialised examples take."""

_BYTES_LIST, _FLOAT_LIST, _INT64_LIST = b"\x0a", b"\x12", b"\x1a"
_FIRST_FIELD, _SECOND_FIELD = b"\x0a", b"\x12"
_LONGEST_VARINT = 10
_ABSENT = -1
"""In place of a list's size: there is no list."""


class ListedStrings:
    """A list column of strings that come from a small set, such as histories of candidates.

    Attributes:
        offsets: [n + 1] int32, where each row's list begins among ``indices``.
        indices: [any] int, places in the entries.
        entries: The distinct strings, by :func:`string_entries`.
    """

    def __init__(self, offsets: np.ndarray, indices: np.ndarray, entries: pa.Array):
        """Takes the lists as they are."""
        self.offsets, self.indices, self.entries = offsets, indices, entries


def string_entries(strings: pa.Array) -> pa.Array:
    """Strings as elements of a serialised BytesList.

    Args:
        strings: [n] strings or binaries, no nulls.

    Returns:
        [n] binaries.
    """
    content = pc.cast(strings, pa.binary())
    return _joined([_same(_FIRST_FIELD, len(content)), _varints(_lengths(content)), content])


def encode_examples(columns: Mapping[str, pa.Array | ListedStrings]) -> pa.Array:
    """Serialises rows as tf.Examples.

    Args:
        columns: Feature name to [n] values: a scalar column (null where missing) or a list column.
            Strings become bytes, doubles and floats float32, integers int64.

    Returns:
        [n] binaries, equal for equal input, features in the order of ``columns``. A missing value is a
        feature without a list, as TFX' own encoders write it.
    """
    pieces = [_feature(name, values) for name, values in columns.items()]
    sizes = np.sum([_lengths(piece) for piece in pieces], axis=0)
    header = _joined([_same(_FIRST_FIELD, len(sizes)), _varints(sizes)])
    return _joined([header, *pieces])


def _feature(name: str, values: pa.Array | ListedStrings) -> pa.Array:
    """One entry of the feature map for each row: [n] binaries."""
    if isinstance(values, ListedStrings):
        elements = values.entries.take(pa.array(values.indices))
        return _entries(name, _BYTES_LIST, _join_lists(values.offsets, elements), None)
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    if pa.types.is_dictionary(values.type):
        if values.null_count:
            return _feature(name, values.dictionary_decode())
        return _feature(name, values.dictionary).take(values.indices)
    if pa.types.is_list(values.type):
        return _list_feature(name, values)
    if pa.types.is_floating(values.type) or pa.types.is_string(values.type):
        # Few distinct values are the rule (ratings, flags, attributes): each is serialised once.
        encoded = values.dictionary_encode(null_encoding="encode")
        if len(encoded.dictionary) < len(values) // 2:
            return _scalar_feature(name, encoded.dictionary).take(encoded.indices)
    return _scalar_feature(name, values)


def _scalar_feature(name: str, values: pa.Array) -> pa.Array:
    missing = values.is_null().to_numpy(zero_copy_only=False) if values.null_count else None
    if pa.types.is_floating(values.type):
        numbers = pc.fill_null(values, 0).to_numpy(zero_copy_only=False).astype("<f4")
        payload = _slices(numbers, np.arange(len(numbers) + 1))
        return _entries(name, _FLOAT_LIST, _packed(payload), missing)
    if pa.types.is_integer(values.type):
        numbers = pc.fill_null(values, 0).to_numpy(zero_copy_only=False)
        return _entries(name, _INT64_LIST, _packed(_varints(numbers)), missing)
    text = pc.cast(values, pa.binary())
    text = pc.fill_null(text, pa.scalar(b"", pa.binary())) if values.null_count else text
    return _entries(name, _BYTES_LIST, string_entries(text), missing)


def _list_feature(name: str, values: pa.Array) -> pa.Array:
    lengths = pc.fill_null(pc.list_value_length(values), 0).to_numpy()
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    missing = lengths == 0
    elements = values.flatten()
    if pa.types.is_floating(elements.type):
        payload = _slices(elements.to_numpy(zero_copy_only=False).astype("<f4"), offsets)
        return _entries(name, _FLOAT_LIST, _packed(payload), missing)
    if pa.types.is_integer(elements.type):
        payload = _join_lists(offsets, _varints(elements.to_numpy(zero_copy_only=False)))
        return _entries(name, _INT64_LIST, _packed(payload), missing)
    return _entries(name, _BYTES_LIST, _join_lists(offsets, string_entries(elements)), missing)


def _entries(name: str, kind: bytes, lists: pa.Array, missing: np.ndarray | None) -> pa.Array:
    """``map<string, Feature>`` entries around serialised lists.

    Args:
        name: The key.
        kind: Tag of the list within Feature.
        lists: [n] serialised BytesList, FloatList or Int64List.
        missing: [n] bool, where the Feature has no list at all; None for nowhere.
    """
    sizes = _lengths(lists)
    places = sizes if missing is None else np.where(missing, _ABSENT, sizes)
    distinct, inverse = np.unique(places, return_inverse=True)
    headers = [_entry_header(name, kind, size) for size in distinct.tolist()]
    header = pa.array(headers, pa.binary()).take(pa.array(inverse))
    if missing is not None and missing.any():
        lists = pc.if_else(pa.array(missing), pa.scalar(b"", pa.binary()), lists)
    return _joined([header, lists])


@functools.lru_cache(maxsize=1 << 16)
def _entry_header(name: str, kind: bytes, size: int) -> bytes:
    """What stands before a serialised list of ``size`` bytes in its entry of the feature map."""
    key = name.encode()
    within = b"" if size == _ABSENT else kind + _varint(size)
    feature = _SECOND_FIELD + _varint(len(within) + max(size, 0)) + within
    entry = _FIRST_FIELD + _varint(len(key)) + key + feature
    return _FIRST_FIELD + _varint(len(entry) + max(size, 0)) + entry


def _packed(payload: pa.Array) -> pa.Array:
    """A serialised FloatList or Int64List of packed values: [n] binaries."""
    count = len(payload)
    return _joined([_same(_FIRST_FIELD, count), _varints(_lengths(payload)), payload])


def _join_lists(offsets: np.ndarray, elements: pa.Array) -> pa.Array:
    """Concatenates each list's elements: [n + 1] offsets, [any] binaries -> [n] binaries."""
    bounds = np.concatenate([[0], np.cumsum(_lengths(elements))])[offsets]
    # The elements already lie end to end: a list's bytes are a slice of theirs.
    return _binary(bounds, elements.buffers()[2], _first_byte(elements))


def _slices(numbers: np.ndarray, offsets: np.ndarray) -> pa.Array:
    """The raw bytes of slices of a contiguous array: [n + 1] offsets -> [n] binaries."""
    return _binary(
        offsets.astype(np.int64) * numbers.itemsize, pa.py_buffer(np.ascontiguousarray(numbers)), 0
    )


def _binary(bounds: np.ndarray, data: pa.Buffer | None, shift: int) -> pa.Array:
    offsets = pa.py_buffer(np.ascontiguousarray((bounds + shift).astype(np.int32)))
    return pa.Array.from_buffers(pa.binary(), len(bounds) - 1, [None, offsets, data or pa.py_buffer(b"")])


def _first_byte(values: pa.Array) -> int:
    if not len(values):
        return 0
    return int(np.frombuffer(values.buffers()[1], np.int32)[values.offset])


def _lengths(values: pa.Array) -> np.ndarray:
    """[n] int64 bytes of each binary, none null."""
    if not len(values):
        return np.zeros(0, np.int64)
    offsets = np.frombuffer(values.buffers()[1], np.int32)[values.offset : values.offset + len(values) + 1]
    return np.diff(offsets).astype(np.int64)


def _joined(pieces: Sequence[pa.Array | pa.Scalar]) -> pa.Array:
    """[n] binaries put end to end, row by row."""
    return pc.binary_join_element_wise(*pieces, pa.scalar(b"", pa.binary()))


def _same(content: bytes, count: int) -> pa.Array:
    """One binary for all rows; an array, since Arrow joins nothing but scalars to a scalar."""
    if not count:
        return pa.array([], pa.binary())
    return pa.repeat(pa.scalar(content, pa.binary()), count)


def _varint(number: int) -> bytes:
    """One non-negative number as base-128 varint."""
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def _varints(numbers: np.ndarray) -> pa.Array:
    """[n] integers -> [n] base-128 varints; negative ones take ten bytes, as two's complement."""
    values = numbers.astype(np.int64).view(np.uint64)
    if len(values) and values.max() < 1 << 14:
        return _SHORT_VARINTS.take(pa.array(values))
    widths = np.ones(len(values), np.int64)
    for width in range(1, _LONGEST_VARINT):
        widths += values >= np.uint64(1) << np.uint64(7 * width)
    columns = int(widths.max()) if len(values) else 1
    groups = np.empty((len(values), columns), np.uint8)
    for place in range(columns):
        groups[:, place] = (values >> np.uint64(7 * place)).astype(np.uint8) & 127
    more = np.arange(columns) < (widths - 1)[:, np.newaxis]
    groups |= more.astype(np.uint8) << 7
    used = np.arange(columns) < widths[:, np.newaxis]
    bounds = np.concatenate([[0], np.cumsum(widths)])
    return _binary(bounds, pa.py_buffer(np.ascontiguousarray(groups[used])), 0)


_SHORT_VARINTS = pa.array([_varint(number) for number in range(1 << 14)], pa.binary())
