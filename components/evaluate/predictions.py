"""Examples to TFMA extracts: what the served signatures and their rivals answer, labels and slices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import apache_beam as beam
import numpy as np
import pyarrow as pa
import tensorflow as tf
import tensorflow_model_analysis as tfma
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue

from components.evaluate import funnel
from components.evaluate.config import (
    CANDIDATE_MEAN,
    EXACT,
    EXACT_RANKER,
    FUNNEL,
    FUNNEL_METRICS,
    OWN_FREQUENT,
    POPULARITY,
    RATING,
    RECOMMEND,
    RETRIEVE,
    RETRIEVED,
    over_new,
)
from components.evaluate.list_metrics import (
    NOTHING_HELD_OUT,
    OUTSIDE_CATALOGUE,
    UNFILLED,
    encode_lists,
)
from components.evaluate.served import COLD, ServedModel, tensor
from components.evaluate.trained import TrainedRivals, listed
from components.ingest.declaration import ACTION, HISTORY, POSITIVE, REPEAT
from components.ranking.heads import Head

QUERY_ACTIVITY: Final = "query_activity"
"""Slice by length of the history: ``0``, ``1-5``, ``6-20``, ``21+``."""
CANDIDATE_POPULARITY: Final = "candidate_popularity"
"""Slice by the candidate's train positives: see Catalogue.segment; ``cold`` outside the catalogue too."""
QUERY_KNOWN: Final = "query_known"
"""Slice by the query's id: ``known`` where train has it, else ``cold``."""
SLICES: Final = (QUERY_ACTIVITY, CANDIDATE_POPULARITY, QUERY_KNOWN)

BATCH: Final = 256
"""Examples a call of a signature: enough for a call's cost, few enough to score a whole catalogue for."""

_STRING = tf.TensorSpec([None], tf.string)
_STRINGS = tf.TensorSpec([None, None], tf.string)
_FLOAT = tf.TensorSpec([None], tf.float32)
_INTEGER = tf.TensorSpec([None], tf.int64)

Ask = Callable[[ServedModel, dict[str, np.ndarray], np.ndarray, np.ndarray], np.ndarray]
"""From a model, query inputs, ids to exclude [batch, m], and which of the batch are asked, bool [batch], to
int64 rows [asked, RETRIEVED]."""


class Questions(NamedTuple):
    """What an evaluation asks of examples and models.

    Attributes:
        query_id: column of the query's id.
        candidate_id: column of the candidate's id.
        rating: column of the rating; None without ratings, which then are not asked for.
        timestamp: column of the moment.
        heads: the probabilities that are asked for.
        ranked_pairs: how many pairs of a query and a candidate the ranker over the exact catalogue may take.
        interactions: how many interactions there are at most.
        repeats: whether a query may meet a candidate again.
        trained: the trained baselines that are asked, too.
        baselines: where they are; of no meaning without any.
    """

    query_id: str
    candidate_id: str
    timestamp: str
    rating: str | None
    heads: tuple[Head, ...]
    ranked_pairs: int
    interactions: int
    repeats: bool
    trained: tuple[str, ...] = ()
    baselines: str = ""


class ServedPredictions(beam.DoFn):
    """Asks the evaluated models, batch by batch.

    Each batch becomes one batch of extracts with

    - features: the slices; the query's id, the rating and each head's label (for ranking metrics by query);
    - predictions and labels by rival, under the model's name where there are two models: lists as
      :func:`components.evaluate.list_metrics.encode_lists` packs them, ratings, probabilities.

    The history is excluded from every list, but with repeats only from those of candidates new to the
    query. The slices are those of the model under evaluation, also for the baseline, so that both are
    measured on the same interactions.
    """

    def __init__(self, models: list[tfma.types.EvalSharedModel], questions: Questions):
        """Remembers what to ask.

        Args:
            models: the model under evaluation and, optionally, the baseline.
            questions: what to ask them, and the columns.
        """
        self._shared = models
        self._questions = questions
        self._models: dict[str, ServedModel] = {}
        self._trained: TrainedRivals | None = None
        self._waiting: list[pa.RecordBatch] = []

    def setup(self) -> None:
        """Loads the models and the trained baselines, once a process."""
        self._models = {shared.model_name: shared.model_loader.load() for shared in self._shared}
        self._trained = TrainedRivals(self._questions.baselines, self._questions.trained)

    def process(self, extracts: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Gathers batches, and yields the extracts of a large one."""
        self._waiting.append(extracts[tfma.ARROW_RECORD_BATCH_KEY])
        if sum(batch.num_rows for batch in self._waiting) >= BATCH:
            yield from self._extracts()

    def finish_bundle(self) -> Iterator[WindowedValue]:
        """Yields the extracts of the examples that are left."""
        for extracts in self._extracts():
            yield WindowedValue(extracts, MIN_TIMESTAMP, (GlobalWindow(),))

    def _extracts(self) -> Iterator[dict[str, Any]]:
        if not any(batch.num_rows for batch in self._waiting):
            return
        batch = pa.Table.from_batches(self._waiting).combine_chunks().to_batches()[0]
        self._waiting = []
        # The same for all models: a baseline knows nothing of them.
        trained = self._trained.ranked(tensor(batch, HISTORY, _STRINGS)) if self._trained else {}
        labels, predictions = {}, {}
        for name, model in self._models.items():
            labels[name], predictions[name] = self._ask(model, batch, trained)
        only = next(iter(self._models)) if len(self._models) == 1 else None
        yield {
            tfma.FEATURES_KEY: self._features(batch),
            tfma.LABELS_KEY: labels if only is None else labels[only],
            tfma.PREDICTIONS_KEY: predictions if only is None else predictions[only],
        }

    def _features(self, batch: pa.RecordBatch) -> dict[str, np.ndarray]:
        model, asked = self._models[self._evaluated], self._questions
        queries = tensor(batch, asked.query_id, _STRING)
        rows = model.catalogue.rows(tensor(batch, asked.candidate_id, _STRING))
        events = (tensor(batch, HISTORY, _STRINGS) != b"").sum(axis=1)
        activity = np.select([events == 0, events <= 5, events <= 20], ["0", "1-5", "6-20"], "21+")
        known = model.known_queries.get_indexer(queries) >= 0
        features = {
            QUERY_ACTIVITY: activity.astype("S").astype(object),
            CANDIDATE_POPULARITY: np.where(rows == UNFILLED, COLD, model.catalogue.segment[rows]),
            QUERY_KNOWN: np.where(known, b"known", b"cold").astype(object),
        }
        if asked.rating:
            features[asked.rating] = tensor(batch, asked.rating, _FLOAT)
        gains = {gain_feature(head.name): _labels(batch, head) for head in asked.heads}
        return {**features, asked.query_id: queries, **gains}

    def _ask(
        self, model: ServedModel, batch: pa.RecordBatch, trained: dict[str, np.ndarray]
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Returns labels and predictions by rival; trained: the rankings of the trained baselines, as ids."""
        inputs = model.query_inputs(batch)
        ids = tensor(batch, self._questions.candidate_id, _STRING)
        rows = model.catalogue.rows(ids)
        labels, predictions = self._judgements(model, inputs, batch, ids, rows)
        held_out = np.where(rows == UNFILLED, OUTSIDE_CATALOGUE, rows)

        def add(rival: str, lists: np.ndarray, asked: np.ndarray) -> None:
            predictions[rival], labels[rival] = encode_lists(
                lists, np.where(asked, held_out, NOTHING_HELD_OUT), model.catalogue.positives
            )

        for rival, ask, asked, exclude in self._rivals(batch, ids, trained):
            # Those not asked are all UNFILLED.
            lists = np.full((batch.num_rows, RETRIEVED), UNFILLED)
            if asked.any():
                lists[asked] = ask(model, inputs, exclude, asked)
            add(rival, lists, asked)
        if self._questions.ranked_pairs:
            sampled = self._sampled(batch, ids)
            recommended = predictions[RECOMMEND][:, :RETRIEVED]
            exact, shares = self._funnel(model, inputs, batch, recommended, held_out, sampled)
            add(EXACT_RANKER, exact, sampled)
            predictions[FUNNEL], labels[FUNNEL] = shares, np.zeros(batch.num_rows)
        return labels, predictions

    def _sampled(self, batch: pa.RecordBatch, ids: np.ndarray) -> np.ndarray:
        """Which interactions the ranker over the exact catalogue is asked for: bool [batch]."""
        asked = self._questions
        moments = tensor(batch, asked.timestamp, _INTEGER).astype("S").astype(object)
        identity = [tensor(batch, asked.query_id, _STRING), ids, moments]
        size = self._models[self._evaluated].catalogue.size
        positive = tensor(batch, POSITIVE, _FLOAT) > 0.5
        return positive & funnel.drawn(asked.ranked_pairs, size, asked.interactions, identity)

    def _funnel(
        self,
        model: ServedModel,
        inputs: dict[str, np.ndarray],
        batch: pa.RecordBatch,
        recommended: np.ndarray,
        held_out: np.ndarray,
        sampled: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Lists of the ranker over the exact catalogue, and the funnel's shares; no number elsewhere."""
        lists = np.full((batch.num_rows, RETRIEVED), UNFILLED)
        shares = np.full((batch.num_rows, len(FUNNEL_METRICS)), np.nan)
        if not sampled.any():
            return lists, shares
        inputs = {name: value[sampled] for name, value in inputs.items()}
        exclude = self._excluded(batch)[sampled]
        excluded = model.catalogue.rows(exclude)
        retrieval, final = model.score_catalogue(inputs)
        lists[sampled] = funnel.exact_lists(final, excluded)
        delivered = model.delivered(inputs, exclude)
        if delivered is not None:
            shares[sampled] = funnel.funnel(
                retrieval,
                final,
                excluded,
                lists[sampled],
                *delivered,
                recommended[sampled],
                held_out[sampled],
            )
        return lists, shares

    def _excluded(self, batch: pa.RecordBatch) -> np.ndarray:
        """Ids that lists over all later interactions leave out, [batch, m]."""
        if self._questions.repeats:
            return np.full((batch.num_rows, 1), b"", object)
        return tensor(batch, HISTORY, _STRINGS)

    @property
    def _evaluated(self) -> str:
        """The name of the model under evaluation."""
        return next(shared.model_name for shared in self._shared if not shared.is_baseline)

    def _rivals(
        self, batch: pa.RecordBatch, ids: np.ndarray, trained: dict[str, np.ndarray]
    ) -> Iterator[tuple[str, Ask, np.ndarray, np.ndarray]]:
        """Yields each maker of lists, how it is asked, for which examples, and ids to exclude, [batch, m]."""
        positive = tensor(batch, POSITIVE, _FLOAT) > 0.5
        history = tensor(batch, HISTORY, _STRINGS)
        exclude = self._excluded(batch)
        served = {
            RETRIEVE: _served(ServedModel.retrieve),
            RECOMMEND: _served(ServedModel.recommend),
            POPULARITY: _served(ServedModel.most_popular),
            **{kind: _ranked(ranking) for kind, ranking in trained.items()},
        }
        for rival, ask in served.items():
            yield rival, ask, positive, exclude
        yield EXACT, _served(ServedModel.retrieve_exact), positive, exclude
        if self._questions.repeats:
            yield OWN_FREQUENT, _served(ServedModel.own_frequent), positive, exclude
            # The history may hold more than positive interactions, and what is excluded cannot be found.
            repeated = (tensor(batch, REPEAT, _FLOAT) > 0.5) | (history == ids[:, None]).any(axis=1)
            new = positive & ~repeated
            for rival, ask in served.items():
                yield over_new(rival), ask, new, history

    def _judgements(
        self,
        model: ServedModel,
        inputs: dict[str, np.ndarray],
        batch: pa.RecordBatch,
        ids: np.ndarray,
        rows: np.ndarray,
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Returns labels and predictions of the rivals that judge one query and candidate."""
        labels: dict[str, np.ndarray] = {}
        predictions: dict[str, np.ndarray] = {}
        if not self._questions.rating and not self._questions.heads:
            return labels, predictions
        catalogue, heads = model.catalogue, model.rank(inputs, ids)
        nowhere = np.full(len(ids), np.nan)
        if self._questions.rating:
            labels[RATING] = labels[CANDIDATE_MEAN] = tensor(batch, self._questions.rating, _FLOAT)
            means = np.where(rows == UNFILLED, catalogue.global_mean, catalogue.mean_rating[rows])
            predictions[RATING], predictions[CANDIDATE_MEAN] = heads.get(RATING, nowhere), means
        for head in self._questions.heads:
            label = labels[head.name] = _labels(batch, head)
            probability = heads.get(head.name, nowhere)
            # TFMA's AUC does not take NaN; who gives no probability is as wrong as can be.
            predictions[head.name] = np.where(np.isnan(probability), 1 - label, probability)
        return labels, predictions


def gain_feature(head: str) -> str:
    """The feature under which TFMA finds a head's label as the gain of a ranking."""
    return f"label of {head}"


def _labels(batch: pa.RecordBatch, head: Head) -> np.ndarray:
    """A probability head's label, 0 or 1: float32 [batch]."""
    if not head.actions:
        return tensor(batch, POSITIVE, _FLOAT)
    actions = [action.encode() for action in head.actions]
    return np.isin(tensor(batch, ACTION, _STRING).astype("S"), actions).astype(np.float32)


def _served(method: Callable[[ServedModel, dict[str, np.ndarray], np.ndarray], np.ndarray]) -> Ask:
    """Asks a method of the model."""

    def ask(
        model: ServedModel, inputs: dict[str, np.ndarray], exclude: np.ndarray, asked: np.ndarray
    ) -> np.ndarray:
        return method(model, {name: value[asked] for name, value in inputs.items()}, exclude[asked])

    return ask


def _ranked(ranking: np.ndarray) -> Ask:
    """Answers from a ranking of the whole batch, ids [batch, n]."""

    def ask(
        model: ServedModel, inputs: dict[str, np.ndarray], exclude: np.ndarray, asked: np.ndarray
    ) -> np.ndarray:
        return listed(model.catalogue, ranking[asked], exclude[asked])

    return ask
