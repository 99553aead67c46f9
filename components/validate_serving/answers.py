"""What a good answer of the served contract is (docs/model.md), and what is wrong with another."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import tensorflow as tf

from serving.contract import CANDIDATE_IDS, DIVERSITY, FILTER, SCORES, K
from serving.tensors import Signature, Spec, described

_MOST_NAMED = 3

Arrays = Mapping[str, np.ndarray]


def complaints(signature: Signature, inputs: Arrays, outputs: Arrays, catalogue: pa.Array) -> list[str]:
    """What is wrong with an answer.

    Lists (``candidate_ids`` among the outputs) hold known candidates, each once and, unless a diversity is
    asked for, the best first, with finite numbers; places that could not be filled come last, with "" and
    -inf, and only a filter may leave all of them so. Of given candidates
    (``candidate_ids`` among the inputs) only unknown ones may get NaN. All other numbers are finite.

    Args:
        signature: The one that was asked.
        inputs: The request, by name.
        outputs: The answer, by name; strings as object arrays of bytes.
        catalogue: string [candidates], every id there is.

    Returns:
        A sentence for each fault; none for a good answer.
    """
    misshapen = list(_misshapen(signature, inputs, outputs, len(catalogue)))
    if misshapen:
        return misshapen
    if CANDIDATE_IDS in outputs:
        return list(_wrong_lists(inputs, outputs, catalogue))
    if CANDIDATE_IDS in inputs:
        return list(_not_finite(outputs, _known(inputs[CANDIDATE_IDS], catalogue)))
    return list(_not_finite(outputs, None))


def _misshapen(signature: Signature, inputs: Arrays, outputs: Arrays, candidates: int) -> Iterator[str]:
    rows = max((len(inputs[name]) for name in signature.row_inputs), default=0)
    for name, spec in signature.outputs.items():
        if name not in outputs:
            yield f"output {name!r} is missing"
            continue
        expected = spec
        if CANDIDATE_IDS in signature.outputs:
            expected = dataclasses.replace(spec, shape=(rows, min(int(inputs[K]), candidates)))
        elif spec.shape is not None and spec.has_rows:
            expected = dataclasses.replace(spec, shape=(rows, *spec.shape[1:]))
        found = outputs[name]
        dtype = tf.string if found.dtype == object else tf.dtypes.as_dtype(found.dtype)
        if dtype != spec.dtype or not _both_take(spec, expected, found.shape):
            yield f"output {name!r}: found {described(dtype, found.shape)}, expected {expected}"


def _both_take(declared: Spec, expected: Spec, shape: tuple[int, ...]) -> bool:
    return declared.takes(shape) and expected.takes(shape)


def _wrong_lists(inputs: Arrays, outputs: Arrays, catalogue: pa.Array) -> Iterator[str]:
    ids, scores = outputs[CANDIDATE_IDS], outputs[SCORES]
    filled = ids != b""
    unknown = ids[filled & ~_known(ids, catalogue)]
    if unknown.size:
        yield f"{CANDIDATE_IDS}: {_named(unknown)} not in the catalogue of {len(catalogue):,} candidates"
    if any(len(set(row[taken])) < taken.sum() for row, taken in zip(ids, filled, strict=True)):
        yield f"{CANDIDATE_IDS}: a list has a candidate twice"
    if not (filled.any(axis=1) | _filtered(inputs, len(ids))).all():
        yield f"{CANDIDATE_IDS}: a list is empty, though nothing was excluded"
    if (filled[:, 1:] & ~filled[:, :-1]).any() or not np.isneginf(scores[~filled]).all():
        yield f"{CANDIDATE_IDS}: places that are not filled do not come last with a score of -inf"
    not_finite = list(_not_finite(outputs, filled))
    yield from not_finite
    diverse = DIVERSITY in inputs and inputs[DIVERSITY] > 0
    if not not_finite and not diverse and (scores[:, 1:] > scores[:, :-1]).any():
        yield f"{SCORES}: a list is not in their order, the best first"


def _filtered(inputs: Arrays, rows: int) -> np.ndarray:
    """Which queries filter by anything: bool [rows]."""
    given = [
        ((values != b"") if values.dtype == object else ~np.isnan(values)).any(axis=1)
        for name, values in inputs.items()
        if name.startswith(FILTER)
    ]
    return np.logical_or.reduce([np.zeros(rows, bool), *given])


def _not_finite(outputs: Arrays, where: np.ndarray | None) -> Iterator[str]:
    """Numbers that are NaN or infinite in the places where they must not be; None: anywhere."""
    for name, values in outputs.items():
        if values.dtype.kind == "f":
            wrong = ~np.isfinite(values if where is None else values[where])
            if wrong.any():
                yield f"output {name!r} is no finite number in {wrong.sum():,} of {wrong.size:,} places"


def _known(ids: np.ndarray, catalogue: pa.Array) -> np.ndarray:
    """Which ids are the catalogue's; bool, of the same shape."""
    flat = pa.array([id.decode(errors="replace") for id in ids.ravel()], catalogue.type)
    return pc.is_in(flat, value_set=catalogue).to_numpy(zero_copy_only=False).reshape(ids.shape)


def _named(ids: np.ndarray) -> str:
    """``'a', 'b' and 4 more are``."""
    distinct = sorted({id.decode(errors="replace") for id in ids.tolist()})
    named = ", ".join(repr(id) for id in distinct[:_MOST_NAMED])
    more = f" and {len(distinct) - _MOST_NAMED:,} more" if len(distinct) > _MOST_NAMED else ""
    return f"{named}{more} {'is' if len(distinct) == 1 else 'are'}"
