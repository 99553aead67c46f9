"""The trained models that teach: the ranker, and the towers as they were."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import tensorflow as tf

from components.ranking.final_score import FinalScore
from components.ranking.heads import RETRIEVAL, Combination, Head
from components.ranking.retrieved import embedded_catalogue


class Judgement(NamedTuple):
    """What the teacher says of candidates; each float32 [batch, candidates].

    Attributes:
        reference: The scores of the towers as they were.
        rewards: The ranker's part of the final score: what a candidate is worth to it, retrieved or not.
        final: The final score, of both: what orders the list that is shown.
    """

    reference: tf.Tensor
    rewards: tf.Tensor
    final: tf.Tensor


class Teacher:
    """The exports of both trained models, which nothing changes any more.

    A final score (:class:`components.ranking.final_score.FinalScore`) is the towers' score times its weight
    plus what the ranker says, whatever the combination: the second part is what the towers do not know yet.

    Attributes:
        query_names: Features that both models take of a query.
        candidates: float32 [candidates, width], the catalogue as the towers embedded it.
    """

    def __init__(
        self,
        retrieval: tf.Module,
        ranking: tf.Module,
        heads: Sequence[Head],
        weights: Mapping[str, float],
        combination: Combination,
        query_names: Sequence[str],
        catalogue: int,
    ):
        """Embeds the catalogue.

        Args:
            retrieval: The loaded export of the towers.
            ranking: The loaded export of the ranker.
            heads: Of the ranker.
            weights: ``assemble.weights``; some head's is not 0.
            combination: ``assemble.combination``.
            query_names: Features that both models take of a query.
            catalogue: Number of candidates.
        """
        self._retrieval, self._ranking = retrieval, ranking
        self._reward = FinalScore(heads, {**weights, RETRIEVAL: 0.0}, combination)
        self._weight = weights.get(RETRIEVAL, 0.0)
        self.query_names = tuple(query_names)
        self.candidates = embedded_catalogue(retrieval, catalogue)

    def judge(self, query: Mapping[str, tf.Tensor], rows: tf.Tensor) -> Judgement:
        """Scores candidates for each query.

        Args:
            query: Encoded queries, [batch, ...] each; other features may be among them.
            rows: int64 [batch, candidates], none negative.
        """
        asked = {name: query[name] for name in self.query_names}
        embedded = self._retrieval.embed_query(asked)["embedding"]
        reference = tf.einsum("qd,qcd->qc", embedded, tf.gather(self.candidates, rows))
        rewards = self._reward(tf.zeros_like(reference), self._ranking.score(asked, rows))
        return Judgement(reference, rewards, self.final(reference, rewards))

    def final(self, scores: tf.Tensor, rewards: tf.Tensor) -> tf.Tensor:
        """Final scores of towers' scores, the teacher's own or a student's, and rewards."""
        return self._weight * scores + rewards
