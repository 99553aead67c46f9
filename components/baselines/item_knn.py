"""Item-based nearest neighbours."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from implicit.nearest_neighbours import BM25Recommender, CosineRecommender, TFIDFRecommender
from implicit.utils import ParameterWarning
from scipy.sparse import csr_matrix

from components.baselines.ials import cores

_KINDS = {"cosine": CosineRecommender, "tf_idf": TFIDFRecommender, "bm25": BM25Recommender}


@dataclass(frozen=True)
class ItemKNN:
    """Each candidate's most similar ones, itself among them.

    Sarwar et al., "Item-Based Collaborative Filtering Recommendation Algorithms", WWW 2001, with the
    similarities of the library ``implicit``.

    Attributes:
        similarity: float32 [candidates, candidates]; a row holds its neighbours.
    """

    similarity: csr_matrix

    def scores(self, histories: csr_matrix) -> np.ndarray:
        """The sum of the similarities to the history's events, float32 [queries, candidates].

        Args:
            histories: float32 [queries, candidates] occurrences.
        """
        return (histories @ self.similarity).toarray()


def fit_item_knn(confidences: csr_matrix, *, similarity: str, neighbours: int) -> ItemKNN:
    """Finds neighbours.

    Args:
        confidences: float32 [queries, candidates].
        similarity: ``cosine``, ``tf_idf`` or ``bm25``.
        neighbours: How many a candidate keeps.
    """
    model = _KINDS[similarity](K=neighbours, num_threads=cores())
    # A query that has every candidate but one says nothing under TF-IDF: its weight is 0, and a candidate
    # that only such queries have is divided by its length, 0.
    with np.errstate(invalid="ignore", divide="ignore"), warnings.catch_warnings():
        # The library warns of the layout in which it hands weights to itself.
        warnings.simplefilter("ignore", ParameterWarning)
        model.fit(confidences, show_progress=False)
    found = model.similarity.astype(np.float32)
    found.data = np.nan_to_num(found.data)
    return ItemKNN(found)
