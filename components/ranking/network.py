"""DCN-v2 over a query and a candidate, for one head or for several."""

from __future__ import annotations

from collections.abc import Sequence

import tensorflow as tf
import tensorflow_recommenders as tfrs
import tf_keras as keras

from components.ranking.config import RankingConfig
from components.retrieval.features import kernel_initializer


class SplitDense(keras.layers.Layer):
    """A dense layer whose input comes in parts, of which each is multiplied only as often as it differs.

    The part of a query is multiplied once for all its candidates, that of a candidate once for all queries:
    :meth:`of_candidates` can be stored.
    """

    def __init__(
        self, widths: tuple[int, int, int], units: int, initializer: keras.initializers.Initializer, name: str
    ):
        """Makes the weights of one dense layer over the parts laid side by side, bias included.

        Args:
            widths: Of a query's part, a candidate's, and that of both together.
            units: Width of the result.
            initializer: Of the kernel.
            name: Of the layer.
        """
        super().__init__(name=name)
        self.units = units
        self._query, self._candidate, self._pairs = widths
        self._kernel = self.add_weight(name="kernel", shape=(sum(widths), units), initializer=initializer)
        self._bias = self.add_weight(name="bias", shape=(units,), initializer="zeros")

    def of_candidates(self, inputs: tf.Tensor) -> tf.Tensor:
        """What candidates' part, float32 [any, width], adds: float32 [any, units]."""
        return tf.matmul(inputs, self._kernel[self._query : self._query + self._candidate])

    def call(self, queries: tf.Tensor, of_candidates: tf.Tensor, pairs: tf.Tensor) -> tf.Tensor:
        """The layer's result without activation.

        Args:
            queries: float32 [batch, width].
            of_candidates: float32 [batch x candidates, units], see :meth:`of_candidates`.
            pairs: float32 [batch x candidates, width] of both together.

        Returns:
            float32 [batch x candidates, units].
        """
        of_queries = tf.matmul(queries, self._kernel[: self._query]) + self._bias
        shape = [tf.shape(queries)[0], _candidates_each(queries, of_candidates), self.units]
        total = tf.reshape(of_candidates, shape) + of_queries[:, tf.newaxis]
        total = tf.reshape(total, tf.shape(of_candidates))
        if not self._pairs:
            return total
        return total + tf.matmul(pairs, self._kernel[self._query + self._candidate :])


def _repeated(queries: tf.Tensor, candidates: tf.Tensor) -> tf.Tensor:
    """Each query's row, float32 [batch, width], beside each of its candidates, [batch x candidates, any]."""
    return tf.repeat(queries, _candidates_each(queries, candidates), axis=0)


def _candidates_each(queries: tf.Tensor, candidates: tf.Tensor) -> tf.Tensor:
    return tf.math.floordiv(tf.shape(candidates)[0], tf.maximum(tf.shape(queries)[0], 1))


class RankingNetwork(keras.layers.Layer):
    """Cross layers and a deep part, shared by the heads or mixed for each from several experts.

    R. Wang et al., "DCN V2: Improved Deep & Cross Network", WWW 2021: cross layers of low rank (eq. 3) before
    the deep part (stacked, figure 1a) or beside it (parallel, figure 1b). Crosses are over query and
    candidate together: their products, and those with the history, are there without being listed. With
    experts the deep part is there several times, and each head takes its own mean of them, weighted by a
    softmax of what they see: MMoE, Ma et al., KDD 2018, eq. 5 to 7.
    """

    def __init__(self, widths: tuple[int, int, int], heads: Sequence[str], config: RankingConfig):
        """Makes the layers.

        Args:
            widths: Of a query's inputs, a candidate's, and those of both together.
            heads: Names of the heads.
            config: The ranking section.
        """
        super().__init__(name="network")
        seed, width = config.seed, sum(widths)
        self._heads = tuple(heads)
        self._parallel = config.structure == "parallel"
        self._experts = config.experts if config.sharing == "mmoe" else 1
        self._dropout = keras.layers.Dropout(config.dropout, seed=seed)
        self._first_cross: SplitDense | None = None
        if config.cross_layers:
            self._first_cross = SplitDense(widths, config.cross_rank, _of_cross(seed + 300), "first_cross")
            self._first_back = keras.layers.Dense(
                width, kernel_initializer=_of_cross(seed + 300), name="first_cross_back"
            )
        self._crosses = [
            tfrs.layers.dcn.Cross(
                projection_dim=config.cross_rank, kernel_initializer=_of_cross(seed + 300 + i)
            )
            for i in range(1, config.cross_layers)
        ]
        self._first_deep: SplitDense | keras.layers.Dense | None = None
        if config.layers:
            units = self._experts * config.layers[0]
            initializer = kernel_initializer(seed + 400)
            self._first_deep = (
                SplitDense(widths, units, initializer, "first_deep")
                if self._parallel
                else keras.layers.Dense(units, kernel_initializer=initializer, name="first_deep")
            )
        self._deeper = [
            [
                keras.layers.Dense(
                    units,
                    activation="relu",
                    kernel_initializer=kernel_initializer(seed + 400 + 20 * expert + i),
                )
                for i, units in enumerate(config.layers[1:], start=1)
            ]
            for expert in range(self._experts)
        ]
        self._gates = {
            head: keras.layers.Dense(
                self._experts, kernel_initializer=kernel_initializer(seed + 900 + i), name=f"gate_{i}"
            )
            for i, head in enumerate(self._heads)
            if self._experts > 1
        }
        # Zero kernels: training starts at what the train split says of a candidate, not at noise around it.
        self._outputs = {
            head: keras.layers.Dense(1, kernel_initializer="zeros", name=f"head_{i}")
            for i, head in enumerate(self._heads)
        }

    def of_candidates(self, inputs: tf.Tensor) -> tf.Tensor:
        """What the first layers make of candidates' inputs, whatever the query: float32 [any, width].

        Args:
            inputs: float32 [any, width].
        """
        parts = [layer.of_candidates(inputs) for layer in self._split()]
        return tf.concat([*parts, inputs[:, :0]], axis=1)

    def call(
        self,
        queries: tf.Tensor,
        candidates: tf.Tensor,
        of_candidates: tf.Tensor,
        pairs: tf.Tensor,
        training: bool = False,
    ) -> dict[str, tf.Tensor]:
        """What each head adds to where it starts.

        Args:
            queries: float32 [batch, width].
            candidates: float32 [batch x candidates, width].
            of_candidates: See :meth:`of_candidates`, float32 [batch x candidates, width].
            pairs: float32 [batch x candidates, width], of both together.
            training: Whether dropout is on.

        Returns:
            float32 [batch x candidates] by head.
        """
        projected, start = [], 0
        for layer in self._split():
            projected.append(layer(queries, of_candidates[:, start : start + layer.units], pairs))
            start += layer.units
        inputs = crossed = tf.concat([_repeated(queries, candidates), candidates, pairs], axis=1)
        if self._first_cross:
            crossed = inputs * self._first_back(projected[0]) + inputs
        for cross in self._crosses:
            crossed = cross(inputs, crossed)
        if self._first_deep is None:
            return {head: output(crossed)[:, 0] for head, output in self._outputs.items()}
        seen = inputs if self._parallel else crossed
        experts = self._deep(projected[-1] if self._parallel else self._first_deep(crossed), training)
        return {head: self._of_head(head, experts, seen, crossed) for head in self._heads}

    def _split(self) -> list[SplitDense]:
        return [layer for layer in (self._first_cross, self._first_deep) if isinstance(layer, SplitDense)]

    def _deep(self, first: tf.Tensor, training: bool) -> list[tf.Tensor]:
        """Each expert's result, float32 [any, width], of what the first layer makes for all of them."""
        first = self._dropout(tf.nn.relu(first), training=training)
        results = []
        for x, layers in zip(tf.split(first, self._experts, axis=1), self._deeper, strict=True):
            for layer in layers:
                x = self._dropout(layer(x), training=training)
            results.append(x)
        return results

    def _of_head(self, head: str, experts: list[tf.Tensor], seen: tf.Tensor, crossed: tf.Tensor) -> tf.Tensor:
        mixed = experts[0]
        if self._gates:
            shares = tf.nn.softmax(self._gates[head](seen))
            mixed = tf.add_n([shares[:, i : i + 1] * expert for i, expert in enumerate(experts)])
        if self._parallel:
            mixed = tf.concat([crossed, mixed], axis=1)
        return self._outputs[head](mixed)[:, 0]


def _of_cross(seed: int) -> keras.initializers.Initializer:
    return keras.initializers.TruncatedNormal(seed=seed)
