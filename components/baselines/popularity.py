"""Candidates in the order of their popularity, which is the order of all matrices here."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from scipy.sparse import csr_matrix


@dataclass(frozen=True)
class PopularityOrder:
    """Places of the candidates, most positive train interactions first, ties by row.

    A tie in score then falls to the more popular one by itself, and what nobody ever chose, of which no
    model here knows anything, is at the end and is left out of every matrix.

    Attributes:
        rows: int64 [candidates], the row at each place.
        place: int64 [candidates], each row's place.
        width: How many candidates have a positive train interaction.
    """

    rows: np.ndarray
    place: np.ndarray
    width: int

    @classmethod
    def of(cls, positives: np.ndarray) -> PopularityOrder:
        """The order by counts of positive interactions, int64 [candidates]."""
        rows = np.argsort(-positives, kind="stable")
        place = np.empty_like(rows)
        place[rows] = np.arange(len(rows))
        return cls(rows, place, int((positives > 0).sum()))

    def places(self, rows: np.ndarray) -> np.ndarray:
        """Places of rows, of any shape; -1 for what is negative or nobody ever chose."""
        places = self.place[rows]
        return np.where((rows < 0) | (places >= self.width), -1, places)

    def occurrences(self, histories: np.ndarray) -> csr_matrix:
        """How often each history holds each candidate: float32 [queries, width].

        Args:
            histories: Integer [queries, length] rows, negative for padding, wherever it is.
        """
        places = self.places(histories)
        queries, events = np.nonzero(places >= 0)
        ones = np.ones(len(queries), np.float32)
        shape = (len(histories), self.width)
        return csr_matrix((ones, (queries, places[queries, events])), shape=shape)

    def best(self, scores: np.ndarray, count: int) -> np.ndarray:
        """The candidates with the highest scores above 0, then the most popular of the others.

        Args:
            scores: float32 [queries, width].
            count: How many.

        Returns:
            int64 [queries, min(count, candidates)] rows, best first.
        """
        # Of equal values the lower place comes first: TensorFlow promises it.
        known = tf.math.top_k(tf.nn.relu(scores), min(count, self.width)).indices.numpy()
        unknown = np.arange(self.width, max(self.width, min(count, len(self.rows))))
        places = np.concatenate([known, np.broadcast_to(unknown, (len(known), len(unknown)))], axis=1)
        return self.rows[places]

    def ranks(self, scores: np.ndarray, excluded: csr_matrix, held_out: np.ndarray) -> np.ndarray:
        """Where :meth:`best` would have the held-out candidates, excluded ones left out.

        Args:
            scores: float32 [queries, width].
            excluded: [queries, width], not 0 where a candidate must not come back.
            held_out: int64 [queries] rows.

        Returns:
            float64 [queries], from 1; infinite for what is excluded, what nobody ever chose, and what has a
            score that is no number.
        """
        places = self.places(held_out)
        scores = np.maximum(scores, 0)
        scores[excluded.nonzero()] = -1
        own = scores[np.arange(len(places)), places][:, np.newaxis]
        # Only the ties before it; all at once, these comparisons would fill the memory with whole numbers.
        ties = (scores == own) & (np.arange(self.width, dtype=np.int32) < places[:, np.newaxis])
        ahead = (scores > own).sum(axis=1) + ties.sum(axis=1)
        # Of no number nothing would be ahead: it would be the first.
        found = (places >= 0) & (own[:, 0] >= 0) & np.isfinite(own[:, 0])
        return np.where(found, ahead + 1.0, np.inf)
