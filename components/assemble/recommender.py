"""The one model that is served: from raw features to retrieved, ranked candidates."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from components.assemble.config import AssembleConfig
from components.assemble.diversity import most_relevant_and_different
from components.assemble.filters import Asked, Filters
from components.assemble.index import CandidateIndex, ExactIndex
from components.assemble.inputs import (
    candidate_specs,
    query_specs,
    rank_specs,
    recommend_specs,
    search_specs,
)
from components.assemble.models import Models, Tensors
from components.assemble.signature_names import CANDIDATE_IDS, DIVERSITY, EXCLUDE, K
from components.ingest.declaration import HISTORY, Declaration
from components.ranking.final_score import FinalScore
from components.ranking.heads import Head
from components.ranking.repeats import distinct_rows
from components.retrieval.config import LIGHT_RANKER
from components.transform.candidate_table import UNKNOWN_ROW

_OVERFETCH = 4
"""How many times as many candidates the index is asked for where the request filters."""


Found = tuple[tf.Tensor, tf.Tensor]
"""The towers' scores and rows of candidates, float32 and int64 [batch, any]; -inf where there is none."""


class Recommender(tf.Module):
    """Both models, both transforms, the catalogue and the index, behind five signatures.

    All signatures take raw features as named tensors, see :mod:`components.assemble.inputs`. A missing
    string is "", a missing number NaN; histories and exclusions are padded with "". The action of a history's
    event is unknown where it is "", not declared, or left out by a ``history_action`` narrower than the
    history.

    Attributes:
        models: All of the model but the index.
        ids: string [candidates], by row.
        exact: The index that scores every candidate.
        filters: What requests may filter by.
        retrieve_exact: From query features, k and exclusions to what ``retrieve`` answers, by that index.
        deliver: From what ``recommend`` takes to the ids, string [batch, any], that it finds by the index,
            ``retrieved``, and those that it ranks, ``ranked``; "" in places that could not be filled.
        score_catalogue: From query features to ``retrieval``, the towers' scores, and ``final``, those that
            order what ``recommend`` answers, of every candidate: float32 [batch, candidates].
    """

    def __init__(
        self,
        declaration: Declaration,
        models: Models,
        ids: tf.Tensor,
        exact: ExactIndex,
        index: CandidateIndex,
        filters: Filters,
        heads: Sequence[Head],
        config: AssembleConfig,
    ):
        """Takes the parts.

        Args:
            declaration: Names and kinds of the features.
            models: All of the model but the index; new, or of a loaded recommender.
            ids: string [candidates], by row.
            exact: The candidates' embeddings, by row.
            index: What ``retrieve`` and ``recommend`` search; may be the exact one.
            filters: What requests may filter by.
            heads: Of the ranker.
            config: The assemble section.
        """
        super().__init__(name="recommender")
        self._declaration, self._config = declaration, config
        self._final_score = FinalScore(heads, config.weights, config.combination)
        self._query_names = tuple(query_specs(declaration))
        # Else there is none, or it would leave all of them.
        self._chooses = config.keep is not None and config.keep < min(config.retrieve, exact.size)
        self.models = models
        self.ids = tf.Variable(ids, trainable=False, name="candidate_ids")
        self.exact, self._index, self.filters = exact, index, filters
        self.retrieve_exact = tf.function(
            self._retrieve_exact,
            input_signature=[
                query_specs(declaration),
                tf.TensorSpec([], tf.int32, name=K),
                tf.TensorSpec([None, None], tf.string, name=EXCLUDE),
            ],
            autograph=False,
        )
        asked = recommend_specs(declaration) | filters.specs
        self.deliver = tf.function(self._deliver, input_signature=[asked], autograph=False)
        self.score_catalogue = tf.function(
            self._score_catalogue, input_signature=[query_specs(declaration)], autograph=False
        )

    def signatures(self) -> dict[str, tf.types.experimental.ConcreteFunction]:
        """The signatures by name; ``serving_default`` is ``recommend``."""
        declared = self._declaration
        functions = {
            "recommend": (self.recommend, recommend_specs(declared) | self.filters.specs),
            "retrieve": (self.retrieve, search_specs(declared) | self.filters.specs),
            "rank": (self.rank, rank_specs(declared)),
            "embed_query": (self.embed_query, query_specs(declared)),
            "embed_candidate": (self.embed_candidate, candidate_specs(declared)),
        }
        concrete = {
            name: tf.function(function, input_signature=[specs], autograph=False).get_concrete_function()
            for name, (function, specs) in functions.items()
        }
        return {"serving_default": concrete["recommend"], **concrete}

    def embed_query(self, inputs: Tensors) -> dict[str, tf.Tensor]:
        """Query features to ``embedding``, float32 [batch, width]."""
        return {"embedding": self.models.embed_query(self.models.encode_query(inputs))["embedding"]}

    def embed_candidate(self, inputs: Tensors) -> dict[str, tf.Tensor]:
        """Candidate features to ``embedding``, float32 [batch, width]; the id need not be known."""
        return self.models.embed_candidate(inputs)

    def retrieve(self, inputs: Tensors) -> dict[str, tf.Tensor]:
        """The k best candidates by dot product that are not excluded and pass the filters.

        Args:
            inputs: Query features; ``k``, int32 []; ``exclude``, string [batch, any]; the filters, see
                :mod:`components.assemble.filters`.

        Returns:
            ``candidate_ids``, string, and ``scores``, float32, both [batch, min(k, catalogue)], best
            first. Where fewer remain, the last places hold "" and -inf.

        Raises:
            tf.errors.InvalidArgumentError: If k is below 1.
        """
        query = {name: inputs[name] for name in self._query_names}
        embedding = self.embed_query(query)["embedding"]
        return self._named(*self._search(embedding, _checked(inputs[K]), inputs))

    def recommend(self, inputs: Tensors) -> dict[str, tf.Tensor]:
        """Retrieves more than k candidates, ranks them and returns the k best.

        With ``keep``, only so many of the retrieved ones are ranked, or k: those that the light ranker
        (:class:`components.retrieval.light_ranker.LightRanker`) scores highest. What is excluded or filtered
        out is not among those it chooses from.

        The order is by :class:`components.ranking.final_score.FinalScore`: by default the sum of the towers'
        score, which says how likely a candidate is to be met and liked next, and of the logarithm of the
        ranker's probability that it is liked once met (or, trained on drawn negatives, of the former too).
        With ``rank_history`` the candidates of the query's history are ranked beside these.

        Args:
            inputs: As for :meth:`retrieve`; and ``diversity``, float32 [] from 0 to below 1, of
                :func:`components.assemble.diversity.most_relevant_and_different`.

        Returns:
            As :meth:`retrieve`, with diversity not in the order of scores; and each head of the ranker,
            float32 [batch, min(k, catalogue)], NaN in places that could not be filled.
        """
        query = {name: inputs[name] for name in self._query_names}
        k = _checked(inputs[K])
        encoded = self.models.encode_query(query)
        _, (found, rows) = self._delivered(encoded, k, inputs)
        heads = self.models.score(encoded, rows)
        diversity = _checked_diversity(inputs[DIVERSITY])
        scores, order = self._best(self._final_score(found, heads), rows, k, diversity)
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
        rows = self.models.rows(inputs[CANDIDATE_IDS])
        heads = self.models.score(self.models.encode_query(query), tf.maximum(rows, 0))
        return {name: tf.where(rows == UNKNOWN_ROW, math.nan, values) for name, values in heads.items()}

    def _deliver(self, inputs: Tensors) -> dict[str, tf.Tensor]:
        encoded = self.models.encode_query({name: inputs[name] for name in self._query_names})
        retrieved, ranked = self._delivered(encoded, _checked(inputs[K]), inputs)
        return {
            "retrieved": self._named(*retrieved)[CANDIDATE_IDS],
            "ranked": self._named(*ranked)[CANDIDATE_IDS],
        }

    def _score_catalogue(self, query: Tensors) -> dict[str, tf.Tensor]:
        encoded = self.models.encode_query(query)
        embedding = self.models.embed_query(encoded)["embedding"]
        retrieved = self.exact.score_all(embedding)
        rows = tf.range(self.exact.size, dtype=tf.int64)[tf.newaxis]
        heads = self.models.score(encoded, tf.repeat(rows, tf.shape(retrieved)[0], axis=0))
        return {"retrieval": retrieved, "final": self._final_score(retrieved, heads)}

    def _retrieve_exact(self, query: Tensors, k: tf.Tensor, exclude: tf.Tensor) -> dict[str, tf.Tensor]:
        scores = self.exact.score_all(self.embed_query(query)["embedding"])
        return self._named(*self._best_of_all(scores, self.models.rows(exclude), _checked(k)))

    def _delivered(self, encoded: Tensors, k: tf.Tensor, inputs: Tensors) -> tuple[Found, Found]:
        """What the index finds, and what of it, or beside it, is to be ranked.

        Args:
            encoded: The queries' encoded features.
            k: int32 [], how many are asked for.
            inputs: As for :meth:`recommend`.
        """
        embedded = self.models.embed_query(encoded)
        embedding = embedded["embedding"]
        retrieved = self._search(embedding, tf.maximum(k, self._config.retrieve), inputs)
        ranked = retrieved
        if self._chooses:
            ranked = self._chosen(embedded[LIGHT_RANKER], k, *retrieved)
        if self._config.rank_history:
            ranked = self._with_history(embedding, encoded[HISTORY], inputs, *ranked)
        return retrieved, ranked

    def _chosen(self, queries: tf.Tensor, k: tf.Tensor, found: tf.Tensor, rows: tf.Tensor) -> Found:
        """Those of the retrieved that the light ranker scores highest: ``keep`` or, if more, k."""
        scores = self.models.light_rank(queries, rows, found)
        # An empty place stays one: its row means nothing.
        scores = tf.where(tf.math.is_inf(found), found, scores)
        count = tf.minimum(tf.maximum(k, self._config.keep), tf.shape(found)[1])
        _, order = tf.math.top_k(scores, count)
        return tf.gather(found, order, batch_dims=1), tf.gather(rows, order, batch_dims=1)

    def _search(self, embedding: tf.Tensor, k: tf.Tensor, inputs: Tensors) -> Found:
        """Scores and rows, [batch, min(k, size)], best first; -inf where no candidate is left.

        Args:
            embedding: float32 [batch, width], of the queries.
            k: int32 [].
            inputs: As for :meth:`retrieve`.
        """
        excluded = self.models.rows(inputs[EXCLUDE])
        if self._index is self.exact:
            scores = self.exact.score_all(embedding)
            return self._best_of_all(self._where_filtered(scores, inputs), excluded, k)
        # The size is a bound of k's own first: the largest k and what is excluded are beyond int32.
        k = tf.minimum(k, self.exact.size)
        count = tf.minimum(k + tf.shape(excluded)[1], self.exact.size)
        scores, rows = self._if_filtered(
            inputs,
            lambda: self._filtered(embedding, count, inputs),
            lambda: self._index.search(embedding, count),
        )
        hit = tf.reduce_any(rows[:, :, tf.newaxis] == excluded[:, tf.newaxis, :], axis=2)
        best, order = tf.math.top_k(tf.where(hit, -math.inf, scores), k)
        return best, tf.gather(rows, order, batch_dims=1)

    def _best_of_all(self, scores: tf.Tensor, excluded: tf.Tensor, k: tf.Tensor) -> Found:
        """The k best of all candidates' scores, [batch, size], that are not among rows [batch, any]."""
        firsts = self.exact.size * tf.range(tf.shape(excluded, tf.int64)[0])
        places = tf.reshape(tf.maximum(excluded, 0) + firsts[:, tf.newaxis], [-1, 1])
        # A place of unknown rows is any: the least of infinity and its score is its score.
        barred = tf.reshape(tf.where(excluded < 0, math.inf, -math.inf), [-1])
        left = tf.tensor_scatter_nd_min(tf.reshape(scores, [-1]), places, barred)
        best, rows = tf.math.top_k(tf.reshape(left, tf.shape(scores)), tf.minimum(k, self.exact.size))
        return best, tf.cast(rows, tf.int64)

    def _where_filtered(self, scores: tf.Tensor, asked: Asked) -> tf.Tensor:
        """Scores of all candidates, -inf for those that do not pass."""
        return self._if_filtered(
            asked,
            lambda: tf.where(self.filters.passes_all(asked), scores, -math.inf),
            lambda: scores,
        )

    def _if_filtered(self, asked: Asked, filtered: Callable[[], Any], plain: Callable[[], Any]) -> Any:
        """The one where a request filters by anything, else the other."""
        return tf.cond(self.filters.given(asked), filtered, plain) if self.filters.specs else plain()

    def _filtered(self, embedding: tf.Tensor, count: tf.Tensor, asked: Asked) -> tuple[tf.Tensor, tf.Tensor]:
        """The best candidates of an approximate index that pass the filters, as many as asked for.

        It is asked for some more. Queries that are left with too few of these are answered by
        scoring all candidates that pass: no number of more would be enough for every filter.
        """
        scores, rows = self._index.search(embedding, tf.minimum(_OVERFETCH * count, self.exact.size))
        passed = tf.where(self.filters.passes(asked, rows), scores, -math.inf)
        best, order = tf.math.top_k(passed, count)
        rows = tf.gather(rows, order, batch_dims=1)
        short = tf.where(tf.math.is_inf(best[:, -1]))

        def completed() -> tuple[tf.Tensor, tf.Tensor]:
            own = {name: tf.gather(asked[name], short[:, 0]) for name in self.filters.specs}
            all_scores = self.exact.score_all(tf.gather(embedding, short[:, 0]))
            passed = tf.where(self.filters.passes_all(own), all_scores, -math.inf)
            of_all, all_rows = tf.math.top_k(passed, count)
            return (
                tf.tensor_scatter_nd_update(best, short, of_all),
                tf.tensor_scatter_nd_update(rows, short, tf.cast(all_rows, tf.int64)),
            )

        return tf.cond(tf.size(short) > 0, completed, lambda: (best, rows))

    def _best(
        self, scores: tf.Tensor, rows: tf.Tensor, k: tf.Tensor, diversity: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Scores and places of the k best, or all; with diversity of those unlike each other."""
        count = tf.minimum(k, self.exact.size)
        return tf.cond(
            diversity > 0,
            lambda: most_relevant_and_different(
                scores, tf.gather(self.exact.embeddings, rows), count, diversity
            ),
            lambda: tuple(tf.math.top_k(scores, count)),
        )

    def _with_history(
        self,
        embedding: tf.Tensor,
        history: tf.Tensor,
        inputs: Tensors,
        found: tf.Tensor,
        rows: tf.Tensor,
    ) -> Found:
        """Scores and rows with those of the history appended that are neither found nor barred."""
        own = distinct_rows(history)
        # The row of an empty place means nothing.
        retrieved = tf.where(tf.math.is_inf(found), tf.cast(UNKNOWN_ROW, tf.int64), rows)
        taken = tf.concat([retrieved, self.models.rows(inputs[EXCLUDE])], axis=1)
        missing = (own < 0) | tf.reduce_any(own[:, :, tf.newaxis] == taken[:, tf.newaxis, :], axis=2)
        own = tf.maximum(own, 0)
        missing |= ~self.filters.passes(inputs, own)
        scores = tf.where(missing, -math.inf, self.exact.score(embedding, own))
        return tf.concat([found, scores], axis=1), tf.concat([rows, own], axis=1)

    def _named(self, scores: tf.Tensor, rows: tf.Tensor) -> dict[str, tf.Tensor]:
        """Ids and scores, with "" in the places that could not be filled."""
        return {
            CANDIDATE_IDS: tf.where(tf.math.is_inf(scores), "", tf.gather(self.ids, rows)),
            "scores": scores,
        }


def _checked(k: tf.Tensor) -> tf.Tensor:
    """The request's k, refused below 1."""
    with tf.control_dependencies([tf.debugging.assert_positive(k, message="k must be at least 1")]):
        return tf.identity(k)


def _checked_diversity(diversity: tf.Tensor) -> tf.Tensor:
    """The request's diversity, refused outside [0, 1)."""
    inside = tf.debugging.Assert(
        (diversity >= 0) & (diversity < 1), ["diversity must be at least 0 and below 1, found", diversity]
    )
    with tf.control_dependencies([inside]):
        return tf.identity(diversity)
