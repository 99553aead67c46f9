"""What the place where a candidate was shown adds to its chance of being chosen."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import tensorflow as tf
import tf_keras as keras

from components.transform.interaction_dataset import UNKNOWN_POSITION


class PositionTower(keras.layers.Layer):
    """A shallow tower beside the ranker: of a position to what it adds to each head's logit.

    The shallow tower of Zhao et al., "Recommending What Video to Watch Next", RecSys 2019, section 4.3: a
    logit of the position alone, added to the ranker's in training, with the position hidden from a share of
    the interactions, lest it explain too much. PAL (Guo et al., RecSys 2019) multiplies two probabilities,
    that of being seen and that of being chosen once seen, where this adds logits.

    A request has no position. Where the paper's model is then asked with a missing one, here what positions
    add is 0 in the mean over the train split's interactions whose position is known, so that 0, nothing, is
    what stands for no position: in serving and where the position is hidden. Without that a constant could
    stand in the tower as well as in the ranker. A position that the train split has not adds nothing
    either. An interaction whose position is missing in the log was
    not shown in a list, or nobody knows where; it has a place of its own in the tower, which the mean is not
    taken over: such interactions may well be all alike.
    """

    def __init__(self, heads: Sequence[str], counts: np.ndarray, *, dropout: float, width: int, seed: int):
        """Makes a tower that adds nothing yet.

        Args:
            heads: Heads it adds to.
            counts: int64 [1 + maximum] training interactions at each position, the first those without one;
                positions past the last count as it.
            dropout: Share of the training interactions from which the position is hidden.
            width: Of the positions' embeddings.
            seed: Of the initial weights.
        """
        super().__init__(name="position_tower")
        self._heads = tuple(heads)
        self._dropout = dropout
        known = counts * (np.arange(len(counts)) != UNKNOWN_POSITION)
        self._shares = tf.constant(known / max(known.sum(), 1), tf.float32)
        self._seen = tf.constant(counts > 0)
        self._embeddings = self.add_weight(name="embeddings", shape=(len(counts), width), initializer="zeros")
        # Of some size, for nothing would be learnt from two factors that are both zero.
        self._kernel = self.add_weight(
            name="kernel",
            shape=(width, len(self._heads)),
            initializer=keras.initializers.GlorotUniform(seed=seed),
        )

    def logits(self) -> tf.Tensor:
        """What each position adds to each head: float32 [1 + maximum, heads]."""
        logits = tf.matmul(self._embeddings, self._kernel)
        mean = tf.matmul(self._shares[tf.newaxis, :], logits)
        return tf.where(self._seen[:, tf.newaxis], logits - mean, 0.0)

    def of_positions(self) -> dict[str, list[float]]:
        """What position 1, 2, … adds, by head."""
        columns = self.logits()[UNKNOWN_POSITION + 1 :].numpy().T.tolist()
        return dict(zip(self._heads, columns, strict=True))

    def call(self, positions: tf.Tensor, training: bool = False) -> dict[str, tf.Tensor]:
        """What interactions' positions add.

        Args:
            positions: int64 [batch], ``UNKNOWN_POSITION`` where missing.
            training: Whether to hide some.

        Returns:
            float32 [batch] by head.
        """
        logits = self.logits()
        places = tf.minimum(positions, tf.shape(logits, positions.dtype)[0] - 1)
        added = tf.gather(logits, places)
        if training and self._dropout:
            kept = tf.random.uniform([tf.shape(positions)[0], 1]) >= self._dropout
            added = tf.where(kept, added, 0.0)
        return dict(zip(self._heads, tf.unstack(added, axis=1), strict=True))


def position_counts(positions: np.ndarray, maximum: int) -> np.ndarray:
    """How many there are of each position, those past the maximum counted as it: int64 [1 + maximum].

    Args:
        positions: int [rows], ``UNKNOWN_POSITION`` where missing.
        maximum: The last that is told apart.
    """
    return np.bincount(np.minimum(positions, maximum), minlength=1 + maximum)
