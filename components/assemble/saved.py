"""The assembled model on disk: the SavedModel, and beside it what says where it comes from."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from components.assemble.build_index import TuningQueries
from components.assemble.config import HEADS_JSON, AssembleConfig
from components.assemble.index_report import IndexReport
from components.assemble.recommender import Recommender
from components.assemble.warmup import WARMUP_FILE, warmup_requests, write_warmup
from components.ingest.declaration import Declaration
from components.ranking.heads import Head
from serving.contract import DESCRIPTION_FILE, EXTRA
from serving.manifest import write_manifest

TUNING_FILE = "tuning_queries.npz"
"""Name of the file in ``assets.extra`` with the queries the index was tuned on, for the next index."""


def write_model(
    path: str,
    recommender: Recommender,
    report: IndexReport,
    declaration: Declaration,
    heads: Sequence[Head],
    config: AssembleConfig,
    queries: TuningQueries | None,
    others: Mapping[str, bytes],
) -> None:
    """Saves a recommender and its companions.

    Args:
        path: The SavedModel's directory, of any file system that TensorFlow knows.
        recommender: The model.
        report: On its index.
        declaration: The data half of the domain file.
        heads: Of the ranker.
        config: The assemble section.
        queries: What the index was tuned on; None where there were no real queries.
        others: More files for ``assets.extra``, by name.
    """
    signatures = recommender.signatures()
    # ScaNN's ops are stock TensorFlow's to no saver.
    options = tf.saved_model.SaveOptions(namespace_whitelist=["Scann"])
    tf.saved_model.save(recommender, path, signatures=signatures, options=options)
    extra = os.path.join(path, EXTRA)
    tf.io.gfile.makedirs(extra)
    write_warmup(os.path.join(extra, WARMUP_FILE), warmup_requests(signatures, recommender.ids[0].numpy()))
    for name, content in others.items():
        with tf.io.gfile.GFile(os.path.join(extra, name), "wb") as file:
            file.write(content)
    if queries is not None:
        with tf.io.gfile.GFile(os.path.join(extra, TUNING_FILE), "wb") as file:
            # NumPy seeks in the file it writes, which object stores cannot.
            buffer = io.BytesIO()
            np.savez(buffer, embeddings=queries.embeddings, source=np.array(queries.source))
            file.write(buffer.getvalue())
    description: dict[str, Any] = {
        "candidates": report.candidates,
        "index": report.kind,
        "index_report": report.model_dump(mode="json"),
        "declaration": declaration.model_dump(mode="json"),
        "heads": HEADS_JSON.dump_python(tuple(heads), mode="json"),
        "assemble": config.model_dump(mode="json"),
    }
    with tf.io.gfile.GFile(os.path.join(extra, DESCRIPTION_FILE), "w") as file:
        json.dump(description, file, indent=2)
    write_manifest(path)


def read_tuning_queries(path: str) -> TuningQueries | None:
    """The queries that :func:`write_model` left beside the model at ``path``; None if it left none."""
    name = os.path.join(path, EXTRA, TUNING_FILE)
    if not tf.io.gfile.exists(name):
        return None
    with tf.io.gfile.GFile(name, "rb") as file:
        content = io.BytesIO(file.read())
    with np.load(content) as arrays:
        return TuningQueries(arrays["embeddings"], str(arrays["source"]))
