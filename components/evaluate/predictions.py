"""Examples to TFMA extracts: what the served signatures and their rivals answer, labels and slices."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import apache_beam as beam
import numpy as np
import pyarrow as pa
import tensorflow as tf
import tensorflow_model_analysis as tfma
from apache_beam.transforms.window import GlobalWindow
from apache_beam.utils.timestamp import MIN_TIMESTAMP
from apache_beam.utils.windowed_value import WindowedValue

from components.evaluate.config import (
    CANDIDATE_MEAN,
    EXACT,
    POPULARITY,
    POSITIVE_PROBABILITY,
    RATING,
    RECOMMEND,
    RETRIEVE,
    RETRIEVED,
)
from components.evaluate.metrics import CATALOGUE_SIZE_KEY, NOTHING_HELD_OUT, OUTSIDE_CATALOGUE, UNFILLED
from components.evaluate.served import COLD, ServedModel, tensor
from components.ingest.declaration import HISTORY, POSITIVE

QUERY_ACTIVITY: Final = "query_activity"
"""Slice by length of the history: ``0``, ``1-5``, ``6-20``, ``21+``."""
CANDIDATE_POPULARITY: Final = "candidate_popularity"
"""Slice by the candidate's train positives: see Catalogue.segment; ``cold`` outside the catalogue too."""
QUERY_KNOWN: Final = "query_known"
"""Slice by the query's id: ``known`` where train has it, else ``cold``."""
SLICES: Final = (QUERY_ACTIVITY, CANDIDATE_POPULARITY, QUERY_KNOWN)

BATCH: Final = 1024
"""Examples a call of a signature. Reading yields far smaller batches, and the calls' cost is per call."""

_STRING = tf.TensorSpec([None], tf.string)
_STRINGS = tf.TensorSpec([None, None], tf.string)
_FLOAT = tf.TensorSpec([None], tf.float32)


class ServedPredictions(beam.DoFn):
    """Asks the evaluated models, batch by batch.

    Each batch becomes one batch of extracts with

    - features: the query's id and the rating (for ranking metrics by query), and the slices;
    - predictions and labels by rival, under the model's name where there are two models: lists of
      catalogue rows as :mod:`components.evaluate.metrics` reads them, ratings, probabilities;
    - the size of each model's catalogue.

    The history is excluded from every list. The slices are those of the model under evaluation, also
    for the baseline, so that both are measured on the same interactions.
    """

    def __init__(
        self, models: list[tfma.types.EvalSharedModel], query_id: str, candidate_id: str, rating: str
    ):
        """Remembers the models and the columns.

        Args:
            models: the model under evaluation and, optionally, the baseline.
            query_id: column of the query's id.
            candidate_id: column of the candidate's id.
            rating: column of the rating.
        """
        self._shared = models
        self._query_id = query_id
        self._candidate_id = candidate_id
        self._rating = rating
        self._models: dict[str, ServedModel] = {}
        self._waiting: list[pa.RecordBatch] = []

    def setup(self) -> None:
        """Loads the models, once a process."""
        self._models = {shared.model_name: shared.model_loader.load() for shared in self._shared}

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
        labels, predictions, sizes = {}, {}, {}
        for name, model in self._models.items():
            labels[name], predictions[name] = self._ask(model, batch)
            sizes[name] = np.full(batch.num_rows, model.catalogue.size)
        only = next(iter(self._models)) if len(self._models) == 1 else None
        yield {
            tfma.FEATURES_KEY: self._features(batch),
            tfma.LABELS_KEY: labels if only is None else labels[only],
            tfma.PREDICTIONS_KEY: predictions if only is None else predictions[only],
            CATALOGUE_SIZE_KEY: sizes,
        }

    def _features(self, batch: pa.RecordBatch) -> dict[str, np.ndarray]:
        evaluated = next(shared.model_name for shared in self._shared if not shared.is_baseline)
        model = self._models[evaluated]
        queries = tensor(batch, self._query_id, _STRING)
        rows = model.catalogue.rows(tensor(batch, self._candidate_id, _STRING))
        events = (tensor(batch, HISTORY, _STRINGS) != b"").sum(axis=1)
        activity = np.select([events == 0, events <= 5, events <= 20], ["0", "1-5", "6-20"], "21+")
        return {
            self._query_id: queries,
            self._rating: tensor(batch, self._rating, _FLOAT),
            QUERY_ACTIVITY: activity.astype("S").astype(object),
            CANDIDATE_POPULARITY: np.where(rows == UNFILLED, COLD, model.catalogue.segment[rows]),
            QUERY_KNOWN: np.where(model.known_queries.get_indexer(queries) >= 0, b"known", b"cold").astype(
                object
            ),
        }

    def _ask(
        self, model: ServedModel, batch: pa.RecordBatch
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Returns labels and predictions by rival."""
        catalogue = model.catalogue
        inputs = model.query_inputs(batch)
        ids = tensor(batch, self._candidate_id, _STRING)
        rows = catalogue.rows(ids)
        ratings = tensor(batch, self._rating, _FLOAT)
        positive = tensor(batch, POSITIVE, _FLOAT)
        rated, probability = model.rank(inputs, ids)
        predictions = {
            RATING: rated,
            CANDIDATE_MEAN: np.where(rows == UNFILLED, catalogue.global_mean, catalogue.mean_rating[rows]),
            # TFMA's AUC does not take NaN; who gives no probability is as wrong as can be.
            POSITIVE_PROBABILITY: np.where(np.isnan(probability), 1 - positive, probability),
        }
        labels = {RATING: ratings, CANDIDATE_MEAN: ratings, POSITIVE_PROBABILITY: positive}
        held_out = np.where(rows == UNFILLED, OUTSIDE_CATALOGUE, rows)
        held_out = np.where(positive > 0.5, held_out, NOTHING_HELD_OUT).astype(np.int32)
        for rival, ranked in self._lists(model, inputs, batch, positive > 0.5).items():
            predictions[rival] = ranked
            labels[rival] = held_out
        return labels, predictions

    def _lists(
        self,
        model: ServedModel,
        inputs: dict[str, np.ndarray],
        batch: pa.RecordBatch,
        asked: np.ndarray,
    ) -> dict[str, np.ndarray]:
        """Returns int32 [batch, RETRIEVED] rows by rival; those not asked are all UNFILLED."""
        lists = {
            rival: np.full((batch.num_rows, RETRIEVED), UNFILLED, np.int32)
            for rival in (RETRIEVE, RECOMMEND, EXACT, POPULARITY)
        }
        if asked.any():
            queries = {name: value[asked] for name, value in inputs.items()}
            exclude = tensor(batch, HISTORY, _STRINGS)[asked]
            lists[RETRIEVE][asked] = model.retrieve(queries, exclude)
            lists[RECOMMEND][asked] = model.recommend(queries, exclude)
            lists[EXACT][asked] = model.retrieve_exact(queries, exclude)
            lists[POPULARITY][asked] = model.catalogue.most_popular(model.catalogue.rows(exclude))
        return lists
