"""The two towers while they learn from the ranker."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import tensorflow as tf
import tf_keras as keras

from components.alignment import losses
from components.alignment.config import AlignmentTrainerConfig
from components.alignment.teacher import Teacher
from components.ingest.declaration import HISTORY, POSITIVE
from components.ranking.repeats import contains, sort_history
from components.retrieval.model import RetrievalModel
from components.retrieval.training import without_history
from components.transform.interaction_dataset import CANDIDATE_ROW, QUERY_OF


class Candidates(NamedTuple):
    """What is judged for each query: those retrieved first, then those of the batch, then evenly drawn ones.

    One that came up twice is there twice, and counts so for teacher and student alike.

    Attributes:
        rows: int64 [queries, candidates], none negative.
        counted: bool of that shape, false where there was none to draw or it needs not be retrieved.
    """

    rows: tf.Tensor
    counted: tf.Tensor


class AlignedModel(RetrievalModel):
    """A retrieval model whose loss is its own and, beside it, what the ranker has to say.

    Each part is a mean over the batch's queries and has its weight in the alignment section; the formulas are
    in :mod:`components.alignment.losses`.
    """

    def __init__(self, *parts: Any, teacher: Teacher, config: AlignmentTrainerConfig):
        """Puts the loss over the towers.

        Args:
            *parts: As :class:`RetrievalModel` takes them.
            teacher: What is learnt from.
            config: What the step is told.
        """
        super().__init__(*parts)
        self._teacher = teacher
        self._alignment = config
        # What the search of a step is over; of the weights at the epoch's beginning.
        self._searched = tf.Variable(teacher.candidates, trainable=False, name="searched")
        taught = {"distillation": config.distillation, "preference": config.preference}
        self._epoch_parts = {
            name: keras.metrics.Mean(name=f"epoch_{name}") for name, section in taught.items() if section
        }

    def refresh(self) -> None:
        """Embeds the catalogue anew, for the search of the next steps.

        Once an epoch is enough to find what the towers retrieve (as Xiong et al., "Approximate Nearest
        Neighbor Negative Contrastive Learning for Dense Text Retrieval", ICLR 2021, refresh their index every
        so many steps); what is found is scored by the weights of the step.
        """
        self._searched.assign(self.embed_catalogue())

    def compute_loss(self, inputs: Mapping[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """Loss of a batch of interactions (scalar).

        Args:
            inputs: As for the retrieval model.
            training: Whether dropout is on.
        """
        config = self._alignment
        loss = config.supervised * super().compute_loss(inputs, training) if config.supervised else 0.0
        queries = self.embed_query(inputs, training)
        candidates = self.draw(tf.stop_gradient(queries), inputs)
        for name, (weight, values) in self._parts(queries, candidates, inputs, training).items():
            # Margins are of positives, of which a batch of a labelled log may hold none.
            value = tf.math.divide_no_nan(tf.reduce_sum(values), tf.cast(tf.size(values), tf.float32))
            self._epoch_parts[name].update_state(value)
            loss += weight * value
        return loss

    def draw(self, queries: tf.Tensor, inputs: Mapping[str, tf.Tensor]) -> Candidates:
        """Draws what is judged for each query, see ``alignment.candidates``.

        The retrieved ones are drawn without replacement by the softmax of the towers' scores: the largest
        scores plus Gumbel noise (Kool, van Hoof and Welling, "Stochastic Beams and Where to Find Them", ICML
        2019, section 2.3).

        Args:
            queries: float32 [queries, width] embeddings.
            inputs: The batch.
        """
        numbers, history = self._alignment.candidates, inputs[HISTORY]
        own = inputs[CANDIDATE_ROW]
        places = tf.random.uniform([numbers.in_batch], maxval=tf.size(own), dtype=tf.int32)
        even = tf.random.uniform([numbers.uniform], maxval=self.candidate_count, dtype=tf.int64)
        shared = tf.concat([tf.gather(own, places), even], axis=0)
        shared = tf.tile(shared[tf.newaxis], [tf.shape(queries)[0], 1])
        scores = tf.matmul(queries, self._searched, transpose_b=True)
        counted = tf.ones_like(shared, tf.bool)
        if not self._alignment.retrieves_history:
            scores = without_history(scores, history)
            counted = ~contains(sort_history(history), shared)
        best, rows = tf.math.top_k(scores, min(numbers.retrieved_from, self.candidate_count), sorted=False)
        noise = -tf.math.log(-tf.math.log(tf.random.uniform(tf.shape(best), minval=1e-9)))
        drawn = tf.math.top_k(best + noise, min(numbers.retrieved, best.shape[1]))
        retrieved = tf.cast(tf.gather(rows, drawn.indices, batch_dims=1), tf.int64)
        return Candidates(
            tf.concat([retrieved, shared], axis=1),
            tf.concat([tf.math.is_finite(drawn.values), counted], axis=1),
        )

    def _parts(
        self, queries: tf.Tensor, candidates: Candidates, inputs: Mapping[str, tf.Tensor], training: bool
    ) -> dict[str, tuple[float, tf.Tensor]]:
        """The parts beside the supervised loss by name: their weight, and their values, float32 [any]."""
        config = self._alignment
        scores = self._scores(queries, candidates.rows, training)
        judged = self._teacher.judge(inputs, candidates.rows)
        # Candidates of the batch and of the whole catalogue are not what the towers return.
        first = min(config.candidates.retrieved, self.candidate_count)
        student, reference, rewards, counted = (
            values[:, :first] for values in (scores, judged.reference, judged.rewards, candidates.counted)
        )
        found: dict[str, tuple[float, tf.Tensor]] = {}
        if taught := config.distillation:
            if taught.loss == "kl":
                values = losses.distillation(scores, judged.final, candidates.counted, taught.temperature)
            else:
                values = self._margin_mse(queries, scores, judged.final, candidates, inputs, training)
            found["distillation"] = taught.weight, values
        if preferred := config.preference:
            if preferred.method == "dpo":
                values = losses.preference(student, reference, rewards, counted, preferred.beta)
            else:
                moved = losses.divergence_from_reference(student, reference, counted)
                values = losses.policy_gradient(student, rewards, counted, preferred.list_size)
                values += preferred.beta * moved
            found["preference"] = preferred.weight, values
        return found

    def _scores(self, queries: tf.Tensor, rows: tf.Tensor, training: bool) -> tf.Tensor:
        """float32 [batch, candidates]: the towers' scores of rows, int64, for embedded queries."""
        distinct, places = tf.unique(tf.reshape(rows, [-1]))
        embedded = tf.gather(self.embed_rows(distinct, training), tf.reshape(places, tf.shape(rows)))
        return tf.einsum("qd,qcd->qc", queries, embedded)

    def _margin_mse(
        self,
        queries: tf.Tensor,
        student: tf.Tensor,
        teacher: tf.Tensor,
        candidates: Candidates,
        inputs: Mapping[str, tf.Tensor],
        training: bool,
    ) -> tf.Tensor:
        """Of each positive interaction of the batch, float32 [positives]."""
        positive = tf.where(inputs[POSITIVE] > 0)[:, 0]
        query_of = tf.gather(inputs[QUERY_OF], positive) if QUERY_OF in inputs else positive
        rows = tf.gather(inputs[CANDIDATE_ROW], positive)[:, tf.newaxis]
        own_queries = {name: tf.gather(inputs[name], query_of) for name in self._teacher.query_names}
        return losses.margin_mse(
            tf.gather(student, query_of),
            tf.gather(teacher, query_of),
            self._scores(tf.gather(queries, query_of), rows, training)[:, 0],
            self._teacher.judge(own_queries, rows).final[:, 0],
            tf.gather(candidates.counted, query_of),
        )
