"""A recommender over a made-up catalogue of any size, by the product's own transforms, models and Assembler.

Nothing is trained: of a model's speed only its shapes count, and how its candidates lie for the index. Their
embeddings are drawn around centres, as many as the square root of the catalogue; a person's history is of one
centre, so that a query has neighbours as in a trained model.
"""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from apache_beam.options.pipeline_options import PipelineOptions
from tensorflow_transform.tf_metadata import dataset_metadata, metadata_io, schema_utils
from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder
from tfx_bsl.tfxio.tf_example_record import TFExampleBeamRecord

from components.assemble.build_index import build_index
from components.assemble.config import AssembleConfig, IndexKind
from components.assemble.executor import tuning_queries
from components.assemble.filters import Filters
from components.assemble.models import Models
from components.assemble.recommender import Recommender
from components.assemble.saved import write_model
from components.ingest.declaration import Declaration
from components.ranking import trainer as ranking
from components.ranking.config import RankingConfig
from components.ranking.heads import resolved_heads
from components.retrieval import trainer as retrieval
from components.retrieval.config import RetrievalConfig
from components.retrieval.model import id_embedding_indices
from components.retrieval.training_inputs import TrainingInputs, encoded_query_signature
from components.transform import candidates, interactions
from components.transform.candidate_table import CandidateTable
from components.transform.encoding import encoded_features, vocabulary_size
from components.transform.interaction_dataset import (
    CANDIDATE_ROW,
    EncodedInteractions,
    read_interactions,
)

_PEOPLE, _HISTORY, _KINDS, _DIM = 10_000, 20, 100, 64
_SAMPLE = 2_000
"""Interactions and candidates that Transform analyses: they show every value there is."""
_SPREAD = 0.5
"""Length of a candidate's own part of its embedding, beside its centre's of 1."""
_RECALL = 0.9
_SEED = 5
_DECLARATION = Declaration.model_validate(
    {
        "interactions": {
            "sources": [{"files": "log.csv"}],
            "query_id": "person",
            "candidate_id": "item",
            "timestamp": {"column": "at"},
            "context": {"device": {"kind": "vocabulary"}},
        },
        "candidates": {
            "files": "items.csv",
            "id": "item",
            "features": {"kind": {"kind": "vocabulary"}, "price": {"kind": "numeric", "scale": "log1p"}},
        },
        "history": {"length": _HISTORY},
    }
)
_STRINGS, _FLOATS = tf.io.VarLenFeature(tf.string), tf.io.VarLenFeature(tf.float32)
_STRING, _FLOAT = tf.io.FixedLenFeature([1], tf.string), tf.io.FixedLenFeature([1], tf.float32)
_LOG_SPEC = {
    **{"person": _STRING, "item": _STRING, "device": _STRINGS},
    **{"history": _STRINGS, "history_age": _FLOATS, "positive": _FLOAT, "weight": _FLOAT},
}
_ITEM_SPEC = {"item": _STRING, "kind": _STRINGS, "price": _FLOATS}

Row = dict[str, list[Any]]


def queries(items: int, count: int) -> Iterator[dict[str, Any]]:
    """So many people's requests: each with a history of one centre, the same ones for the same numbers.

    Args:
        items: Size of the catalogue.
        count: How many.
    """
    random = np.random.default_rng(_SEED + 1)
    centres = _centres(items)
    for person in random.integers(_PEOPLE, size=count).tolist():
        length = int(random.integers(1, _HISTORY + 1))
        # Item n is of centre n modulo their number.
        places = random.integers(items // centres, size=length) * centres + random.integers(centres)
        yield {
            "person": f"p{person}",
            "device": ("phone", "desk")[person % 2],
            "history": [_id(place) for place in places.tolist()],
            "history_age": [3600.0 * (length - place) for place in range(length)],
        }


def save_synthetic(cache: Path, items: int, index: IndexKind) -> Path:
    """A base path with one version of the model; made if the cache has none.

    Args:
        cache: Folder of such models.
        items: Size of the catalogue.
        index: Its kind.

    Raises:
        RuntimeError: If the Assembler takes another one; says why.
    """
    base_path = cache / f"recommender-{items}-{index}"
    version = base_path / "1"
    if version.is_dir():
        return base_path
    part = base_path / ".part"
    shutil.rmtree(part, ignore_errors=True)
    with tempfile.TemporaryDirectory() as folder:
        inputs, models = _models(items, Path(folder))
        # Nobody is served by it: what leaves it takes to find nine of ten is what a trained one would search.
        config = AssembleConfig(index=index, ann_recall=_RECALL)
        built = build_index(models.embed_catalogue(), tuning_queries(models, inputs.validation), config)
        if built.report.kind != index:
            raise RuntimeError(f"expected the index to become {index}, found {built.report.in_words()}")
        ids = tf.constant(inputs.table.ids)
        heads = resolved_heads(_DECLARATION.interactions, RankingConfig())
        recommender = Recommender(
            _DECLARATION, models, ids, built.exact, built.index, Filters({}), heads, config
        )
        write_model(str(part), recommender, built.report, _DECLARATION, heads, config, None, {})
    os.rename(part, version)
    return base_path


def _models(items: int, folder: Path) -> tuple[TrainingInputs, Models]:
    """What the trainers would have read, and the untrained models."""
    log, goods = list(_log(items)), [_item(n) for n in range(min(items, _SAMPLE))]
    query_graph = _transform(log, _LOG_SPEC, interactions.preprocessing_fn, folder / "log")
    candidate_graph = _transform(goods, _ITEM_SPEC, candidates.preprocessing_fn, folder / "items")
    random = np.random.default_rng(_SEED)
    table = CandidateTable(
        np.array([_id(n).encode() for n in range(items)], object),
        {
            "kind": np.arange(items) % _KINDS,
            "price": random.normal(size=(items, 1)).astype(np.float32),
        },
    )
    seen = read_interactions(
        [str(folder / "log.gz")], _DECLARATION, query_graph, table.row_lookup(), positives_only=True
    )
    inputs = TrainingInputs(
        declaration=_DECLARATION,
        table=table,
        train=_every_item_once(seen, items),
        validation=seen,
        query_id=("person", vocabulary_size(query_graph, "query", "person")),
        query_features=encoded_features(_DECLARATION.query_features, "query", query_graph),
        candidate_features=encoded_features(_DECLARATION.candidates.features, "candidate", candidate_graph),
    )
    signature = encoded_query_signature(inputs)
    towers = retrieval.build_model(inputs, RetrievalConfig(dim=_DIM))
    ids = towers.candidate_tower.ids.embeddings
    vectors = ids.numpy()
    vectors[id_embedding_indices(np.ones(items, np.int64))] = _clustered(items)
    ids.assign(vectors)
    ranker = ranking.build_model(inputs, RankingConfig())
    exports = (
        retrieval.ExportedRetrieval(towers, signature),
        ranking.ExportedRanking(ranker, signature, items),
    )
    return inputs, Models(_DECLARATION, table, query_graph, candidate_graph, *exports)


def _every_item_once(seen: EncodedInteractions, items: int) -> EncodedInteractions:
    """As if the people seen had met every item: each then has an embedding of its own."""
    columns = {name: tf.repeat(column[:1], items, axis=0) for name, column in seen.columns.items()}
    columns[CANDIDATE_ROW] = tf.range(items, dtype=tf.int32)
    return EncodedInteractions(columns, seen.queries, tf.range(items, dtype=tf.int32) % seen.query_count)


def _clustered(items: int) -> np.ndarray:
    """float32 [items, dim]: the centre of item n is n modulo their number."""
    random = np.random.default_rng(_SEED)
    centres = _unit(random, _centres(items))
    return centres[np.arange(items) % len(centres)] + _SPREAD * _unit(random, items)


def _unit(random: np.random.Generator, count: int) -> np.ndarray:
    vectors = random.standard_normal((count, _DIM), np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def _centres(items: int) -> int:
    return max(1, math.isqrt(items))


def _id(place: int) -> str:
    return f"i{place:08d}"


def _item(place: int) -> Row:
    return {"item": [_id(place)], "kind": [f"k{place % _KINDS}"], "price": [1.0 + place % 50]}


def _log(items: int) -> Iterator[Row]:
    for query in queries(items, _SAMPLE):
        yield {
            "person": [query["person"]],
            "item": query["history"][-1:],
            "device": [query["device"]],
            "history": query["history"],
            "history_age": query["history_age"],
            "positive": [1.0],
            "weight": [1.0],
        }


def _transform(
    rows: list[Row], spec: dict[str, Any], preprocessing_fn: Any, path: Path
) -> tft.TFTransformOutput:
    """Analyses and transforms rows; leaves the graph in ``path``, the examples in ``path`` + .gz."""
    schema = schema_utils.schema_from_feature_spec(spec)
    config = {interactions.DECLARATION_KEY: _DECLARATION.model_dump_json()}
    raw = TFExampleBeamRecord("inmem", ["synthetic"], schema)
    # A pipeline of its own: one made for a transform of a list would read the benchmark's own arguments.
    with (
        beam.Pipeline("FnApiRunner", PipelineOptions([])) as pipeline,
        tft_beam.Context(temp_dir=f"{path}.tmp"),
    ):
        batches = (
            pipeline
            | beam.Create(rows, reshuffle=False)
            | beam.Map(tft.coders.ExampleProtoCoder(schema).encode)
            | raw.BeamSource()
        )
        (data, transformed), graph = (
            batches,
            raw.TensorAdapterConfig(),
        ) | tft_beam.AnalyzeAndTransformDataset(
            lambda inputs: preprocessing_fn(inputs, config), output_record_batches=True
        )
        graph | tft_beam.WriteTransformFn(str(path))
        encoder = RecordBatchToExamplesEncoder(transformed.schema)
        (
            data
            | beam.FlatMapTuple(lambda batch, passed_through: encoder.encode(batch))
            | beam.io.WriteToTFRecord(str(path), file_name_suffix=".gz", shard_name_template="")
        )
    metadata_io.write_metadata(
        dataset_metadata.DatasetMetadata(schema),
        str(path / tft.TFTransformOutput.RAW_METADATA_DIR),
    )
    return tft.TFTransformOutput(str(path))
