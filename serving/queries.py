"""Queries as plain values, made into the batch of arrays that a signature takes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from serving.contract import DIVERSITY, EXCLUDE, FILTER, MISSING_MOMENT, K
from serving.errors import invalid
from serving.tensors import Signature, Spec, as_input

Filters = Mapping[str, Sequence[Any]]
"""Candidate feature to the values of which a candidate has to have one; or, of a number or a moment (seconds
since 1970 UTC), to the least and the greatest, None where that is open."""


def search_of(
    signature: Signature,
    queries: Sequence[Mapping[str, Any]],
    k: int,
    exclude: Sequence[Sequence[str]] = (),
    filters: Sequence[Filters] = (),
    diversity: float = 0.0,
) -> dict[str, Any]:
    """Inputs of ``recommend`` or ``retrieve``.

    Args:
        signature: Which of both.
        queries: Their features; see :func:`batch_of`.
        k: How many candidates for each.
        exclude: Ids for each query that must not be among them; none at all by default.
        filters: Of each query; none at all by default.
        diversity: From 0 to below 1, of ``recommend``'s.

    Raises:
        RequestError: INVALID_ARGUMENT, where a query, a filter or a value is none.
    """
    each = zip(queries, exclude or [()] * len(queries), filters or [{}] * len(queries), strict=True)
    specs = signature.inputs
    asked = [{**query, EXCLUDE: excluded, **filters_of(specs, own)} for query, excluded, own in each]
    # Where the input is lacking, a diversity of 0 is what there is anyway; any other is refused.
    varied = {DIVERSITY: diversity} if diversity or DIVERSITY in specs else {}
    return {**batch_of(signature.row_inputs, asked), K: k, **varied}


def filters_of(specs: Mapping[str, Spec], filters: Filters) -> dict[str, Sequence[Any]]:
    """Filters as features of a query, for :func:`batch_of`.

    Args:
        specs: The signature's inputs.
        filters: What to filter by.

    Raises:
        RequestError: INVALID_ARGUMENT, where the model cannot filter by one, or two bounds are not two.
    """
    known = {name.removeprefix(FILTER): spec for name, spec in specs.items() if name.startswith(FILTER)}
    features = {}
    for name, value in filters.items():
        if name not in known:
            raise invalid(
                f"found filter {name!r}, which the model has not; "
                f"expected some of {', '.join(sorted(known)) or 'none'} (assemble.filters)"
            )
        if known[name].dtype.is_floating:
            if isinstance(value, str) or len(value) != 2:
                raise invalid(
                    f"filter {name!r}: found {value!r}, expected (least, greatest), either may be None"
                )
            value = [math.nan if bound is None else bound for bound in value]
        features[FILTER + name] = value
    return features


def batch_of(specs: Mapping[str, Spec], queries: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """Queries as inputs, a row each.

    What a query does not have is missing: ``""``, NaN (a vector of them), no elements, or ``MISSING_MOMENT``.
    Lists of different lengths are padded on their right, with ``""`` or 0.

    Args:
        specs: The inputs to fill, by name; each has rows.
        queries: Feature to value: str, number, or a list of them; None is missing, too.

    Returns:
        Each input, [queries, ...].

    Raises:
        RequestError: INVALID_ARGUMENT, where a query has a feature that is no input, or a value that is none
            of its dtype; names it.
    """
    for number, query in enumerate(queries):
        unknown = sorted(query.keys() - specs.keys())
        if unknown:
            raise invalid(
                f"query {number}: found {', '.join(unknown)}, which is no input; "
                f"expected some of {', '.join(sorted(specs))}"
            )
    return {name: _column(spec, [query.get(name) for query in queries]) for name, spec in specs.items()}


def _column(spec: Spec, values: Sequence[Any]) -> np.ndarray:
    """One input, [len(values), ...]."""
    if not spec.has_rows or spec.shape is None or len(spec.shape) > 2:
        raise invalid(f"input {spec.name!r} is {spec}, which is no feature of a query")
    missing: Any = "" if spec.dtype == tf.string else math.nan if spec.dtype.is_floating else MISSING_MOMENT
    if len(spec.shape) == 1:
        return as_input(spec, [missing if value is None else value for value in values])
    width = spec.shape[1]
    if width is not None:
        rows = [[missing] * width if value is None else value for value in values]
        return as_input(spec, rows)
    lists = [_list(spec, value) for value in values]
    widest = max(map(len, lists), default=0)
    padding = "" if spec.dtype == tf.string else 0
    padded = [[*row, *[padding] * (widest - len(row))] for row in lists]
    empty = np.zeros([len(lists), 0], dtype=object)
    return as_input(spec, padded if widest else empty)


def _list(spec: Spec, value: Any) -> list[Any]:
    if value is None:
        return []
    if isinstance(value, str | bytes) or not isinstance(value, Sequence | np.ndarray):
        raise invalid(f"input {spec.name!r}: found {value!r}, expected a list of {spec.dtype.name}")
    return list(value)
