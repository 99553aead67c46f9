"""What the funnel delivers of the ranker's choice, epoch by epoch."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import tensorflow as tf
import tf_keras as keras

from components.alignment.config import AlignmentTrainerConfig
from components.alignment.teacher import Teacher
from components.ingest.declaration import HISTORY
from components.ranking.repeats import distinct_rows
from components.retrieval.model import RetrievalModel
from components.retrieval.training import without_history
from components.transform.interaction_dataset import CANDIDATE_ROW, EncodedInteractions

MONITOR = "val_recommend_ndcg@10"
"""The validation metric that early stopping and the choice of weights go by: that of the list shown."""
DELIVERED = "val_top10_delivered@100"
"""The share of the ranker's ten best of the whole catalogue that are among the hundred best of the towers."""

_SHOWN = 10
_DELIVERED_AMONG = 100
_SEARCHED_AT_A_TIME = 256
"""Queries that the whole catalogue is scored for, which bounds the memory that takes."""
_JUDGED_AT_A_TIME = 200_000
"""Pairs of a query and a candidate, likewise."""
_JUDGED_IN_ALL = 2_000_000
"""Pairs for the ranker's choice of the whole catalogue, made once."""


class CascadeValidation(keras.callbacks.Callback):
    """The list shown and the ranker's share in what is retrieved, at the end of each epoch.

    The list is made as the served model makes it: what the towers retrieve, or what the light ranker keeps of
    it, ordered by the final score of the towers as they are now. The ranker's choice, of which a share is
    delivered, is that by the final score of the towers as they were: one that moved with the towers would
    come to them instead of they to it.
    """

    def __init__(self, teacher: Teacher, validation: EncodedInteractions, config: AlignmentTrainerConfig):
        """Judges the whole catalogue for some queries.

        Args:
            teacher: The ranker, and the towers as they were.
            validation: Interactions; positive ones count.
            config: What the step is told; of ``validation_queries`` fewer are asked for the whole catalogue.
        """
        super().__init__()
        self._teacher = teacher
        self._catalogue = int(teacher.candidates.shape[0])
        self._config = config
        self._retrieve = min(config.retrieve, self._catalogue)
        # As the served model does: the list shown has to be filled.
        self._keep = max(config.keep or self._retrieve, _SHOWN)
        self._chooses = self._keep < self._retrieve
        queries, positives = config.validation_queries, validation.positives()
        at_a_time = min(_SEARCHED_AT_A_TIME, max(1, _JUDGED_AT_A_TIME // self._retrieve))
        self._shown = positives.spread(queries).batches(at_a_time)
        chosen = positives.spread(max(1, min(queries, _JUDGED_IN_ALL // self._catalogue)))
        self._asked = chosen.batches(max(1, _JUDGED_AT_A_TIME // self._catalogue))
        self._gains = tf.function(self._gain, reduce_retracing=True, autograph=False)
        self._lists = tf.function(self._list, reduce_retracing=True, autograph=False)
        choose = tf.function(self._choice, reduce_retracing=True, autograph=False)
        self._choices = [choose(batch).numpy() for batch in self._asked]

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Measures the towers as they are now."""
        if logs is not None:
            logs.update(self.measure(self.model))

    def measure(self, model: RetrievalModel) -> dict[str, float]:
        """NDCG@10 of the list shown (``MONITOR``), and the share delivered (``DELIVERED``)."""
        catalogue = model.embed_catalogue()
        for_light_ranker = model.embed_catalogue_for_light_ranker() if self._chooses else None
        gained = np.concatenate(
            [self._gains(model, catalogue, for_light_ranker, batch).numpy() for batch in self._shown]
        )
        shares = []
        for batch, choice in zip(self._asked, self._choices, strict=True):
            rows = self._lists(model, catalogue, batch).numpy()
            shares.append((choice[:, :, np.newaxis] == rows[:, np.newaxis, :]).any(axis=2))
        return {MONITOR: float(gained.mean()), DELIVERED: float(np.concatenate(shares).mean())}

    def _list(self, model: RetrievalModel, catalogue: tf.Tensor, batch: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """int32 [batch, 100]: rows of the towers' best."""
        return self._retrieved(model.embed_query(batch), catalogue, batch, _DELIVERED_AMONG)[1]

    def _retrieved(
        self, queries: tf.Tensor, catalogue: tf.Tensor, batch: Mapping[str, tf.Tensor], count: int
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Scores and int32 rows of the best for embedded queries, [batch, count]."""
        scores = tf.matmul(queries, catalogue, transpose_b=True)
        return tf.math.top_k(self._to_be_retrieved(scores, batch), min(count, self._catalogue))

    def _to_be_retrieved(self, scores: tf.Tensor, batch: Mapping[str, tf.Tensor]) -> tf.Tensor:
        return scores if self._config.retrieves_history else without_history(scores, batch[HISTORY])

    def _gain(
        self,
        model: RetrievalModel,
        catalogue: tf.Tensor,
        for_light_ranker: tf.Tensor | None,
        batch: Mapping[str, tf.Tensor],
    ) -> tf.Tensor:
        """float32 [batch]: 1 / log2(1 + place) of what was chosen in the list shown, 0 outside of it."""
        if for_light_ranker is None:
            queries = model.embed_query(batch)
            scores, rows = self._retrieved(queries, catalogue, batch, self._retrieve)
        else:
            assert model.light_ranker
            queries, several = model.embed_query_for_both(batch)
            scores, rows = self._retrieved(queries, catalogue, batch, self._retrieve)
            light = model.light_ranker.score(several, tf.gather(for_light_ranker, rows), scores)
            kept = tf.math.top_k(light, self._keep).indices
            scores, rows = (tf.gather(found, kept, batch_dims=1) for found in (scores, rows))
        rows = tf.cast(rows, tf.int64)
        if self._config.repeats and self._config.rank_history:
            held = distinct_rows(batch[HISTORY])
            own = tf.einsum("qd,qhd->qh", queries, tf.gather(catalogue, tf.maximum(held, 0)))
            scores = tf.concat([scores, tf.where(held >= 0, own, -math.inf)], axis=1)
            rows = tf.concat([rows, tf.maximum(held, 0)], axis=1)
        rewards = self._teacher.judge(batch, rows).rewards
        final = tf.where(tf.math.is_finite(scores), self._teacher.final(scores, rewards), scores)
        shown = tf.gather(rows, tf.math.top_k(final, min(_SHOWN, self._retrieve)).indices, batch_dims=1)
        hits = tf.cast(shown == batch[CANDIDATE_ROW][:, tf.newaxis], tf.float32)
        places = tf.range(1.0, tf.cast(tf.shape(shown)[1], tf.float32) + 1.0)
        return tf.reduce_sum(hits * np.log(2.0) / tf.math.log(1.0 + places), axis=1)

    def _choice(self, batch: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """int32 [batch, 10]: the rows of the greatest final scores of all."""
        rows = tf.range(self._catalogue, dtype=tf.int64)[tf.newaxis]
        final = self._teacher.judge(batch, tf.repeat(rows, tf.size(batch[CANDIDATE_ROW]), axis=0)).final
        return tf.math.top_k(self._to_be_retrieved(final, batch), min(_SHOWN, self._catalogue)).indices


class Refresh(keras.callbacks.Callback):
    """Has the model search among the catalogue as it embeds it now, at the beginning of each epoch."""

    def on_epoch_begin(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        """Embeds the catalogue."""
        self.model.refresh()
