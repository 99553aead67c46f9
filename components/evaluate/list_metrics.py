"""TFMA metrics of ranked lists of candidates.

A rival's prediction and label are what :func:`encode_lists` makes of its lists and of what was held out: two
short arrays, because TFMA writes all extracts out wherever it groups them.

All metrics of a rival but :class:`ListRecall` come from one :class:`ListSummary`, gathered once: TFMA would
otherwise take every example through a combiner for each of them.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

import apache_beam as beam
import numpy as np
import tensorflow_model_analysis as tfma
from tensorflow_model_analysis.metrics.metric_types import MetricKey

from components.evaluate.config import RETRIEVED
from components.evaluate.metrics import Mean, MetricValues, keys, of_rival

UNFILLED: Final = -1
OUTSIDE_CATALOGUE: Final = -2
NOTHING_HELD_OUT: Final = -3

HEAD: Final = 10
"""How many places of a list coverage, novelty and popularity bias look at."""


def encode_lists(
    ranked: np.ndarray, held_out: np.ndarray, positives: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns a batch's predictions and labels of a rival.

    Args:
        ranked: [batch, n] catalogue rows, best first, UNFILLED where there is none.
        held_out: [batch] rows of the held-out candidates: OUTSIDE_CATALOGUE where the catalogue does not hold
            it (a miss), NOTHING_HELD_OUT where the interaction is not positive (not counted at all).
        positives: int64 [catalogue] positive train interactions.

    Returns:
        int32 [batch, n], the lists; float64 [batch, len(Listed._fields)], what :class:`Listed` says of each.
    """
    head = ranked[:, :HEAD]
    filled = head != UNFILLED
    popularity = np.where(filled, positives[np.where(filled, head, 0)], 0)
    information = np.where(filled, -np.log2(np.maximum(popularity, 1) / max(positives.sum(), 1)), 0.0)
    places = np.maximum(filled.sum(axis=1), 1)
    found = ranked == held_out[:, None]
    rank = np.where(found.any(axis=1), found.argmax(axis=1) + 1, 0)
    numbers = Listed(
        rank=np.where(held_out == NOTHING_HELD_OUT, NOTHING_HELD_OUT, rank),
        # Places that hold no row are negative, beyond the start of a small catalogue.
        chosen=np.where(held_out >= 0, positives[np.maximum(held_out, 0)], 0),
        candidates=np.full(len(ranked), len(positives)),
        information=information.sum(axis=1) / places,
        popularity=popularity.sum(axis=1) / places,
    )
    return ranked.astype(np.int32), np.stack(numbers, axis=1).astype(np.float64)


class Listed(NamedTuple):
    """What is computed of a list by the batch, before TFMA takes every example by itself.

    Attributes:
        rank: of the held-out candidate, from 1; 0 where it is not in the list; NOTHING_HELD_OUT.
        chosen: positive train interactions of the held-out candidate; 0 outside the catalogue.
        candidates: the catalogue's size.
        information: the mean self-information of the list's first ten, in bits.
        popularity: the mean of their positive train interactions.
    """

    rank: Any
    chosen: Any
    candidates: Any
    information: Any
    popularity: Any


@dataclasses.dataclass
class ListSummary:
    """What the metrics of a rival's lists are computed from.

    Attributes:
        ranks: int64 [RETRIEVED + 1], how often the held-out candidate had each rank; 0 stands for none.
        shown: rows among the first ten of any list.
        catalogue: number of candidates.
        lists: how many lists hold anything.
        information: sum over these of the mean self-information of their first ten, in bits.
        popularity: sum over these of the mean popularity of their first ten.
        chosen_popularity: sum over these of the popularity of the held-out candidate.
    """

    ranks: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(RETRIEVED + 1, np.int64))
    shown: set[int] = dataclasses.field(default_factory=set)
    catalogue: int = 0
    lists: int = 0
    information: float = 0.0
    popularity: float = 0.0
    chosen_popularity: float = 0.0

    def add(self, head: list[int], listed: Listed) -> None:
        """Counts an interaction.

        Args:
            head: at most HEAD rows, the list's first.
            listed: floats, of the list.
        """
        self.ranks[int(listed.rank)] += 1
        self.shown.update(head)
        self.catalogue = max(self.catalogue, int(listed.candidates))
        if head:
            self.lists += 1
            self.information += listed.information
            self.popularity += listed.popularity
            self.chosen_popularity += listed.chosen

    def merge(self, other: ListSummary) -> None:
        """Counts what another one has counted."""
        self.ranks += other.ranks
        self.shown |= other.shown
        self.catalogue = max(self.catalogue, other.catalogue)
        self.lists += other.lists
        self.information += other.information
        self.popularity += other.popularity
        self.chosen_popularity += other.chosen_popularity

    @property
    def interactions(self) -> int:
        """How many have been counted."""
        return int(self.ranks.sum())


Interaction = tuple[list[int], Listed]
"""The arguments of :meth:`ListSummary.add`."""


class _Preprocessor(tfma.metrics.Preprocessor):
    """Reduces an example to what a summary adds; nothing where nothing is held out."""

    def __init__(self, model_name: str, rival: str):
        super().__init__(name=f"list:{model_name}:{rival}")
        self.model_name = model_name
        self.rival = rival

    def process(self, extracts: Mapping[str, Any]) -> Iterator[Interaction]:
        listed = Listed(*of_rival(extracts[tfma.LABELS_KEY], self.model_name, self.rival).tolist())
        if listed.rank != NOTHING_HELD_OUT:
            head = of_rival(extracts[tfma.PREDICTIONS_KEY], self.model_name, self.rival)[:HEAD]
            yield [row for row in head.tolist() if row != UNFILLED], listed


class _Summarise(beam.CombineFn):
    """Adds up to one :class:`ListSummary`."""

    def __init__(self, key: MetricKey):
        self.key = key

    def create_accumulator(self) -> ListSummary:
        return ListSummary()

    def add_input(self, accumulator: ListSummary, element: Interaction) -> ListSummary:
        accumulator.add(*element)
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[ListSummary]) -> ListSummary:
        merged = ListSummary()
        for accumulator in accumulators:
            merged.merge(accumulator)
        return merged

    def extract_output(self, accumulator: ListSummary) -> MetricValues:
        return {self.key: accumulator}


def _mean_gain(summary: ListSummary, gains: np.ndarray) -> float:
    """The mean of a gain, float64 [cutoff] by rank from 1, 0 past its end."""
    return _ratio(float(summary.ranks[1 : len(gains) + 1] @ gains), summary.interactions)


def _ratio(value: float, of: float) -> float:
    """NaN where there is nothing to compute it from."""
    return value / of if of else math.nan


_VALUES: Final[Mapping[str, Callable[[ListSummary, np.ndarray], float]]] = {
    "hit": lambda summary, ranks: _mean_gain(summary, np.ones(len(ranks))),
    "discounted": lambda summary, ranks: _mean_gain(summary, 1 / np.log2(ranks + 1)),
    "reciprocal": lambda summary, ranks: _mean_gain(summary, 1 / ranks),
    "positives": lambda summary, _: float(summary.interactions),
    "coverage": lambda summary, _: _ratio(len(summary.shown), summary.catalogue),
    "novelty": lambda summary, _: _ratio(summary.information, summary.lists),
    "popularity_bias": lambda summary, _: _ratio(summary.popularity, summary.chosen_popularity),
}


class _Derived:
    """From a summary to a metric's value."""

    def __init__(self, key: MetricKey, source: MetricKey, of: str, cutoff: int):
        self.key, self.source, self.of = key, source, of
        self.ranks = np.arange(1, cutoff + 1)

    def __call__(self, values: MetricValues) -> MetricValues:
        return {self.key: _VALUES[self.of](values[self.source], self.ranks)}


def _computations(
    name: str,
    of: str,
    cutoff: int = HEAD,
    model_names: list[str] | None = None,
    output_names: list[str] | None = None,
    example_weighted: bool = False,
) -> list[Any]:
    """The summary, of which TFMA keeps one a rival, and the metric derived from it."""
    made: list[Any] = []
    for key, model, rival in keys(name, model_names, output_names, example_weighted):
        # The underscore keeps it out of the results.
        summary = key._replace(name="_list")
        made += [
            tfma.metrics.MetricComputation(
                keys=[summary], preprocessors=[_Preprocessor(model, rival)], combiner=_Summarise(summary)
            ),
            tfma.metrics.DerivedMetricComputation(keys=[key], result=_Derived(key, summary, of, cutoff)),
        ]
    return made


class RankGain(tfma.metrics.Metric):
    """Mean over positive interactions of a gain g(rank) of the held-out candidate, 0 past ``cutoff``.

    With one held-out candidate an interaction these are the usual measures:

    - ``hit``: g = 1, recall@cutoff, which then is the hit rate@cutoff, too;
    - ``discounted``: g = 1 / log2(rank + 1), NDCG@cutoff (the ideal DCG is 1);
    - ``reciprocal``: g = 1 / rank, the mean reciprocal rank.
    """

    def __init__(self, name: str, cutoff: int, gain: str):
        """Initialises the metric.

        Args:
            name: the metric's name in the results.
            cutoff: positions of the list that count.
            gain: ``hit``, ``discounted`` or ``reciprocal``.
        """
        super().__init__(_gain_computations, name=name, cutoff=cutoff, gain=gain)


def _gain_computations(
    name: str,
    cutoff: int,
    gain: str,
    model_names: list[str] | None = None,
    output_names: list[str] | None = None,
    example_weighted: bool = False,
) -> list[Any]:
    return _computations(name, gain, cutoff, model_names, output_names, example_weighted)


class Positives(tfma.metrics.Metric):
    """The number of positive interactions: what the list metrics are means over."""

    def __init__(self, name: str):
        """Initialises the metric under its name in the results."""
        super().__init__(_computations, name=name, of="positives")


class Coverage(tfma.metrics.Metric):
    """|union of the lists' first ten candidates| / |catalogue|."""

    def __init__(self, name: str):
        """Initialises the metric under its name in the results."""
        super().__init__(_computations, name=name, of="coverage")


class Novelty(tfma.metrics.Metric):
    """Mean self-information of the lists' first ten candidates, in bits: mean of −log2(max(n_i, 1) / n).

    n_i of the n positive train interactions are of candidate i. After Zhou et al., "Solving the apparent
    diversity-accuracy dilemma of recommender systems", PNAS 2010, with interactions in the place of users.
    The mean is over a list, then over lists; candidates nobody chose count as chosen once.
    """

    def __init__(self, name: str):
        """Initialises the metric under its name in the results."""
        super().__init__(_computations, name=name, of="novelty")


class PopularityBias(tfma.metrics.Metric):
    """Average popularity of what is recommended, relative to that of what was chosen; 1 is no bias.

    ARP / mean of n_held-out, with ARP the mean over lists of the mean n_i of their first ten candidates
    (Abdollahpouri et al., "Managing Popularity Bias in Recommender Systems with Personalized Re-Ranking",
    FLAIRS 2019), n_i being candidate i's positive train interactions.
    """

    def __init__(self, name: str):
        """Initialises the metric under its name in the results."""
        super().__init__(_computations, name=name, of="popularity_bias")


class _Overlap(tfma.metrics.Preprocessor):
    """The share of another rival's list that this list holds."""

    def __init__(self, model_name: str, rival: str, truth: str):
        super().__init__(name=f"overlap:{model_name}:{rival}:{truth}")
        self.model_name = model_name
        self.rival = rival
        self.truth = truth

    def process(self, extracts: Mapping[str, Any]) -> Iterator[float]:
        if of_rival(extracts[tfma.LABELS_KEY], self.model_name, self.rival)[0] == NOTHING_HELD_OUT:
            return
        ranked, truth = (
            of_rival(extracts[tfma.PREDICTIONS_KEY], self.model_name, rival)
            for rival in (self.rival, self.truth)
        )
        wanted = set(truth.tolist()) - {UNFILLED}
        # Every candidate excluded: there was nothing to find, and nothing was missed.
        yield len(wanted.intersection(ranked.tolist())) / len(wanted) if wanted else 1.0


def _overlap_computations(
    name: str,
    truth: str,
    model_names: list[str] | None = None,
    output_names: list[str] | None = None,
    example_weighted: bool = False,
) -> list[tfma.metrics.MetricComputation]:
    return [
        tfma.metrics.MetricComputation(
            keys=[key], preprocessors=[_Overlap(model, rival, truth)], combiner=Mean(key)
        )
        for key, model, rival in keys(name, model_names, output_names, example_weighted)
    ]


class ListRecall(tfma.metrics.Metric):
    """Mean of |list ∩ truth| / |truth|: with exact search as the truth, the index's recall."""

    def __init__(self, name: str, truth: str):
        """Initialises the metric; ``truth`` is the prediction that holds the lists to be found."""
        super().__init__(_overlap_computations, name=name, truth=truth)
