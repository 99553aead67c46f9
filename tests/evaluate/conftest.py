"""A hand-made served model whose answers are known, and interactions to measure it on."""

from __future__ import annotations

import dataclasses
import itertools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from tfx.dsl.components.base import base_beam_executor
from tfx.types import artifact_utils, standard_artifacts
from tfx.utils import json_utils, proto_utils

from components.baselines.config import BaselinesConfig
from components.evaluate.config import EvaluationConfig
from components.evaluate.eval_config import eval_config
from components.evaluate.evaluator import Executor
from components.evaluate.sample import Sample
from components.ingest.declaration import Declaration
from components.ranking.config import RankingConfig
from components.ranking.heads import Head, resolved_heads
from pipeline.beam_internals import remember

# As in a run: most of the time of small Beam pipelines is spent in building them.
remember()

DECLARATION: dict[str, Any] = {
    "interactions": {
        "sources": [{"files": "loans.csv"}],
        "query_id": "reader",
        "candidate_id": "book",
        "timestamp": {"column": "at"},
        "rating": {"column": "stars", "minimum": 1, "maximum": 5, "positive_from": 4},
    },
    "candidates": {"files": "books.csv", "id": "book"},
}

UNRATED = {**DECLARATION, "interactions": {**DECLARATION["interactions"], "rating": None}}
"""Every loan is positive."""

NO_BASELINES = BaselinesConfig(ials=False, item_knn=False)

SCHEMA = """
feature { name: "reader" type: BYTES presence { min_fraction: 1 } shape { dim { size: 1 } } }
feature { name: "book" type: BYTES presence { min_fraction: 1 } shape { dim { size: 1 } } }
feature { name: "at" type: INT presence { min_fraction: 1 } shape { dim { size: 1 } } }
feature { name: "age" type: FLOAT }
feature { name: "stars" type: FLOAT presence { min_fraction: 1 } shape { dim { size: 1 } } }
feature { name: "action" type: BYTES }
feature { name: "positive" type: FLOAT presence { min_fraction: 1 } shape { dim { size: 1 } } }
feature { name: "repeat" type: FLOAT presence { min_fraction: 1 } shape { dim { size: 1 } } }
feature { name: "history" type: BYTES }
feature { name: "history_age" type: FLOAT }
"""


@dataclasses.dataclass(frozen=True)
class Toy:
    """What a toy model knows: tables, a row a known reader and one more for everybody else.

    Attributes:
        books: ids, in order.
        readers: ids seen in train.
        scores: retrieval scores [readers + 1, books].
        stars: predicted ratings [readers + 1, books]; ``recommend`` orders by them.
        train: (positives, interactions, mean rating or None) a book.
        unindexed: books the index fails to find.
        rated: whether ratings are predicted.
        heads: further probabilities that are predicted, sigmoid(stars - number) each.
    """

    books: Sequence[str]
    readers: Sequence[str]
    scores: np.ndarray
    stars: np.ndarray
    train: Sequence[tuple[int, int, float | None]]
    unindexed: Sequence[str] = ()
    rated: bool = True
    heads: Mapping[str, float] = dataclasses.field(default_factory=dict)


_KEPT = 4
"""So many of what it finds the toy's recommend ranks, as if a light ranker chose them."""


class ToyModule(tf.Module):
    """Implements the served signatures by looking the answers up."""

    def __init__(self, toy: Toy):
        super().__init__()
        self.books = tf.constant(list(toy.books))
        self.book_rows = self._rows(toy.books, -1)
        self.reader_rows = self._rows(toy.readers, len(toy.readers))
        self.scores = tf.constant(toy.scores, tf.float32)
        self.stars = tf.constant(toy.stars, tf.float32)
        self.rated, self.heads = toy.rated, dict(toy.heads)
        unindexed = [book in toy.unindexed for book in toy.books]
        self.unindexed = tf.constant(unindexed)
        query = {
            "reader": tf.TensorSpec([None], tf.string, "reader"),
            "age": tf.TensorSpec([None], tf.float32, "age"),
            "at": tf.TensorSpec([None], tf.int64, "at"),
            "history": tf.TensorSpec([None, None], tf.string, "history"),
            "history_age": tf.TensorSpec([None, None], tf.float32, "history_age"),
        }
        k = tf.TensorSpec([], tf.int32, "k")
        ids = tf.TensorSpec([None, None], tf.string)
        self.retrieve_exact = tf.function(self._exact, input_signature=[query, k, ids])
        self.score_catalogue = tf.function(self._score_catalogue, input_signature=[query])
        # Both filter inputs are there to be left open.
        listed = {
            **query,
            "k": k,
            "exclude": tf.TensorSpec([None, None], tf.string, "exclude"),
            "filter_shelf": tf.TensorSpec([None, None], tf.string, "filter_shelf"),
            "filter_pages": tf.TensorSpec([None, 2], tf.float32, "filter_pages"),
        }
        ranked = {**query, "candidate_ids": tf.TensorSpec([None, None], tf.string, "candidate_ids")}
        diverse = {**listed, "diversity": tf.TensorSpec([], tf.float32, "diversity")}
        recommend = tf.function(self._recommend, input_signature=[diverse])
        self.deliver = tf.function(self._deliver, input_signature=[diverse])
        self.served = {
            "serving_default": recommend,
            "recommend": recommend,
            "retrieve": tf.function(self._retrieve, input_signature=[listed]),
            "rank": tf.function(self._rank, input_signature=[ranked]),
        }

    @staticmethod
    def _rows(ids: Sequence[str], default: int) -> tf.lookup.StaticHashTable:
        rows = tf.range(len(ids), dtype=tf.int64)
        return tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(tf.constant(list(ids)), rows), default
        )

    def _top(self, table: tf.Tensor, query: dict[str, tf.Tensor], k: tf.Tensor, exclude: tf.Tensor) -> Any:
        scores = tf.gather(table, self.reader_rows.lookup(query["reader"]))
        rows = self.book_rows.lookup(exclude)
        lines = tf.tile(tf.range(tf.shape(rows, tf.int64)[0])[:, None], [1, tf.shape(rows)[1]])
        barred = tf.boolean_mask(tf.stack([lines, rows], -1), rows >= 0)
        barred = tf.tensor_scatter_nd_max(tf.zeros_like(scores), barred, tf.ones(tf.shape(barred)[:1]))
        scores = tf.where(barred > 0, -np.inf, scores)
        best, rows = tf.math.top_k(scores, tf.minimum(k, tf.shape(scores)[1]))
        return {"candidate_ids": tf.where(best == -np.inf, "", tf.gather(self.books, rows)), "scores": best}

    def _exact(self, query: dict[str, tf.Tensor], k: tf.Tensor, exclude: tf.Tensor) -> Any:
        return self._top(self.scores, query, k, exclude)

    def _score_catalogue(self, query: dict[str, tf.Tensor]) -> Any:
        rows = self.reader_rows.lookup(query["reader"])
        return {"retrieval": tf.gather(self.scores, rows), "final": tf.gather(self.stars, rows)}

    def _retrieve(self, inputs: dict[str, tf.Tensor]) -> Any:
        unfiltered = tf.reduce_all(inputs["filter_shelf"] == "") & tf.reduce_all(
            tf.math.is_nan(inputs["filter_pages"])
        )
        tf.debugging.assert_equal(unfiltered, True)
        return self._top(
            tf.where(self.unindexed, -np.inf, self.scores), inputs, inputs["k"], inputs["exclude"]
        )

    def _deliver(self, inputs: dict[str, tf.Tensor]) -> Any:
        found = self._retrieve(inputs)["candidate_ids"]
        return {"retrieved": found, "ranked": found[:, :_KEPT]}

    def _recommend(self, inputs: dict[str, tf.Tensor]) -> Any:
        tf.debugging.assert_equal(inputs["diversity"], 0.0)
        return self._top(self.stars, inputs, inputs["k"], inputs["exclude"])

    def _rank(self, inputs: dict[str, tf.Tensor]) -> Any:
        rows = self.book_rows.lookup(inputs["candidate_ids"])
        stars = tf.gather(self.stars, self.reader_rows.lookup(inputs["reader"]))
        rating = tf.where(rows < 0, np.nan, tf.gather(stars, tf.maximum(rows, 0), batch_dims=1))
        numbers = {"positive": 3.5, **self.heads}
        heads = {name: tf.sigmoid(rating - number) for name, number in numbers.items()}
        return {"rating": rating, **heads} if self.rated else heads


def save_toy(toy: Toy, model_uri: Path) -> None:
    """Writes the model as the Assembler lays it out."""
    path = model_uri / "Format-Serving"
    module = ToyModule(toy)
    tf.saved_model.save(module, str(path), signatures=module.served)
    (path / "assets").mkdir(exist_ok=True)
    (path / "assets" / "query_reader").write_text("\n".join(toy.readers) + "\n")
    (path / "assets.extra").mkdir()
    (path / "assets.extra" / "model.json").write_text(
        json.dumps({"index": "exact", "candidates": len(toy.books)})
    )
    positives, counts, means = zip(*toy.train, strict=True)
    columns = {
        "id": pa.array(toy.books),
        "title": pa.array(toy.books),
        "train_positive_count": pa.array(positives, pa.int64()),
        "train_count": pa.array(counts, pa.int64()),
    }
    if toy.rated:
        columns["train_rating_mean"] = pa.array(means, pa.float64())
    pq.write_table(pa.table(columns), path / "assets.extra" / "candidates.parquet")


def example(
    reader: str,
    book: str,
    stars: float | None,
    history: Sequence[str] = (),
    repeat: bool | None = None,
    action: str | None = None,
) -> bytes:
    """Returns an interaction as ingestion writes it, without an age.

    Args:
        reader: who.
        book: what.
        stars: the rating; None without ratings, where every interaction is positive.
        history: books liked before.
        repeat: whether the book was; None to look it up in the history.
        action: what was done; ``look`` is no positive interaction.
    """

    def strings(values: Sequence[str]) -> tf.train.Feature:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[v.encode() for v in values]))

    def floats(values: Sequence[float]) -> tf.train.Feature:
        return tf.train.Feature(float_list=tf.train.FloatList(value=values))

    features = {
        "reader": strings([reader]),
        "book": strings([book]),
        "at": tf.train.Feature(int64_list=tf.train.Int64List(value=[1000])),
        "positive": floats([float((stars is None or stars >= 4) and action != "look")]),
        "repeat": floats([float(book in history if repeat is None else repeat)]),
        "history": strings(history),
        "history_age": floats([1.0] * len(history)),
    }
    if stars is not None:
        features["stars"] = floats([stars])
    if action is not None:
        features["action"] = strings([action])
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


@pytest.fixture
def as_example() -> Callable[..., bytes]:
    """Returns :func:`example`."""
    return example


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """Where an evaluation is, and whether it blessed the model."""

    uri: str
    blessed: bool


Interaction = tuple[Any, ...]
"""The arguments of :func:`example`."""
Evaluate = Callable[..., Evaluated]


@pytest.fixture
def toy() -> Toy:
    """Three books, two readers; c is liked most."""
    scores = np.array([[3, 2, 1], [1, 2, 3], [1, 2, 3]], float)
    return Toy(
        books=["a", "b", "c"],
        readers=["ann", "bob"],
        scores=scores,
        stars=scores + 2,
        train=[(1, 2, 3.5), (2, 3, 3.0), (5, 5, 4.5)],
    )


@pytest.fixture
def evaluate(tmp_path: Path) -> Evaluate:
    """Returns a function that takes run_evaluator's arguments from the model on."""
    roots = (tmp_path / str(i) for i in itertools.count())
    return lambda *args, **kwargs: run_evaluator(next(roots), *args, **kwargs)


@pytest.fixture(scope="module")
def evaluate_once(tmp_path_factory: pytest.TempPathFactory) -> Evaluate:
    """As ``evaluate``, for one result that a module's tests share; the toy is given by its fields."""
    return lambda toy, *args, **kwargs: run_evaluator(
        tmp_path_factory.mktemp("once"), Toy(**toy), *args, **kwargs
    )


def lay_out(root: Path, toy: Toy, interactions: Sequence[Interaction]) -> None:
    """Writes examples (two equal splits), schema and model, in directories of these names."""
    for split in ("eval", "test"):
        path = root / "examples" / f"Split-{split}"
        path.mkdir(parents=True)
        with tf.io.TFRecordWriter(str(path / "data.gz"), "GZIP") as writer:
            for interaction in interactions:
                writer.write(example(*interaction))
    (root / "schema").mkdir()
    (root / "schema" / "schema.pbtxt").write_text(SCHEMA)
    save_toy(toy, root / "model")


@pytest.fixture
def laid_out(tmp_path: Path) -> Callable[..., Path]:
    """Returns a function (name, toy, interactions) that writes what a pipeline's last steps start from."""

    def write(name: str, toy: Toy, interactions: Sequence[Interaction]) -> Path:
        lay_out(tmp_path / name, toy, interactions)
        return tmp_path / name

    return write


@pytest.fixture(scope="session")
def no_baselines() -> BaselinesConfig:
    """The trained baselines turned off."""
    return NO_BASELINES


@pytest.fixture(scope="session")
def declaration() -> Declaration:
    """Names the columns of the interactions here."""
    return Declaration.model_validate(DECLARATION)


@pytest.fixture(scope="session")
def heads(declaration: Declaration) -> tuple[Head, ...]:
    """Of a ranker for it."""
    return resolved_heads(declaration.interactions, RankingConfig())


@pytest.fixture(scope="session")
def unrated() -> Declaration:
    """The same without ratings."""
    return Declaration.model_validate(UNRATED)


def run_evaluator(
    root: Path,
    toy: Toy,
    interactions: Sequence[Interaction],
    config: EvaluationConfig | None = None,
    baseline: Toy | None = None,
    *,
    gate: bool = True,
    declaration: Declaration | None = None,
    trained: Path | None = None,
) -> Evaluated:
    """Runs the executor on artifacts laid out as the pipeline does; ``trained``: the baselines, if any."""
    config = config or EvaluationConfig()
    if trained is None:
        config = config.model_copy(update={"baselines": NO_BASELINES})
    declaration = declaration or Declaration.model_validate(DECLARATION)
    heads = resolved_heads(declaration.interactions, RankingConfig())
    lay_out(root, toy, interactions)
    (root / "baseline").mkdir()
    if baseline is not None:
        save_toy(baseline, root / "baseline")

    def artifact(kind: type, name: str) -> Any:
        made = kind()
        made.uri = str(root / name)
        made.id = 1
        return made

    examples = artifact(standard_artifacts.Examples, "examples")
    examples.split_names = artifact_utils.encode_split_names(["eval", "test"])
    blessing = artifact(standard_artifacts.ModelBlessing, "blessing")
    context = base_beam_executor.BaseBeamExecutor.Context(
        beam_pipeline_args=["--runner=FnApiRunner", "--direct_num_workers=1", "--sdk_container_image=local"],
        tmp_dir=str(root / "tmp"),
        unique_id="1",
    )
    Executor(context).Do(
        {
            **({"baselines": [artifact(standard_artifacts.Model, str(trained))]} if trained else {}),
            "examples": [examples],
            "model": [artifact(standard_artifacts.Model, "model")],
            "baseline_model": [artifact(standard_artifacts.Model, "baseline")],
            "schema": [artifact(standard_artifacts.Schema, "schema")],
        },
        {
            "evaluation": [artifact(standard_artifacts.ModelEvaluation, "evaluation")],
            "blessing": [blessing],
        },
        {
            "eval_config": proto_utils.proto_to_json(eval_config(declaration, heads, config, gate=gate)),
            "sample": Sample.of(declaration, config).model_dump_json(),
            "example_splits": json_utils.dumps(["eval"]),
            "module_path": "components.evaluate.extractors",
        },
    )
    blessed = blessing.get_int_custom_property("blessed") == 1
    return Evaluated(uri=str(root / "evaluation"), blessed=blessed)
