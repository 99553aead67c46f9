"""A catalogue of four, a log of eight interactions, and models of them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from components.retrieval.config import RetrievalConfig
from components.retrieval.model import RetrievalModel
from components.retrieval.trainer import build_model
from components.retrieval.training_inputs import TrainingInputs
from components.transform.candidate_table import CandidateTable
from components.transform.encoding import EncodedFeature
from components.transform.interaction_dataset import EncodedInteractions

# Also the worker processes of the distributed training import it.
sys.path.insert(0, str(Path(__file__).resolve().parent))

import parity

HISTORIES = [[2, -1, -1], [0, 3, 2], [-1, -1, -1]]
ACTIONS = [[1, 0, 0], [2, 2, 1], [0, 0, 0]]
AGES = [[7.0, 0, 0], [90_000.0, 400.0, 3.0], [0, 0, 0]]
USERS = 3
"""Numbers a user id can be; the last one is that of unknown users."""


class Tiny:
    """What a trainer reads, small enough for sums by hand."""

    counts = np.array([4, 0, 2, 2])
    """Training interactions of each candidate; the second has none."""

    def inputs(self, *, features: bool = True) -> TrainingInputs:
        """The data: one feature of queries and two of candidates, or none at all."""
        rows = np.repeat(np.arange(4), self.counts)
        log = self.batch(rows, np.ones(len(rows)), features=features)
        train = EncodedInteractions(log)
        table = {"genre": np.array([0, 0, 1, 1]), "words": np.array([[1, 0], [2, 1], [0, 0], [2, 2]])}
        return TrainingInputs(
            declaration=parity.DECLARATION,
            table=CandidateTable(np.array([b"a", b"b", b"c", b"d"], object), table if features else {}),
            train=train,
            validation=train,
            query_id=("user", USERS),
            query_features=[EncodedFeature("age", "dense", 0, 1)] if features else [],
            candidate_features=[
                EncodedFeature("genre", "category", 2, 1),
                EncodedFeature("words", "categories", 3, 2),
            ]
            if features
            else [],
        )

    def config(self, **settings: Any) -> RetrievalConfig:
        """Small, and without what differs from one time to the next."""
        return RetrievalConfig(
            **{"dim": 4, "feature_dim": 3, "layers": (5,), "dropout": 0.0, "id_dropout": 0.0} | settings
        )

    def model(self, *, features: bool = True, **settings: Any) -> RetrievalModel:
        """A model whose weights are large enough to tell formulas apart."""
        model = build_model(self.inputs(features=features), self.config(**settings))
        batch = self.batch(features=features)
        model.make_weights(batch)
        random = np.random.default_rng(5)
        for weight in model.trainable_variables:
            if weight.shape.rank:
                weight.assign(random.normal(scale=0.5, size=weight.shape))
        return model

    def batch(
        self,
        rows: Sequence[int] = (0, 2, 0),
        weights: Sequence[float] | None = None,
        labels: Sequence[float] | None = None,
        *,
        features: bool = True,
    ) -> Mapping[str, tf.Tensor]:
        """Interactions of these candidates with histories of one, three and no events."""
        n = len(rows)
        return {
            "user": tf.constant([i % USERS for i in range(n)], tf.int64),
            **({"age": tf.reshape(tf.linspace(-1.0, 1.0, n), [n, 1])} if features else {}),
            "history": tf.constant([HISTORIES[i % 3] for i in range(n)], tf.int64),
            "history_age": tf.constant([AGES[i % 3] for i in range(n)], tf.float32),
            "history_action": tf.constant([ACTIONS[i % 3] for i in range(n)], tf.int64),
            "candidate_row": tf.constant(rows, tf.int64),
            "weight": tf.constant(np.ones(n) if weights is None else weights, tf.float32),
            "positive": tf.constant(np.ones(n) if labels is None else labels, tf.float32),
        }


@pytest.fixture(scope="session")
def tiny() -> Tiny:
    """The maker of tiny data and models."""
    return Tiny()
