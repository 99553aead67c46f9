"""A catalogue of four, a log of three actions or of ratings, and rankers of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from components.ingest.declaration import Declaration
from components.ranking.config import RankingConfig
from components.ranking.model import RankingModel
from components.ranking.retrieved import RETRIEVED_POSITIVE, RETRIEVED_ROWS
from components.ranking.trainer import build_model
from components.retrieval.training_inputs import TrainingInputs
from components.transform.candidate_table import CandidateTable
from components.transform.encoding import EncodedFeature
from components.transform.interaction_dataset import EncodedInteractions

ACTIONS = {"actions": {"column": "what", "weights": {"view": 0, "click": 1, "buy": 5}}}
RATED = {"rating": {"column": "stars", "minimum": 1, "maximum": 5, "positive_from": 4}}


class Tiny:
    """What a ranker reads, small enough for sums by hand."""

    rated = RATED["rating"]

    def shown(self) -> dict[str, Any]:
        """A log of actions that says where candidates were shown, and how probably."""
        return {**ACTIONS, "position": "place", "propensity": "chance"}

    def declaration(self, labels: dict[str, Any] = ACTIONS) -> Declaration:
        """A log with these labels."""
        return Declaration.model_validate(
            {
                "interactions": {
                    "sources": [{"files": "log.csv"}],
                    "query_id": "user",
                    "candidate_id": "item",
                    "timestamp": {"column": "at"},
                    "context": {"age": {"kind": "numeric"}},
                    **labels,
                },
                "candidates": {
                    "files": "items.csv",
                    "id": "item",
                    "features": {"genre": {"kind": "vocabulary"}},
                },
                "history": {"length": 3},
            }
        )

    def inputs(self, labels: dict[str, Any] = ACTIONS) -> TrainingInputs:
        """Sixteen interactions, for training and validation."""
        log = EncodedInteractions({**self.batch(16), "candidate_row": tf.range(16) % 4})
        return TrainingInputs(
            declaration=self.declaration(labels),
            table=CandidateTable(
                np.array([b"a", b"b", b"c", b"d"], object), {"genre": np.array([0, 1, 1, 0])}
            ),
            train=log,
            validation=log,
            query_id=("user", 3),
            query_features=[EncodedFeature("age", "dense", 0, 1)],
            candidate_features=[EncodedFeature("genre", "category", 2, 1)],
        )

    def config(self, **settings: Any) -> RankingConfig:
        """Small, and without what differs from one time to the next."""
        small = {"feature_dim": 3, "cross_rank": 2, "layers": (5, 4), "dropout": 0.0, "id_dropout": 0.0}
        return RankingConfig(**small | {"learning_rate": 0.2, "batch_size": 8, "epochs": 2} | settings)

    def model(self, labels: dict[str, Any] = ACTIONS, **settings: Any) -> RankingModel:
        """A model with weights large enough to tell formulas apart."""
        model = build_model(self.inputs(labels), self.config(**settings))
        batch = self.batch()
        model.score(batch, batch["candidate_row"][:, tf.newaxis])
        random = np.random.default_rng(5)
        for weight in model.trainable_variables:
            weight.assign(random.normal(scale=0.5, size=weight.shape))
        return model

    def batch(self, n: int = 4) -> dict[str, tf.Tensor]:
        """Interactions: a view, a click, a purchase and a click; histories of one, three and no events."""
        histories = [[2, -1, -1], [0, 3, 2], [-1, -1, -1]]
        ages = [[7.0, 0, 0], [90_000.0, 400.0, 3.0], [0, 0, 0]]
        actions = np.resize([1, 2, 3, 2], n)
        return {
            "user": tf.constant(np.arange(n) % 3),
            "age": tf.reshape(tf.linspace(-1.0, 1.0, n), [n, 1]),
            "history": tf.constant(np.resize(histories, (n, 3))),
            "history_age": tf.constant(np.resize(ages, (n, 3)), tf.float32),
            "history_action": tf.constant(np.resize([[1, 0, 0], [1, 2, 1], [0, 0, 0]], (n, 3))),
            "candidate_row": tf.constant(np.arange(n) % 4),
            "action": tf.constant(actions),
            "positive": tf.constant(actions > 1, tf.float32),
            "weight": tf.constant(np.array([1.0, 1, 5])[actions - 1], tf.float32),
            "stars": tf.constant(np.resize([2.0, 4, 5, 4], n), tf.float32),
            "place": tf.constant(np.resize([2, 1, 0, 3], n)),
            "chance": tf.constant(np.resize([0.5, 0.1, 0.0, 0.8], n), tf.float32),
            RETRIEVED_ROWS: tf.constant(np.resize([[1, 2], [3, 1], [0, -1]], (n, 2))),
            RETRIEVED_POSITIVE: tf.zeros([n, 2], tf.bool),
        }


@pytest.fixture(scope="session")
def tiny() -> Tiny:
    """The maker of tiny data and rankers."""
    return Tiny()
