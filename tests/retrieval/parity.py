"""A log with a pattern that towers learn in seconds: users of one parity like candidates of that parity."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

from components.ingest.declaration import Declaration
from components.retrieval.training_inputs import TrainingInputs
from components.transform.candidate_table import CandidateTable
from components.transform.interaction_dataset import EncodedInteractions

DECLARATION = Declaration.model_validate(
    {
        "interactions": {
            "sources": [{"files": "log.csv"}],
            "query_id": "user",
            "candidate_id": "item",
            "timestamp": {"column": "at"},
            "actions": {"column": "action", "weights": {"play": 1, "buy": 2}},
        },
        "candidates": {"files": "items.csv", "id": "item"},
    }
)


def inputs(candidates: int, interactions: int) -> TrainingInputs:
    """What a trainer reads of a catalogue and a log of these sizes; validation is another draw."""
    return TrainingInputs(
        declaration=DECLARATION,
        table=CandidateTable(np.array([b"%05d" % i for i in range(candidates)], object), {}),
        train=_log(candidates, interactions, seed=0),
        validation=_log(candidates, 300, seed=1),
        query_id=("user", 3),
        query_features=[],
        candidate_features=[],
    )


def _log(candidates: int, interactions: int, seed: int) -> EncodedInteractions:
    random = np.random.default_rng(seed)
    users = random.integers(0, 2, interactions)
    rows = random.integers(0, candidates // 2, interactions) * 2 + users
    return EncodedInteractions(
        {
            "user": tf.constant(users),
            "history": tf.fill([interactions, 2], -1),
            "history_age": tf.zeros([interactions, 2]),
            "history_action": tf.zeros([interactions, 2], tf.int16),
            "candidate_row": tf.constant(rows, tf.int32),
            "weight": tf.ones([interactions]),
            "positive": tf.ones([interactions]),
        }
    )
