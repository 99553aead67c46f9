"""All of the served model but its index: both transforms, both models, the catalogue's ids."""

from __future__ import annotations

from collections.abc import Mapping

import tensorflow as tf
import tensorflow_transform as tft

from components.assemble.inputs import (
    as_transform_input,
    candidate_specs,
    query_specs,
    refuse_unusable_numbers,
    refuse_unusable_outputs,
)
from components.ingest.declaration import HISTORY, HISTORY_ACTION, HISTORY_AGE, Declaration
from components.ranking.retrieved import embedded_catalogue
from components.retrieval.config import LIGHT_RANKER
from components.transform.candidate_table import CandidateTable
from components.transform.interaction_dataset import UNKNOWN_ACTION, action_lookup, latest_history

Tensors = Mapping[str, tf.Tensor]


def has_light_ranker(models: tf.Module) -> bool:
    """Whether a light ranker is among :class:`Models`, new ones or those of a loaded recommender."""
    return hasattr(models, "light_rank")


class Models(tf.Module):
    """The recommender's parts as functions with fixed signatures.

    They are saved with the recommender and are the same functions after loading it, so that a loaded one can
    be given another index (:mod:`components.assemble.export`).

    Attributes:
        rows: string [any, any] ids to int64 rows of the same shape, ``UNKNOWN_ROW`` for what is no id of the
            catalogue.
        encode_query: Raw query features (:func:`components.assemble.inputs.query_specs`) to those that both
            models take.
        embed_query: Encoded query features to ``embedding``, float32 [batch, width], and where there is a
            light ranker to ``light_ranker``, what ``light_rank`` takes.
        embed_candidate: Raw candidate features to ``embedding``, float32 [batch, width].
        score: Encoded query features and int64 [batch, any] rows, none negative, to each head of the ranker,
            float32 of the rows' shape.
        light_rank: Only where there is a light ranker, see :func:`has_light_ranker`. Its embeddings of
            queries, rows as for ``score`` and the towers' scores of these, float32, to its own scores,
            float32 of the rows' shape.
    """

    def __init__(
        self,
        declaration: Declaration,
        table: CandidateTable,
        query_graph: tft.TFTransformOutput,
        candidate_graph: tft.TFTransformOutput,
        retrieval: tf.Module,
        ranking: tf.Module,
    ):
        """Traces the functions.

        Args:
            declaration: Names and kinds of the features.
            table: The catalogue after Transform.
            query_graph: InteractionTransform's result.
            candidate_graph: CandidateTransform's result.
            retrieval: The loaded export of the retrieval model.
            ranking: The loaded export of the ranking model.
        """
        super().__init__(name="models")
        self._declaration = declaration
        self._query_spec, self._candidate_spec = (
            graph.raw_feature_spec() for graph in (query_graph, candidate_graph)
        )
        self._encode_query = query_graph.transform_features_layer()
        self._encode_candidate = candidate_graph.transform_features_layer()
        self._retrieval, self._ranking = retrieval, ranking
        self._table = table.row_lookup()
        actions = declaration.history_actions
        self._actions = action_lookup(actions) if actions else None
        ids = tf.TensorSpec([None, None], tf.string, name="ids")
        self.rows = tf.function(self._table.lookup, input_signature=[ids], autograph=False)
        self.encode_query = tf.function(
            self._encoded, input_signature=[query_specs(declaration)], autograph=False
        )
        encoded = {
            name: tf.TensorSpec([None, *spec.shape[1:]], spec.dtype, name=name)
            for name, spec in self.encode_query.get_concrete_function().structured_outputs.items()
        }
        self.embed_query = tf.function(
            lambda query: refuse_unusable_outputs(retrieval.embed_query(query)),
            input_signature=[encoded],
            autograph=False,
        )
        self.embed_candidate = tf.function(
            self._embedded_candidate, input_signature=[candidate_specs(declaration)], autograph=False
        )
        rows = tf.TensorSpec([None, None], tf.int64, name="rows")
        self.score = tf.function(
            lambda query, rows: refuse_unusable_outputs(ranking.score(query, rows)),
            input_signature=[encoded, rows],
            autograph=False,
        )
        if hasattr(retrieval, "light_rank"):
            several = self.embed_query.get_concrete_function().structured_outputs[LIGHT_RANKER]
            self.light_rank = tf.function(
                lambda queries, rows, scores: retrieval.light_rank(queries, rows, scores),
                input_signature=[
                    tf.TensorSpec(several.shape, name="queries"),
                    rows,
                    tf.TensorSpec([None, None], name="scores"),
                ],
                autograph=False,
            )

    def embed_catalogue(self) -> tf.Tensor:
        """float32 [candidates, width], by row; of a new model, not of a loaded one."""
        return embedded_catalogue(self._retrieval, int(self._table.size()))

    def _encoded(self, inputs: Tensors) -> dict[str, tf.Tensor]:
        """Raw query features as both models take them."""
        inputs = refuse_unusable_numbers(inputs)
        events = {HISTORY: self._table.lookup(inputs[HISTORY]), HISTORY_AGE: inputs[HISTORY_AGE]}
        if self._actions is not None:
            actions = self._actions.lookup(inputs[HISTORY_ACTION])
            events[HISTORY_ACTION] = _widened(actions, tf.shape(events[HISTORY])[1])
        present = inputs[HISTORY] != ""
        history = latest_history(
            {name: tf.ragged.boolean_mask(values, present) for name, values in events.items()},
            self._declaration.history.length,
        )
        raw = {
            name: as_transform_input(values, self._query_spec[name])
            for name, values in inputs.items()
            if name not in history
        }
        return self._encode_query(raw) | history

    def _embedded_candidate(self, inputs: Tensors) -> dict[str, tf.Tensor]:
        inputs = refuse_unusable_numbers(inputs)
        raw = {name: as_transform_input(inputs[name], self._candidate_spec[name]) for name in inputs}
        encoded = self._encode_candidate(raw)
        ids = encoded.pop(self._declaration.candidates.id)
        return refuse_unusable_outputs(self._retrieval.embed_candidate(self._table.lookup(ids), encoded))


def _widened(actions: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """Numbers of actions, [batch, any], as [batch, width]: unknown at the right; refused where wider."""
    lacking = width - tf.shape(actions)[1]
    message = f"{HISTORY_ACTION} must not be wider than {HISTORY}"
    with tf.control_dependencies([tf.debugging.assert_non_negative(lacking, message=message)]):
        return tf.pad(actions, [[0, 0], [0, lacking]], constant_values=UNKNOWN_ACTION)
