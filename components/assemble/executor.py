"""What the Assembler step runs."""

from __future__ import annotations

import json
import os
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf
import tensorflow_transform as tft
from tfx.dsl.components.base import base_executor
from tfx.types import artifact, artifact_utils
from tfx.utils import path_utils

from components.assemble.catalogue_file import CATALOGUE_FILE, catalogue_file
from components.assemble.config import AssembleConfig
from components.assemble.recommender import Recommender
from components.assemble.warmup import WARMUP_FILE, warmup_requests, write_warmup
from components.ingest.declaration import CATALOGUE_SPLIT, Declaration
from components.transform.candidate_table import read_candidate_table

RETRIEVAL_MODEL = "retrieval_model"
RANKING_MODEL = "ranking_model"
QUERY_GRAPH = "query_graph"
CANDIDATE_GRAPH = "candidate_graph"
EXAMPLES = "examples"
CANDIDATE_EXAMPLES = "candidate_examples"
TRANSFORMED_CANDIDATES = "transformed_candidates"
MODEL = "model"
DECLARATION = "declaration"
CONFIG = "config"

DESCRIPTION_FILE = "model.json"
"""Name of the file in ``assets.extra`` that says what the model was made from."""

Artifacts = dict[str, list[artifact.Artifact]]


class Executor(base_executor.BaseExecutor):
    """Loads both exports, embeds the catalogue, builds the index and saves one model."""

    def Do(self, input_dict: Artifacts, output_dict: Artifacts, exec_properties: dict[str, Any]) -> None:
        """Runs the step; the names are those of :class:`components.assemble.node.AssemblerSpec`."""
        self._log_startup(input_dict, output_dict, exec_properties)
        declaration = Declaration.model_validate_json(exec_properties[DECLARATION])
        config = AssembleConfig.model_validate_json(exec_properties[CONFIG])
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
        recommender = Recommender(
            declaration, table, query_graph, candidate_graph, retrieval, ranking, config
        )
        path = path_utils.serving_model_dir(artifact_utils.get_single_uri(output_dict[MODEL]))
        signatures = recommender.signatures()
        tf.saved_model.save(
            recommender,
            path,
            signatures=signatures,
            options=tf.saved_model.SaveOptions(namespace_whitelist=["Scann"]),
        )
        extra = os.path.join(path, "assets.extra")
        tf.io.gfile.makedirs(extra)
        catalogue = catalogue_file(
            table,
            declaration,
            _files(input_dict, CANDIDATE_EXAMPLES, CATALOGUE_SPLIT),
            _files(input_dict, EXAMPLES, "train"),
        )
        buffer = pa.BufferOutputStream()
        pq.write_table(catalogue, buffer)
        with tf.io.gfile.GFile(os.path.join(extra, CATALOGUE_FILE), "wb") as file:
            file.write(buffer.getvalue().to_pybytes())
        write_warmup(os.path.join(extra, WARMUP_FILE), warmup_requests(signatures, table.ids[0]))
        description = {
            "candidates": len(table),
            "index": recommender.index_kind,
            "declaration": declaration.model_dump(mode="json"),
            "assemble": config.model_dump(mode="json"),
        }
        with tf.io.gfile.GFile(os.path.join(extra, DESCRIPTION_FILE), "w") as file:
            json.dump(description, file, indent=2)


def _files(input_dict: Artifacts, name: str, split: str) -> list[str]:
    uris = artifact_utils.get_split_uris(input_dict[name], split)
    return [path for uri in uris for path in tf.io.gfile.glob(os.path.join(uri, "*.gz"))]
