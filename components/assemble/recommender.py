"""The one model that is served: from raw features to retrieved, ranked candidates."""

from __future__ import annotations

import math
from collections.abc import Mapping

import tensorflow as tf
import tensorflow_transform as tft

from components.assemble.config import AssembleConfig
from components.assemble.index import CandidateIndex, build_index
from components.assemble.inputs import (
    as_transform_input,
    candidate_specs,
    query_specs,
    rank_specs,
    search_specs,
)
from components.assemble.signature_names import CANDIDATE_IDS, EXCLUDE, K
from components.ingest.declaration import HISTORY, HISTORY_ACTION, HISTORY_AGE, POSITIVE, Declaration
from components.ranking.repeats import distinct_rows
from components.transform.candidate_table import UNKNOWN_ROW, CandidateTable
from components.transform.interaction_dataset import UNKNOWN_ACTION, action_lookup, latest_history

_EMBEDDING_BATCH = 4096
_LEAST_PROBABILITY = 1e-30

Tensors = Mapping[str, tf.Tensor]


class Recommender(tf.Module):
    """Both models, both transforms, the catalogue and the index, behind five signatures.

    All signatures take raw features as named tensors, see :mod:`components.assemble.inputs`. A missing
    string is "", a missing number NaN; histories and exclusions are padded with "". The action of a history's
    event is unknown where it is "", not declared, or left out by a ``history_action`` narrower than the
    history.
    """

    def __init__(
        self,
        declaration: Declaration,
        table: CandidateTable,
        query_graph: tft.TFTransformOutput,
        candidate_graph: tft.TFTransformOutput,
        retrieval: tf.Module,
        ranking: tf.Module,
        config: AssembleConfig,
    ):
        """Embeds the catalogue and builds the index.

        Args:
            declaration: Names and kinds of the features.
            table: The catalogue after Transform.
            query_graph: InteractionTransform's result.
            candidate_graph: CandidateTransform's result.
            retrieval: The loaded export of the retrieval model.
            ranking: The loaded export of the ranking model.
            config: The assemble section.
        """
        super().__init__(name="recommender")
        self._declaration, self._config = declaration, config
        self._query_names = tuple(query_specs(declaration))
        self._query_spec, self._candidate_spec = (
            graph.raw_feature_spec() for graph in (query_graph, candidate_graph)
        )
        self._encode_query = query_graph.transform_features_layer()
        self._encode_candidate = candidate_graph.transform_features_layer()
        self._retrieval, self._ranking = retrieval, ranking
        self._ids = tf.Variable(tf.constant(table.ids), trainable=False, name="candidate_ids")
        self._rows = table.row_lookup()
        actions = declaration.history_actions
        self._actions = action_lookup(actions) if actions else None
        self.size = len(table)
        self._exact, self._index = build_index(self._embed_catalogue(), config)
        self.index_kind = "exact" if self._index is self._exact else config.index
        self.retrieve_exact = tf.function(
            lambda query, k, exclude: self._named(
                *self._search(self.embed_query(query)["embedding"], _checked(k), exclude, self._exact)
            ),
            input_signature=[
                query_specs(declaration),
                tf.TensorSpec([], tf.int32, name=K),
                tf.TensorSpec([None, None], tf.string, name=EXCLUDE),
            ],
        )

    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """The signatures by name; ``serving_default`` is ``recommend``."""
        declared = self._declaration
        functions = {
            "recommend": (self.recommend, search_specs(declared)),
            "retrieve": (self.retrieve, search_specs(declared)),
            "rank": (self.rank, rank_specs(declared)),
            "embed_query": (self.embed_query, query_specs(declared)),
            "embed_candidate": (self.embed_candidate, candidate_specs(declared)),
        }
        concrete = {
            name: tf.function(function, input_signature=[specs]).get_concrete_function()
            for name, (function, specs) in functions.items()
        }
        return {"serving_default": concrete["recommend"], **concrete}

    def embed_query(self, inputs: Tensors) -> dict[str, tf.Tensor]:
        """Query features to ``embedding``, float32 [batch, width]."""
        return self._retrieval.embed_query(self._encoded_query(inputs))

    def embed_candidate(self, inputs: Tensors) -> dict[str, tf.Tensor]:
        """Candidate features to ``embedding``, float32 [batch, width]; the id need not be known."""
        raw = {name: as_transform_input(inputs[name], self._candidate_spec[name]) for name in inputs}
        encoded = self._encode_candidate(raw)
        ids = encoded.pop(self._declaration.candidates.id)
        return self._retrieval.embed_candidate(self._rows.lookup(ids), encoded)

    def retrieve(self, inputs: Tensors) -> dict[str, tf.Tensor]:
        """The k best candidates by dot product, without the excluded ones.

        Args:
            inputs: Query features; ``k``, int32 []; ``exclude``, string [batch, any].

        Returns:
            ``candidate_ids``, string, and ``scores``, float32, both [batch, min(k, catalogue)], best
            first. Where fewer remain, the last places hold "" and -inf.

        Raises:
            tf.errors.InvalidArgumentError: If k is below 1.
        """
        query = {name: inputs[name] for name in self._query_names}
        embedding = self.embed_query(query)["embedding"]
        return self._named(*self._search(embedding, _checked(inputs[K]), inputs[EXCLUDE], self._index))

    def recommend(self, inputs: Tensors) -> dict[str, tf.Tensor]:
        """Retrieves more than k candidates, ranks them and returns the k best.

        The order is by ``retrieval_weight x retrieval score + positive_weight x log P(positive)``: the
        towers say how likely a candidate is to be met and liked next, the ranker how likely it is to be
        liked once met (or, trained on drawn negatives, the former too). With ``rank_history`` the
        candidates of the query's history are ranked beside the retrieved ones.

        Args:
            inputs: As for :meth:`retrieve`.

        Returns:
            As :meth:`retrieve`, and each head of the ranker, float32 [batch, min(k, catalogue)], NaN in
            places that could not be filled.
        """
        query = {name: inputs[name] for name in self._query_names}
        k = _checked(inputs[K])
        encoded = self._encoded_query(query)
        embedding = self._retrieval.embed_query(encoded)["embedding"]
        wanted = tf.maximum(k, self._config.retrieve)
        found, rows = self._search(embedding, wanted, inputs[EXCLUDE], self._index)
        if self._config.rank_history:
            found, rows = self._with_history(embedding, encoded[HISTORY], inputs[EXCLUDE], found, rows)
        heads = self._ranking.score(encoded, rows)
        likely = tf.math.log(tf.maximum(heads[POSITIVE], _LEAST_PROBABILITY))
        total = self._config.retrieval_weight * found + self._config.positive_weight * likely
        # An empty place stays one, whatever the weights: 0 x inf is not a number.
        scores, order = tf.math.top_k(
            tf.where(tf.math.is_inf(found), -math.inf, total), k=tf.minimum(k, self.size)
        )
        missing = tf.math.is_inf(scores)
        ranked = {
            name: tf.where(missing, math.nan, tf.gather(values, order, batch_dims=1))
            for name, values in heads.items()
        }
        return {**self._named(scores, tf.gather(rows, order, batch_dims=1)), **ranked}

    def rank(self, inputs: Tensors) -> dict[str, tf.Tensor]:
        """Scores given candidates.

        Args:
            inputs: Query features; ``candidate_ids``, string [batch, candidates].

        Returns:
            Each head of the ranker, float32 [batch, candidates], NaN for an id not in the catalogue.
        """
        query = {name: inputs[name] for name in self._query_names}
        rows = self._rows.lookup(inputs[CANDIDATE_IDS])
        heads = self._ranking.score(self._encoded_query(query), tf.maximum(rows, 0))
        return {name: tf.where(rows == UNKNOWN_ROW, math.nan, values) for name, values in heads.items()}

    def _encoded_query(self, inputs: Tensors) -> dict[str, tf.Tensor]:
        """Raw query features as both models take them."""
        events = {HISTORY: self._rows.lookup(inputs[HISTORY]), HISTORY_AGE: inputs[HISTORY_AGE]}
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

    def _search(
        self, embedding: tf.Tensor, k: tf.Tensor, exclude: tf.Tensor, index: CandidateIndex
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Scores and rows, [batch, min(k, size)], best first; excluded candidates score -inf."""
        fetched = tf.minimum(k + tf.shape(exclude)[1], self.size)
        scores, rows = index.search(embedding, fetched)
        excluded = self._rows.lookup(exclude)
        hit = tf.reduce_any(rows[:, :, tf.newaxis] == excluded[:, tf.newaxis, :], axis=2)
        best, order = tf.math.top_k(tf.where(hit, -math.inf, scores), k=tf.minimum(k, self.size))
        return best, tf.gather(rows, order, batch_dims=1)

    def _with_history(
        self,
        embedding: tf.Tensor,
        history: tf.Tensor,
        exclude: tf.Tensor,
        found: tf.Tensor,
        rows: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Scores and rows with those of the history appended that are neither found nor excluded."""
        own = distinct_rows(history)
        # The row of an empty place means nothing.
        retrieved = tf.where(tf.math.is_inf(found), tf.cast(UNKNOWN_ROW, tf.int64), rows)
        taken = tf.concat([retrieved, self._rows.lookup(exclude)], axis=1)
        missing = (own < 0) | tf.reduce_any(own[:, :, tf.newaxis] == taken[:, tf.newaxis, :], axis=2)
        own = tf.maximum(own, 0)
        scores = tf.where(missing, -math.inf, self._exact.score(embedding, own))
        return tf.concat([found, scores], axis=1), tf.concat([rows, own], axis=1)

    def _named(self, scores: tf.Tensor, rows: tf.Tensor) -> dict[str, tf.Tensor]:
        """Ids and scores, with "" in the places that could not be filled."""
        return {
            CANDIDATE_IDS: tf.where(tf.math.is_inf(scores), "", tf.gather(self._ids, rows)),
            "scores": scores,
        }

    def _embed_catalogue(self) -> tf.Tensor:
        """float32 [candidates, width], by row."""
        starts = range(0, self.size, _EMBEDDING_BATCH)
        rows = [tf.range(s, min(s + _EMBEDDING_BATCH, self.size), dtype=tf.int64) for s in starts]
        return tf.concat([self._retrieval.embed_rows(batch)["embedding"] for batch in rows], axis=0)


def _checked(k: tf.Tensor) -> tf.Tensor:
    """The request's k, refused below 1."""
    with tf.control_dependencies([tf.debugging.assert_positive(k, message="k must be at least 1")]):
        return tf.identity(k)


def _widened(actions: tf.Tensor, width: tf.Tensor) -> tf.Tensor:
    """Numbers of actions, [batch, any], as [batch, width]: unknown at the right; refused where wider."""
    lacking = width - tf.shape(actions)[1]
    message = f"{HISTORY_ACTION} must not be wider than {HISTORY}"
    with tf.control_dependencies([tf.debugging.assert_non_negative(lacking, message=message)]):
        return tf.pad(actions, [[0, 0], [0, lacking]], constant_values=UNKNOWN_ACTION)
