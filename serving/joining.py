"""Requests joined into one run of a signature, or a large one parted, and their outputs made of its."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from serving.contract import EXCLUDE, FILTER, HISTORY, HISTORY_ACTION, HISTORY_AGE
from serving.errors import invalid
from serving.tensors import Signature

_PADDED = (HISTORY, HISTORY_AGE, HISTORY_ACTION, EXCLUDE)
"""Inputs of Westwork's signatures that mean the same with more padding on their right ("" or 0); so do those
with values to filter by."""
_NARROWEST = 64
SMALLEST_HALF = 32
"""Rows of half a request: with fewer, what both halves do anew outweighs that two cores do it."""

Arrays = Mapping[str, np.ndarray]


def check_rows(signature: Signature, inputs: Arrays) -> int:
    """How many queries a request is for.

    Raises:
        RequestError: INVALID_ARGUMENT, where its inputs do not agree on that, or it is for none.
    """
    rows = {name: len(inputs[name]) for name in signature.row_inputs}
    if len(set(rows.values())) > 1:
        found = ", ".join(f"{name} {count}" for name, count in rows.items())
        raise invalid(f"expected the same number of rows in every input, found {found}")
    if 0 in rows.values():
        raise invalid("expected at least one row, found none")
    return next(iter(rows.values()), 1)


def joining_key(
    signature: Signature, inputs: Arrays, outputs: Sequence[str], padding: bool
) -> Hashable | None:
    """What requests must have in common to be joined; None for one that must be run by itself.

    Scalars, such as ``k``, must be equal. So must shapes, but for the rows; of inputs that may be padded
    only the widths' powers of two, so that a wide request does not make others wide.

    Args:
        signature: Which is asked.
        inputs: The request's.
        outputs: Which are wanted.
        padding: Whether the model is one of Westwork's, some of whose inputs may be padded.
    """
    if not all(signature.outputs[name].has_rows for name in outputs):
        return None
    if padding and not _may_be_padded(inputs):
        return None
    parts: list[Hashable] = [signature.name, tuple(outputs)]
    rows = set()
    for name, spec in signature.inputs.items():
        array = inputs[name]
        if spec.is_scalar:
            parts.append(array.item())
        elif not spec.has_rows or not array.ndim:
            return None
        else:
            rows.add(len(array))
            values = name.startswith(FILTER) and array.dtype == object
            padded = padding and (name in _PADDED or values)
            parts.append(_bucket(array.shape[1]) if padded else array.shape[1:])
    return tuple(parts) if len(rows) == 1 and 0 not in rows else None


def join(signature: Signature, requests: Sequence[Arrays]) -> dict[str, np.ndarray]:
    """The inputs of requests with one key, in their order, as those of a single one."""
    if len(requests) == 1:
        return dict(requests[0])
    joined = {}
    for name, spec in signature.inputs.items():
        arrays = [request[name] for request in requests]
        joined[name] = arrays[0] if spec.is_scalar else _concatenated(arrays)
    return joined


def split(outputs: Arrays, rows: Sequence[int]) -> list[dict[str, np.ndarray]]:
    """The outputs of a joined run, by request; or a request's inputs, by part.

    Args:
        outputs: [sum of rows, ...] each.
        rows: Of each request or part.

    Raises:
        ValueError: If an array has another number of rows.
    """
    ends = np.cumsum(rows)
    for name, array in outputs.items():
        if len(array) != ends[-1]:
            raise ValueError(f"output {name!r} has {len(array)} rows, expected {ends[-1]}")
    parts = zip(ends - np.asarray(rows), ends, strict=True)
    return [{name: array[start:end] for name, array in outputs.items()} for start, end in parts]


def halves(signature: Signature, inputs: Arrays, outputs: Sequence[str]) -> tuple[Arrays, Arrays] | None:
    """The inputs of a request's first rows and of its last, where each half is large enough to be run alone.

    Args:
        signature: Which is asked; its answer to a row must not depend on the others.
        inputs: The request's.
        outputs: Which are wanted.

    Returns:
        None for a request of fewer than ``2 * SMALLEST_HALF`` rows, and for one whose inputs or outputs do
        not agree on them: what is wrong with it is for the model to say.
    """
    by_row = {name: inputs[name] for name in signature.row_inputs}
    count = next(map(len, by_row.values()), 0)
    # First what every small request is told apart by.
    if count < 2 * SMALLEST_HALF or any(len(array) != count for array in by_row.values()):
        return None
    if not all(signature.outputs[name].has_rows for name in outputs):
        return None
    first, last = split(by_row, [count // 2, count - count // 2])
    return {**inputs, **first}, {**inputs, **last}


def _may_be_padded(inputs: Arrays) -> bool:
    """Whether padding keeps a wrong request wrong: widths that the model would refuse stay visible."""
    width = inputs[HISTORY].shape[1] if HISTORY in inputs else 0
    age, action = inputs.get(HISTORY_AGE), inputs.get(HISTORY_ACTION)
    return (age is None or age.shape[1] == width) and (action is None or action.shape[1] <= width)


def _bucket(width: int) -> int:
    return max(_NARROWEST, 1 << max(0, width - 1).bit_length())


def _concatenated(arrays: Sequence[np.ndarray]) -> np.ndarray:
    if arrays[0].ndim < 2 or len({array.shape[1] for array in arrays}) == 1:
        return np.concatenate(arrays)
    shape = (sum(map(len, arrays)), max(array.shape[1] for array in arrays))
    fill = "" if arrays[0].dtype == object else 0
    joined = np.full(shape, fill, dtype=arrays[0].dtype)
    start = 0
    for array in arrays:
        joined[start : start + len(array), : array.shape[1]] = array
        start += len(array)
    return joined
