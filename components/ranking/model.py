"""The ranking model: DCN-v2 over a query and a candidate, with one head per label."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import tensorflow as tf
import tensorflow_recommenders as tfrs
import tf_keras as keras

from components.ingest.declaration import ACTION, HISTORY, HISTORY_AGE, POSITIVE, WEIGHT, Interactions
from components.ranking.attention import TargetAttention
from components.ranking.calibration import Calibration
from components.ranking.config import RankingConfig
from components.ranking.heads import RATING, Head, resolved_heads
from components.ranking.losses import LOSSES, Group, TotalLoss, pointwise
from components.ranking.negatives import NEGATIVE_ROWS, NegativeSampler
from components.ranking.network import RankingNetwork
from components.ranking.position import PositionTower
from components.ranking.propensity import InversePropensity
from components.ranking.repeats import REPEAT_WIDTH, repeat_features
from components.ranking.statistics import TrainingStatistics
from components.retrieval.features import FeatureEncoder, mean_embedding
from components.retrieval.history import UNKNOWN_ID
from components.retrieval.model import id_embedding_indices
from components.retrieval.towers import drop_ids
from components.transform.candidate_table import CandidateTable
from components.transform.encoding import EncodedFeature
from components.transform.interaction_dataset import CANDIDATE_ROW


class RankingModel(tfrs.Model):
    """DCN-v2 with a head for *positive*, one for the rating and some for actions, as the log has them.

    The rating head starts from the candidate's damped mean, heads of probabilities on drawn negatives from
    the candidate's share of positives; each learns what to add.
    """

    def __init__(
        self,
        query_id: tuple[str, int],
        query_features: Sequence[EncodedFeature],
        candidate_features: Sequence[EncodedFeature],
        table: CandidateTable,
        statistics: TrainingStatistics,
        log: Interactions,
        config: RankingConfig,
        positions: np.ndarray | None = None,
        propensity: InversePropensity | None = None,
    ):
        """Makes the model.

        Args:
            query_id: Name of the query id and the number of integers it can be; the last is unknown.
            query_features: Shapes of context and attributes.
            candidate_features: Shapes of the catalogue's features.
            table: The catalogue after Transform.
            statistics: What the train split says of each candidate.
            log: What the domain declares of its interactions: labels and actions.
            config: The ranking section.
            positions: int64 [1 + maximum] training interactions at each position, where there is to be a
                tower of positions; see :class:`PositionTower`.
            propensity: How interactions are weighed by the chance to be seen, if they are.
        """
        super().__init__()
        self._config = config
        self.heads = resolved_heads(log, config)
        self._query_id, id_size = query_id
        self._unknown_query = id_size - 1
        self.candidate_features = {name: tf.constant(column) for name, column in table.features.items()}
        self._rating = statistics.rating
        if self._rating:
            self._mean = tf.constant(self._rating.mean, tf.float32)
            self._offsets = tf.constant(self._rating.offsets)
        negatives = config.resolved_negatives(has_negatives=log.has_negatives)
        self.sampler = NegativeSampler(negatives, statistics.positives) if negatives.total else None
        self._log_odds = tf.constant(statistics.positive_log_odds())
        self._log_odds_without_own = tf.constant(statistics.positive_log_odds(without=1))
        self._labels = _labels_of_actions(self.heads, log)
        # Of one interaction, an embedding beside drawn negatives learns by heart that train holds it.
        indices = id_embedding_indices(statistics.counts, least=2 if self.sampler else 1)
        self._id_indices = tf.constant(indices)
        self._sees_repeats = bool(negatives.total) if config.repeats is None else config.repeats
        dim, seed = config.feature_dim, config.seed
        self._query_ids = _embedding(id_size, dim, seed + 1, "embed_query_id")
        self._candidate_ids = _embedding(int(indices.max()) + 1, dim, seed + 2, "embed_candidate_id")
        self._candidate_ids.build(None)
        self._query_encoder = FeatureEncoder(query_features, dim, seed=seed + 100)
        self._candidate_encoder = FeatureEncoder(candidate_features, dim, seed=seed + 200)
        self._attention = (
            TargetAttention(config.attention_dim, dim, seed=seed + 500)
            if config.history == "target_attention"
            else None
        )
        self._candidate_width = dim + _width(candidate_features, dim) + bool(self._rating)
        widths = (
            dim + _width(query_features, dim) + (0 if self._attention else dim),
            self._candidate_width,
            bool(self.sampler) + REPEAT_WIDTH * self._sees_repeats + (dim if self._attention else 0),
        )
        self._network = RankingNetwork(widths, [head.name for head in self.heads], config)
        probabilities = [head.name for head in self.heads if head.kind == "probability"]
        self.calibration = Calibration(probabilities)
        self._position = log.position
        self.position_tower = (
            PositionTower(
                probabilities,
                positions,
                dropout=config.position.dropout,
                width=dim,
                seed=seed + 600,
            )
            if config.position and positions is not None
            else None
        )
        self._propensity = propensity
        self._total = TotalLoss(
            self.heads, config.head_weights, uncertainty=config.weighting == "uncertainty"
        )
        # tfrs.Model reports the last batch's loss; a curve needs the epoch's.
        self._epoch_loss = keras.metrics.Mean(name="epoch_loss")

    def score(
        self, query: Mapping[str, tf.Tensor], rows: tf.Tensor, training: bool = False
    ) -> dict[str, tf.Tensor]:
        """Scores several candidates for each query; the query's own part is computed once.

        Args:
            query: Encoded query id (int64 [batch]) and features, ``history`` as int64 [batch, length]
                candidate rows, negative for padding, and ``history_age``, float32 [batch, length] seconds.
            rows: int64 [batch, candidates] rows in the candidate table.
            training: Whether dropout is on.

        Returns:
            float32 [batch, candidates] by head: calibrated probabilities, and the rating.
        """
        return self.score_encoded(query, rows, self._encoded, training)

    def score_encoded(
        self,
        query: Mapping[str, tf.Tensor],
        rows: tf.Tensor,
        encoded: Callable[[tf.Tensor], tf.Tensor],
        training: bool = False,
    ) -> dict[str, tf.Tensor]:
        """As :meth:`score`, given where to find what :meth:`encode_candidates` makes of rows.

        Args:
            query: As for :meth:`score`.
            rows: int64 [batch, candidates] rows in the candidate table.
            encoded: From int64 rows of any shape to their encodings, float32 [..., width].
            training: Whether dropout is on.
        """
        heads = self._logits(query, rows, encoded, tf.gather(self._log_odds, rows), training)
        return {**heads, **self.calibration(heads)}

    def _logits(
        self,
        query: Mapping[str, tf.Tensor],
        rows: tf.Tensor,
        encoded: Callable[[tf.Tensor], tf.Tensor],
        log_odds: tf.Tensor,
        training: bool,
    ) -> dict[str, tf.Tensor]:
        """As :meth:`score_encoded`, of probabilities the logits, given each candidate's share as log odds."""
        shape = tf.shape(rows)
        table = encoded(rows)
        candidates = tf.reshape(table, [-1, table.shape[-1]])
        pairs = [candidates[:, :0]]
        if self.sampler:
            pairs.append(tf.reshape(log_odds, [-1, 1]))
        if self._sees_repeats:
            repeats = repeat_features(query[HISTORY], query[HISTORY_AGE], rows)
            pairs.append(tf.reshape(repeats, [-1, REPEAT_WIDTH]))
        first_layers = candidates[:, self._candidate_width :]
        if self._attention:
            of_attention = table[..., -self._attention.width :]
            first_layers = first_layers[:, : -self._attention.width]
            history = query[HISTORY]
            events = encoded(tf.maximum(history, 0))[..., -self._attention.width :]
            attended = self._attention(of_attention, events, query[HISTORY_AGE], history >= 0)
            pairs.append(tf.reshape(attended, [-1, attended.shape[-1]]))
        added = self._network(
            self._query_inputs(query, training),
            candidates[:, : self._candidate_width],
            first_layers,
            tf.concat(pairs, axis=1),
            training=training,
        )
        heads = {name: tf.reshape(values, shape) for name, values in added.items()}
        for head in self.heads:
            if head.name == RATING:
                heads[RATING] += self._mean + tf.gather(self._offsets, rows)
            elif self.sampler:
                heads[head.name] += log_odds
        return heads

    def _query_inputs(self, query: Mapping[str, tf.Tensor], training: bool) -> tf.Tensor:
        """What the network sees of the queries alone: float32 [batch, width]."""
        ids = query[self._query_id]
        if training:
            ids = drop_ids(ids, self._config.id_dropout, unknown=self._unknown_query)
        parts = [self._query_ids(ids), *self._query_encoder(query)]
        if not self._attention:
            history = query[HISTORY]
            indices = tf.where(history >= 0, tf.gather(self._id_indices, tf.maximum(history, 0)), UNKNOWN_ID)
            parts.append(mean_embedding(self._candidate_ids, indices, indices > UNKNOWN_ID))
        return tf.concat(parts, axis=1)

    def encode_candidates(self, rows: tf.Tensor) -> tf.Tensor:
        """All that needs no query of candidates, int64 [rows]: float32 [rows, width].

        That is what the network sees of them, what its first layers make of that, and what attention does.
        """
        features = {name: tf.gather(column, rows) for name, column in self.candidate_features.items()}
        identity = self._candidate_ids(tf.gather(self._id_indices, rows))
        parts = [identity, *self._candidate_encoder(features)]
        if self._rating:
            parts.append(tf.gather(self._offsets, rows)[:, tf.newaxis])
        inputs = tf.concat(parts, axis=1)
        encoded = [inputs, self._network.of_candidates(inputs)]
        if self._attention:
            encoded.append(self._attention.of_candidates(inputs))
        return tf.concat(encoded, axis=1)

    def _encoded(self, rows: tf.Tensor) -> tf.Tensor:
        """:meth:`encode_candidates` of rows of any shape, each encoded once: float32 [..., width]."""
        distinct, places = tf.unique(tf.reshape(rows, [-1]))
        return tf.gather(self.encode_candidates(distinct), tf.reshape(places, tf.shape(rows)))

    @tf.autograph.experimental.do_not_convert
    def train_step(self, inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """A step of TFRS, unconverted: no Python in it depends on a tensor, and converting takes seconds."""
        return super().train_step(inputs)

    @tf.autograph.experimental.do_not_convert
    def test_step(self, inputs: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """As :meth:`train_step`."""
        return super().test_step(inputs)

    def compute_loss(self, inputs: Mapping[str, tf.Tensor], training: bool = False) -> tf.Tensor:
        """The heads' losses over a batch of interactions, added up (scalar); see :class:`TotalLoss`.

        Each is a mean over interactions, times their weights: that of *positive* by ``ranking.loss``, those
        of actions pointwise. Negatives drawn for a positive (``NEGATIVE_ROWS``) each count as much as it. All
        are corrected for the chance to be seen, see :class:`InversePropensity`.
        """
        groups, logits = self.groups(inputs, training)
        weights = tf.ones_like(inputs[WEIGHT])
        if self._propensity:
            seen = self._propensity.weights(inputs)
            groups = {name: self._propensity.corrected(group, seen) for name, group in groups.items()}
            weights = seen if self._propensity.weighs_all else weights
        interactions = tf.cast(tf.shape(inputs[CANDIDATE_ROW])[0], tf.float32)
        losses = {
            name: tf.reduce_sum((LOSSES[self._config.loss] if name == POSITIVE else pointwise)(group))
            for name, group in groups.items()
        }
        if self._rating:
            errors = inputs[self._rating.column] - logits[RATING][:, 0]
            losses[RATING] = tf.reduce_sum(errors**2 * inputs[WEIGHT] * weights)
        loss = self._total({name: value / interactions for name, value in losses.items()})
        self._epoch_loss.update_state(loss)
        return loss

    def learnt_of_positions(self) -> dict[str, list[float]]:
        """What was learnt of where candidates were shown, for people to judge.

        Returns:
            ``position_HEAD``: what position 1, 2, … adds to the head's logit, where there is a tower;
            ``examination``: the chance that each is looked at, where interactions are weighed by that.
        """
        learnt = {}
        if self.position_tower:
            for name, added in self.position_tower.of_positions().items():
                learnt[f"position_{name}"] = added
        if self._propensity and self._propensity.examination is not None:
            learnt["examination"] = self._propensity.examination.tolist()
        return learnt

    def groups(
        self, inputs: Mapping[str, tf.Tensor], training: bool = False
    ) -> tuple[dict[str, Group], dict[str, tf.Tensor]]:
        """Interactions' candidates and the negatives drawn for them, with labels and weights.

        Negatives are drawn in the place of their interaction's candidate: what a position adds, it adds to
        all of a group. If only the interaction's own had it, having one would give a positive away.

        Args:
            inputs: A batch of interactions, with ``NEGATIVE_ROWS`` where negatives are drawn, and the
                position where there is a tower of positions.
            training: Whether dropout is on.

        Returns:
            Of each head of a probability its group, and of every head the logits, float32 [batch, 1 + drawn].
        """
        rows, positive = inputs[CANDIDATE_ROW][:, tf.newaxis], inputs[POSITIVE]
        drawn = tf.zeros([tf.shape(rows)[0], 0])
        if self.sampler:
            negatives = inputs[NEGATIVE_ROWS]
            rows = tf.concat([rows, tf.maximum(negatives, 0)], axis=1)
            drawn = tf.cast(negatives >= 0, tf.float32)
        log_odds = self._training_log_odds(rows, positive, training)
        logits = self._logits(inputs, rows, self._encoded, log_odds, training)
        offsets = (
            -self.sampler.log_expected(inputs, rows) if self.sampler else tf.zeros_like(logits[POSITIVE])
        )
        of_position: dict[str, tf.Tensor] = {}
        if self.position_tower and self._position:
            of_position = self.position_tower(inputs[self._position], training=training)

        def group(name: str, labels: tf.Tensor, own: tf.Tensor, beside: tf.Tensor) -> Group:
            beside = beside[:, tf.newaxis] * drawn
            return Group(
                logits[name],
                offsets + of_position[name][:, tf.newaxis] if of_position else offsets,
                tf.concat([labels[:, tf.newaxis], tf.zeros_like(beside)], axis=1),
                tf.concat([own[:, tf.newaxis], beside], axis=1),
            )

        groups = {POSITIVE: group(POSITIVE, positive, inputs[WEIGHT], positive * inputs[WEIGHT])}
        for name, label_of_action in self._labels.items():
            labels = tf.gather(label_of_action, inputs[ACTION])
            # Beside drawn negatives, another action's positive is neither chosen with this one nor drawn.
            own = tf.maximum(labels, 1.0 - positive) if self.sampler else tf.ones_like(labels)
            groups[name] = group(name, labels, own, tf.maximum(labels, positive))
        return groups, logits

    def _training_log_odds(self, rows: tf.Tensor, positive: tf.Tensor, training: bool) -> tf.Tensor:
        """Log odds of candidates' shares; in training, a positive's without that positive itself.

        A candidate chosen n times is then seen as chosen n - 1 times where it is chosen, and n times where it
        is drawn, so that the model learns of those chosen v times what Good-Turing estimates of them
        (I. J. Good, Biometrika 40, 1953): (v + 1) N(v + 1) / N(v) chances, N(v) being their number. Counted
        in, a candidate of one positive would always be chosen once met, as only the train split knows.

        Args:
            rows: int64 [batch, candidates], the interaction's own candidate first.
            positive: float32 [batch], 1 where the interaction is.
            training: Whether this is for training.

        Returns:
            float32 [batch, candidates].
        """
        log_odds = tf.gather(self._log_odds, rows)
        if not training:
            return log_odds
        own = tf.where(positive > 0, tf.gather(self._log_odds_without_own, rows[:, 0]), log_odds[:, 0])
        return tf.concat([own[:, tf.newaxis], log_odds[:, 1:]], axis=1)


def _labels_of_actions(heads: Sequence[Head], log: Interactions) -> dict[str, tf.Tensor]:
    """Of each head of actions, the label of every number of an action: float32 [1 + actions]."""
    actions = (None, *(log.actions.weights if log.actions else ()))
    return {
        head.name: tf.constant([float(action in head.actions) for action in actions])
        for head in heads
        if head.actions
    }


def _width(features: Sequence[EncodedFeature], dim: int) -> int:
    """How wide :class:`FeatureEncoder` makes them side by side."""
    return sum(feature.width if feature.kind == "dense" else dim for feature in features)


def _embedding(size: int, dim: int, seed: int, name: str) -> keras.layers.Embedding:
    initializer = keras.initializers.RandomUniform(-0.05, 0.05, seed=seed)
    return keras.layers.Embedding(size, dim, embeddings_initializer=initializer, name=name)
