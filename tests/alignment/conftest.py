"""A world whose truth is known: the ranker knows queries' taste, of which the towers' log says nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from components.alignment.config import AlignmentConfig, AlignmentTrainerConfig
from components.alignment.teacher import Teacher
from components.ingest.declaration import Declaration
from components.ranking.heads import Head
from components.retrieval.config import LightRankerConfig, RetrievalConfig
from components.retrieval.trainer import ExportedRetrieval, build_model
from components.retrieval.training import fit
from components.retrieval.training_inputs import TrainingInputs, encoded_query_signature
from components.transform.candidate_table import CandidateTable
from components.transform.encoding import EncodedFeature
from components.transform.interaction_dataset import EncodedInteractions

SONGS, GENRES, LISTENERS, LENGTH = 200, 5, 1500, 3
HEADS = (Head("positive", "probability"),)


class Ranker(tf.Module):
    """As the export of a ranker: songs of the listener's genre are liked, the better they are the more."""

    def __init__(self, genres: np.ndarray, quality: np.ndarray, signature: dict[str, tf.TensorSpec]):
        super().__init__(name="ranking")
        rows = tf.TensorSpec([None, None], tf.int64, name="rows")

        def score(query: dict[str, tf.Tensor], rows: tf.Tensor) -> dict[str, tf.Tensor]:
            own = tf.gather(tf.constant(genres), rows) == query["taste"][:, tf.newaxis]
            odds = tf.where(own, 2.0, -2.0) + tf.gather(tf.constant(quality), rows)
            return {"positive": tf.math.sigmoid(odds)}

        self.score = tf.function(score, input_signature=[signature, rows])


class World:
    """Songs, listeners, towers trained on what was once played to them, and the ranker."""

    retrieval = RetrievalConfig(
        dim=8,
        feature_dim=4,
        layers=None,
        query_id=False,
        history={"encoder": "none"},
        loss={"uniform_negatives": 64},
        optimizer={"learning_rate": 0.02},
        batch_size=256,
        epochs=2,
    )

    def __init__(self, folder: Path):
        random = np.random.default_rng(3)
        self.genres = random.integers(GENRES, size=SONGS)
        self.quality = random.normal(size=SONGS).astype(np.float32)
        # What was played says nothing of taste; what is chosen from now on is what the ranker thinks.
        played = random.integers(SONGS, size=LISTENERS)
        tastes = random.integers(GENRES, size=300)
        odds = np.where(self.genres == tastes[:, np.newaxis], 2.0, -2.0) + self.quality
        chosen = (odds + random.gumbel(size=odds.shape)).argmax(axis=1)
        self.inputs = TrainingInputs(
            declaration=Declaration.model_validate(
                {
                    "interactions": {
                        "sources": [{"files": "log.csv"}],
                        "query_id": "listener",
                        "candidate_id": "song",
                        "timestamp": {"column": "at"},
                    },
                    "candidates": {"files": "songs.csv", "id": "song"},
                    "history": {"length": LENGTH},
                }
            ),
            table=CandidateTable(
                np.array([b"%03d" % i for i in range(SONGS)], object), {"genre": self.genres}
            ),
            train=self.log(random.integers(GENRES, size=LISTENERS), played),
            validation=self.log(tastes, chosen),
            query_id=("listener", 1),
            query_features=[EncodedFeature("taste", "category", GENRES, 1)],
            candidate_features=[EncodedFeature("genre", "category", GENRES, 1)],
        )
        self.signature = encoded_query_signature(self.inputs)
        model = build_model(self.inputs, self.retrieval)
        fit(model, self.inputs.train, self.inputs.validation, self.retrieval, str(folder / "logs"))
        self.towers, self.ranker = str(folder / "towers"), str(folder / "ranker")
        exported = ExportedRetrieval(model, self.signature)
        tf.saved_model.save(exported, self.towers, signatures=exported.signatures())
        tf.saved_model.save(Ranker(self.genres, self.quality, self.signature), self.ranker)

    def log(self, tastes: np.ndarray, songs: np.ndarray) -> EncodedInteractions:
        """Positive interactions; the history of each is the song before the one chosen."""
        history = np.full((len(songs), LENGTH), -1)
        history[:, 0] = (songs - 1) % SONGS
        return EncodedInteractions(
            {
                "listener": tf.zeros([len(songs)], tf.int64),
                "taste": tf.constant(tastes),
                "history": tf.constant(history, tf.int32),
                "history_age": tf.constant(np.where(history >= 0, 60.0, 0.0), tf.float32),
                "candidate_row": tf.constant(songs, tf.int32),
                "positive": tf.ones([len(songs)]),
                "weight": tf.ones([len(songs)]),
            }
        )

    def config(
        self, *, repeats: bool = False, rank_history: bool = False, keep: int | None = None, **section: Any
    ) -> AlignmentTrainerConfig:
        """What the step is told, with these keys of the section; with ``keep`` there is a light ranker."""
        light_ranker = None if keep is None else LightRankerConfig(query_embeddings=2, dim=4)
        return AlignmentTrainerConfig(
            **AlignmentConfig(**section).model_dump(),
            retrieval=self.retrieval.model_copy(update={"light_ranker": light_ranker}),
            repeats=repeats,
            rank_history=rank_history,
            heads=HEADS,
            weights={"retrieval": 1.0, "positive": 1.0},
            combination="log_linear",
            retrieve=20,
            keep=keep,
        )

    def teacher(self) -> Teacher:
        """The trained models."""
        models = (tf.saved_model.load(path) for path in (self.towers, self.ranker))
        weights = {"retrieval": 1.0, "positive": 1.0}
        return Teacher(*models, HEADS, weights, "log_linear", list(self.signature), SONGS)


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Made once."""
    return World(tmp_path_factory.mktemp("world"))
