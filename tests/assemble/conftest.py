"""A grocer without ratings: context of every kind, vectors, odd names, by the real transforms."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from tensorflow_transform.tf_metadata import dataset_metadata, metadata_io, schema_utils

from components.assemble.build_index import build_index
from components.assemble.config import AssembleConfig
from components.assemble.filters import Filters, read_filter_values
from components.assemble.models import Models
from components.assemble.recommender import Recommender
from components.ingest.declaration import Declaration
from components.ranking import trainer as ranking
from components.ranking.config import RankingConfig
from components.ranking.heads import resolved_heads
from components.retrieval import trainer as retrieval
from components.retrieval.config import RetrievalConfig
from components.retrieval.training_inputs import TrainingInputs, encoded_query_signature
from components.transform import candidates, interactions
from components.transform.candidate_table import CandidateTable, read_candidate_table
from components.transform.encoding import encoded_features, vocabulary_size
from components.transform.interaction_dataset import read_interactions
from pipeline.beam_internals import remember

# As in a run: most of the time of small Beam pipelines is spent in building them.
remember()

GOODS = 24
LABELS = ("organic", "fair", "new", "local")
DECLARATION = Declaration.model_validate(
    {
        "interactions": {
            "sources": [{"files": "baskets.csv"}],
            "query_id": "customer.no",
            "candidate_id": "sku",
            "timestamp": {"column": "at"},
            "actions": {"column": "what", "weights": {"bought": 1, "basket": 0.5}},
            "context": {
                "device": {"kind": "vocabulary", "oov_buckets": 3},
                "query-text": {"kind": "text", "max_tokens": 3},
                "mood": {"kind": "embedding", "dim": 2},
            },
        },
        "candidates": {
            "files": "goods.csv",
            "id": "sku",
            "features": {
                "aisle": {"kind": "vocabulary", "oov_buckets": 2},
                "picture": {"kind": "embedding", "dim": 3},
                "labels": {"kind": "multivalent"},
                "price": {"kind": "numeric"},
                "since": {"kind": "timestamp"},
            },
        },
        "history": {"length": 4},
    }
)
_STRINGS, _FLOATS = tf.io.VarLenFeature(tf.string), tf.io.VarLenFeature(tf.float32)
_STRING, _FLOAT = tf.io.FixedLenFeature([1], tf.string), tf.io.FixedLenFeature([1], tf.float32)
_LOG_SPEC = {
    **{"customer.no": _STRING, "sku": _STRING, "device": _STRINGS, "query-text": _STRINGS, "mood": _FLOATS},
    **{"history": _STRINGS, "history_age": _FLOATS, "history_action": _STRINGS},
    **{"positive": _FLOAT, "weight": _FLOAT, "action": _STRING},
}
_GOODS_SPEC = {
    **{"sku": _STRING, "aisle": _STRINGS, "picture": _FLOATS, "labels": _STRINGS, "price": _FLOATS},
    "since": tf.io.VarLenFeature(tf.int64),
}


@dataclass(frozen=True)
class Grocer:
    """What the Assembler is given.

    Attributes:
        rows: The log as ingestion leaves it, feature to list of values; a missing value is an empty list.
        goods: The catalogue likewise.
        goods_file: It as examples.
        inputs: What the trainers read.
        query_graph: The interactions' transform.
        candidate_graph: The catalogue's transform.
        retrieval: Export of the two towers.
        ranking: Export of the ranker.
    """

    rows: list[dict[str, list[Any]]]
    goods: list[dict[str, list[Any]]]
    goods_file: str
    inputs: TrainingInputs
    query_graph: tft.TFTransformOutput
    candidate_graph: tft.TFTransformOutput
    retrieval: tf.Module
    ranking: tf.Module

    @property
    def table(self) -> CandidateTable:
        """The catalogue."""
        return self.inputs.table


@pytest.fixture(scope="session")
def grocer(tmp_path_factory: pytest.TempPathFactory) -> Grocer:
    """Transformed by Beam, with models of one epoch's training."""
    folder = tmp_path_factory.mktemp("grocer")
    log, goods = _log(), _goods()
    query_graph = _transform(log, _LOG_SPEC, interactions.preprocessing_fn, folder / "log")
    candidate_graph = _transform(goods, _GOODS_SPEC, candidates.preprocessing_fn, folder / "goods")
    table = read_candidate_table([str(folder / "goods.gz")], "sku", candidate_graph)
    train = read_interactions(
        [str(folder / "log.gz")], DECLARATION, query_graph, table.row_lookup(), positives_only=True
    )
    inputs = TrainingInputs(
        declaration=DECLARATION,
        table=table,
        train=train,
        validation=train,
        query_id=("customer.no", vocabulary_size(query_graph, "query", "customer.no")),
        query_features=encoded_features(DECLARATION.query_features, "query", query_graph),
        candidate_features=encoded_features(DECLARATION.candidates.features, "candidate", candidate_graph),
    )
    signature = encoded_query_signature(inputs)
    towers_config = RetrievalConfig(
        **{"dim": 8, "feature_dim": 4, "layers": (8,), "epochs": 1, "batch_size": 32},
        light_ranker={"query_embeddings": 3, "dim": 4},
    )
    towers = retrieval.build_model(inputs, towers_config)
    retrieval.fit(towers, train, train, towers_config, str(folder / "logs"))
    ranker_config = RankingConfig(layers=(8,), epochs=1, batch_size=64)
    ranker = ranking.build_model(inputs, ranker_config)
    ranking.fit(ranker, train, train, ranker_config, str(folder / "logs"))
    return Grocer(
        rows=log,
        goods=goods,
        goods_file=str(folder / "goods.raw.gz"),
        inputs=inputs,
        query_graph=query_graph,
        candidate_graph=candidate_graph,
        retrieval=retrieval.ExportedRetrieval(towers, signature),
        ranking=ranking.ExportedRanking(ranker, signature, len(table)),
    )


@pytest.fixture(scope="session")
def grocer_models(grocer: Grocer) -> Models:
    """All of the grocer's recommender but the index."""
    return Models(
        grocer.inputs.declaration,
        grocer.table,
        grocer.query_graph,
        grocer.candidate_graph,
        grocer.retrieval,
        grocer.ranking,
    )


@pytest.fixture(scope="session")
def assemble(grocer: Grocer, grocer_models: Models) -> Callable[..., Recommender]:
    """Makes the grocer's recommender with some settings, searched exactly if they don't say otherwise."""
    embeddings = grocer_models.embed_catalogue()

    def make(**settings: Any) -> Recommender:
        config = AssembleConfig(**{"index": "exact"} | settings)
        built = build_index(embeddings, None, config)
        ids = tf.constant(grocer.table.ids)
        declaration = grocer.inputs.declaration
        values = read_filter_values(grocer.table, declaration, [grocer.goods_file], config.filters)
        filters = Filters.of(declaration, values)
        heads = resolved_heads(declaration.interactions, RankingConfig())
        return Recommender(declaration, grocer_models, ids, built.exact, built.index, filters, heads, config)

    return make


def _goods() -> list[dict[str, list[Any]]]:
    random = np.random.default_rng(1)
    return [
        {
            "sku": [f"g{n:02d}"],
            "aisle": [("bread", "fruit", "wine")[n % 3]] if n % 5 else [],
            "picture": random.normal(size=3).tolist() if n % 4 else [],
            "labels": [label for place, label in enumerate(LABELS) if (n * 7 + place * n) % 3 == 0],
            "price": [n / 2] if n % 6 else [],
            "since": [1_700_000_000 + n] if n % 7 else [],
        }
        for n in range(GOODS)
    ]


def _log() -> list[dict[str, list[Any]]]:
    """Purchases and what was put in a basket; half of them of what the customer had before."""
    random = np.random.default_rng(2)
    rows, past = [], {}
    for _ in range(200):
        customer = f"c{random.integers(6)}"
        earlier = past.setdefault(customer, [])
        again = earlier and random.random() < 0.5
        sku = random.choice([sku for sku, _ in earlier]) if again else f"g{random.integers(GOODS):02d}"
        history = earlier[-4:]
        what = str(random.choice(["bought", "basket"]))
        rows.append(
            {
                "customer.no": [customer],
                "sku": [str(sku)],
                "device": [str(random.choice(["phone", "till"]))] if random.random() < 0.8 else [],
                "query-text": ["Fresh bread"] if random.random() < 0.5 else [],
                "mood": random.normal(size=2).tolist() if random.random() < 0.7 else [],
                "history": [sku for sku, _ in history],
                "history_action": [what for _, what in history],
                "history_age": [86_400.0 * (len(history) - n) for n in range(len(history))],
                "positive": [1.0],
                "weight": [1.0 if what == "bought" else 0.5],
                "action": [what],
            }
        )
        earlier.append((str(sku), what))
    return rows


def _transform(
    rows: list[dict[str, list[Any]]], spec: dict[str, Any], preprocessing_fn: Any, path: Path
) -> tft.TFTransformOutput:
    """Analyses and transforms rows; the graph is left in ``path``, examples in .gz and .raw.gz beside it."""
    metadata = dataset_metadata.DatasetMetadata(schema_utils.schema_from_feature_spec(spec))
    config = {interactions.DECLARATION_KEY: DECLARATION.model_dump_json()}
    with tft_beam.Context(temp_dir=str(path) + ".tmp"):
        (data, transformed), graph = (rows, metadata) | tft_beam.AnalyzeAndTransformDataset(
            lambda inputs: preprocessing_fn(inputs, config)
        )
        graph | tft_beam.WriteTransformFn(str(path))
    metadata_io.write_metadata(metadata, str(path / tft.TFTransformOutput.RAW_METADATA_DIR))
    for name, written, schema in (
        (f"{path}.gz", data, transformed.schema),
        (f"{path}.raw.gz", rows, metadata.schema),
    ):
        coder = tft.coders.ExampleProtoCoder(schema)
        with tf.io.TFRecordWriter(name, "GZIP") as writer:
            for row in written:
                writer.write(coder.encode(row))
    return tft.TFTransformOutput(str(path))
