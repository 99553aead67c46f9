"""What of an action's value is the candidate's, and what its place in the list's or the query's doing.

People click what stands first, and some click all the time. Taken for what it is worth, such a click teaches
the towers where a candidate was shown and by whom it was seen. So the values of the train split are taken
apart first, and of each only the candidate's part weighs in the loss.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import tensorflow as tf

from components.ingest.declaration import POSITIVE, WEIGHT
from components.retrieval.config import Debias
from components.transform.interaction_dataset import (
    CANDIDATE_ROW,
    UNKNOWN_POSITION,
    EncodedInteractions,
)

_PRIOR = 5.0
_ROUNDS = 100
_CONVERGED = 1e-4


def multiplicative_parts(values: np.ndarray, groups: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The factors by which each group's values are greater or less than others', all else being equal.

    The value of row i is taken to be, on average, m · Π_g f_g(i), a factor for each of the groups that the
    row is in. The factors are those of the greatest Poisson likelihood, which asks that each group's values
    add up to what is expected of it, found by setting one kind after the other to

        f_g(k) = (Σ values + 5 m) / (Σ expected without f_g + 5 m)      over the rows of group k of kind g,

    with 5 average rows in mind that are as expected, so that a group of few rows stays near 1 (the damping of
    Koren, KDD 2008, section 2.1). For clicks on positions and candidates this is the position-based click
    model (Craswell et al., WSDM 2008): a chance to be looked at times one to be liked; a position's part is
    known apart from its candidates' as far as the same ones were shown in several positions.

    Args:
        values: float [rows], none negative.
        groups: Of each kind, int [rows]: the group of each row, any numbers.

    Returns:
        Of each kind, float64 [rows]: the factor of each row's group, 1 in the mean over rows.
    """
    values = np.asarray(values, np.float64)
    _check_shapes(values, groups)
    mean = values.mean() if len(values) else 0.0
    if not mean > 0:
        return [np.ones(len(values)) for _ in groups]
    places = [np.unique(group, return_inverse=True)[1] for group in groups]
    factors = [np.ones(place.max() + 1) for place in places]
    totals = [np.bincount(place, weights=values) for place in places]
    scale = mean
    for _ in range(_ROUNDS):
        moved = 0.0
        for kind, place in enumerate(places):
            others = np.full(len(values), scale)
            for other, factor in enumerate(factors):
                if other != kind:
                    others *= factor[places[other]]
            expected = np.bincount(place, weights=others)
            found = (totals[kind] + _PRIOR * mean) / (expected + _PRIOR * mean)
            average = found[place].mean()
            found /= average
            scale *= average
            moved = max(moved, float(np.abs(found - factors[kind]).max()))
            factors[kind] = found
        if moved < _CONVERGED:
            break
    return [factor[place] for factor, place in zip(factors, places, strict=True)]


def debiased(
    interactions: EncodedInteractions, debias: Debias, query_id: str, position: str | None
) -> EncodedInteractions:
    """The interactions with the weights of the positive ones divided by what is not their candidates' part.

    Values (the weight of a positive interaction, 0 of others) are taken apart into a part of the position, of
    the query and of the candidate by :func:`multiplicative_parts`. The weight w of a positive one becomes

        w / (position's part · query's part), at most ``clip`` times what it was,

    scaled so that all positive ones weigh what they did. So a click far down the list counts for more, and so
    does one of a query that seldom clicks: inverse propensity weights (Joachims, Swaminathan and Schnabel,
    "Unbiased Learning-to-Rank with Biased Feedback", WSDM 2017, section 4) for both. Where the position is
    missing its part is 1: whatever stands behind that, no list has made it better or worse. Interactions
    that are not positive keep their weights.

    Args:
        interactions: The whole train split: what was shown and passed over says how a position does.
        debias: What to take off.
        query_id: Name of the column of queries.
        position: Name of that of positions; None where there is none.
    """
    weights = interactions.columns[WEIGHT].numpy()
    positive = interactions.columns[POSITIVE].numpy() > 0
    columns = {
        "user": interactions.column(query_id).numpy(),
        "item": interactions.columns[CANDIDATE_ROW].numpy(),
    }
    if position is not None:
        columns["position"] = interactions.columns[position].numpy()
    found = multiplicative_parts(weights * positive, list(columns.values()))
    parts = dict(zip(columns, found, strict=True))
    if position is not None:
        parts["position"] = of_known(parts["position"], columns["position"])
    corrected = item_values(weights, positive, parts, debias)
    return replace(interactions, columns={**interactions.columns, WEIGHT: tf.constant(corrected, tf.float32)})


def of_known(part: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """The positions' part, 1 in the mean over rows whose position is known, and 1 for the others.

    Args:
        part: float [rows].
        positions: int [rows].
    """
    known = positions != UNKNOWN_POSITION
    return np.where(known, part / part[known].mean(), 1.0) if known.any() else np.ones(len(part))


def item_values(
    weights: np.ndarray, positive: np.ndarray, parts: Mapping[str, np.ndarray], debias: Debias
) -> np.ndarray:
    """Weights without the parts that are to be taken off; see :func:`debiased`.

    Args:
        weights: float [rows].
        positive: bool [rows].
        parts: ``position`` and ``user``, each float [rows] above 0, as far as they are to be taken off.
        debias: Says which, and the clip.

    Returns:
        float64 [rows].
    """
    _check_shapes(weights, list(parts.values()))
    factors = np.ones(len(weights))
    for name, wanted in (("position", debias.position), ("user", debias.user)):
        if wanted:
            factors /= parts[name]
    corrected = weights * np.where(positive, np.minimum(factors, debias.clip), 1.0)
    if not positive.any():
        return corrected
    return np.where(positive, corrected * weights[positive].sum() / corrected[positive].sum(), corrected)


def _check_shapes(values: np.ndarray, columns: Sequence[np.ndarray]) -> None:
    """A number a row, and nothing else: [rows] beside [rows, 1] would make rows x rows of both, unnoticed.

    So it goes in public code of the kind, the position debiased weights of gauravchak/two_tower_models: what
    an embedding estimates of each row, [batch, 1], is held against the values of all rows, [batch].
    """
    for column in (values, *columns):
        if np.shape(column) != (len(values),):
            raise ValueError(f"expected shape ({len(values)},) of every column, found {np.shape(column)}")
