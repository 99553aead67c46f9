"""What the Assembler step runs."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf
import tensorflow_transform as tft
from absl import logging
from tfx.dsl.components.base import base_executor
from tfx.types import artifact, artifact_utils
from tfx.utils import path_utils

from components.assemble.build_index import TuningQueries, build_index
from components.assemble.catalogue_file import CATALOGUE_FILE, catalogue_file
from components.assemble.config import HEADS_JSON, AssembleConfig
from components.assemble.filters import Filters, read_filter_values
from components.assemble.models import Models
from components.assemble.recommender import Recommender
from components.assemble.saved import write_model
from components.ingest.declaration import CATALOGUE_SPLIT, Declaration
from components.retrieval.finite import refuse_queries
from components.transform.candidate_table import read_candidate_table
from components.transform.interaction_dataset import EncodedInteractions, read_interactions

RETRIEVAL_MODEL = "retrieval_model"
RANKING_MODEL = "ranking_model"
QUERY_GRAPH = "query_graph"
CANDIDATE_GRAPH = "candidate_graph"
EXAMPLES = "examples"
CANDIDATE_EXAMPLES = "candidate_examples"
TRANSFORMED_EXAMPLES = "transformed_examples"
TRANSFORMED_CANDIDATES = "transformed_candidates"
MODEL = "model"
DECLARATION = "declaration"
HEADS = "heads"
CONFIG = "config"

_TUNING_SPLIT = "eval"
_TUNING_QUERIES = 1000
_TUNING_BATCH = 256

Artifacts = dict[str, list[artifact.Artifact]]


class Executor(base_executor.BaseExecutor):
    """Loads both exports, embeds the catalogue, builds and tunes the index and saves one model."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:
        """Runs the step; the names are those of :class:`components.assemble.node.AssemblerSpec`."""
        self._log_startup(input_dict, output_dict, exec_properties)
        declaration = Declaration.model_validate_json(exec_properties[DECLARATION])
        config = AssembleConfig.model_validate_json(exec_properties[CONFIG])
        heads = HEADS_JSON.validate_json(exec_properties[HEADS])
        query_graph, candidate_graph = (
            tft.TFTransformOutput(artifact_utils.get_single_uri(input_dict[name]))
            for name in (QUERY_GRAPH, CANDIDATE_GRAPH)
        )
        retrieval, ranking = (
            tf.saved_model.load(
                path_utils.serving_model_path(artifact_utils.get_single_uri(input_dict[name]))
            )
            for name in (RETRIEVAL_MODEL, RANKING_MODEL)
        )
        table = read_candidate_table(
            _files(input_dict, TRANSFORMED_CANDIDATES, CATALOGUE_SPLIT),
            declaration.candidates.id,
            candidate_graph,
        )
        models = Models(declaration, table, query_graph, candidate_graph, retrieval, ranking)
        held_out = read_interactions(
            _files(input_dict, TRANSFORMED_EXAMPLES, _TUNING_SPLIT),
            declaration,
            query_graph,
            table.row_lookup(),
            positives_only=True,
        )
        queries = tuning_queries(models, held_out)
        built = build_index(models.embed_catalogue(), queries, config, table.ids, table.features)
        logging.info("index: %s", built.report.in_words())
        raw = _files(input_dict, CANDIDATE_EXAMPLES, CATALOGUE_SPLIT)
        filters = Filters.of(declaration, read_filter_values(table, declaration, raw, config.filters))
        recommender = Recommender(
            declaration, models, tf.constant(table.ids), built.exact, built.index, filters, heads, config
        )
        catalogue = catalogue_file(table, declaration, raw, _files(input_dict, EXAMPLES, "train"))
        buffer = pa.BufferOutputStream()
        pq.write_table(catalogue, buffer)
        write_model(
            path_utils.serving_model_dir(artifact_utils.get_single_uri(output_dict[MODEL])),
            recommender,
            built.report,
            declaration,
            heads,
            config,
            queries,
            {CATALOGUE_FILE: buffer.getvalue().to_pybytes()},
        )


def tuning_queries(models: Models, held_out: EncodedInteractions) -> TuningQueries | None:
    """Embeddings of queries that were not trained on, spread over all of them; None if there are none.

    Raises:
        UserError: If one is not finite.
    """
    chosen = held_out.spread(_TUNING_QUERIES)
    if not len(chosen):
        return None
    names = models.encode_query.get_concrete_function().structured_outputs
    embeddings = []
    for batch in chosen.batches(_TUNING_BATCH):
        encoded = {name: batch[name] for name in names}
        embeddings.append(models.embed_query(encoded)["embedding"].numpy())
        refuse_queries(embeddings[-1], encoded)
    return TuningQueries(np.concatenate(embeddings), f"queries of the {_TUNING_SPLIT} split")


def _files(input_dict: Artifacts, name: str, split: str) -> list[str]:
    uris = artifact_utils.get_split_uris(input_dict[name], split)
    return [path for uri in uris for path in tf.io.gfile.glob(os.path.join(uri, "*.gz"))]
