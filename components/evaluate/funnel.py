"""What becomes of the ranker's choice in the cascade: retrieval hands on hundreds, ranking keeps ten.

The ranker over the exact catalogue, every candidate given its final score, is the upper bound: a cascade that
retrieved everything. It costs a ranker's call for each pair of a query and a candidate, so it is asked for a
bounded sample of the interactions only.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np
import tensorflow as tf
import tensorflow_model_analysis as tfma
from scipy.stats import rankdata

from components.evaluate.config import FUNNEL, FUNNEL_METRICS, RETRIEVED
from components.evaluate.list_metrics import HEAD, UNFILLED
from components.evaluate.metrics import Mean, keys, of_rival

_CORRELATED: Final = 1000
"""Of how many candidates the correlation is; of all in a smaller catalogue."""
_SEED: Final = 23
_BUCKETS: Final = 2**62


def drawn(pairs: int, catalogue: int, interactions: int, identity: list[np.ndarray]) -> np.ndarray:
    """Which interactions are in the funnel's sample, drawn by a fingerprint: the same for every model.

    Args:
        pairs: how many pairs of a query and a candidate may be ranked.
        catalogue: number of candidates.
        interactions: how many interactions there are at most.
        identity: strings [batch] each, that tell interactions apart.

    Returns:
        bool [batch].
    """
    # Not the fingerprint by which the interactions themselves were drawn: theirs are the least.
    key = tf.strings.join([FUNNEL, *(tf.constant(part, tf.string) for part in identity)], "\0")
    share = min(1.0, pairs / (catalogue * interactions))
    return tf.strings.to_hash_bucket_fast(key, _BUCKETS).numpy() < share * _BUCKETS


def exact_lists(final: np.ndarray, excluded: np.ndarray) -> np.ndarray:
    """The best candidates of all.

    Args:
        final: float [batch, catalogue] final scores.
        excluded: int64 [batch, m] rows; UNFILLED is no row.

    Returns:
        int64 [batch, RETRIEVED] rows, best first, UNFILLED where there are no more.
    """
    allowed = _allowed(final.shape, excluded)
    scores = np.where(allowed, final, -np.inf)
    count = min(RETRIEVED, final.shape[1])
    best = np.argpartition(-scores, count - 1, axis=1)[:, :count]
    order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1, kind="stable")
    rows = np.take_along_axis(best, order, axis=1)
    rows = np.where(np.take_along_axis(allowed, rows, axis=1), rows, UNFILLED)
    return np.pad(rows, ((0, 0), (0, RETRIEVED - count)), constant_values=UNFILLED)


def funnel(
    retrieval: np.ndarray,
    final: np.ndarray,
    excluded: np.ndarray,
    exact: np.ndarray,
    retrieved: np.ndarray,
    delivered: np.ndarray,
    recommended: np.ndarray,
    held_out: np.ndarray,
) -> np.ndarray:
    """What a query's funnel lets through.

    Args:
        retrieval: float [batch, catalogue], the towers' scores.
        final: float [batch, catalogue], final scores.
        excluded: int64 [batch, m] rows; UNFILLED is no row, here and below.
        exact: int64 [batch, any] rows, best first: :func:`exact_lists`.
        retrieved: int64 [batch, any] rows: the candidates that the index finds.
        delivered: int64 [batch, any] rows: the candidates that are ranked, best of the index or of the light
            ranker first, then those of the history.
        recommended: int64 [batch, any] rows, best first: the list that is shown.
        held_out: int64 [batch] rows of what was chosen; negative outside the catalogue.

    Returns:
        float64 [batch, len(FUNNEL_METRICS)], see :class:`FunnelShare`.
    """
    shown = recommended[:, :HEAD]
    top = exact[:, :HEAD]
    columns = {
        "overlap@100": _share(exact, delivered[:, :RETRIEVED]),
        "top10_retrieved": _share(top, retrieved),
        "top10_delivered": _share(top, delivered),
        "top10_kept": _share(top, shown),
        "positives_delivered": (delivered == held_out[:, None]).any(axis=1) & (held_out >= 0),
        "positives_kept": (shown == held_out[:, None]).any(axis=1) & (held_out >= 0),
        "rank_correlation": _rank_correlation(retrieval, final, _allowed(final.shape, excluded)),
    }
    return np.stack([columns[name] for name in FUNNEL_METRICS], axis=1).astype(np.float64)


def _allowed(shape: tuple[int, ...], excluded: np.ndarray) -> np.ndarray:
    allowed = np.ones((shape[0], shape[1] + 1), bool)
    # UNFILLED goes into the column past the last.
    allowed[np.arange(shape[0])[:, None], excluded] = False
    return allowed[:, :-1]


def _share(wanted: np.ndarray, among: np.ndarray) -> np.ndarray:
    """|wanted and among| / |wanted|, by row; 1 where nothing is wanted."""
    filled = wanted != UNFILLED
    found = filled & (wanted[:, :, None] == among[:, None, :]).any(axis=2)
    return np.where(filled.any(axis=1), found.sum(axis=1) / np.maximum(filled.sum(axis=1), 1), 1.0)


def _rank_correlation(retrieval: np.ndarray, final: np.ndarray, allowed: np.ndarray) -> np.ndarray:
    """Spearman's, by row, over the allowed candidates or some of them; 0 where one orders nothing."""
    size = final.shape[1]
    random = np.random.default_rng(_SEED)
    columns = np.sort(random.choice(size, min(size, _CORRELATED), replace=False))
    found = np.zeros(len(final))
    for row, (left, right, counted) in enumerate(
        zip(retrieval[:, columns], final[:, columns], allowed[:, columns], strict=True)
    ):
        places = np.stack([rankdata(left[counted]), rankdata(right[counted])])
        if places.shape[1] > 1 and places.std(axis=1).all():
            found[row] = np.corrcoef(places)[0, 1]
    return found


class _Value(tfma.metrics.Preprocessor):
    """One of a sampled query's numbers."""

    def __init__(self, metric: str, model_name: str):
        super().__init__(name=f"{FUNNEL}:{model_name}:{metric}")
        self.model_name, self.place = model_name, FUNNEL_METRICS.index(metric)

    def process(self, extracts: Mapping[str, Any]) -> Iterator[float]:
        value = of_rival(extracts[tfma.PREDICTIONS_KEY], self.model_name, FUNNEL)[self.place]
        if not np.isnan(value):
            yield float(value)


def _computations(
    name: str,
    model_names: list[str] | None = None,
    output_names: list[str] | None = None,
    example_weighted: bool = False,
) -> list[tfma.metrics.MetricComputation]:
    return [
        tfma.metrics.MetricComputation(keys=[key], preprocessors=[_Value(name, model)], combiner=Mean(key))
        for key, model, _ in keys(name, model_names, output_names, example_weighted)
    ]


class FunnelShare(tfma.metrics.Metric):
    """Mean over the sampled positive interactions of one of these numbers.

    - ``overlap@100``: share of the ranker's best hundred of all candidates that are among the hundred that
      retrieval thinks best: the index, or the light ranker, where there is one;
    - ``top10_retrieved``: share of its best ten of all that the index finds;
    - ``top10_delivered``: the same of what is delivered: of what the index finds, the light ranker, where
      there is one, leaves out some, and the history may add some;
    - ``top10_kept``: share of its best ten of all that are in the ten that are shown;
    - ``positives_delivered``: whether what was chosen is delivered to the ranker;
    - ``positives_kept``: whether it is in the ten that are shown;
    - ``rank_correlation``: Spearman's, of the towers' scores and the final ones over the catalogue, or a
      thousand candidates drawn from it.
    """

    def __init__(self, name: str):
        """Initialises the metric under its name in the results, one of ``FUNNEL_METRICS``."""
        super().__init__(_computations, name=name)
